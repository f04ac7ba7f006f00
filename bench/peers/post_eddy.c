/* SPDX-License-Identifier: ISC */
#include "post.h"

#include <eddy.h>

#include <errno.h>
#include <sched.h>

#include "../bench.h"

/* A cache line each: beside its neighbours it would measure false sharing. */
struct unit {
	_Alignas(64) struct eddy_post post;
};

static struct eddy_loop *loop;
static struct unit units[POST_MOST][POST_POOL];

static void
on_post(struct eddy_loop *l, struct eddy_post *post)
{
	(void)post;
	if (post_seen())
		eddy_loop_stop(l);
}

static void
on_flag(struct eddy_loop *l, struct eddy_post *post)
{
	(void)post;
	if (post_told())
		eddy_loop_stop(l);
}

static void
open_with(eddy_post_fn *fn)
{
	int i, j;

	bench_check(eddy_loop_open(&loop, NULL), "loop");
	bench_check(eddy_loop_hold(loop), "hold");
	for (i = 0; i < POST_MOST; i++)
		for (j = 0; j < POST_POOL; j++)
			eddy_post_init(&units[i][j].post, fn);
}

static void
open_loop(void)
{
	open_with(on_post);
}

static void
open_flag(void)
{
	open_with(on_flag);
}

/* One that has not arrived yet is waited for. */
static void
post(unsigned poster, long i)
{
	while (eddy_post(loop, &units[poster][i % POST_POOL].post) == -EALREADY)
		sched_yield();
}

static void
flag(unsigned poster, long i)
{
	(void)poster;
	(void)i;
	eddy_post(loop, &units[0][0].post);
}

static void
run(void)
{
	bench_check(eddy_loop_run(loop), "run");
}

static void
close_loop(void)
{
	bench_check(eddy_loop_close(loop), "close");
}

const struct post_peer post_eddy = {open_loop, post, run, close_loop};
const struct post_peer post_eddy_flag = {open_flag, flag, run, close_loop};
