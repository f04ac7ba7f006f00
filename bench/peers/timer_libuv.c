/* SPDX-License-Identifier: ISC */
#include "timer.h"

#include <uv.h>

#include <stdlib.h>

static uv_loop_t loop;
static uv_timer_t *timers;

static void
on_timer(uv_timer_t *timer)
{
	(void)timer;
	timer_fired++;
}

static void
open_loop(long n)
{
	long i;

	uv_loop_init(&loop);
	timers = calloc((size_t)n, sizeof(*timers));
	for (i = 0; i < n; i++)
		uv_timer_init(&loop, &timers[i]);
}

static void
add(const struct timer_order *o, long n)
{
	const struct timer_order *end = o + n;

	for (; o < end; o++)
		uv_timer_start(
		    &timers[o->which], on_timer, (uint64_t)o->ns / 1000000, 0);
}

static void
cancel(const struct timer_order *o, long n)
{
	const struct timer_order *end = o + n;

	for (; o < end; o++)
		uv_timer_stop(&timers[o->which]);
}

static void
reset(const struct timer_order *o, long n)
{
	const struct timer_order *end = o + n;

	for (; o < end; o++)
		uv_timer_start(
		    &timers[o->which], on_timer, TIMER_RESET_S * 1000, 0);
}

static void
turn(void)
{
	uv_run(&loop, UV_RUN_NOWAIT);
}

static void
close_one(uv_handle_t *handle, void *arg)
{
	(void)arg;
	uv_close(handle, NULL);
}

static void
close_loop(void)
{
	uv_walk(&loop, close_one, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	free(timers);
}

const struct timer_peer timer_libuv = {
    open_loop, add, cancel, reset, turn, close_loop};
