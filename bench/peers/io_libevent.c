/* SPDX-License-Identifier: ISC */
#include "io.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <unistd.h>

static struct event_base *base;
static struct event *readers;
static int count;

static void
new_base(void)
{
	struct event_config *config = event_config_new();

	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	event_config_free(config);
}

static void
on_readable(evutil_socket_t fd, short events, void *reader)
{
	(void)fd;
	(void)events;
	if (io_ready((int)((struct event *)reader - readers)))
		event_base_loopbreak(base);
}

static void
open_loop(int n, const int *fds)
{
	int i;

	new_base();
	readers = calloc((size_t)n, sizeof(*readers));
	count = n;
	for (i = 0; i < n; i++) {
		event_assign(&readers[i], base, fds[i], EV_READ | EV_PERSIST,
		    on_readable, &readers[i]);
		event_add(&readers[i], NULL);
	}
}

static void
run(void)
{
	event_base_dispatch(base);
}

static void
close_loop(void)
{
	int i;

	for (i = 0; i < count; i++)
		event_del(&readers[i]);
	event_base_free(base);
	free(readers);
}

static void
on_bytes(evutil_socket_t fd, short events, void *conn)
{
	(void)events;
	if (io_echo(fd))
		return;
	event_free(conn);
	close(fd);
}

static void
on_client(evutil_socket_t listener, short events, void *arg)
{
	struct event *conn;
	int fd;

	(void)events;
	(void)arg;
	while ((fd = io_accept(listener)) >= 0) {
		conn = event_new(base, fd, EV_READ | EV_PERSIST, on_bytes,
		    event_self_cbarg());
		event_add(conn, NULL);
	}
}

static void
serve(int listener)
{
	new_base();
	event_add(
	    event_new(base, listener, EV_READ | EV_PERSIST, on_client, NULL),
	    NULL);
	event_base_dispatch(base);
}

const struct io_peer io_libevent = {open_loop, run, close_loop, serve};
