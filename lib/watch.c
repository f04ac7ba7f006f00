/* SPDX-License-Identifier: ISC */
/*
 * watch: the loop's table by descriptor: who waits for what.
 *
 * Tasks use edges: they wait only after a system call said EAGAIN, so what
 * epoll was told once holds for the next wait too.  An event carries the
 * descriptor and the generation of its entry; one that a copy of a closed
 * descriptor still sends finds nobody.
 */
#include <eddy/watch.h>

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "loop_impl.h"
#include "sys.h"

enum {
	UNASKED = EPOLLERR | EPOLLHUP,
	SLICE = 64,  /* events: what they read is in the cache when they run */
	ROUND = 512, /* entries a turn, at most a quarter of a millisecond */
};

#define VERIFY_AFTER EDDY_S(1) /* nobody waits longer twice */

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

/* A waiter's watch, or NULL: it is a task. */
static struct eddy_watch *
watch_of(struct eddy_ready *waiter)
{
	return (uintptr_t)waiter % 2 == 0
	           ? CONTAINER_OF(waiter, struct eddy_watch, ready)
	           : NULL;
}

/* What epoll is told: edges if these do for both, whence the inverted bit. */
static uint32_t
events_of(const struct watched *entry)
{
	return (entry->wanted[0] | entry->wanted[1]) ^ EPOLLET;
}

/* This side is the waiter's when it wants something, and else not. */
static int
seat(
    struct watched *entry, int side, struct eddy_ready *waiter, uint32_t wanted)
{
	struct eddy_ready *now = entry->waiters[side];

	if (now != NULL && now != waiter)
		return wanted != 0 ? -EEXIST : 0;
	entry->waiters[side] = wanted != 0 ? waiter : NULL;
	entry->wanted[side] = wanted;
	return 0;
}

/* Room in the table for fd, if that is open. */
static int
need_room(struct eddy_loop *loop, int fd)
{
	uint32_t had = loop->watched_room, room = (uint32_t)fd + 16;
	struct watched *watched;
	int r;

	if (__builtin_expect((uint32_t)fd < had, true))
		return 0;
	r = eddy__blocks(fd);
	if (r < 0)
		return r;
	room += room / 4;
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
arm(const struct eddy_loop *loop, struct watched *entry, int fd,
    uint32_t events)
{
	bool known = entry->armed != 0, add = !known, again = false;
	uint64_t tag;
	int r;

	/* What edges report to nobody costs less than to silence them. */
	if ((events & entry->armed & EPOLLET) != 0)
		events |= entry->armed;
	do {
		if (add) {
			entry->generation++;
			entry->known = eddy__is_stream(fd) == 1 ? FD_STREAM : 0;
		}
		tag = (uint64_t)entry->generation << 32 | ((uint32_t)fd + 1);
		r = eddy__epoll_ctl(loop->epoll,
		    add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, events, tag);
		add = !add;
		again = !again && r == (known ? -ENOENT : -EEXIST);
	} while (again);
	/* EPERM: a regular file, always ready; epoll_ctl(2). */
	entry->armed = r == 0 ? events : 0;
	return r;
}

/* No events for anybody; EBADF: closed behind our back. */
static void
disarm(const struct eddy_loop *loop, struct watched *entry, int fd)
{
	eddy__epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, 0, 0);
	entry->armed = entry->known = 0;
}

static inline void
tell(struct eddy_loop *loop, struct eddy_ready *waiter, uint32_t got)
{
	struct eddy_watch *watch = watch_of(waiter);

	if (watch == NULL) {
		loop->wake(waiter, 0);
		return;
	}
	watch->got = got;
	if (waiter->next == NULL) /* else it is on both sides */
		list_push(eddy__loop_list(loop), waiter);
}

