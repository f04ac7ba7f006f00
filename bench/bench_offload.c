/* SPDX-License-Identifier: ISC */
/*
 * What does one lone offload cost, beside its floor: a futex down and an
 * edge-triggered eventfd up?  "bench_offload trips threads|processes N" only
 * makes N round trips, for strace.
 */
#include <eddy.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "peers/floor.h"

static struct eddy_zygote *zygote;

static double
floor_thread(long n)
{
	return floor_trips(false, false, n);
}

static double
floor_process(long n)
{
	return floor_trips(true, false, n);
}

/* eddy */

static int
nothing(void *arg)
{
	(void)arg;
	return 0;
}

struct trips {
	struct eddy_task task;
	struct eddy_executor *executor;
	bool processes;
	long i, n;
	int64_t began;
	double ns;
	char byte[1];
};

static int
open_executor(struct trips *f)
{
	struct eddy_thread_pool_options threads = {.workers_max = 1};
	struct eddy_process_pool_options processes = {
	    .zygote = zygote, .workers = 1};

	if (!f->processes)
		return eddy_thread_pool_open(&f->executor, &threads);
	return eddy_process_pool_open(&f->executor, f->task.loop, &processes);
}

static eddy_step
trips(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct trips, f);
	EDDY_TRY(eddy_complete(self, open_executor(f)));
	EDDY_TRY(eddy_offload(self, f->executor, nothing, f->byte));
	f->began = eddy_now();
	for (f->i = 0; f->i < f->n; f->i++)
		EDDY_TRY(eddy_offload(self, f->executor, nothing, f->byte));
	f->ns = (double)(eddy_now() - f->began) / (double)f->n;
	EDDY_FINALLY;
	if (f->executor != NULL)
		eddy_executor_close(f->executor, EDDY_S(1));
	EDDY_END;
}

static double
eddy_trips(bool processes, long n)
{
	struct trips f;

	bench_check(
	    eddy_run(EDDY_INIT(&f, trips, .processes = processes, .n = n)),
	    processes ? "processes" : "threads");
	return f.ns;
}

static double
eddy_threads(long n)
{
	return eddy_trips(false, n);
}

static double
eddy_processes(long n)
{
	return eddy_trips(true, n);
}

static void
count_calls(const char *self, const char *which, double limit)
{
	char command[256], subject[64];
	double calls;

	snprintf(subject, sizeof(subject), "system calls, lone %s trip", which);
	snprintf(command, sizeof(command), "%s trips %s %%ld", self, which);
	calls = bench_calls(command, 1000, 11000);
	if (calls >= 0)
		bench_bar(subject, calls, limit);
	else
		bench_skip(subject, "strace");
}

int
main(int argc, char **argv)
{
	struct bench_case cases[] = {
	    {"floor: thread, futex and eventfd", floor_thread, 0, {0}},
	    {"eddy_offload to a thread", eddy_threads, 0, {0}},
	    {"floor: process, futex and eventfd", floor_process, 0, {0}},
	    {"eddy_offload to a process", eddy_processes, 0, {0}},
	    {NULL, NULL, 0, {0}}};

	bench_check(eddy_zygote_open(&zygote, 0), "zygote");
	if (argc == 4 && strcmp(argv[1], "trips") == 0) {
		eddy_trips(strcmp(argv[2], "processes") == 0, atol(argv[3]));
		eddy_zygote_close(zygote);
		return 0;
	}
	bench_compare("lone round trip, free placement", cases, 20000);
	bench_bar("thread trip / floor, free",
	    cases[1].median / cases[0].median, 1.5);
	bench_bar("process trip / floor, free",
	    cases[3].median / cases[2].median, 1.5);
	eddy_zygote_close(zygote);
	bench_pin(0);
	bench_check(eddy_zygote_open(&zygote, 0), "zygote");
	bench_compare("lone round trip, one CPU", cases, 20000);
	bench_bar("thread trip / floor, one CPU",
	    cases[1].median / cases[0].median, 1.5);
	bench_bar("process trip / floor, one CPU",
	    cases[3].median / cases[2].median, 1.5);
	eddy_zygote_close(zygote);
	bench_pin(-1);
	count_calls(argv[0], "threads", 5);
	count_calls(argv[0], "processes", 6);
	return 0;
}
