/* SPDX-License-Identifier: ISC */
#include <eddy.h>
#include <sys/epoll.h>

#include "size.h"

static void
on_readable(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)events;
	if (echo(watch->fd))
		return;
	eddy_watch_stop(loop, watch);
	close(watch->fd);
	free(watch);
}

static void
on_connection(struct eddy_loop *loop, struct eddy_watch *door, uint32_t events)
{
	struct eddy_watch *watch = malloc(sizeof(*watch));
	int fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (watch == NULL || fd < 0)
		exit(1);
	eddy_watch_init(watch, fd, on_readable, 0);
	eddy_watch_start(loop, watch, EPOLLIN);
}

int
main(void)
{
	struct eddy_loop *loop;
	struct eddy_watch door;

	if (eddy_loop_open(&loop, NULL) < 0)
		return 1;
	eddy_watch_init(&door, listener(), on_connection, 0);
	return eddy_watch_start(loop, &door, EPOLLIN) < 0 ||
	       eddy_loop_run(loop) < 0;
}
