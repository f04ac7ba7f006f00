/* SPDX-License-Identifier: ISC */
#include "timer.h"

#include <ev.h>

#include <stdlib.h>

static struct ev_loop *loop;
static ev_timer *timers;

static void
on_timer(struct ev_loop *l, ev_timer *timer, int events)
{
	(void)l;
	(void)timer;
	(void)events;
	timer_fired++;
}

static void
open_loop(long n)
{
	long i;

	loop = ev_loop_new(EVFLAG_AUTO);
	timers = calloc((size_t)n, sizeof(*timers));
	for (i = 0; i < n; i++)
		ev_init(&timers[i], on_timer);
}

static void
add(const struct timer_order *o, long n)
{
	const struct timer_order *end = o + n;

	for (; o < end; o++) {
		ev_timer_set(&timers[o->which], (double)o->ns * 1e-9, 0.);
		ev_timer_start(loop, &timers[o->which]);
	}
}

static void
cancel(const struct timer_order *o, long n)
{
	const struct timer_order *end = o + n;

	for (; o < end; o++)
		ev_timer_stop(loop, &timers[o->which]);
}

/* As its manual has it; what that calls "usually most efficient", to note the
 * time and look at it when the timer fires, is outside of the library. */
static void
reset(const struct timer_order *o, long n)
{
	const struct timer_order *end = o + n;

	for (; o < end; o++) {
		timers[o->which].repeat = TIMER_RESET_S;
		ev_timer_again(loop, &timers[o->which]);
	}
}

static void
turn(void)
{
	ev_run(loop, EVRUN_NOWAIT);
}

static void
close_loop(void)
{
	ev_loop_destroy(loop);
	free(timers);
}

const struct timer_peer timer_libev = {
    open_loop, add, cancel, reset, turn, close_loop};
