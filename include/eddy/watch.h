/* SPDX-License-Identifier: ISC */
/*
 * watch: call back when a descriptor is ready.
 *
 * The caller owns the watch and the descriptor, and stops the watch before
 * closing the descriptor.  Loop thread only.
 */
#ifndef EDDY_WATCH_H
#define EDDY_WATCH_H

#include <eddy/loop.h>

EDDY_HEADER_BEGIN_

struct eddy_watch;

/* events: the EPOLL* bits that are ready now. */
typedef void eddy_watch_fn(
    struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events);

/* For eddy_watch_init: does not keep eddy_loop_run from returning. */
#define EDDY_WATCH_BACKGROUND 1u

struct eddy_watch {
	struct eddy_ready ready; /* private, as all that follows */
	eddy_watch_fn *fn;
	int fd;
	uint32_t got; /* EPOLL* bits */
	unsigned flags;
	bool started;
};

void eddy_watch_init(
    struct eddy_watch *watch, int fd, eddy_watch_fn *fn, unsigned flags);

/* Wait for events (EPOLLIN, EPOLLOUT, EPOLLET ...), or change what a started
 * watch waits for.  -EPERM also for a regular file (always ready), -EEXIST:
 * the descriptor has a watch already; -ECHILD: forked child. */
int eddy_watch_start(
    struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events);

/* Stop; the callback will not run any more, not even for events collected
 * already.  0 also when it was stopped. */
int eddy_watch_stop(struct eddy_loop *loop, struct eddy_watch *watch);

EDDY_HEADER_END_

#endif