static void
heard(struct eddy_loop *loop, struct watched *entry, int fd, uint32_t got)
{
	uint32_t reads = entry->wanted[0] & got;
	uint32_t writes = entry->wanted[1] & got;

	entry->doubt = 0;
	entry->known &= (uint8_t)~FD_DRY;
	if ((got & (EPOLLRDHUP | UNASKED)) != 0)
		entry->known |= FD_ENDED;
	/* Hangup and error go to both; who waits for both leaves both. */
	if (reads != 0)
		tell(loop, entry->waiters[0], reads);
	if (writes != 0 && entry->waiters[1] != NULL)
		tell(loop, entry->waiters[1], writes);
	/* A level that nobody waits for any more would come each turn. */
	if ((entry->armed & EPOLLET) == 0 && entry->armed != 0 &&
	    (got & ~events_of(entry)) != 0)
		arm(loop, entry, fd, events_of(entry));
}

/* A slice.  The next one comes when it has run, and before what else is in the
 * batch, such as a deadline. */
void
eddy__watch_collect(struct eddy_loop *loop, struct eddy_ready *more)
{
	const struct epoll_event *event = loop->event, *end = loop->end;
	struct eddy_ready rest;

	if (end - event > SLICE)
		end = event + SLICE;
	list_init(&rest);
	list_splice(&rest, &loop->batch);
	for (; event < end; event++) {
		uint64_t tag = event->data.u64, next = event[1].data.u64;
		int fd = (int)((uint32_t)tag - 1);

		/* While the kernel reads for this one; the end is a guess. */
		if (next != BELL)
			list_prefetch(
			    loop->watched[(uint32_t)next - 1].waiters[0]);
		if (tag != BELL && loop->watched[fd].generation == tag >> 32)
			heard(loop, &loop->watched[fd], fd, event->events);
	}
	loop->event = event;
	if (event < loop->end)
		list_push(eddy__loop_list(loop), more);
	list_splice(&loop->batch, &rest);
}

/* Watches: the callback form. */

int
eddy_watch_start(
    struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	uint32_t wanted = (events | UNASKED) ^ EPOLLET;
	bool writes = (events & EPOLLOUT) != 0;
	bool reads = !writes || (events & ~(EPOLLOUT | EPOLLET)) != 0;
	struct watched *entry, before;
	int r = eddy__loop_ours(loop);

	if (r == 0 && (events & (EPOLLONESHOT | EPOLLEXCLUSIVE)) != 0)
		r = -EINVAL;
	if (r == 0)
		r = need_room(loop, watch->fd);
	if (r < 0)
		return r;
	entry = &loop->watched[watch->fd];
	before = *entry;
	r = seat(entry, 0, &watch->ready, reads ? wanted : 0);
	if (r == 0)
		r = seat(entry, 1, &watch->ready, writes ? wanted : 0);
	if (r == 0)
		r = arm(loop, entry, watch->fd, events_of(entry));
	if (r < 0) {
		*entry = before;
		return r;
	}
	/* Collected, but not wanted any more. */
	watch->got &= events | UNASKED;
	if (!watch->started)
		loop->watching += (watch->flags & EDDY_WATCH_BACKGROUND) == 0;
	watch->started = true;
	return 0;
}

static void
stop(struct eddy_loop *loop, struct watched *entry, struct eddy_watch *watch)
{
	list_remove(&watch->ready);
	seat(entry, 0, &watch->ready, 0);
	seat(entry, 1, &watch->ready, 0);
	loop->watching -= (watch->flags & EDDY_WATCH_BACKGROUND) == 0;
	watch->started = false;
}

int
eddy_watch_stop(struct eddy_loop *loop, struct eddy_watch *watch)
{
	int r = eddy__loop_ours(loop);
	struct watched *entry;

	if (r < 0 || !watch->started)
		return r;
	entry = &loop->watched[watch->fd];
	stop(loop, entry, watch);
	if (entry->wanted[0] == 0 && entry->wanted[1] == 0)
		disarm(loop, entry, watch->fd);
	else
		arm(loop, entry, watch->fd, events_of(entry));
	return 0;
}

