/* SPDX-License-Identifier: ISC */
#include "post.h"

#include <glib.h>

static GMainLoop *loop;

static void
open_loop(void)
{
	loop = g_main_loop_new(NULL, FALSE);
	/* Or a poster that comes first would run the callback. */
	g_main_context_acquire(NULL);
}

static gboolean
on_post(gpointer data)
{
	(void)data;
	if (post_seen())
		g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

static void
post(unsigned poster, long i)
{
	(void)poster;
	(void)i;
	g_main_context_invoke_full(
	    NULL, G_PRIORITY_DEFAULT, on_post, NULL, NULL);
}

static void
run(void)
{
	g_main_loop_run(loop);
}

static void
close_loop(void)
{
	g_main_context_release(NULL);
	g_main_loop_unref(loop);
}

const struct post_peer post_glib = {open_loop, post, run, close_loop};
