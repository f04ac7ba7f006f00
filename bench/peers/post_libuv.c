/* SPDX-License-Identifier: ISC */
#include "post.h"

#include <uv.h>

static uv_loop_t loop;
static uv_async_t async;

static void
on_async(uv_async_t *a)
{
	(void)a;
	if (post_told())
		uv_stop(&loop);
}

static void
open_loop(void)
{
	uv_loop_init(&loop);
	uv_async_init(&loop, &async, on_async);
}

static void
post(unsigned poster, long i)
{
	(void)poster;
	(void)i;
	uv_async_send(&async);
}

static void
run(void)
{
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void
close_loop(void)
{
	uv_close((uv_handle_t *)&async, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
}

const struct post_peer post_libuv = {open_loop, post, run, close_loop};
