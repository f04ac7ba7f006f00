/* SPDX-License-Identifier: ISC */
/*
 * What does a job in another process cost: alone, by jobs a worker holds, with
 * bytes to carry, and when it crashes; and how long does the host stand still
 * for a fork?  Each run is a process of its own: "bench_proc jobs" with the
 * fields of struct proc_load, "bench_proc crash" with those of struct
 * proc_host.  "bench_proc lone", "none", "bytes", "host" or "beat" is one part.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "peers/proc.h"

#define PYTHON "/usr/bin/python3" /* the system's */
#define SCRIPT "bench/peers/proc_cpython.py"

static const char *self;
static bool python;
static struct bench_case cases[BENCH_CASES];
static char commands[BENCH_CASES][128]; /* a case's, without its n */
static long shares[BENCH_CASES];        /* what n is divided by */
static char names[BENCH_CASES][44];
static int count;

/* Ask the run of a case. */
static double
run(long n)
{
	int i = (int)(bench_running - cases);
	char command[512];
	double ns = 0;
	FILE *child;

	snprintf(command, sizeof(command), commands[i], n / shares[i] + 1);
	child = popen(command, "r");
	if (child == NULL || fscanf(child, "%lf", &ns) != 1 ||
	    pclose(child) != 0)
		bench_check(-1, command);
	return ns;
}

static void
add(const char *name, long share)
{
	snprintf(names[count], sizeof(names[0]), "%s", name);
	cases[count] = (struct bench_case){.name = names[count],
	    .run = run,
	    .foreign = strcmp(name, "CPython") == 0};
	shares[count++] = share;
	cases[count].name = NULL;
}

static double
median(const char *name)
{
	int i = 0;

	while (strcmp(names[i], name) != 0)
		i++;
	return cases[i].median;
}

/* The median of one, at most limit times that of another. */
static void
bar(const char *title, const char *mine, const char *theirs, double limit)
{
	char subject[192];

	snprintf(subject, sizeof(subject), "%s, %s / %s", title, mine, theirs);
	if (!python && strcmp(theirs, "CPython") == 0)
		bench_skip(subject, "python3");
	else
		bench_bar(subject, median(mine) / median(theirs), limit);
}

/* One that runs jobs. */
static void
add_jobs(const char *name, struct proc_load load)
{
	if (load.peer == CPYTHON && !python)
		return;
	snprintf(commands[count], sizeof(commands[0]),
	    "%s jobs %ld %ld %ld %ld %%ld %ld %ld",
	    load.peer == CPYTHON ? PYTHON " " SCRIPT : self, load.peer,
	    load.workers, load.depth, load.window, load.size, load.place);
	add(name, load.peer == CPYTHON ? 50 : 1);
}

static void
lone(void)
{
	static const char *const titles[] = {
	    "lone job, free", "lone job, two CPUs", "lone job, one CPU"};
	struct proc_load load = {.workers = 1, .depth = 1, .window = 1};

	load.size = 64;
	for (load.place = FREE; load.place <= ONE_CPU; load.place++) {
		const char *title = titles[load.place];

		count = 0;
		load.peer = EDDY;
		add_jobs("eddy", load);
		load.peer = NO_SPIN;
		add_jobs("eddy, spinning off", load);
		load.peer = SOCKET;
		add_jobs("socketpair", load);
		load.peer = FLOOR;
		add_jobs("floor: slot, futex, eventfd", load);
		load.peer = CPYTHON;
		add_jobs("CPython", load);
		if (load.place == FREE)
			bench_count_with(1000, 6000);
		bench_compare(title, cases, 10000);
		if (load.place == FREE) /* not the same place for both */
			continue;
		bar(title, "eddy", "floor: slot, futex, eventfd", 1.5);
		bar(title, "eddy, spinning off", "floor: slot, futex, eventfd",
		    1.5);
	}
}

