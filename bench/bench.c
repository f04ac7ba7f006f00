/* SPDX-License-Identifier: ISC */
#include "bench.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef BENCH_FLAGS
#define BENCH_FLAGS ""
#endif

enum { LINE = 160, BARS = 128 };

const struct bench_case *bench_running;

static char bars[BARS][LINE];
static int bar_count;
static long counted_few, counted_many; /* 0: the next table does not count */

bool
bench_quick(void)
{
	const char *quick = getenv("QUICK");

	return quick != NULL && strcmp(quick, "0") != 0;
}

bool
bench_counting(void)
{
	return getenv("BENCH_ONE") != NULL;
}

bool
bench_finds(const char *command)
{
	return !bench_counting() && system(command) == 0;
}

long
bench_count(long n)
{
	return bench_quick() && n > 100 ? n / 100 : n;
}

/* What a figure means nothing without. */
static void
print_machine(FILE *to)
{
	char line[256], cpu[128] = "?";
	double load = 0;
	struct utsname kernel;
	FILE *in = fopen("/proc/cpuinfo", "r");

	while (in != NULL && fgets(line, sizeof(line), in) != NULL)
		if (sscanf(line, "model name : %127[^\n]", cpu) == 1)
			break;
	if (in != NULL)
		fclose(in);
	uname(&kernel);
	getloadavg(&load, 1);
	fprintf(to, "machine: %s, %ld CPUs, %s %s, gcc %s %s, load %.1f\n", cpu,
	    sysconf(_SC_NPROCESSORS_ONLN), kernel.sysname, kernel.release,
	    __VERSION__, BENCH_FLAGS, load);
}

/* The file for figures; NULL: none is wanted.  Opened by the first who asks. */
static FILE *
figures(void)
{
	static FILE *file;
	const char *dir = getenv("BENCH_TSV");
	char path[512];

	if (file != NULL || dir == NULL)
		return file;
	mkdir(dir, 0777);
	snprintf(path, sizeof(path), "%s/%s.tsv", dir,
	    program_invocation_short_name);
	file = fopen(path, "w");
	if (file == NULL)
		bench_check(-errno, path);
	print_machine(file);
	fprintf(file, "kind\ttitle\tcase\tmedian\tspread\tmin\tmax\t"
		      "instructions\tcalls\n");
	return file;
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
run(const struct bench_case *c, long n)
{
	bench_running = c;
	return c->run(n);
}

static void
progress(const char *title, int round, int rounds)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (round < rounds)
		fprintf(
		    stderr, "\r%s: round %d of %d", title, round + 1, rounds);
	else
		fprintf(stderr, "\r%*s\r", (int)strlen(title) + 20, "");
}

/* The median distance from the median: one wild round does not move it. */
static double
spread(const struct bench_case *c, int rounds)
{
	double away[BENCH_ROUNDS];
	int i;

	for (i = 0; i < rounds; i++)
		away[i] = fabs(c->rounds[i] - c->median);
	qsort(away, (size_t)rounds, sizeof(away[0]), ascending);
	return away[rounds / 2];
}

static bool
is_named(const struct bench_case *c, const char *prefix)
{
	return strncmp(c->name, prefix, strlen(prefix)) == 0;
}

static bool
is_floor(const struct bench_case *c)
{
	return is_named(c, "floor") || is_named(c, "raw") ||
	       is_named(c, "threads");
}

/* The least median of the floors, or of the peers; 0: there are none. */
static double
least(const struct bench_case *c, bool floor)
{
	double least = 0;

	for (; c->name != NULL; c++)
		if (is_floor(c) == floor && !is_named(c, "eddy") &&
		    (least == 0 || c->median < least))
			least = c->median;
	return least;
}

static void
print_ratio(double a, double b)
{
	if (b > 0)
		printf(" %7.2f", a / b);
	else
		printf(" %7s", "-");
}

static void
print_counts(const struct bench_case *c)
{
	char calls[16] = "-", instructions[16] = "-";

	if (c->instructions > 0)
		snprintf(instructions, sizeof(instructions), "%.0f",
		    c->instructions);
	if (c->calls > 0)
		snprintf(calls, sizeof(calls), "%.2f", c->calls);
	printf(" %6s %6s", instructions, calls);
}

/* Begin to run this program below tool, only a case, n times. */
static FILE *
ask(const char *tool, const char *title, const char *name, long n)
{
	char one[LINE];
	FILE *in;

	snprintf(one, sizeof(one), "%ld\t%s\t%s", n, title, name);
	setenv("BENCH_ONE", one, 1);
	in = popen(tool, "r");
	unsetenv("BENCH_ONE");
	return in;
}

/* What the tool says; 0: nothing. */
static double
hear(FILE *in)
{
	double count = 0;

	if (in == NULL || fscanf(in, "%lf", &count) != 1)
		count = 0;
	if (in != NULL)
		pclose(in);
	return count;
}

/* At once, where one run does not disturb the other's count. */
static double
one_more(const char *tool, const char *title, const char *name, bool at_once)
{
	FILE *many = at_once ? ask(tool, title, name, counted_many) : NULL;
	double few = hear(ask(tool, title, name, counted_few)), more;

	if (!at_once && few != 0)
		many = ask(tool, title, name, counted_many);
	more = (hear(many) - few) / (double)(counted_many - counted_few);
	return few != 0 && more > 0 ? more : 0;
}

