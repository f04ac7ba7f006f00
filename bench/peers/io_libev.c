/* SPDX-License-Identifier: ISC */
#include "io.h"

#include <ev.h>
#include <stdlib.h>
#include <unistd.h>

static struct ev_loop *loop;
static ev_io *readers;

static void
on_readable(struct ev_loop *l, ev_io *reader, int events)
{
	(void)events;
	if (io_ready((int)(reader - readers)))
		ev_break(l, EVBREAK_ALL);
}

static void
open_loop(int n, const int *fds)
{
	int i;

	loop = ev_loop_new(EVBACKEND_EPOLL);
	readers = calloc((size_t)n, sizeof(*readers));
	for (i = 0; i < n; i++) {
		ev_io_init(&readers[i], on_readable, fds[i], EV_READ);
		ev_io_start(loop, &readers[i]);
	}
	ev_run(loop, EVRUN_NOWAIT); /* which adds them to the epoll */
}

static void
run(void)
{
	ev_run(loop, 0);
}

static void
close_loop(void)
{
	ev_loop_destroy(loop);
	free(readers);
}

static void
on_bytes(struct ev_loop *l, ev_io *conn, int events)
{
	(void)events;
	if (io_echo(conn->fd))
		return;
	ev_io_stop(l, conn);
	close(conn->fd);
	free(conn);
}

static void
on_client(struct ev_loop *l, ev_io *listener, int events)
{
	ev_io *conn;
	int fd;

	(void)events;
	while ((fd = io_accept(listener->fd)) >= 0) {
		conn = malloc(sizeof(*conn));
		ev_io_init(conn, on_bytes, fd, EV_READ);
		ev_io_start(l, conn);
	}
}

static void
serve(int listener)
{
	ev_io clients;

	loop = ev_loop_new(EVBACKEND_EPOLL);
	ev_io_init(&clients, on_client, listener, EV_READ);
	ev_io_start(loop, &clients);
	ev_run(loop, 0);
}

const struct io_peer io_libev = {open_loop, run, close_loop, serve};
