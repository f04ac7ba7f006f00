/* SPDX-License-Identifier: ISC */
#include "bench.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct bench_case *bench_running;

bool
bench_quick(void)
{
	const char *quick = getenv("QUICK");

	return quick != NULL && strcmp(quick, "0") != 0;
}

long
bench_count(long n)
{
	return bench_quick() && n > 100 ? n / 100 : n;
}

static double
run(const struct bench_case *c, long n)
{
	bench_running = c;
	return c->run(n);
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

void
bench_compare(const char *title, struct bench_case *cases, long n)
{
	int round, rounds = bench_quick() ? 1 : BENCH_ROUNDS;
	struct bench_case *c;

	n = bench_count(n);
	for (c = cases; c->name != NULL; c++)
		run(c, n / 10 + 1); /* warm up */
	for (round = 0; round < rounds; round++)
		for (c = cases; c->name != NULL; c++)
			c->rounds[round] = run(c, n);
	printf("\n%-44s %10s %10s %10s\n", title, "median ns", "min", "max");
	for (c = cases; c->name != NULL; c++) {
		qsort(c->rounds, (size_t)rounds, sizeof(double), ascending);
		c->median = c->rounds[rounds / 2];
		printf("  %-42s %10.1f %10.1f %10.1f\n", c->name, c->median,
		    c->rounds[0], c->rounds[rounds - 1]);
	}
	fflush(stdout);
}

void
bench_bar(const char *subject, double measured, double limit)
{
	printf("bar\t%s\t%.2f\t%.2f\t%s\n", subject, measured, limit,
	    measured <= limit ? "met" : "missed");
	fflush(stdout);
}

void
bench_skip(const char *subject, const char *missing)
{
	printf("bar\t%s\t-\t-\tskipped: %s\n", subject, missing);
}

void
bench_pin(int cpu)
{
	cpu_set_t set;
	size_t i;

	CPU_ZERO(&set);
	for (i = 0; i < CPU_SETSIZE; i++)
		if (cpu < 0 || i == (size_t)cpu)
			CPU_SET(i, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

void
bench_check(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench: %s: %s\n", what, strerror(-r));
	exit(EXIT_FAILURE);
}
