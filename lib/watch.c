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

static void
fire(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_watch *watch = CONTAINER_OF(
	    ready, struct eddy_watch, ready);

	watch->fn(loop, watch, watch->got);
}

void
eddy_watch_init(
    struct eddy_watch *watch, int fd, eddy_watch_fn *fn, unsigned flags)
{
	*watch = (struct eddy_watch){
	    .ready.run = fire, .fn = fn, .fd = fd, .flags = flags};
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

static int
make_room(struct eddy_loop *loop, uint32_t fd)
{
	uint32_t room = loop->watched_room;
	struct watched *watched;

	if (fd < room)
		return 0;
	watched = eddy__realloc(
	    loop->watched, (fd * 2 + 16) * sizeof(*watched));
	if (watched == NULL)
		return -ENOMEM;
	memset(watched + room, 0, (fd * 2 + 16 - room) * sizeof(*watched));
	loop->watched = watched;
	loop->watched_room = fd * 2 + 16;
	return 0;
}

int
eddy_watch_start(
    struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	uint32_t fd = (uint32_t)watch->fd;
	int r = eddy__loop_mine(loop);
	struct watched *entry;

	if (r == 0 && watch->fd < 0)
		r = -EBADF;
	if (r == 0)
		r = make_room(loop, fd);
	if (r < 0)
		return r;
	entry = &loop->watched[fd];
	if (entry->watch != NULL && entry->watch != watch)
		return -EEXIST;
	entry->generation += entry->watch == NULL;
	/* EPERM: a regular file, always ready; epoll_ctl(2). */
	r = eddy__epoll_ctl(loop->epoll,
	    entry->watch != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, watch->fd,
	    events, (uint64_t)entry->generation << 32 | (fd + 1));
	if (r < 0 || entry->watch != NULL)
		return r;
	entry->watch = watch;
	watch->started = true;
	loop->watching += (watch->flags & EDDY_WATCH_BACKGROUND) == 0;
	return 0;
}

int
eddy_watch_stop(struct eddy_loop *loop, struct eddy_watch *watch)
{
	int r = eddy__loop_mine(loop);

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
