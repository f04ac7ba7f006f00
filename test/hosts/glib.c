/* SPDX-License-Identifier: ISC */
/* eddy in GLib, then GLib in eddy.  pkg: glib-2.0 */
#include <glib-unix.h>

#include "host.h"

static GMainLoop *host;
static int ticks;

static void
over(void)
{
	g_main_loop_quit(host);
}

static gboolean
on_readable(gint fd, GIOCondition condition, gpointer data)
{
	(void)fd;
	(void)condition;
	(void)data;
	step();
	return G_SOURCE_CONTINUE;
}

static gboolean
on_timeout(gpointer data)
{
	(void)data;
	begin();
	return G_SOURCE_REMOVE;
}

/* The other way round: its context says which descriptor and timeout. */

static gboolean
on_tick(gpointer data)
{
	(void)data;
	return ++ticks < 3;
}

static void
on_next(struct eddy_loop *l, struct eddy_timer *next)
{
	GMainContext *context = g_main_context_default();
	GPollFD fds[8];
	gint priority, ms, n;

	while (g_main_context_iteration(context, FALSE))
		;
	if (ticks == 3)
		return;
	MUST(g_main_context_acquire(context));
	g_main_context_prepare(context, &priority);
	n = g_main_context_query(context, priority, &ms, fds, 8);
	g_main_context_check(context, priority, fds, n);
	g_main_context_release(context);
	eddy_timer_start(
	    l, next, ms < 0 ? EDDY_FOREVER : eddy_after(EDDY_MS(ms)));
}

int
main(void)
{
	struct eddy_timer next;
	guint source;

	host = g_main_loop_new(NULL, FALSE);
	source = g_unix_fd_add(open_loop(), G_IO_IN, on_readable, NULL);
	g_timeout_add(5, on_timeout, NULL);
	g_main_loop_run(host);
	g_source_remove(source);
	close_loop("GLib");
	g_main_loop_unref(host);

	MUST(eddy_loop_open(&loop, NULL) == 0);
	g_timeout_add(1, on_tick, NULL);
	eddy_timer_init(&next, on_next);
	MUST(eddy_timer_start(loop, &next, 0) == 0);
	MUST(eddy_loop_run(loop) == 0);
	MUST(ticks == 3);
	MUST(eddy_loop_close(loop) == 0);
	puts("GLib in eddy: three of its timers were heard");
	return 0;
}
