/* SPDX-License-Identifier: ISC */
#include "post.h"

#define EV_STANDALONE 0
#include <ev.h>

static struct ev_loop *loop;
static ev_async async;

static void
on_async(struct ev_loop *l, ev_async *a, int events)
{
	(void)a;
	(void)events;
	if (post_told())
		ev_break(l, EVBREAK_ALL);
}

static void
open_loop(void)
{
	loop = ev_loop_new(EVFLAG_AUTO);
	ev_async_init(&async, on_async);
	ev_async_start(loop, &async);
}

static void
post(unsigned poster, long i)
{
	(void)poster;
	(void)i;
	ev_async_send(loop, &async);
}

static void
run(void)
{
	ev_run(loop, 0);
}

static void
close_loop(void)
{
	ev_async_stop(loop, &async);
	ev_loop_destroy(loop);
}

const struct post_peer post_libev = {open_loop, post, run, close_loop};
