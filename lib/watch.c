/* SPDX-License-Identifier: ISC */
/*
 * watch: descriptors in the loop's epoll, and a table by descriptor.
 *
 * An event carries the descriptor and the generation of its entry, so that one
 * which a copy of a closed descriptor still sends finds nobody.
 */
#include <eddy/watch.h>

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "loop_impl.h"
#include "sys.h"

void
eddy__watch_fire(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_watch *watch = CONTAINER_OF(
	    ready, struct eddy_watch, ready);

	if (watch->got != 0)
		watch->fn(loop, watch, watch->got);
}

void
eddy_watch_init(
    struct eddy_watch *watch, int fd, eddy_watch_fn *fn, unsigned flags)
{
	*watch = (struct eddy_watch){
	    .ready.run = eddy__watch_fire, .fn = fn, .fd = fd, .flags = flags};
}

void
eddy__watch_collect(struct eddy_loop *loop, uint64_t tag, uint32_t got)
{
	struct watched *entry = &loop->watched[(uint32_t)tag - 1];

	if (entry->watch == NULL || entry->generation != tag >> 32)
		return;
	entry->watch->got = got;
	list_push(&loop->pending, &entry->watch->ready);
}

/* The epoll is shared with forked children, who must not change it. */
static int
may_change(const struct eddy_loop *loop)
{
	int r = eddy__loop_mine(loop);

	return r == 0 && A_LOAD(loop->door->ours) == 0 ? -ECHILD : r;
}

/* A descriptor that the kernel knows, so its number is in bounds. */
static int
make_room(struct eddy_loop *loop, uint32_t fd)
{
	uint32_t had = loop->watched_room, room = fd * 2 + 16;
	struct watched *watched;

	if (fd < had)
		return 0;
	watched = eddy__realloc(loop->watched, room * sizeof(*watched));
	if (watched == NULL)
		return -ENOMEM;
	memset(watched + had, 0, (room - had) * sizeof(*watched));
	loop->watched = watched;
	loop->watched_room = room;
	return 0;
}

/* Add or change; each as the other when a number was reused behind our back. */
static int
tell_epoll(
    struct eddy_loop *loop, bool add, int fd, uint32_t events, uint64_t tag)
{
	int op = add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	int other = add ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	int r = eddy__epoll_ctl(loop->epoll, op, fd, events, tag);

	/* EPERM: a regular file, always ready; epoll_ctl(2). */
	if (r == (add ? -EEXIST : -ENOENT))
		r = eddy__epoll_ctl(loop->epoll, other, fd, events, tag);
	return r;
}

int
eddy_watch_start(
    struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	uint32_t fd = (uint32_t)watch->fd;
	struct watched entry = {NULL, 0};
	int r = may_change(loop);

	if (r < 0)
		return r;
	if (fd < loop->watched_room)
		entry = loop->watched[fd];
	if (entry.watch != NULL && entry.watch != watch)
		return -EEXIST;
	entry.generation += !watch->started;
	r = tell_epoll(loop, !watch->started, watch->fd, events,
	    (uint64_t)entry.generation << 32 | (fd + 1));
	/* Collected, but not wanted any more. */
	if (r == 0)
		watch->got &= events | EPOLLERR | EPOLLHUP;
	if (r < 0 || watch->started)
		return r;
	r = make_room(loop, fd);
	if (r < 0) {
		eddy__epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, 0, 0);
		return r;
	}
	entry.watch = watch;
	loop->watched[fd] = entry;
	watch->started = true;
	loop->watching += (watch->flags & EDDY_WATCH_BACKGROUND) == 0;
	return 0;
}

int
eddy_watch_stop(struct eddy_loop *loop, struct eddy_watch *watch)
{
	int r = may_change(loop);

	if (r < 0 || !watch->started)
		return r;
	list_remove(&watch->ready);
	/* EBADF: closed behind our back; the generation keeps it quiet. */
	eddy__epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, 0, 0);
	loop->watching -= (watch->flags & EDDY_WATCH_BACKGROUND) == 0;
	loop->watched[watch->fd].watch = NULL;
	watch->started = false;
	return 0;
}
