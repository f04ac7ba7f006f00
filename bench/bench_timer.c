/* SPDX-License-Identifier: ISC */
/*
 * What does a timer cost at 1,000 and 100,000 of them: start, restart later
 * (only written), restart sooner, stop, fire?
 */
#include <eddy.h>

#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

static struct eddy_timer *timers;
static struct eddy_loop *loop;
static long fired;

static void
on_timer(struct eddy_loop *l, struct eddy_timer *timer)
{
	(void)l;
	(void)timer;
	fired++;
}

static uint64_t
random_next(void)
{
	static uint64_t x = 88172645463325252u; /* xorshift64 */

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

/* Start n timers within a second that begins at base. */
static double
start_all(long n, int64_t base)
{
	int64_t began = eddy_now();
	long i;

	for (i = 0; i < n; i++)
		bench_check(eddy_timer_start(loop, &timers[i],
				base + (int64_t)(random_next() % 1000000000)),
		    "start");
	return (double)(eddy_now() - began) / (double)n;
}

static double
stop_all(long n)
{
	int64_t began = eddy_now();
	long i;

	for (i = 0; i < n; i++)
		eddy_timer_stop(loop, &timers[i]);
	return (double)(eddy_now() - began) / (double)n;
}

static double
start_stopped(long n)
{
	double ns = start_all(n, eddy_after(EDDY_S(1000)));

	stop_all(n);
	return ns;
}

static double
restart_later(long n)
{
	double ns;

	start_all(n, eddy_after(EDDY_S(1000)));
	ns = start_all(n, eddy_after(EDDY_S(2000)));
	stop_all(n);
	return ns;
}

static double
restart_sooner(long n)
{
	double ns;

	start_all(n, eddy_after(EDDY_S(2000)));
	ns = start_all(n, eddy_after(EDDY_S(1000)));
	stop_all(n);
	return ns;
}

static double
stop_started(long n)
{
	start_all(n, eddy_after(EDDY_S(1000)));
	return stop_all(n);
}

static double
fire_all(long n)
{
	int64_t began;

	start_all(n, eddy_now() - EDDY_S(2));
	fired = 0;
	began = eddy_now();
	eddy_loop_step(loop, 0);
	began = eddy_now() - began;
	bench_check(fired == n ? 0 : -1, "fire");
	return (double)began / (double)n;
}

int
main(void)
{
	static const long sizes[] = {1000, 100000};
	struct bench_case cases[] = {{"start", start_stopped, 0, {0}},
	    {"restart later", restart_later, 0, {0}},
	    {"restart sooner", restart_sooner, 0, {0}},
	    {"stop", stop_started, 0, {0}}, {"fire", fire_all, 0, {0}},
	    {NULL, NULL, 0, {0}}};
	char title[64];
	size_t i;

	timers = calloc(100000, sizeof(*timers));
	bench_check(eddy_loop_open(&loop, NULL), "loop");
	for (i = 0; i < 100000; i++)
		eddy_timer_init(&timers[i], on_timer);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(title, sizeof(title), "timers, %ld", sizes[i]);
		bench_compare(title, cases, sizes[i]);
	}
	eddy_loop_close(loop);
	free(timers);
	return 0;
}
