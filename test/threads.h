/* SPDX-License-Identifier: ISC */
/*
 * threads: start one and join it; failure fails the test.
 */
#ifndef THREADS_H
#define THREADS_H

#include <check.h>
#include <pthread.h>

static inline void
start_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	ck_assert_int_eq(pthread_create(thread, NULL, fn, arg), 0);
}

static inline void
join(pthread_t thread)
{
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

#endif
