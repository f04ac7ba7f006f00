/* SPDX-License-Identifier: ISC */
/*
 * lane: the queue of a thread pool, a ring of slots.
 *
 * A worker claims a range under the lock and empties its slots one by one
 * without; so may a cancel, or a worker without work.  Whoever exchanges a job
 * for NULL has it, so a range is only a hint and an empty slot means nothing.
 */
#ifndef EDDY_LANE_H
#define EDDY_LANE_H

#include <eddy/executor.h>

#include "atomics.h"

struct lane {
	struct eddy_job **slots; /* any thread: any slot */
	uint32_t mask, tag;      /* of a place: which slot, which lane */
	uint32_t head, tail; /* guarded by the pool's lock; head: unclaimed */
};

static inline struct eddy_job **
lane_slot(const struct lane *lane, uint32_t i)
{
	return &lane->slots[i & lane->mask];
}

/* Empty a slot; NULL: somebody did. */
static inline struct eddy_job *
lane_take(struct eddy_job **slot)
{
	return A_LOAD(slot) != NULL ? A_XCHG(slot, NULL) : NULL;
}

/* With the lock, as all that follows.  The job remembers its place where its
 * result will be; who reads that too late looks into some slot, in vain. */
static inline void
lane_fill(struct lane *lane, uint32_t i, struct eddy_job *job)
{
	i &= lane->mask;
	A_STORE(&job->result, (int)(i | lane->tag));
	/* A worker whose old range this is again takes it without the lock. */
	A_RELEASE(&lane->slots[i], job);
}

/* The jobs that are left to the end of what head to tail is, in order. */
static inline void
lane_squeeze(struct lane *lane)
{
	uint32_t i, to = lane->tail;
	struct eddy_job *job;

	for (i = lane->tail; i != lane->head;) {
		job = lane_take(lane_slot(lane, --i));
		if (job != NULL)
			lane_fill(lane, --to, job);
	}
	lane->head = to;
}

/* To the end.  At most half of the slots ever have jobs. */
static inline void
lane_put(struct lane *lane, struct eddy_job *job)
{
	for (;; lane->tail++) {
		if (lane->tail - lane->head > lane->mask)
			lane_squeeze(lane);
		/* One that a slow worker still holds may stay where it is. */
		if (A_LOAD(lane_slot(lane, lane->tail)) == NULL)
			break;
	}
	lane_fill(lane, lane->tail++, job);
}

#endif
