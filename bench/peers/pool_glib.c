/* SPDX-License-Identifier: ISC */
#include "pool.h"

#include <glib.h>

static GThreadPool *pool;
static GMainLoop *loop;

static gboolean
on_done(gpointer unit)
{
	if (pool_again(unit))
		g_thread_pool_push(pool, unit, NULL);
	else if (pool_over())
		g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

static void
work(gpointer unit, gpointer data)
{
	(void)data;
	pool_work(unit);
	g_main_context_invoke_full(
	    NULL, G_PRIORITY_DEFAULT, on_done, unit, NULL);
}

void
pool_glib(const struct pool_load *load, bool first)
{
	struct pool_unit *units = g_new0(struct pool_unit, (gsize)load->window);
	long i;

	if (first) {
		pool = g_thread_pool_new(
		    work, NULL, (gint)load->workers, TRUE, NULL);
		loop = g_main_loop_new(NULL, FALSE);
		/* Or a worker that comes first would run the callback. */
		g_main_context_acquire(NULL);
	}
	for (i = 0; i < load->window; i++) {
		pool_start(&units[i], load);
		g_thread_pool_push(pool, &units[i], NULL);
	}
	g_main_loop_run(loop);
	g_free(units);
}
