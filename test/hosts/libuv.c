/* SPDX-License-Identifier: ISC */
/* eddy in libuv, then libuv in eddy.  libs: -luv */
#include <uv.h>

#include "host.h"

static uv_poll_t poll_handle;
static uv_timer_t timer_handle;
static int ticks;

static void
over(void)
{
	uv_close((uv_handle_t *)&poll_handle, NULL);
	uv_close((uv_handle_t *)&timer_handle, NULL);
}

static void
on_readable(uv_poll_t *handle, int status, int events)
{
	(void)handle;
	(void)events;
	MUST(status == 0);
	step();
}

static void
on_uv_timer(uv_timer_t *handle)
{
	(void)handle;
	begin();
}

/* The other way round: a watch of libuv's descriptor, and its next timeout. */

static void
on_tick(uv_timer_t *handle)
{
	if (++ticks == 3)
		uv_close((uv_handle_t *)handle, NULL);
}

static struct eddy_timer next;

static void
turn_uv(struct eddy_loop *l)
{
	int ms;

	if (uv_run(uv_default_loop(), UV_RUN_NOWAIT) == 0) {
		eddy_loop_stop(l);
		return;
	}
	ms = uv_backend_timeout(uv_default_loop());
	if (ms >= 0)
		eddy_timer_start(l, &next, eddy_after(EDDY_MS(ms)));
}

static void
on_uv(struct eddy_loop *l, struct eddy_watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	turn_uv(l);
}

static void
on_next(struct eddy_loop *l, struct eddy_timer *timer)
{
	(void)timer;
	turn_uv(l);
}

int
main(void)
{
	struct eddy_watch watch;

	MUST(uv_poll_init(uv_default_loop(), &poll_handle, open_loop()) == 0);
	MUST(uv_poll_start(&poll_handle, UV_READABLE, on_readable) == 0);
	MUST(uv_timer_init(uv_default_loop(), &timer_handle) == 0);
	MUST(uv_timer_start(&timer_handle, on_uv_timer, 5, 0) == 0);
	MUST(uv_run(uv_default_loop(), UV_RUN_DEFAULT) == 0);
	close_loop("libuv");

	MUST(eddy_loop_open(&loop, NULL) == 0);
	MUST(uv_timer_init(uv_default_loop(), &timer_handle) == 0);
	MUST(uv_timer_start(&timer_handle, on_tick, 1, 1) == 0);
	eddy_timer_init(&next, on_next);
	eddy_watch_init(&watch, uv_backend_fd(uv_default_loop()), on_uv, 0);
	MUST(eddy_watch_start(loop, &watch, 1) == 0); /* EPOLLIN */
	turn_uv(loop);
	MUST(eddy_loop_run(loop) == 0);
	MUST(ticks == 3);
	eddy_timer_stop(loop, &next);
	MUST(eddy_watch_stop(loop, &watch) == 0);
	MUST(eddy_loop_close(loop) == 0);
	MUST(uv_loop_close(uv_default_loop()) == 0);
	puts("libuv in eddy: three of its timers were heard");
	return 0;
}