/* Jobs that do nothing, by how many a worker holds. */
static void
none(void)
{
	struct proc_load load = {.workers = 2, .window = 1000, .size = 64};
	char name[32];

	count = 0;
	for (load.depth = 1; load.depth <= 8; load.depth *= 2) {
		load.peer = EDDY;
		snprintf(name, sizeof(name), "eddy, K = %ld", load.depth);
		add_jobs(name, load);
		load.peer = SOCKET;
		snprintf(name, sizeof(name), "socketpair, K = %ld", load.depth);
		add_jobs(name, load);
	}
	load.peer = CPYTHON;
	add_jobs("CPython", load);
	bench_count_with(1000, 6000);
	bench_compare("jobs that do nothing, 2 workers", cases, 30000);
	bar("no-op", "eddy, K = 2", "CPython", 1 / 12.);
	bar("no-op", "eddy, K = 2", "socketpair, K = 2", 1 / 1.5);
	bar("no-op", "eddy, K = 2", "socketpair, K = 1", 1 / 1.5);
}

static void
bytes(void)
{
	static const long sizes[] = {64, 4096, 1 << 20};
	static const long jobs[] = {30000, 20000, 500};
	struct proc_load load = {.workers = 2, .depth = 2, .window = 16};
	char title[64];
	int i;

	for (i = 0; i < 3; i++) {
		snprintf(title, sizeof(title), "%ld bytes each way", sizes[i]);
		count = 0;
		load.size = sizes[i];
		load.peer = EDDY;
		add_jobs("eddy", load);
		load.peer = SOCKET;
		add_jobs("socketpair", load);
		load.peer = CPYTHON;
		add_jobs("CPython", load);
		bench_compare(title, cases, jobs[i]);
	}
	bar(title, "eddy", "socketpair", 1 / 1.5);
}

static void
add_host(const char *name, const char *what, long mib, long late)
{
	bool cpython = strcmp(name, "CPython") == 0;

	if (cpython && !python)
		return;
	snprintf(commands[count], sizeof(commands[0]), "%s %s %ld %ld %%ld",
	    cpython ? PYTHON " " SCRIPT : self, what, mib, late);
	add(name, cpython || late ? 5 : 1);
}

static void
host(void)
{
	const char *title = "a crash, until the next job is done";
	long big = bench_quick() ? 64 : 1024; /* MiB */

	count = 0;
	add_host("small host", "crash", 0, 0);
	add_host("1 GiB, zygote before", "crash", big, 0);
	add_host("1 GiB, zygote after", "crash", big, 1);
	add_host("CPython", "crash", big, 0);
	bench_compare(title, cases, 30);
	bar(title, "1 GiB, zygote before", "small host", 2);
	count = 0;
	add_host("open a pool, small host", "open", 0, 0);
	add_host("1 GiB, zygote before", "open", big, 0);
	add_host("1 GiB, zygote of its own", "open", big, 1);
	add_host("zygote before, then write 64 MiB", "write", big, 0);
	add_host("zygote of its own, then write 64 MiB", "write", big, 1);
	add_host("one fork(2) at 1 GiB", "fork", big, 1);
	bench_compare("the host stands still", cases, 20);
}

static void
beat(void)
{
	static const char *const ways[] = {"copied", "in place", "output"};
	char subject[64];
	int i;

	count = 0;
	for (i = 0; i < 3; i++) {
		add_host(ways[i], "beat", 0, i);
		shares[i] = 1;
	}
	bench_compare("results of 8 MiB, late by (p99)", cases, 300);
	for (i = 0; i < 3; i++) {
		snprintf(subject, sizeof(subject),
		    "8 MiB results, ms a beat is late, p99, %s", ways[i]);
		bench_bar(subject, cases[i].median / 1e6, 5);
	}
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = {{"lone", lone}, {"none", none}, {"bytes", bytes},
	    {"host", host}, {"beat", beat}};
	size_t i;

	if (argc > 2)
		return proc_child(argv);
	self = argv[0];
	python = bench_finds(PYTHON " -c pass && test -r " SCRIPT);
	for (i = 0; i < 5; i++)
		if (argc == 1 || strcmp(argv[1], parts[i].name) == 0)
			parts[i].run();
	return 0;
}
