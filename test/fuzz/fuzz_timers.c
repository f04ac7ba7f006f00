/* SPDX-License-Identifier: ISC */
/*
 * Timers against an array: never early, by deadline and then by start, none
 * that was stopped; what a callback starts waits for the next turn.
 */
#include "fuzz.h"

#include <eddy/timer.h>

enum { TIMERS = 24 };

/* What a callback does. */
enum act { NOTHING, STOP_OTHER, START_AGAIN, REPEAT, START_OTHER, ACTS };

static struct one {
	struct eddy_timer timer;
	enum act act;
	unsigned other;
	int64_t arg;
	/* The model. */
	bool active, due; /* due: of the batch that runs */
	int64_t deadline;
	uint64_t order;
} all[TIMERS];

static struct eddy_clock clock_;
static uint64_t orders;

static int64_t
at(int64_t when)
{
	return when == EDDY_FOREVER ? when : clock_.now + when;
}

static void
start(struct eddy_loop *loop, struct one *one, int64_t deadline, int64_t slack)
{
	int r = slack == 0 ? eddy_timer_start(loop, &one->timer, deadline)
	                   : eddy_timer_start_slack(
				 loop, &one->timer, deadline, slack);

	fuzz_must(r == 0);
	one->active = true;
	one->due = false;
	one->deadline = one->timer.alarm.deadline;
	one->order = orders++;
	fuzz_must(one->deadline >= deadline);
	fuzz_must(one->deadline - deadline <= slack);
}

static void
stop(struct eddy_loop *loop, struct one *one)
{
	fuzz_must(eddy_timer_active(&one->timer) == one->active);
	fuzz_must(eddy_timer_stop(loop, &one->timer) == 0);
	one->active = one->due = false;
}

/* Which of the batch has to come now. */
static struct one *
first_due(void)
{
	struct one *best = NULL, *one;

	for (one = all; one < all + TIMERS; one++)
		if (one->due &&
		    (best == NULL || one->deadline < best->deadline ||
			(one->deadline == best->deadline &&
			    one->order < best->order)))
			best = one;
	return best;
}

static void
on_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	struct one *one = (struct one *)timer, *other = &all[one->other];
	int64_t was = one->deadline;
	int r;

	fuzz_must(one == first_due());
	fuzz_must(clock_.now >= was);
	one->active = one->due = false;
	switch (one->act) {
	case STOP_OTHER:
		stop(loop, other);
		break;
	case START_AGAIN:
		start(loop, one, at(one->arg), 0);
		break;
	case START_OTHER:
		start(loop, other, at(one->arg), 0);
		break;
	case REPEAT:
		r = eddy_timer_repeat(loop, timer, one->arg);
		fuzz_must((r > 0) == (one->arg > 0));
		if (r < 0)
			break;
		one->active = true;
		one->deadline = timer->alarm.deadline;
		one->order = orders++;
		fuzz_must(one->deadline > clock_.now);
		fuzz_must(one->deadline - clock_.now <= one->arg);
		fuzz_must((one->deadline - was) % one->arg == 0);
		break;
	default:
		break;
	}
}

/* One turn, in which the clock may go on by so much. */
static void
turn(struct eddy_loop *loop, int64_t duration)
{
	int64_t next = EDDY_FOREVER, now = clock_.now;
	struct one *one;

	for (one = all; one < all + TIMERS; one++)
		if (one->active && one->deadline < next)
			next = one->deadline;
	if (next == EDDY_FOREVER)
		duration = 0; /* it would wait for real */
	if (next > now && duration > 0)
		now = next - now < duration ? next : now + duration;
	for (one = all; one < all + TIMERS; one++)
		one->due = one->active && one->deadline <= now;
	fuzz_must(eddy_loop_step(loop, duration) >= 0);
	fuzz_must(clock_.now == now);
	fuzz_must(first_due() == NULL);
}

void
fuzz_timers(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	struct eddy_loop_options options = {.clock = &clock_};
	struct eddy_loop *loop;
	struct one *one;
	int64_t ns;

	clock_.now = 1000;
	orders = 0;
	fuzz_must(eddy_loop_open(&loop, &options) == 0);
	for (one = all; one < all + TIMERS; one++) {
		*one = (struct one){.act = NOTHING};
		eddy_timer_init(&one->timer, on_timer);
	}
	while (fuzz_more(&in)) {
		one = &all[fuzz_below(&in, TIMERS)];
		ns = (int64_t)fuzz_byte(&in) - 8;
		switch (fuzz_below(&in, 8)) {
		case 0:
		case 1:
			one->act = (enum act)fuzz_below(&in, ACTS);
			one->other = fuzz_below(&in, TIMERS);
			one->arg = (int64_t)fuzz_byte(&in) - 4;
			start(loop, one, at(ns), 0);
			break;
		case 2:
			start(loop, one, at(ns), fuzz_byte(&in));
			break;
		case 3:
			start(loop, one, ns < 0 ? EDDY_FOREVER : at(ns), 0);
			break;
		case 4:
			stop(loop, one);
			break;
		case 5:
			clock_.now += ns + 8;
			break;
		default:
			turn(loop, ns);
			break;
		}
	}
	for (one = all; one < all + TIMERS; one++)
		stop(loop, one);
	fuzz_must(eddy_loop_step(loop, 0) == 0);
	fuzz_must(eddy_loop_close(loop) == 0);
}
