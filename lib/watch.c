/* SPDX-License-Identifier: ISC */
/*
 * watch: the loop's table by descriptor: who waits for what.
 *
 * Tasks use edges: they wait only after a system call said EAGAIN, so what epoll
 * was told once holds for the next wait too.  An event carries the descriptor and
 * the generation of its entry; one that a copy of a closed descriptor still
 * sends finds nobody.
 */
#include <eddy/watch.h>

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "loop_impl.h"
#include "sys.h"

enum {
	UNASKED = EPOLLERR | EPOLLHUP,
	/* What is known since the ADD: */
	STREAM = 1,  /* a read gets all there is; not so of datagrams */
	ENDED = 2,   /* there was an event without a next one */
	DRY = 4,     /* nothing to read, since the last event */
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
	return waiter->run == eddy__watch_fire
	           ? CONTAINER_OF(waiter, struct eddy_watch, ready)
	           : NULL;
}

/* What wakes the waiter on this side. */
static uint32_t
wanted(const struct watched *entry, int side)
{
	static const uint32_t tasks[] = {
	    EPOLLIN | EPOLLRDHUP | EPOLLET, EPOLLOUT | EPOLLET};
	struct eddy_ready *waiter = entry->waiters[side];

	if (waiter == NULL)
		return EPOLLET;
	return UNASKED |
	       (watch_of(waiter) ? watch_of(waiter)->events : tasks[side]);
}

/* What both want; edges only if that will do for both. */
static uint32_t
wanted_by_both(const struct watched *entry)
{
	uint32_t read = wanted(entry, 0), write = wanted(entry, 1);

	return ((read | write) & ~(uint32_t)EPOLLET) | (read & write & EPOLLET);
}

/* Waiter on these sides and on no other. */
static int
seat(struct watched *entry, struct eddy_ready *waiter, unsigned sides)
{
	int side;

	for (side = 0; side < 2; side++) {
		if (entry->waiters[side] == waiter)
			entry->waiters[side] = NULL;
		if ((sides >> side & 1) == 0)
			continue;
		if (entry->waiters[side] != NULL)
			return -EEXIST;
		entry->waiters[side] = waiter;
	}
	return 0;
}

/* The epoll is shared with forked children, who must not change it. */
static int
may_change(const struct eddy_loop *loop)
{
	int r = eddy__loop_mine(loop);

	return r == 0 && !door_ours(loop->door) ? -ECHILD : r;
}