static void
count_costs(const char *title, struct bench_case *c)
{
	char valgrind[512], strace[512];

	snprintf(valgrind, sizeof(valgrind),
	    "valgrind --tool=callgrind --trace-children=yes "
	    "--callgrind-out-file=/dev/null %s 2>&1 | "
	    "awk '/Collected :/ { n += $NF } /^ran$/ { ran = 1 } "
	    "END { if (ran) printf \"%%.0f\", n }'",
	    program_invocation_name);
	snprintf(strace, sizeof(strace),
	    "strace -f -c -U calls,name -o /dev/stdout %s 2>&1 | "
	    "awk '$2 == \"total\" { n = $1 } /^ran$/ { ran = 1 } "
	    "END { if (ran) print n }'",
	    program_invocation_name);
	for (; c->name != NULL; c++) {
		if (c->foreign)
			continue;
		c->instructions = one_more(valgrind, title, c->name, true);
		c->calls = one_more(strace, title, c->name, false);
	}
}

/* Whether this process is one that ask() started; it ends at its case. */
static bool
run_one(const char *title, const struct bench_case *c)
{
	const char *one = getenv("BENCH_ONE");
	char wanted[LINE];

	if (one == NULL)
		return false;
	for (; c->name != NULL; c++) {
		snprintf(wanted, sizeof(wanted), "%ld\t%s\t%s", atol(one),
		    title, c->name);
		if (strcmp(one, wanted) == 0) {
			run(c, atol(one));
			fprintf(stderr, "ran\n");
			exit(EXIT_SUCCESS);
		}
	}
	return true;
}

static void
print_table(const char *title, const struct bench_case *cases, int rounds)
{
	double floor = least(cases, true), peer = least(cases, false);
	const struct bench_case *c;

	printf("\n%-40s %9s %7s %9s %9s %7s %7s%s\n", title, "median ns",
	    "spread", "min", "max", "x floor", "x peer",
	    counted_few != 0 ? "  instr  calls" : "");
	for (c = cases; c->name != NULL; c++) {
		printf("  %-38s %9.1f %7.1f %9.1f %9.1f", c->name, c->median,
		    spread(c, rounds), c->rounds[0], c->rounds[rounds - 1]);
		print_ratio(c->median, floor);
		print_ratio(c->median, peer);
		if (counted_few != 0)
			print_counts(c);
		putchar('\n');
		if (figures() != NULL)
			fprintf(figures(),
			    "case\t%s\t%s\t%g\t%g\t%g\t%g\t%g\t%g\n", title,
			    c->name, c->median, spread(c, rounds), c->rounds[0],
			    c->rounds[rounds - 1], c->instructions, c->calls);
	}
	fflush(stdout);
}

void
bench_compare(const char *title, struct bench_case *cases, long n)
{
	static bool told;
	int round, rounds = bench_quick() ? 1 : BENCH_ROUNDS;
	struct bench_case *c;

	if (run_one(title, cases))
		return;
	if (!told)
		print_machine(stdout);
	fflush(stdout); /* something to see, should a run be ended early */
	told = true;
	n = bench_count(n);
	for (c = cases; c->name != NULL && !bench_quick(); c++)
		run(c, n / 10 + 1); /* warm up */
	for (round = 0; round < rounds; round++) {
		progress(title, round, rounds);
		for (c = cases; c->name != NULL; c++)
			c->rounds[round] = run(c, n);
	}
	progress(title, rounds, rounds);
	for (c = cases; c->name != NULL; c++) {
		qsort(c->rounds, (size_t)rounds, sizeof(double), ascending);
		c->median = c->rounds[rounds / 2];
	}
	if (counted_few != 0)
		count_costs(title, cases);
	print_table(title, cases, rounds);
	counted_few = 0;
}

void
bench_count_with(long few, long many)
{
	counted_few = bench_quick() ? 0 : few;
	counted_many = many;
}

static void
print_bars(void)
{
	int i;

	putchar('\n');
	for (i = 0; i < bar_count; i++)
		puts(bars[i]);
}

__attribute__((format(printf, 1, 2))) static void
add_bar(const char *format, ...)
{
	__builtin_va_list args;

	if (bench_counting())
		return;
	if (bar_count == 0)
		atexit(print_bars);
	if (bar_count == BARS)
		bench_check(-ENOSPC, "bars");
	__builtin_va_start(args, format);
	vsnprintf(bars[bar_count], LINE, format, args);
	__builtin_va_end(args);
	if (figures() != NULL)
		fprintf(figures(), "%s\n", bars[bar_count]);
	bar_count++;
}

void
bench_bar(const char *subject, double measured, double limit)
{
	add_bar("bar\t%s\t%.2f\t%.2f\t%s", subject, measured, limit,
	    measured <= limit ? "met" : "missed");
}

void
bench_skip(const char *subject, const char *missing)
{
	add_bar("bar\t%s\t-\t-\tskipped: %s", subject, missing);
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
