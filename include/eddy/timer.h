/* SPDX-License-Identifier: ISC */
/*
 * timer: call back at a deadline.
 *
 * Never early; equal deadlines fire in the order of their starts.  The caller
 * owns the timer; zeroed memory with fn set is a stopped timer.  Loop thread
 * only.
 */
#ifndef EDDY_TIMER_H
#define EDDY_TIMER_H

#include <eddy/loop.h>

EDDY_HEADER_BEGIN_

struct eddy_timer;
typedef void eddy_timer_fn(struct eddy_loop *loop, struct eddy_timer *timer);

struct eddy_timer {
	struct eddy_ready ready; /* private */
	eddy_timer_fn *fn;
	int64_t deadline;  /* absolute ns; read only */
	uint64_t sequence; /* private: number of the start */
	uint32_t index;    /* private: 1 + place in the heap; 0: not in it */
};

void eddy_timer_init(struct eddy_timer *timer, eddy_timer_fn *fn);

/* Fire once at deadline; a started timer is moved.  EDDY_FOREVER never fires
 * but keeps the loop running.  -ENOMEM leaves the timer as it was. */
int eddy_timer_start(
    struct eddy_loop *loop, struct eddy_timer *timer, int64_t deadline);

/* Stop; the callback will not run any more, not even when it was due already.
 * 0 also when it was stopped. */
int eddy_timer_stop(struct eddy_loop *loop, struct eddy_timer *timer);

/* Started and not fired yet. */
bool eddy_timer_active(const struct eddy_timer *timer);

EDDY_HEADER_END_

#endif
