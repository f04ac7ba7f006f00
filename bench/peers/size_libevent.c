/* SPDX-License-Identifier: ISC */
#include <event2/event.h>

#include "size.h"

static void
on_readable(evutil_socket_t fd, short events, void *arg)
{
	struct event *watch = event_base_get_running_event(arg);

	(void)events;
	if (echo(fd))
		return;
	event_free(watch);
	close(fd);
}

static void
on_connection(evutil_socket_t door, short events, void *arg)
{
	int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);
	struct event *watch = event_new(
	    arg, fd, EV_READ | EV_PERSIST, on_readable, arg);

	(void)events;
	if (watch == NULL || fd < 0)
		exit(1);
	event_add(watch, NULL);
}

int
main(void)
{
	struct event_base *base = event_base_new();
	struct event *door = event_new(
	    base, listener(), EV_READ | EV_PERSIST, on_connection, base);

	return door == NULL || event_add(door, NULL) < 0 ||
	       event_base_dispatch(base) < 0;
}