/* A descriptor that the kernel knows, so its number is in bounds. */
static int
make_room(struct eddy_loop *loop, uint32_t fd)
{
	uint32_t had = loop->watched_room, room = fd + fd / 4 + 16;
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

static struct watched
entry_at(const struct eddy_loop *loop, int fd)
{
	return (uint32_t)fd < loop->watched_room ? loop->watched[fd]
	                                         : (struct watched){.armed = 0};
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
		if (add || again) {
			entry->generation++;
			entry->known = eddy__is_stream(fd) == 1 ? STREAM : 0;
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

/* entry becomes that of fd, armed for its waiters and events besides; anew: and
 * what is there already is reported again. */
static int
put(struct eddy_loop *loop, int fd, struct watched entry, uint32_t events,
    bool anew)
{
	int r = 0;

	events |= wanted_by_both(&entry);
	if (anew || (events & ~entry.armed) != 0 ||
	    ((events ^ entry.armed) & EPOLLET) != 0)
		r = arm(loop, &entry, fd, events);
	if (r < 0)
		return r;
	r = make_room(loop, (uint32_t)fd);
	if (r == 0)
		loop->watched[fd] = entry;
	else
		disarm(loop, &entry, fd);
	return r;
}

/* Hangup and error go to both sides. */
static void
tell(struct eddy_loop *loop, struct watched *entry, uint32_t got)
{
	int side;

	for (side = 0; side < 2; side++) {
		struct eddy_ready *waiter = entry->waiters[side];
		uint32_t now = wanted(entry, side) & got;

		if (now == 0)
			continue;
		if (watch_of(waiter) == NULL) {
			loop->wake(waiter, 0);
			continue;
		}
		watch_of(waiter)->got = now;
		list_remove(waiter); /* it is on both sides */
		list_push(&loop->pending, waiter);
	}
}

void
eddy__watch_collect(struct eddy_loop *loop, uint64_t tag, uint32_t got)
{
	int fd = (int)((uint32_t)tag - 1);
	struct watched *entry = &loop->watched[fd];
	uint32_t events;

	if (entry->generation != tag >> 32)
		return;
	entry->doubt = 0;
	entry->known &= (uint8_t)~DRY;
	if ((got & (EPOLLRDHUP | UNASKED)) != 0)
		entry->known |= ENDED;
	tell(loop, entry, got);
	/* A level that nobody waits for any more would come each turn. */
	events = wanted_by_both(entry);
	if (entry->armed != 0 && (entry->armed & EPOLLET) == 0 &&
	    (got & ~events) != 0)
		arm(loop, entry, fd, events);
}

/* Watches: the callback form. */

int
eddy_watch_start(
    struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	struct watched entry = entry_at(loop, watch->fd);
	uint32_t before = watch->events;
	unsigned writes = (events & EPOLLOUT) != 0;
	unsigned reads = !writes || (events & ~(EPOLLOUT | EPOLLET)) != 0;
	int r = may_change(loop);

	if (r == 0 && (events & (EPOLLONESHOT | EPOLLEXCLUSIVE)) != 0)
		r = -EINVAL;
	if (r == 0)
		r = seat(&entry, &watch->ready, reads | writes << 1);
	if (r < 0)
		return r;
	watch->events = events;
	r = put(loop, watch->fd, entry, 0, true);
	if (r < 0) {
		watch->events = before;
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
	seat(entry, &watch->ready, 0);
	loop->watching -= (watch->flags & EDDY_WATCH_BACKGROUND) == 0;
	watch->started = false;
}

int
eddy_watch_stop(struct eddy_loop *loop, struct eddy_watch *watch)
{
	int r = may_change(loop);
	struct watched *entry;

	if (r < 0 || !watch->started)
		return r;
	entry = &loop->watched[watch->fd];
	stop(loop, entry, watch);
	if (entry->waiters[0] != NULL || entry->waiters[1] != NULL)
		arm(loop, entry, watch->fd, wanted_by_both(entry));
	else
		disarm(loop, entry, watch->fd);
	return 0;
}

/* Tasks. */

int
eddy__watch_arm(struct eddy_loop *loop, int fd, uint32_t events, bool anew)
{
	return put(loop, fd, entry_at(loop, fd), events, anew);
}

int
eddy__watch_wait(
    struct eddy_loop *loop, struct eddy_ready *waiter, int fd, unsigned sides)
{
	struct watched entry = entry_at(loop, fd);
	int r = seat(&entry, waiter, sides);

	entry.doubt = 2;
	if (r == 0)
		r = put(loop, fd, entry, 0, false);
	if (r < 0)
		return r;
	loop->watching++;
	loop->doubts = true;
	if (loop->verify_at == EDDY_FOREVER)
		loop->verify_at = eddy_after(VERIFY_AFTER);
	return 0;
}

void
eddy__watch_leave(struct eddy_loop *loop, struct eddy_ready *waiter, int fd)
{
	seat(&loop->watched[fd], waiter, 0);
	loop->watching--;
}

/* The end may be behind what was read: only its own event would tell, and not
 * twice.  SCM_RIGHTS and urgent bytes may make a read short, too; then verify
 * finds the rest. */
void
eddy__watch_drained(struct eddy_loop *loop, int fd)
{
	struct watched *entry = &loop->watched[fd];

	if ((uint32_t)fd < loop->watched_room &&
	    (entry->armed & EPOLLIN) != 0 &&
	    (entry->known & (STREAM | ENDED)) == STREAM)
		entry->known |= DRY;
}

bool
eddy__watch_dry(const struct eddy_loop *loop, int fd)
{
	return (uint32_t)fd < loop->watched_room &&
	       (loop->watched[fd].known & DRY) != 0;
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

/* Armed as before, if the number still means the same; else as what it means
 * now. */
static void
verify(struct eddy_loop *loop, int fd)
{
	struct watched *entry = &loop->watched[fd];
	int r;

	if (entry->doubt == 0 || --entry->doubt != 0) {
		loop->doubts |= entry->doubt != 0;
		return;
	}
	if (entry->waiters[0] == NULL && entry->waiters[1] == NULL)
		return;
	r = arm(loop, entry, fd, wanted_by_both(entry));
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
	int r = may_change(loop);

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