/* Tasks. */

int
eddy__watch_arm(struct eddy_loop *loop, int fd, uint32_t more, bool anew)
{
	int r = need_room(loop, fd);
	uint32_t events, armed;

	if (r < 0)
		return r;
	events = events_of(&loop->watched[fd]) | more;
	armed = loop->watched[fd].armed;
	if (anew || ((events & ~armed) | (armed & ~events & EPOLLET)) != 0)
		return arm(loop, &loop->watched[fd], fd, events);
	return 0;
}

int
eddy__watch_wait(
    struct eddy_loop *loop, struct eddy_ready *waiter, int fd, int side)
{
	static const uint32_t wanted[] = {
	    EPOLLIN | EPOLLRDHUP | UNASKED, EPOLLOUT | UNASKED};
	struct watched *entry;
	int r = need_room(loop, fd);

	if (r < 0)
		return r;
	entry = &loop->watched[fd];
	if (entry->waiters[side] != NULL)
		return -EEXIST;
	if ((~entry->armed & (wanted[side] | EPOLLET)) != 0) /* not yet */
		r = eddy__watch_arm(loop, fd, wanted[side], false);
	if (r < 0)
		return r;
	entry->waiters[side] = waiter;
	entry->wanted[side] = wanted[side];
	entry->doubt = 2;
	loop->watching++;
	loop->doubts = true;
	if (loop->verify_at == EDDY_FOREVER) {
		loop->verify_at = eddy_after(VERIFY_AFTER);
		eddy__loop_stir(loop); /* to wait no longer */
	}
	return 0;
}

/* Everybody who waits for fd hears that it is lost; a watch is only stopped. */
static void
evict(struct eddy_loop *loop, int fd, int rc)
{
	struct watched *entry = &loop->watched[fd];
	int side;

	for (side = 0; side < 2; side++) {
		struct eddy_ready *waiter = entry->waiters[side];

		if (waiter == NULL)
			continue;
		if (watch_of(waiter) != NULL)
			stop(loop, entry, watch_of(waiter));
		else
			loop->wake(waiter, rc);
	}
}

/* Arm it as before; if the number means another by now, that. */
static void
verify(struct eddy_loop *loop, int fd)
{
	struct watched *entry = &loop->watched[fd];
	int r;

	if (entry->doubt == 0 || --entry->doubt != 0) {
		loop->doubts |= entry->doubt != 0;
		return;
	}
	if (entry->wanted[0] == 0 && entry->wanted[1] == 0)
		return;
	r = arm(loop, entry, fd, events_of(entry));
	if (r < 0)
		evict(loop, fd, r);
}

/* A round begins each second while somebody began to wait since the last one;
 * who still waits in the second after that is looked at. */
void
eddy__watch_verify(struct eddy_loop *loop)
{
	uint32_t end = loop->verified + ROUND;

	if (loop->verified == 0)
		loop->doubts = false;
	for (; loop->verified < end; loop->verified++) {
		if (loop->verified == loop->watched_room) {
			loop->verified = 0;
			loop->verify_at = loop->doubts
			                      ? eddy_after(VERIFY_AFTER)
			                      : EDDY_FOREVER;
			return;
		}
		verify(loop, (int)loop->verified);
	}
}

int
eddy_forget(struct eddy_loop *loop, int fd)
{
	int r = eddy__loop_ours(loop);

	if (r < 0 || (uint32_t)fd >= loop->watched_room)
		return r;
	if (loop->watched[fd].armed != 0)
		disarm(loop, &loop->watched[fd], fd);
	evict(loop, fd, -ECANCELED);
	return 0;
}

int
eddy_close(struct eddy_loop *loop, int fd)
{
	int r = eddy_forget(loop, fd);

	if (r == 0)
		r = eddy__close(fd);
	return r == -EINTR ? 0 : r; /* gone all the same; close(2) */
}
