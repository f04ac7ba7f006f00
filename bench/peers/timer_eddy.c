/* SPDX-License-Identifier: ISC */
#include "timer.h"

#include <eddy.h>

#include <stdlib.h>

#include "../bench.h"

static struct eddy_loop *loop;
static struct eddy_timer *timers;

static void
on_timer(struct eddy_loop *l, struct eddy_timer *timer)
{
	(void)l;
	(void)timer;
	timer_fired++;
}

static void
open_loop(long n)
{
	long i;

	bench_check(eddy_loop_open(&loop, NULL), "loop");
	timers = calloc((size_t)n, sizeof(*timers));
	for (i = 0; i < n; i++)
		eddy_timer_init(&timers[i], on_timer);
}

static void
add(const struct timer_order *o, long n)
{
	const struct timer_order *end = o + n;
	int64_t now = eddy_loop_now(loop);
	int r = 0;

	for (; o < end; o++)
		r |= eddy_timer_start(loop, &timers[o->which], now + o->ns);
	bench_check(r, "start");
}

static void
cancel(const struct timer_order *o, long n)
{
	const struct timer_order *end = o + n;

	for (; o < end; o++)
		eddy_timer_stop(loop, &timers[o->which]);
}

static void
reset(const struct timer_order *o, long n)
{
	const struct timer_order *end = o + n;
	int64_t deadline = eddy_loop_now(loop) + EDDY_S(TIMER_RESET_S);
	int r = 0;

	for (; o < end; o++)
		r |= eddy_timer_start(loop, &timers[o->which], deadline);
	bench_check(r, "reset");
}

static void
turn(void)
{
	bench_check(eddy_loop_step(loop, 0), "step");
}

static void
close_loop(void)
{
	bench_check(eddy_loop_close(loop), "close");
	free(timers);
}

const struct timer_peer timer_eddy = {
    open_loop, add, cancel, reset, turn, close_loop};
