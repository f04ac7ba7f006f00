/* SPDX-License-Identifier: ISC */
/*
 * timer: call back at a deadline.
 *
 * Never early; equal deadlines fire in the order of their starts.  The caller
 * owns the timer; zeroed memory with fn set is a stopped timer.  Deadlines are
 * on the loop's clock.  Loop thread only.
 */
#ifndef EDDY_TIMER_H
#define EDDY_TIMER_H

#include <eddy/loop.h>

EDDY_HEADER_BEGIN_

struct eddy_timer;
typedef void eddy_timer_fn(struct eddy_loop *loop, struct eddy_timer *timer);

/* What has a deadline: a timer or a task. */
struct eddy_alarm {
	int64_t deadline;  /* absolute ns; read only */
	uint32_t sequence; /* private: of the start; wraps; odd: a task's */
	uint32_t index;    /* private: place in its heap, or among those due */
};

struct eddy_timer {
	struct eddy_alarm alarm;
	eddy_timer_fn *fn;
};

void eddy_timer_init(struct eddy_timer *timer, eddy_timer_fn *fn);

/* Fire once at deadline; a started timer is moved.  EDDY_FOREVER never fires
 * but keeps the loop running.  -ENOMEM leaves the timer as it was. */
int eddy_timer_start(
    struct eddy_loop *loop, struct eddy_timer *timer, int64_t deadline);

/* As eddy_timer_start, but anywhere from deadline to deadline + slack ns, where
 * other such timers fire too: fewer wake-ups for timeouts that may be late. */
int eddy_timer_start_slack(struct eddy_loop *loop, struct eddy_timer *timer,
    int64_t deadline, int64_t slack);

/* In the callback of a timer: start it again, a whole number of periods (ns)
 * after its deadline, at the first such time that is still to come.  A loop
 * that was late fires once, not in a burst.  How many periods have gone by
 * since the deadline: 1 when in time; -EINVAL: period is not positive. */
int eddy_timer_repeat(
    struct eddy_loop *loop, struct eddy_timer *timer, int64_t period);

/* Stop; the callback will not run any more, not even when it was due already.
 * 0 also when it was stopped. */
int eddy_timer_stop(struct eddy_loop *loop, struct eddy_timer *timer);

/* Started and not fired yet. */
bool eddy_timer_active(const struct eddy_timer *timer);

EDDY_HEADER_END_

#endif
