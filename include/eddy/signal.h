/* SPDX-License-Identifier: ISC */
/*
 * signal: signals as events of a loop.
 *
 * A started signal is blocked in the loop thread and read from a signalfd, so
 * nothing runs in the middle of anything else.  The caller owns the struct.
 * Loop thread only; see eddy-signal(3) for programs with threads.
 */
#ifndef EDDY_SIGNAL_H
#define EDDY_SIGNAL_H

#include <eddy/task.h>

EDDY_HEADER_BEGIN_

/* A set of signals: an or of these. */
#define EDDY_SIGNAL(number) (UINT64_C(1) << ((number)-1))

struct eddy_signal;

typedef void eddy_signal_fn(
    struct eddy_loop *loop, struct eddy_signal *signal, int number);

struct eddy_signal {
	struct eddy_ready ready; /* private, as all that follows */
	struct eddy_ready node;  /* among those started */
	struct eddy_ready waiters;
	eddy_signal_fn *fn;
	struct eddy_loop *loop; /* where it was started */
	uint64_t set;           /* 0: stopped */
	uint64_t got;           /* came, and nobody was told yet */
	bool background;        /* does not keep the loop running */
};

/* fn NULL: for eddy_signal_wait. */
void eddy_signal_init(struct eddy_signal *signal, eddy_signal_fn *fn);

/* Be told of each signal in set from now on, or change the set.  It is blocked
 * in this thread.  -EBUSY: another thread of this process has not blocked it
 * and might take it; -ECHILD: forked child. */
int eddy_signal_start(
    struct eddy_loop *loop, struct eddy_signal *signal, uint64_t set);

/* Be told no more; tasks that wait are answered -ECANCELED.  A signal that
 * nobody has started any more is unblocked, unless it was blocked before.  0
 * also when it was stopped. */
int eddy_signal_stop(struct eddy_loop *loop, struct eddy_signal *signal);

/* Await one: its number; also when it came since the start or the last await.
 * All tasks that wait are told.  -EINVAL: not started, or it has a callback. */
EDDY_ASYNC eddy_signal_wait(struct eddy_task *self, struct eddy_signal *signal);

EDDY_HEADER_END_

#endif
