/* SPDX-License-Identifier: ISC */
/*
 * check.h: as much of Check as the tests use, for targets that have no package of
 * it (make qemu).  Each test in a process group of its own, with a time limit;
 * CK_TIMEOUT_MULTIPLIER, CK_RUN_CASE and the closing line are as Check's; tests
 * in SHIM_SKIP are left out (name:7: that round of a loop), and counted.
 */
#ifndef SHIM_CHECK_H
#define SHIM_CHECK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

pid_t waitpid(pid_t pid, int *ret_status, int options); /* not all of wait.h */

typedef const void *shim_pointer;

typedef struct TTest {
	const char *name;
	void (*fn)(int _i);
} TTest;

enum { SHIM_TESTS = 160, SHIM_CASES = 40, SHIM_FIXTURES = 4, CK_ENV = 0 };

typedef struct TCase {
	const char *name;
	double timeout;
	struct {
		void (*setup)(void), (*teardown)(void);
	} fixtures[SHIM_FIXTURES];
	struct {
		const TTest *test;
		int from, to;
	} tests[SHIM_TESTS];
	int count;
} TCase;

typedef struct Suite {
	const char *name;
	TCase *cases[SHIM_CASES];
	int count, checks, failures, errors, skipped;
} Suite, SRunner;

#define START_TEST(test_)                                       \
	static void test_##_fn(int _i);                         \
	static const TTest test_##_test = {#test_, test_##_fn}; \
	static const TTest *const test_ = &test_##_test;        \
	static void test_##_fn(int _i __attribute__((unused)))
#define END_TEST

#define ck_abort_msg(...)                                       \
	do {                                                    \
		fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
		fprintf(stderr, __VA_ARGS__);                   \
		fputc('\n', stderr);                            \
		_exit(1);                                       \
	} while (0)
#define ck_assert_msg(condition, ...)              \
	do {                                       \
		if (!(condition))                  \
			ck_abort_msg(__VA_ARGS__); \
	} while (0)
#define ck_assert(condition) ck_assert_msg(condition, "%s", #condition)
#define SHIM_COMPARE(type, format, a, op, b)                               \
	do {                                                               \
		type shim_a_ = (type)(a), shim_b_ = (type)(b);             \
		ck_assert_msg(shim_a_ op shim_b_,                          \
		    "%s " #op " %s: " format ", " format, #a, #b, shim_a_, \
		    shim_b_);                                              \
	} while (0)
