/* SPDX-License-Identifier: ISC */
#include "proc.h"

#include <eddy.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../bench.h"

enum { COPIED, IN_PLACE, OUTPUT }; /* proc_host.late, for a beat */

static struct eddy_loop *loop;
static struct eddy_executor *pool;
static struct eddy_zygote *zygote;

static int
work(void *arg)
{
	proc_work(arg, (size_t)proc_load.size);
	return 0;
}

static int
crash(void *arg)
{
	(void)arg;
	return raise(SIGKILL);
}

static int
nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void
open_loop(void)
{
	struct eddy_loop_options options = {
	    .spin_duration = proc_load.peer == NO_SPIN ? -1 : 0};

	bench_check(eddy_loop_open(&loop, &options), "loop");
}

static void
open_pool(void)
{
	struct eddy_process_pool_options options = {.zygote = zygote,
	    .flags = proc_host.late == OUTPUT ? EDDY_PASS_DESCRIPTORS : 0,
	    .workers = (unsigned)proc_load.workers,
	    .depth = (unsigned)proc_load.depth,
	    .slot_size = (size_t)proc_load.size};

	bench_check(eddy_process_pool_open(&pool, loop, &options), "pool");
}

static void
on_done(struct eddy_loop *l, struct eddy_job *job)
{
	bench_check(job->outcome == EDDY_RETURNED ? 0 : -1, "outcome");
	if (proc_again())
		bench_check(eddy_submit(pool, job, l, on_done), "submit");
}

static void
wait_for_workers(void)
{
	int pids[64];

	while (eddy_process_pool_pids(pool, pids, 64) < proc_load.workers)
		eddy_loop_step(loop, EDDY_MS(1));
	proc_workers(pids);
}

void
proc_eddy(bool first)
{
	static struct eddy_job *jobs;
	long i, size = proc_load.size;

	if (first) {
		open_loop();
		open_pool();
		jobs = calloc((size_t)proc_load.window, sizeof(*jobs));
	}
	for (i = 0; i < proc_load.window; i++) {
		if (first)
			jobs[i] = (struct eddy_job){.fn = work,
			    .arg = calloc(1, (size_t)size),
			    .size = (uint32_t)size};
		bench_check(
		    eddy_submit(pool, &jobs[i], loop, on_done), "submit");
	}
	bench_check(eddy_loop_run(loop), "run");
	if (first)
		wait_for_workers();
}

/* A host of some size. */

static char *
open_host(void)
{
	char *bytes = NULL;

	proc_load.workers = proc_load.depth = 1;
	if (!proc_host.late)
		bench_check(eddy_zygote_open(&zygote, 0), "zygote");
	if (proc_host.mib != 0)
		bytes = proc_fill(proc_host.mib);
	if (proc_host.late == 1)
		bench_check(eddy_zygote_open(&zygote, 0), "zygote");
	open_loop();
	return bytes;
}

static void
ignore(struct eddy_loop *l, struct eddy_job *job)
{
	(void)l;
	(void)job;
}

double
proc_crash(void)
{
	struct eddy_job jobs[2] = {{.fn = crash}, {.fn = nothing}};
	int64_t began, sum = 0;
	long i;

	open_host();
	open_pool();
	for (i = -3; i < proc_host.n; i++) {
		wait_for_workers();
		began = eddy_now();
		bench_check(
		    eddy_submit(pool, &jobs[0], loop, ignore), "submit");
		bench_check(
		    eddy_submit(pool, &jobs[1], loop, ignore), "submit");
		bench_check(eddy_loop_run(loop), "run");
		bench_check(jobs[1].outcome == EDDY_RETURNED ? 0 : -1, "crash");
		sum += i < 0 ? 0 : eddy_now() - began;
	}
	return (double)sum / (double)proc_host.n;
}

