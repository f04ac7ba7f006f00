/* SPDX-License-Identifier: ISC */
/*
 * loop: a loop, in another one and closed by its callbacks.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>

#include "scenario.h"

/* The loop. */

enum { TIMERS = 70, WATCHES = 20 }; /* more than the first tables hold */

static struct alarm {
	struct eddy_timer timer;
	int calls;
} alarms[TIMERS];

static struct tap {
	struct eddy_watch watch;
	int ends[2], calls;
} taps[WATCHES];

static struct parcel {
	struct eddy_post post;
	int calls;
} parcel;

static void
on_alarm(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	((struct alarm *)timer)->calls++;
}

static void
on_tap(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)events;
	((struct tap *)watch)->calls++;
	eddy_watch_stop(loop, watch);
}

static void
on_parcel(struct eddy_loop *loop, struct eddy_post *post)
{
	((struct parcel *)post)->calls++;
	eddy_loop_release(loop);
}

static void *
send_parcel(void *loop)
{
	eddy_post(loop, &parcel.post);
	return NULL;
}

static int
start_all(struct eddy_loop *loop, int *started)
{
	int64_t now = eddy_now();
	int i, r, first = 0;

	for (i = 0; i < TIMERS; i++) {
		alarms[i] = (struct alarm){.calls = 0};
		eddy_timer_init(&alarms[i].timer, on_alarm);
		r = eddy_timer_start(loop, &alarms[i].timer, now + i);
		note(&first, r);
		*started += r == 0;
		must(eddy_timer_active(&alarms[i].timer) == (r == 0));
	}
	for (i = 0; i < WATCHES; i++) {
		taps[i].calls = 0;
		must(pipe(taps[i].ends) == 0);
		must(write(taps[i].ends[1], "x", 1) == 1);
		eddy_watch_init(&taps[i].watch, taps[i].ends[0], on_tap, 0);
		r = eddy_watch_start(loop, &taps[i].watch, EPOLLIN);
		note(&first, r);
		*started += r == 0;
	}
	return first;
}

int
run_loop(void)
{
	int i, first, fired = 0, started = 0;
	struct eddy_stall_watch stalls = {.threshold = EDDY_S(1)};
	struct eddy_loop *loop;
	pthread_t thread;

	first = eddy_loop_open(&loop, NULL);
	if (first < 0)
		return first;
	note(&first, eddy_loop_fd(loop)); /* it can be run all the same */
	note(&first, eddy_stall_start(loop, &stalls));
	note(&first, eddy_trace_start(loop, 16));
	note(&first, eddy_dump_on_signal(loop, SIGUSR2));
	note(&first, start_all(loop, &started));
	parcel.calls = 0;
	eddy_post_init(&parcel.post, on_parcel);
	must(eddy_loop_hold(loop) == 0);
	must(pthread_create(&thread, NULL, send_parcel, loop) == 0);
	must(eddy_loop_run(loop) == 0);
	must(pthread_join(thread, NULL) == 0);
	for (i = 0; i < TIMERS; i++)
		fired += alarms[i].calls;
	for (i = 0; i < WATCHES; i++) {
		fired += taps[i].calls;
		close(taps[i].ends[0]);
		close(taps[i].ends[1]);
	}
	must(fired == started);
	must(parcel.calls == 1);
	must(eddy_loop_close(loop) == 0);
	return first;
}

/* A loop inside another, which is poll(2). */
int
run_embedded(void)
{
	int first, i, ready = 1;
	struct pollfd fd = {.events = POLLIN};
	struct eddy_loop *loop;
	pthread_t thread;

	first = eddy_loop_open(&loop, NULL);
	if (first < 0)
		return first;
	alarms[0].calls = parcel.calls = 0;
	note(&first, fd.fd = eddy_loop_fd(loop));
	eddy_timer_init(&alarms[0].timer, on_alarm);
	note(&first,
	    eddy_timer_start(loop, &alarms[0].timer, eddy_after(EDDY_MS(1))));
	if (first == 0) {
		eddy_post_init(&parcel.post, on_parcel);
		must(eddy_loop_hold(loop) == 0);
		must(pthread_create(&thread, NULL, send_parcel, loop) == 0);
		for (i = 0; alarms[0].calls + parcel.calls < 2; i++) {
			must(poll(&fd, 1, ready > 0 ? 1 : 10000) >= 0);
			ready = eddy_loop_step(loop, 0);
			must(ready >= 0);
		}
		must(pthread_join(thread, NULL) == 0);
	}
	eddy_timer_stop(loop, &alarms[0].timer);
	must(eddy_loop_close(loop) == 0);
	return first;
}

