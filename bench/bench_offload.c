/* SPDX-License-Identifier: ISC */
/*
 * What does one lone offload cost, beside its floor: a futex down and an
 * edge-triggered eventfd up?
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
	EDDY_TRY(eddy_offload(self, f->executor, nothing, &f->byte));
	f->began = eddy_now();
	for (f->i = 0; f->i < f->n; f->i++)
		EDDY_TRY(eddy_offload(self, f->executor, nothing, &f->byte));
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
bar(const char *what, const char *place, double measured, double limit)
{
	char subject[64];

	snprintf(subject, sizeof(subject), "%s, %s", what, place);
	if (measured > 0)
		bench_bar(subject, measured, limit);
	else
		bench_skip(subject, bench_quick() ? "QUICK" : "strace");
}

/* Of a thread or a process, ours second. */
static void
compare(
    const char *what, const char *place, struct bench_case *cases, double calls)
{
	char title[64];

	snprintf(title, sizeof(title), "a lone %s, %s", what, place);
	if (calls != 0)
		bench_count_with(1000, 11000);
	bench_compare(title, cases, 10000);
	bar(what, place, cases[1].median / cases[0].median, 1.5);
	if (calls != 0)
		bar("its system calls", what, cases[1].calls, calls);
}

int
main(void)
{
	static const char *const places[] = {"free", "one CPU"};
	struct bench_case threads[] = {
	    {.name = "floor: futex and eventfd", .run = floor_thread},
	    {.name = "eddy_offload", .run = eddy_threads}, {.name = NULL}};
	struct bench_case processes[] = {
	    {.name = "floor: futex and eventfd", .run = floor_process},
	    {.name = "eddy_offload", .run = eddy_processes}, {.name = NULL}};
	int i;

	for (i = 0; i < 2; i++) {
		compare("thread trip", places[i], threads, i == 0 ? 5 : 0);
		bench_check(eddy_zygote_open(&zygote, 0), "zygote");
		compare("process trip", places[i], processes, i == 0 ? 6 : 0);
		eddy_zygote_close(zygote);
		bench_pin(0);
	}
	return 0;
}
