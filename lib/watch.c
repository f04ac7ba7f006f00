/* SPDX-License-Identifier: ISC */
/*
 * watch: descriptors in the loop's epoll.
 *
 * An event carries the slot of its watch and the generation of the slot, so
 * that one which a copy of a closed descriptor still sends finds nobody.
 */
#include <eddy/watch.h>

#include <errno.h>
#include <sys/epoll.h>

#include "loop_impl.h"
#include "sys.h"

enum { FIRST_SLOTS = 16 };

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
eddy__watch_collect(struct eddy_loop *loop, uint64_t data, uint32_t got)
{
	struct watch_slot *slot = &loop->slots[(uint32_t)data - 1];

	if (slot->watch == NULL || slot->generation != data >> 32)
		return;
	slot->watch->got = got;
	list_push(&loop->pending, &slot->watch->ready);
}

static int
take_slot(struct eddy_loop *loop, uint32_t *ret_slot)
{
	uint32_t room = loop->slot_room * 2, slot = loop->slot_free;

	if (slot != 0) {
		loop->slot_free = loop->slots[slot - 1].next_free;
		*ret_slot = slot;
		return 0;
	}
	if (loop->slot_count == loop->slot_room) {
		struct watch_slot *slots;

		room = room != 0 ? room : FIRST_SLOTS;
		slots = eddy__realloc(loop->slots, room * sizeof(*slots));
		if (slots == NULL)
			return -ENOMEM;
		loop->slots = slots;
		loop->slot_room = room;
	}
	loop->slots[loop->slot_count] = (struct watch_slot){0};
	*ret_slot = ++loop->slot_count;
	return 0;
}

static void
free_slot(struct eddy_loop *loop, uint32_t slot)
{
	loop->slots[slot - 1].watch = NULL;
	loop->slots[slot - 1].next_free = loop->slot_free;
	loop->slot_free = slot;
}

static uint64_t
tag(const struct eddy_loop *loop, uint32_t slot)
{
	return (uint64_t)loop->slots[slot - 1].generation << 32 | slot;
}

int
eddy_watch_start(
    struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	int op = watch->slot != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	uint32_t slot = watch->slot;
	int r = eddy__loop_mine(loop);

	if (r < 0)
		return r;
	if (slot == 0) {
		r = take_slot(loop, &slot);
		if (r < 0)
			return r;
		loop->slots[slot - 1].generation++;
	}
	/* EPERM: a regular file, always ready; epoll_ctl(2). */
	r = eddy__epoll_ctl(
	    loop->epoll, op, watch->fd, events, tag(loop, slot));
	if (r < 0) {
		if (watch->slot == 0)
			free_slot(loop, slot);
		return r;
	}
	watch->wanted = events;
	if (watch->slot == 0 && (watch->flags & EDDY_WATCH_BACKGROUND) == 0)
		loop->watching++;
	watch->slot = slot;
	loop->slots[slot - 1].watch = watch;
	return 0;
}

int
eddy_watch_stop(struct eddy_loop *loop, struct eddy_watch *watch)
{
	int r = eddy__loop_mine(loop);

	if (r < 0 || watch->slot == 0)
		return r;
	list_remove(&watch->ready);
	/* EBADF: closed behind our back; the generation keeps it quiet. */
	eddy__epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, 0, 0);
	if ((watch->flags & EDDY_WATCH_BACKGROUND) == 0)
		loop->watching--;
	free_slot(loop, watch->slot);
	watch->slot = 0;
	return 0;
}
