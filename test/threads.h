/* SPDX-License-Identifier: ISC */
/*
 * threads: start one, wait for its sign, join it; failure fails the test.
 */
#ifndef THREADS_H
#define THREADS_H

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

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

static inline void
wait_for(sem_t *sem)
{
	while (sem_wait(sem) < 0)
		ck_assert_int_eq(errno, EINTR);
}

#endif
