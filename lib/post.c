/* SPDX-License-Identifier: ISC */
/*
 * post: the public face of the door.  A post is pending from the exchange that
 * wins until the loop takes state back, just before the callback.
 */
#include <eddy/post.h>

#include <errno.h>

#include "loop_impl.h"

void
eddy__post_fire(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_post *post = CONTAINER_OF(ready, struct eddy_post, ready);

	/* Reads what the last -EALREADY wrote: its data is visible too. */
	A_XCHG(&post->state, 0);
	post->fn(loop, post);
}

void
eddy_post_init(struct eddy_post *post, eddy_post_fn *fn)
{
	*post = (struct eddy_post){.ready.run = eddy__post_fire, .fn = fn};
}

int
eddy_post(struct eddy_loop *loop, struct eddy_post *post)
{
	struct door *door = loop->door;
	bool child = !door_ours(door), held = false, rings;

	if (A_XCHG(&post->state, 1) != 0)
		return -EALREADY;
	rings = door_post(door, &post->ready, &held);
	if (rings && !child)
		eddy__door_ring(door);
	if (held)
		eddy__door_drop(door);
	return rings && child ? -ECHILD : 0;
}

int
eddy_post_cancel(struct eddy_loop *loop, struct eddy_post *post)
{
	int r = eddy__loop_mine(loop);

	if (r < 0)
		return r;
	if (A_LOAD(&post->state) == 0)
		return -EALREADY;
	/* It may still be in the door's stack, which only empties at once. */
	eddy__loop_stir(loop);
	door_collect(loop->door, &loop->pending, false);
	/* Only this thread writes prev, so it tells without a race. */
	if (post->ready.prev == NULL)
		return -EALREADY; /* another thread is just now pushing it */
	list_remove(&post->ready);
	A_XCHG(&post->state, 0);
	return 0;
}
