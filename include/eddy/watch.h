/* SPDX-License-Identifier: ISC */
/*
 * watch: descriptors and the loop: call back when one is ready, close one.
 *
 * The caller owns watches and descriptors.  Whatever waits for a descriptor has
 * to hear of its end: close it with eddy_close.  Loop thread only.
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
	struct eddy_ready ready; /* private */
	eddy_watch_fn *fn;       /* private */
	int fd;                  /* read only */
	uint32_t got;            /* private: EPOLL* bits */
	unsigned flags;          /* private */
	bool started;            /* private */
};

void eddy_watch_init(
    struct eddy_watch *watch, int fd, eddy_watch_fn *fn, unsigned flags);

/* Wait for events (EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLET ...), or change what
 * a started watch waits for.  EPOLLOUT makes it the descriptor's writer,
 * anything else its reader.  -EEXIST: there is one already, a watch or a task;
 * -EPERM also for a regular file (always ready); -ECHILD: forked child. */
int eddy_watch_start(
    struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events);

/* Stop; the callback will not run any more, not even for events collected
 * already.  0 also when it was stopped. */
int eddy_watch_stop(struct eddy_loop *loop, struct eddy_watch *watch);

/* Close fd: its watches are stopped, and tasks that wait for it are answered
 * -ECANCELED.  forget: all but the close, for a descriptor that another library
 * is about to close. */
int eddy_close(struct eddy_loop *loop, int fd);
int eddy_forget(struct eddy_loop *loop, int fd);

EDDY_HEADER_END_

#endif
