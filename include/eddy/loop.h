/* SPDX-License-Identifier: ISC */
/*
 * loop: one thread's reactor.
 *
 * A loop belongs to the thread that runs or steps it (before that: to the one
 * that opened it).  Calls from another thread answer -EPERM, calls in a forked
 * child -ECHILD where they notice.  One turn flushes, polls, collects what is
 * ready in FIFO order and runs exactly that; see eddy-loop(3).
 */
#ifndef EDDY_LOOP_H
#define EDDY_LOOP_H

#include <eddy/base.h>

EDDY_HEADER_BEGIN_

struct eddy_loop; /* opaque */
struct eddy_executor;
struct eddy_task;

/* Something the loop will call: a member of every handle.  Private. */
struct eddy_ready {
	struct eddy_ready *next,
	    *prev; /* the loop's pending list; NULL: in none */
	void (*run)(struct eddy_loop *, struct eddy_ready *);
};

/* A virtual clock, for tests: while nothing is ready and no job is out, child
 * awaited or hold taken, it jumps to the next deadline instead of letting time
 * pass.  Loop thread; adding to it moves it by hand. */
struct eddy_clock {
	int64_t now; /* ns */
};

/* Told of an error (-errno) that nobody reads: of a root task without a done
 * callback, of a supervised child, of the second child to fail. */
typedef void eddy_error_fn(
    struct eddy_loop *loop, const struct eddy_task *task, int error);

struct eddy_loop_options {
	struct eddy_executor
	    *executor;            /* borrowed; NULL: a pool on first use */
	int64_t close_duration;   /* eddy_run's drain, ns; 0: 5 s */
	int64_t spin_duration;    /* as a pool's; for outcomes and posts */
	struct eddy_clock *clock; /* borrowed; NULL: CLOCK_MONOTONIC */
	eddy_error_fn *on_error;  /* NULL: one line on stderr */
};

/* Open a loop; options may be NULL.  -EPROTO: header and archive differ. */
#define eddy_loop_open(ret_loop, options) \
	eddy_loop_open_version(ret_loop, options, EDDY_VERSION_NUMBER)
int eddy_loop_open_version(struct eddy_loop **ret_loop,
    const struct eddy_loop_options *options, unsigned version);

/* Free the loop, in any thread.  -EBUSY while it runs, or while it has tasks,
 * accepted jobs or process pools; armed timers, watches and posts are
 * forgotten: initialise them before another use.  In a forked child it only
 * drops descriptors and memory. */
int eddy_loop_close(struct eddy_loop *loop);

/* Turn until stopped, or until nothing is armed, in flight or held: 0. */
int eddy_loop_run(struct eddy_loop *loop);

/* One turn that waits at most duration ns for something to do.  1, or 0 when
 * nothing is left that a run would wait for. */
int eddy_loop_step(struct eddy_loop *loop, int64_t duration);

/* For a program whose main loop is another one: a descriptor that is readable
 * whenever eddy_loop_step(loop, 0) has something to do, timers included.  The
 * loop's own: only to be waited for. */
int eddy_loop_fd(struct eddy_loop *loop);

/* The same as a time, for those that wait with a timeout: when the next timer
 * is due (absolute ns, CLOCK_MONOTONIC); 0: now; or EDDY_FOREVER. */
int64_t eddy_loop_deadline(struct eddy_loop *loop);

/* Make eddy_loop_run return after the batch at hand (or the next one). */
int eddy_loop_stop(struct eddy_loop *loop);

/* While held, a loop with nothing to do waits instead of returning: for a
 * thread that will post later.  Holds count; -EINVAL: there was none. */
int eddy_loop_hold(struct eddy_loop *loop);
int eddy_loop_release(struct eddy_loop *loop);

/* The time at which this turn's batch was collected, in ns of the loop's
 * clock. */
int64_t eddy_loop_now(const struct eddy_loop *loop);

/* As eddy_after, on the loop's clock. */
int64_t eddy_loop_after(const struct eddy_loop *loop, int64_t duration);

EDDY_HEADER_END_

#endif