static double
stand_still(size_t touched)
{
	char *bytes = open_host();
	int64_t began, sum = 0;
	size_t at;
	long i;

	if (zygote != NULL && proc_host.late)
		bench_check(eddy_zygote_close(zygote), "zygote");
	if (proc_host.late)
		zygote = NULL; /* each pool its own */
	for (i = -1; i < proc_host.n; i++) {
		began = eddy_now();
		open_pool();
		for (at = 0; at < touched; at += 4096)
			bytes[at]++;
		sum += i < 0 ? 0 : eddy_now() - began;
		wait_for_workers();
		bench_check(eddy_executor_close(pool, EDDY_S(1)), "close");
	}
	return (double)sum / (double)proc_host.n;
}

double
proc_open(void)
{
	return stand_still(0);
}

double
proc_write(void)
{
	return stand_still((size_t)64 << 20);
}

/* A beat each ms, beside a worker that answers 8 MiB, and has a CPU of its own. */

enum { ANSWER = 8 << 20, ANSWERS = 2, BEATS = 1 << 20 };

static int64_t delays[BEATS], due;
static long beats, answers, asked;
static struct eddy_timer beat;

static int
answer(void *arg)
{
	memset(arg, 1, ANSWER);
	return 0;
}

static void
on_beat(struct eddy_loop *l, struct eddy_timer *timer)
{
	if (beats < BEATS)
		delays[beats++] = eddy_now() - due;
	due += EDDY_MS(1);
	bench_check(eddy_timer_start(l, timer, due), "timer");
}

static int
put_out(struct eddy_span in, struct eddy_output *output)
{
	void *data;
	int r = eddy_output_reserve(output, ANSWER, &data);

	(void)in;
	return r == 0 ? answer(data), eddy_output_commit(output, ANSWER) : r;
}

static void
on_answer(struct eddy_loop *l, struct eddy_job *job)
{
	bench_check(job->outcome == EDDY_RETURNED ? 0 : -1, "answer");
	if (proc_host.late == OUTPUT)
		eddy_transform_release((struct eddy_transform *)job);
	if (answers-- > 0)
		bench_check(eddy_submit(pool, job, l, on_answer), "submit");
	else if (--asked == 0)
		eddy_timer_stop(l, &beat);
}

static void
start_answers(void)
{
	static struct eddy_transform jobs[ANSWERS];
	long i;

	asked = proc_host.late == IN_PLACE ? proc_load.workers : ANSWERS;
	for (i = 0; i < asked; i++) {
		struct eddy_long_job *part = &jobs[i].long_job;
		struct eddy_job *job = &part->job;

		*job = (struct eddy_job){.fn = answer, .size = ANSWER};
		if (proc_host.late == IN_PLACE) {
			bench_check(
			    eddy_job_reserve(pool, job, ANSWER), "reserve");
		} else if (proc_host.late == OUTPUT) {
			eddy_transform_init(&jobs[i], put_out, "", 1);
		} else {
			job->arg = proc_fill(ANSWER >> 20);
			job->flags = EDDY_JOB_LONG;
			part->out_only = ANSWER;
		}
		bench_check(eddy_submit(pool, job, loop, on_answer), "submit");
	}
}

static int
ascending(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

double
proc_beat(void)
{
	bench_check(eddy_zygote_open(&zygote, 0), "zygote");
	open_loop();
	proc_load = (struct proc_load){
	    .workers = 1, .depth = 2, .size = ANSWER};
	if (proc_host.late == OUTPUT)
		proc_load.size = 4096; /* the slot */
	open_pool();
	wait_for_workers();
	eddy_timer_init(&beat, on_beat);
	due = eddy_after(EDDY_MS(1));
	bench_check(eddy_timer_start(loop, &beat, due), "timer");
	answers = proc_host.n;
	start_answers();
	bench_check(eddy_loop_run(loop), "run");
	qsort(delays, (size_t)beats, sizeof(delays[0]), ascending);
	return (double)delays[beats * 99 / 100];
}