#define SHIM_INT(a, op, b)       SHIM_COMPARE(long long, "%lld", a, op, b)
#define SHIM_UINT(a, op, b)      SHIM_COMPARE(unsigned long long, "%llu", a, op, b)
#define SHIM_PTR(a, op, b)       SHIM_COMPARE(shim_pointer, "%p", a, op, b)
#define ck_assert_int_eq(a, b)   SHIM_INT(a, ==, b)
#define ck_assert_int_ne(a, b)   SHIM_INT(a, !=, b)
#define ck_assert_int_lt(a, b)   SHIM_INT(a, <, b)
#define ck_assert_int_le(a, b)   SHIM_INT(a, <=, b)
#define ck_assert_int_gt(a, b)   SHIM_INT(a, >, b)
#define ck_assert_int_ge(a, b)   SHIM_INT(a, >=, b)
#define ck_assert_uint_eq(a, b)  SHIM_UINT(a, ==, b)
#define ck_assert_uint_ne(a, b)  SHIM_UINT(a, !=, b)
#define ck_assert_uint_lt(a, b)  SHIM_UINT(a, <, b)
#define ck_assert_uint_le(a, b)  SHIM_UINT(a, <=, b)
#define ck_assert_uint_gt(a, b)  SHIM_UINT(a, >, b)
#define ck_assert_uint_ge(a, b)  SHIM_UINT(a, >=, b)
#define ck_assert_ptr_eq(a, b)   SHIM_PTR(a, ==, b)
#define ck_assert_ptr_ne(a, b)   SHIM_PTR(a, !=, b)
#define ck_assert_ptr_null(a)    ck_assert((a) == NULL)
#define ck_assert_ptr_nonnull(a) ck_assert((a) != NULL)
#define ck_assert_str_eq(a, b)                                             \
	do {                                                               \
		const char *shim_a_ = (a), *shim_b_ = (b);                 \
		ck_assert_msg(strcmp(shim_a_, shim_b_) == 0,               \
		    "%s == %s: \"%s\", \"%s\"", #a, #b, shim_a_, shim_b_); \
	} while (0)
#define ck_assert_mem_eq(a, b, n) ck_assert(memcmp(a, b, n) == 0)

static inline TCase *
tcase_create(const char *name)
{
	TCase *tcase = calloc(1, sizeof(*tcase));

	tcase->name = name;
	tcase->timeout = 4;
	return tcase;
}

static inline void
tcase_set_timeout(TCase *tcase, double timeout)
{
	tcase->timeout = timeout;
}

static inline void
tcase_add_checked_fixture(
    TCase *tcase, void (*setup)(void), void (*teardown)(void))
{
	int i = 0;

	while (tcase->fixtures[i].setup != NULL ||
	       tcase->fixtures[i].teardown != NULL)
		i++;
	tcase->fixtures[i].setup = setup;
	tcase->fixtures[i].teardown = teardown;
}

static inline void
tcase_add_loop_test(TCase *tcase, const TTest *test, int from, int to)
{
	if (tcase->count == SHIM_TESTS)
		abort();
	tcase->tests[tcase->count].test = test;
	tcase->tests[tcase->count].from = from;
	tcase->tests[tcase->count++].to = to;
}

static inline void
tcase_add_test(TCase *tcase, const TTest *test)
{
	tcase_add_loop_test(tcase, test, 0, 1);
}

static inline Suite *
suite_create(const char *name)
{
	Suite *suite = calloc(1, sizeof(*suite));

	suite->name = name;
	return suite;
}

static inline void
suite_add_tcase(Suite *suite, TCase *tcase)
{
	if (suite->count == SHIM_CASES)
		abort();
	suite->cases[suite->count++] = tcase;
}

static inline SRunner *
srunner_create(Suite *suite)
{
	return suite;
}

static inline double
shim_limit(const TCase *tcase)
{
	const char *times = getenv("CK_TIMEOUT_MULTIPLIER");

	return tcase->timeout * (times != NULL ? atof(times) : 1);
}

/* Its status, or -1: it took too long. */
static inline int
shim_wait(pid_t pid, double limit)
{
	struct timespec tick = {.tv_nsec = 2000000};
	double waited = 0;
	int status = 0;

	while (waitpid(pid, &status, 1 /* WNOHANG */) == 0) {
		nanosleep(&tick, NULL);
		waited += 0.002;
		if (waited < limit)
			continue;
		kill(-pid, SIGKILL);
		waitpid(pid, &status, 0);
		return -1;
	}
	return status;
}

static inline void
shim_run(Suite *suite, const TCase *tcase, const TTest *test, int i)
{
	int status, f;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		for (f = 0; f < SHIM_FIXTURES; f++)
			if (tcase->fixtures[f].setup != NULL)
				tcase->fixtures[f].setup();
		test->fn(i);
		while (f-- > 0)
			if (tcase->fixtures[f].teardown != NULL)
				tcase->fixtures[f].teardown();
		exit(0);
	}
	setpgid(pid, pid);
	status = shim_wait(pid, shim_limit(tcase));
	kill(-pid, SIGKILL);
	suite->checks++;
	if (status == 0)
		return;
	if (status > 0 && (status & 0x7f) == 0) /* it has left */
		suite->failures++;
	else
		suite->errors++;
	printf("%s:%s:%d: %s\n", tcase->name, test->name, i,
	    status < 0             ? "took too long"
	    : (status & 0x7f) != 0 ? strsignal(status & 0x7f)
				   : "failed");
}

static inline bool
shim_listed(const char *word)
{
	const char *list = getenv("SHIM_SKIP"), *at = list;
	size_t n = strlen(word);

	while (at != NULL && (at = strstr(at, word)) != NULL) {
		if ((at == list || at[-1] == ' ') &&
		    (at[n] == ' ' || at[n] == '\0'))
			return true;
		at += n;
	}
	return false;
}

static inline bool
shim_skips(const char *name, int i)
{
	char round[200];

	snprintf(round, sizeof(round), "%s:%d", name, i);
	return shim_listed(name) || shim_listed(round);
}

static inline void
shim_run_case(SRunner *suite, const TCase *tcase)
{
	int t, i;

	for (t = 0; t < tcase->count; t++)
		for (i = tcase->tests[t].from; i < tcase->tests[t].to; i++)
			if (shim_skips(tcase->tests[t].test->name, i))
				suite->skipped++;
			else
				shim_run(suite, tcase, tcase->tests[t].test, i);
}

static inline void
srunner_run_all(SRunner *suite, int mode)
{
	const char *only = getenv("CK_RUN_CASE");
	int c;

	(void)mode;
	printf("Running suite(s): %s\n", suite->name);
	for (c = 0; c < suite->count; c++)
		if (only == NULL || strcmp(only, suite->cases[c]->name) == 0)
			shim_run_case(suite, suite->cases[c]);
	if (suite->skipped != 0)
		printf("skipped: %d\n", suite->skipped);
	printf("%d%%: Checks: %d, Failures: %d, Errors: %d\n",
	    suite->checks == 0
		? 100
		: 100 * (suite->checks - suite->failures - suite->errors) /
		      suite->checks,
	    suite->checks, suite->failures, suite->errors);
}

static inline int
srunner_ntests_failed(SRunner *suite)
{
	return suite->failures + suite->errors;
}

static inline void
srunner_free(SRunner *suite)
{
	while (suite->count > 0)
		free(suite->cases[--suite->count]);
	free(suite);
}

#endif
