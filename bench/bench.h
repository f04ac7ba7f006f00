/* SPDX-License-Identifier: ISC */
/*
 * bench: what every bench_* program shares.
 *
 * A program has cases that answer the same question in different ways, the raw
 * floor among them.  They run interleaved, so that the noise of the machine
 * hits all alike; the table shows the median of the rounds with its spread.
 * Bars come last, in a table of their own.  In the environment: QUICK=1 makes
 * it short, for correctness only; BENCH_TSV=dir has the figures, too.  (BENCH_ONE
 * is how a program starts itself to have one case counted.)
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_ROUNDS = 9, BENCH_CASES = 16 };

/* Those named eddy... are ours, floor..., raw... or threads... the floor, others
 * peers. */
struct bench_case {
	const char *name;
	double (*run)(long n);       /* ns an operation, over n of them */
	double median;               /* filled in, as what follows */
	double rounds[BENCH_ROUNDS]; /* ascending */
	double instructions, calls;  /* of one more operation; 0: not known */
	bool foreign;                /* not counted: most would be its start */
};

bool bench_quick(void);

/* n, or a hundredth of it when quick. */
long bench_count(long n);

/* Run the cases (the last has no name) and print their table. */
void bench_compare(const char *title, struct bench_case *cases, long n);

/* The next table counts, too: what one more operation costs in instructions,
 * by callgrind, and in system calls, by strace, from a run of few and one of
 * many.  All threads and processes are in it, and who makes the load. */
void bench_count_with(long few, long many);

/* This run is for a count: what is not in a table may be left out. */
bool bench_counting(void);

/* Whether a shell command succeeds that looks for a foreign program; none is
 * there in a run for a count, where looking would cost more than all else. */
bool bench_finds(const char *command);

/* The case that runs, for a run function that several share. */
extern const struct bench_case *bench_running;

/* A bar: tab-separated, for machines; met when measured is at most limit. */
void bench_bar(const char *subject, double measured, double limit);
void bench_skip(const char *subject, const char *missing);

/* Bind this thread, and those it starts, to one CPU (-1: all again). */
void bench_pin(int cpu);

/* Leave with a message when r is an error. */
void bench_check(int r, const char *what);

#endif
