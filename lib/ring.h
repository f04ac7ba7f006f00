/* SPDX-License-Identifier: ISC */
/*
 * ring: what sync and mailbox share: the bounded store of a queue or mailbox,
 * and lists of tasks that wait.
 */
#ifndef EDDY_RING_H
#define EDDY_RING_H

#include <errno.h>

#include <eddy/sync.h>

#include "task_impl.h"

static inline int
ring_put(struct eddy_ring *ring, void *item)
{
	if (ring->count == ring->room)
		return -EAGAIN;
	ring->slots[(ring->first + ring->count) % ring->room] = item;
	ring->count++;
	return 0;
}

static inline int
ring_take(struct eddy_ring *ring, void **ret_item)
{
	if (ring->count == 0)
		return ring->closed ? -EPIPE : -EAGAIN;
	*ret_item = ring->slots[ring->first];
	ring->first = (ring->first + 1) % ring->room;
	ring->count--;
	return 0;
}

/* A task that waits here, with what it brought or where its item goes. */
static inline struct eddy_task *
waiter_of(const struct eddy_ready *node)
{
	return CONTAINER_OF(node, struct eddy_task, use.ready);
}

/* -EPERM when those who wait belong to another thread. */
static inline int
waiters_mine(const struct eddy_ready *list)
{
	return list_empty(list) ? 0
	                        : eddy__loop_mine(waiter_of(list->next)->loop);
}

/* To wait in list, with that. */
static inline EDDY_ASYNC
waiter_park(struct eddy_task *self, struct eddy_ready *list,
    const struct eddy_op *op, void *with)
{
	if (waiters_mine(list) < 0)
		return eddy_complete(self, -EPERM);
	list_push(list, &self->use.ready);
	self->use.user[2] = with;
	return eddy__park(self, op);
}

/* To give up waiting in a list: the hook of most operations. */
static inline int
waiter_leave(struct eddy_task *task, int rc)
{
	list_remove(&task->use.ready);
	return eddy_unpark(task, rc);
}

static inline void
waiters_wake(struct eddy_ready *list, int rc)
{
	while (!list_empty(list))
		waiter_leave(waiter_of(list->next), rc);
}

#endif
