/* SPDX-License-Identifier: ISC */
/*
 * Outside of its callbacks libevent reads the clock at every event_add; so all
 * is done in one, as in a program.
 */
#include "timer.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#include <stdlib.h>

static struct event_base *base;
static struct event *timers, inside;
static const struct timeval *reset_time; /* a queue of its own: O(1) */

static struct {
	timer_work *work;
	const struct timer_order *orders;
	long n;
} call;

static void
on_timer(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
	timer_fired++;
}

static void
on_inside(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
	call.work(call.orders, call.n);
	event_base_loopbreak(base); /* or it looks for timers, too */
}

static void
open_loop(long n)
{
	static const struct timeval later = {TIMER_RESET_S, 0};
	struct event_config *config = event_config_new();
	long i;

	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	event_config_free(config);
	reset_time = event_base_init_common_timeout(base, &later);
	event_assign(&inside, base, -1, 0, on_inside, NULL);
	timers = calloc((size_t)n, sizeof(*timers));
	for (i = 0; i < n; i++)
		evtimer_assign(&timers[i], base, on_timer, NULL);
}

static void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
run_inside(timer_work *work, const struct timer_order *orders, long n)
{
	call.work = work;
	call.orders = orders;
	call.n = n;
	event_active(&inside, 0, 0);
	turn();
}

static void
add_inside(const struct timer_order *o, long n)
{
	const struct timer_order *end = o + n;

	for (; o < end; o++) {
		struct timeval tv = {
		    o->ns / 1000000000, o->ns % 1000000000 / 1000};

		evtimer_add(&timers[o->which], &tv);
	}
}

static void
reset_inside(const struct timer_order *o, long n)
{
	const struct timer_order *end = o + n;

	for (; o < end; o++)
		evtimer_add(&timers[o->which], reset_time);
}

static void
add(const struct timer_order *orders, long n)
{
	run_inside(add_inside, orders, n);
}

static void
reset(const struct timer_order *orders, long n)
{
	run_inside(reset_inside, orders, n);
}

static void
cancel(const struct timer_order *o, long n)
{
	const struct timer_order *end = o + n;

	for (; o < end; o++)
		evtimer_del(&timers[o->which]);
}

static void
close_loop(void)
{
	event_base_free(base);
	free(timers);
}

const struct timer_peer timer_libevent = {
    open_loop, add, cancel, reset, turn, close_loop};
