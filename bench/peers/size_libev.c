/* SPDX-License-Identifier: ISC */
#include <ev.h>

#include "size.h"

static void
on_readable(struct ev_loop *loop, ev_io *watch, int events)
{
	(void)events;
	if (echo(watch->fd))
		return;
	ev_io_stop(loop, watch);
	close(watch->fd);
	free(watch);
}

static void
on_connection(struct ev_loop *loop, ev_io *door, int events)
{
	ev_io *watch = malloc(sizeof(*watch));
	int fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (watch == NULL || fd < 0)
		exit(1);
	ev_io_init(watch, on_readable, fd, EV_READ);
	ev_io_start(loop, watch);
}

int
main(void)
{
	struct ev_loop *loop = EV_DEFAULT;
	ev_io door;

	ev_io_init(&door, on_connection, listener(), EV_READ);
	ev_io_start(loop, &door);
	ev_run(loop, 0);
	return 0;
}
