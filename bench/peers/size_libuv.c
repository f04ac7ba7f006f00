/* SPDX-License-Identifier: ISC */
#include <uv.h>

#include "size.h"

static void
on_closed(uv_handle_t *handle)
{
	free(handle);
}

static void
on_readable(uv_poll_t *watch, int status, int events)
{
	uv_os_fd_t fd;

	(void)events;
	uv_fileno((uv_handle_t *)watch, &fd);
	if (status == 0 && echo(fd))
		return;
	uv_poll_stop(watch);
	close(fd);
	uv_close((uv_handle_t *)watch, on_closed);
}

static void
on_connection(uv_poll_t *door, int status, int events)
{
	uv_poll_t *watch = malloc(sizeof(*watch));
	uv_os_fd_t fd;

	(void)status, (void)events;
	uv_fileno((uv_handle_t *)door, &fd);
	fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (watch == NULL || fd < 0)
		exit(1);
	uv_poll_init(door->loop, watch, fd);
	uv_poll_start(watch, UV_READABLE, on_readable);
}

int
main(void)
{
	uv_loop_t *loop = uv_default_loop();
	uv_poll_t door;

	return uv_poll_init(loop, &door, listener()) < 0 ||
	       uv_poll_start(&door, UV_READABLE, on_connection) < 0 ||
	       uv_run(loop, UV_RUN_DEFAULT) != 0;
}
