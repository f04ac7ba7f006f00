/* SPDX-License-Identifier: ISC */
/*
 * census: what every suite stands on.  A case made here counts descriptors,
 * threads and children before each of its tests and demands the same after.
 */
#ifndef CENSUS_H
#define CENSUS_H

#include <check.h>

#include <eddy/loop.h>

/* What this build runs under. */
#if defined(__clang__)
#define CENSUS_TSAN __has_feature(thread_sanitizer)
#define CENSUS_ASAN __has_feature(address_sanitizer)
#else
#ifdef __SANITIZE_THREAD__
#define CENSUS_TSAN 1
#else
#define CENSUS_TSAN 0
#endif
#ifdef __SANITIZE_ADDRESS__
#define CENSUS_ASAN 1
#else
#define CENSUS_ASAN 0
#endif
#endif

/* What exit(n) in a worker comes to: musl does not tell the code. */
#ifdef __GLIBC__
#define EXIT_CODE(n) (n)
#else
#define EXIT_CODE(n) 124
#endif

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The checked fixture. */
void census_begin(void);
void census_end(void);

/* A case of suite with the fixture; timeout in s, longer under sanitizers. */
TCase *census_case(Suite *suite, const char *name, double timeout);

/* Add tests to a case: census_add(census_case(...), one, another). */
#define census_add(tcase, ...) \
	census_add_list(tcase, (const TTest *const[]){__VA_ARGS__, NULL})
void census_add_list(TCase *tcase, const TTest *const *tests);

/* What fn answers (0 or -errno) in a forked child that leaves by _exit;
 * 1000 + n when signal n killed it. */
int census_child(int (*fn)(void *), void *arg);

/* What was written to fd, as a string in text; closes fd. */
void census_read(int fd, char *text, size_t size);

/* Zeroed memory that processes forked from now on share; munmap. */
void *census_share(size_t size);

/* A loop with the default options; failure fails the test. */
struct eddy_loop *census_loop(void);

/* For main: run and free the suite; the exit code. */
int suite_main(Suite *suite);

#endif
