/* SPDX-License-Identifier: ISC */
/*
 * door: where other threads hand things to a loop.
 *
 * A stack that any thread pushes to and the loop empties at once, a word that
 * says whether the loop sleeps, and an eventfd that is written only then and
 * never read (edge-triggered).  The door outlives its loop for as long as
 * somebody may still ring it: every accepted job holds a reference.
 *
 * Sleeping:  loop    parked = 1; fence; stack empty? sleep; parked = 0
 *            thread  push;       fence; parked?      parked = 0, ring
 * One of the two always sees the other's store, so no wake-up is lost.
 */
#ifndef EDDY_DOOR_H
#define EDDY_DOOR_H

#include "atomics.h"
#include "list.h"

struct eddy_task;

struct door {
	struct eddy_ready *stack; /* any thread; newest first */
	uint32_t parked;          /* any thread */
	uint32_t refs;            /* any thread: the loop, and who rings */
	uint64_t accepted;        /* any thread: jobs ever, of other threads */
	struct eddy_loop *loop;   /* while it has jobs out, or is open */
	uint32_t closed;          /* any thread: the loop is gone */
	int cpu;                  /* any thread: where the last ringer ran */
	int64_t rung_at;          /* any thread: ns */
	/* Any thread: called with a node that was pushed too late, or the roots
	 * that will not go on.  Set before there can be any. */
	void (*orphan)(struct eddy_ready *, struct eddy_task *);
	int bell;             /* eventfd; constant */
	const uint32_t *ours; /* 0 in a forked child; eddy__mark */
};

/* Any thread.  True: the loop sleeps and this caller has to ring. */
static inline bool
door_push(struct door *door, struct eddy_ready *node)
{
	struct eddy_ready *top = A_LOAD(&door->stack);

	do
		node->next = top;
	while (!A_CAS(&door->stack, &top, node));
	/* Pairs with the fence in door_park.  node is not ours any more. */
	A_FENCE_BEHIND(&door->parked);
	return A_LOAD(&door->parked) != 0 && A_XCHG(&door->parked, 0) != 0;
}

/* Any thread that has no hold on the door, so the loop may be gone as soon as
 * node is in.  A hold is taken where the stack is empty; who pushes onto others
 * leaves the ringing to the one that was first.  True: ring, and in any case
 * give up the hold. */
static inline bool
door_post(struct door *door, struct eddy_ready *node, bool *ret_held)
{
	struct eddy_ready *top = A_LOAD(&door->stack);
	bool held = false;

	do {
		if (top == NULL && !held) {
			A_ADD(&door->refs, 1);
			held = true;
		}
		node->next = top;
	} while (!A_CAS(&door->stack, &top, node));
	*ret_held = held;
	if (top != NULL)
		return false;
	/* Pairs with the fence in door_park. */
	A_FENCE_BEHIND(&door->parked);
	return A_LOAD(&door->parked) != 0 && A_XCHG(&door->parked, 0) != 0;
}

/* Loop thread.  False: something came in meanwhile, do not sleep. */
static inline bool
door_park(struct door *door)
{
	A_STORE(&door->parked, 1);
	/* Pairs with the fence in door_push: look again, then sleep. */
	A_FENCE(&door->parked);
	if (A_LOAD(&door->stack) == NULL)
		return true;
	A_STORE(&door->parked, 0);
	return false;
}

/* Relaxed: a thread that still sees 1 rings for nothing, once. */
static inline void
door_unpark(struct door *door)
{
	A_STORE(&door->parked, 0);
}

/* Loop thread: what came in, oldest first, to the end of list. */
static inline void
door_collect(struct door *door, struct eddy_ready *list)
{
	struct eddy_ready *node, *older, *end = list->prev;

	if (A_LOAD(&door->stack) == NULL)
		return;
	/* Pairs with the release of the push: what its thread wrote is seen. */
	for (node = A_XCHG(&door->stack, NULL); node != NULL; node = older) {
		older = node->next;
		list_push_front(end, node);
	}
}

#endif