/* From callbacks: the watch that fires, a timer, a post, a job, a pool. */
static struct stage {
	struct eddy_watch watch;
	struct eddy_timer timer;
	struct eddy_post post;
	struct call first, second;
	struct eddy_executor *pool;
	int ends[2], drained, result;
} stage;

static void
on_stage(struct eddy_loop *loop, struct eddy_executor *executor, int result)
{
	if (result < 0) { /* closed before, which is for a fault */
		must(result == -ESHUTDOWN && fault->fired != 0);
		return;
	}
	stage.drained++;
	must(eddy_executor_close(executor, EDDY_S(10)) == 0);
	stage.pool = NULL;
	eddy_timer_stop(loop, &stage.timer);
}

static void
on_stage_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)timer;
	if (stage.pool != NULL)
		must(eddy_executor_close(stage.pool, EDDY_S(10)) == 0);
	stage.pool = NULL;
	eddy_loop_stop(loop);
}

static void
on_stage_watch(
    struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)events;
	must(eddy_close(loop, watch->fd) <= 0);
	must(eddy_watch_stop(loop, watch) == 0);
	stage.ends[0] = -1;
	eddy_post_cancel(loop, &stage.post);
	if (stage.second.accepted)
		eddy_job_cancel(&stage.second.job);
	note(&stage.result,
	    eddy_executor_drain_then(stage.pool, loop, on_stage));
}

static void
on_stage_post(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)loop;
	(void)post;
}

static int
play(struct eddy_loop *loop)
{
	struct eddy_executor *pool = stage.pool;
	int first = 0;

	eddy_timer_init(&stage.timer, on_stage_timer);
	note(&first,
	    eddy_timer_start(loop, &stage.timer, eddy_after(EDDY_S(1))));
	if (first < 0) {
		must(eddy_executor_close(pool, EDDY_S(10)) == 0);
		return first;
	}
	eddy_watch_init(&stage.watch, stage.ends[0], on_stage_watch, 0);
	eddy_post_init(&stage.post, on_stage_post);
	note(&first, submit(pool, loop, &stage.first, give));
	note(&first, submit_by(pool, loop, &stage.second, hang, 0));
	note(&first, eddy_watch_start(loop, &stage.watch, EPOLLIN));
	must(eddy_post(loop, &stage.post) == 0);
	if (first < 0 && stage.second.accepted)
		eddy_job_cancel(&stage.second.job);
	if (first < 0) /* nobody would stop it sooner */
		must(eddy_timer_start(loop, &stage.timer, 0) == 0);
	must(eddy_loop_run(loop) == 0);
	must(eddy_watch_stop(loop, &stage.watch) == 0);
	must(eddy_loop_run(loop) == 0);
	note(&first, stage.result);
	must(stage.drained == 1 || first < 0 || fault->fired != 0);
	answered(&stage.first, 1, give);
	answered(&stage.second, 1, give);
	return first;
}

int
run_stage(void)
{
	struct eddy_loop *loop;
	int first = eddy_loop_open(&loop, NULL);

	if (first < 0)
		return first;
	stage = (struct stage){.drained = 0};
	must(pipe(stage.ends) == 0);
	must(write(stage.ends[1], "x", 1) == 1);
	note(&first, eddy_thread_pool_open(&stage.pool, NULL));
	if (first == 0)
		note(&first, play(loop));
	must(eddy_loop_close(loop) == 0);
	if (stage.ends[0] >= 0)
		close(stage.ends[0]);
	close(stage.ends[1]);
	return first;
}
