/* SPDX-License-Identifier: ISC */
/*
 * look: what looks on: dumps, a trace, a stall watch.
 */
#include "scenario.h"

static uint32_t told; /* by another thread */

static int
look(struct eddy_loop *loop, struct eddy_executor *pool)
{
	int fd = memfd_create("fault", MFD_CLOEXEC), first = 0;
	struct eddy_loop_stats stats = {.lag = {.max = 0}};

	note(&first, eddy_loop_dump(loop, fd));
	note(&first, eddy_executor_dump(pool, fd));
	eddy_loop_stats(loop, &stats);
	note(&first, eddy_loop_stats_print(&stats, fd));
	close(fd);
	return first;
}

int
use_looks(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct call calls[3];
	struct nap task;
	int i, first = 0;

	note(&first, eddy_dump_on_signal(loop, SIGUSR2));
	begun = left = 0;
	EDDY_INIT(&task, nap, .duration = EDDY_MS(1));
	note(&first, eddy_loop_spawn(loop, &task.task, NULL));
	for (i = 0; i < 3; i++)
		note(&first, submit_by(pool, loop, &calls[i], hang, 0));
	must(eddy_loop_step(loop, 0) >= 0);
	note(&first, look(loop, pool));
	for (i = 0; i < 3; i++)
		if (calls[i].accepted)
			eddy_job_cancel(&calls[i].job);
	must(eddy_loop_run(loop) == 0);
	must(begun == left);
	answered(calls, 3, give);
	return first;
}

int
use_trace(struct eddy_loop *loop, struct eddy_executor *pool)
{
	int fd = memfd_create("fault", MFD_CLOEXEC), first = 0;
	struct nap task;
	struct call call;

	begun = left = 0;
	EDDY_INIT(&task, nap, .duration = 1);
	note(&first, eddy_trace_start(loop, 100));
	note(&first, submit(pool, loop, &call, give));
	note(&first, eddy_loop_spawn(loop, &task.task, NULL));
	must(eddy_loop_run(loop) == 0);
	must(begun == left);
	note(&first, answered(&call, 1, give));
	if (first == 0)
		note(&first, eddy_trace_write(loop, fd));
	must(eddy_trace_stop(loop) == 0);
	close(fd);
	return first;
}

/* A turn that lasts until it is told, or too long. */

static void
on_stall(const struct eddy_stall *stall)
{
	(void)stall;
	A_STORE(&told, 1);
}

static void
on_long_turn(struct eddy_loop *loop, struct eddy_timer *timer)
{
	int i;

	(void)loop;
	(void)timer;
	for (i = 0; i < 200 && A_LOAD(&told) == 0; i++)
		usleep(100);
}

static int
no_frames(void **frames, int n)
{
	(void)frames;
	(void)n;
	return 0;
}

int
run_stall(void)
{
	struct eddy_stall_watch stalls = {.threshold = EDDY_MS(1),
	    .fn = on_stall,
	    .backtrace = no_frames,
	    .signal = SIGRTMAX - 2};
	struct eddy_timer timer;
	struct eddy_loop *loop;
	int first = eddy_loop_open(&loop, NULL);

	if (first < 0)
		return first;
	A_STORE(&told, 0);
	note(&first, eddy_stall_start(loop, &stalls));
	eddy_timer_init(&timer, on_long_turn);
	note(&first, eddy_timer_start(loop, &timer, 0));
	if (first == 0)
		must(eddy_loop_run(loop) == 0);
	eddy_timer_stop(loop, &timer);
	must(eddy_stall_stop(loop, &stalls) == 0);
	must(eddy_loop_close(loop) == 0);
	return first;
}
