/* SPDX-License-Identifier: ISC */
/*
 * stall: who blocks this loop, told while it is blocked.
 *
 * A thread of its own looks at the loop a few times within the threshold; when
 * one batch of callbacks takes longer, it tells which task or callback runs,
 * where that was resumed, and what its thread does.  See eddy-stall(3).
 */
#ifndef EDDY_STALL_H
#define EDDY_STALL_H

#include <eddy/loop.h>

EDDY_HEADER_BEGIN_

/* What was found.  Strings are the watch's, until the hook returns; what could
 * not be learnt is NULL, 0 or -1. */
struct eddy_stall {
	struct eddy_stall_watch *watch;
	int64_t duration;    /* ns since it was first seen; in all, when over */
	bool over;           /* it has ended; what follows is as it was */
	unsigned unreported; /* stalls before this one that were not told */

	const char *kind; /* task, timer, watch, post, job or callback */
	const char *name; /* of the task */
	uintptr_t fn;     /* address of the task's or callback's function */
	const char *func; /* the task's last await: its function, */
	const char *file; /* file, */
	const char *operation; /* and the operation as written */
	int line;

	int thread;               /* id, as below /proc/self/task */
	int syscall;              /* number; -1: it runs, or waits for memory */
	const char *syscall_name; /* of the common ones */
	const char *path;         /* of the descriptor that call is about */
	const char *wchan;        /* the kernel function it waits in */
	void **frames;            /* return addresses, innermost first */
	int frame_count;
	int64_t user, system; /* CPU time in this stall, ns in 10-ms ticks */
};

/* Called in the watching thread: once before the stall ends, once after.  It
 * must not touch the loop but by eddy_post and its like. */
typedef void eddy_stall_fn(const struct eddy_stall *stall);

/* All zero is a good one. */
struct eddy_stall_watch {
	int64_t threshold; /* ns; 0: 100 ms */
	eddy_stall_fn *fn; /* NULL: a line on stderr */
	/* With both: frames are those that backtrace, as backtrace(3), fills in
	 * within a handler of signal, a real-time one that is used for nothing
	 * else, in the loop thread. */
	int (*backtrace)(void **frames, int n);
	int signal;
	void *state; /* private; NULL: stopped */
};

/* Watch loop, which borrows watch until the stop or the loop's close.  Starts a
 * thread.  -EBUSY: it is watched, or watch is in use; -EINVAL: threshold is
 * negative, or signal none to use.  Loop thread. */
int eddy_stall_start(struct eddy_loop *loop, struct eddy_stall_watch *watch);

/* Stop watching; waits for a hook that is being called.  0 also when it was
 * stopped.  Loop thread. */
int eddy_stall_stop(struct eddy_loop *loop, struct eddy_stall_watch *watch);

/* What the default hook writes, a line, to fd.  Any thread. */
void eddy_stall_print(const struct eddy_stall *stall, int fd);

EDDY_HEADER_END_

#endif
