/* SPDX-License-Identifier: ISC */
/*
 * post: the one door of a loop that is open to any thread.
 *
 * What was written before eddy_post is visible in the callback, also when the
 * answer was -EALREADY.  Posts of one thread arrive in their order, each once.
 */
#ifndef EDDY_POST_H
#define EDDY_POST_H

#include <eddy/loop.h>

EDDY_HEADER_BEGIN_

struct eddy_post;
typedef void eddy_post_fn(struct eddy_loop *loop, struct eddy_post *post);

struct eddy_post {
	struct eddy_ready ready; /* private */
	eddy_post_fn *fn;        /* runs in the loop thread */
	uint32_t state;          /* private: 1 while pending */
};

void eddy_post_init(struct eddy_post *post, eddy_post_fn *fn);

/* Have fn called by the loop, soon.  Any thread; also in a signal handler and
 * in the loop's own thread.  The loop must be open: hold it.  The post is the
 * loop's until fn is called.  -EALREADY: it is pending, and this post is part
 * of that call; -ECHILD: forked child, noticed where it would ring. */
int eddy_post(struct eddy_loop *loop, struct eddy_post *post);

/* Take a pending post back.  Loop thread.  -EALREADY: it was not pending, or is
 * just being posted and will come. */
int eddy_post_cancel(struct eddy_loop *loop, struct eddy_post *post);

EDDY_HEADER_END_

#endif
