/* SPDX-License-Identifier: ISC */
#include "io.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256 };

static int epoll;

static void
control(int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	epoll_ctl(epoll, op, fd, &event);
}

static void
open_loop(int n, const int *fds)
{
	int i;

	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < n; i++)
		control(EPOLL_CTL_ADD, fds[i], EPOLLIN, (uint64_t)i);
}

static void
run(void)
{
	struct epoll_event events[EVENTS];
	int i, n;

	for (;;) {
		n = epoll_wait(epoll, events, EVENTS, -1);
		for (i = 0; i < n; i++)
			if (io_ready((int)events[i].data.u64))
				return;
	}
}

static void
close_loop(void)
{
	close(epoll);
}

/* Events are of flags; more: read until EAGAIN; again: arm again then. */
static void
serve_with(int listener, uint32_t flags, bool more, bool again)
{
	struct epoll_event events[EVENTS];
	int i, n, fd;

	epoll = epoll_create1(EPOLL_CLOEXEC);
	control(EPOLL_CTL_ADD, listener, EPOLLIN, (uint64_t)listener);
	for (;;) {
		n = epoll_wait(epoll, events, EVENTS, -1);
		for (i = 0; i < n; i++) {
			fd = (int)events[i].data.u64;
			if (fd == listener) {
				while ((fd = io_accept(listener)) >= 0)
					control(EPOLL_CTL_ADD, fd,
					    EPOLLIN | flags, (uint64_t)fd);
				continue;
			}
			errno = 0;
			while (io_echo(fd) && more && errno != EAGAIN)
				;
			if (errno != 0 && errno != EAGAIN)
				close(fd);
			else if (again)
				control(EPOLL_CTL_MOD, fd, EPOLLIN | flags,
				    (uint64_t)fd);
		}
	}
}

static void
serve(int listener)
{
	serve_with(listener, 0, false, false);
}

static void
serve_edge(int listener)
{
	serve_with(listener, EPOLLET, true, false);
}

static void
serve_oneshot(int listener)
{
	serve_with(listener, EPOLLONESHOT, true, true);
}

const struct io_peer io_raw = {open_loop, run, close_loop, serve};
const struct io_peer io_raw_edge = {.serve = serve_edge};
const struct io_peer io_raw_oneshot = {.serve = serve_oneshot};
