/* SPDX-License-Identifier: ISC */
/*
 * thread_pool_impl: what thread_pool.c, the table, and thread_worker.c share.
 */
#ifndef EDDY_THREAD_POOL_IMPL_H
#define EDDY_THREAD_POOL_IMPL_H

#include <eddy/thread_pool.h>

#include "executor_impl.h"
#include "lane.h"
#include "sys.h"

enum { NORMAL, URGENT, LANES, LANE_SHIFT = 30 };

struct worker {
	struct pool *pool;
	struct worker *next; /* guarded by lock: pool->all */
	struct lane *lane;   /* guarded by lock, as end: what it claimed */
	uint32_t from, end;  /* any thread: slots not looked at yet */
	uint64_t begun;      /* any thread: jobs ever */
	uint64_t ended[EDDY_PROTOCOL + 1]; /* any thread: by outcome */
	const char *name; /* any thread: of what runs; or NULL */
	int stamp;        /* any thread: of that */
	struct outlet outlet;
	struct spin spin;
	uint64_t rested;  /* begun, at the last rest */
	unsigned lone;    /* rests in a row after one job each */
	unsigned untimed; /* batches */
	unsigned paired;  /* looks in a row that found another on its CPU */
	bool spare;       /* may leave when it finds nothing to do */
	bool crowded;     /* no CPU to spare for waiting awake */
	unsigned number;
	int tid;    /* any thread: its id */
	int ticker; /* signals this thread; -1: none */
	void *state;
	struct inside *inside;
	pthread_t thread;
};

struct pool {
	struct eddy_executor executor;
	struct eddy_thread_pool_options options;

	/* A line that one looks at while another has the next, the lock's. */
	_Alignas(64) uint32_t wakes; /* futex: that sleepers must look */
	uint32_t spinner;            /* any thread: 1 while one looks at it */
	int cpu;                     /* any thread: where the last ringer ran */
	uint32_t urgent;             /* any thread: that lane has jobs */

	_Alignas(64) pthread_mutex_t lock; /* guards all that follows */
	unsigned asleep;                   /* workers nobody counts on */
	unsigned claims; /* workers that were woken and are on their way */

	struct lane lanes[LANES];
	int64_t rung_at;   /* any thread: ns */
	int64_t job_time;  /* any thread: ns, moving average; 0: unknown */
	unsigned leaving;  /* former workers and cancels that are not done */
	unsigned starting; /* workers that were added and are */
	unsigned granted;  /* jobs, to corks */
	unsigned in_row;   /* urgent jobs since a normal one */
	uint64_t taken;    /* jobs ever: by cancels, or workers that left */
	bool eager;        /* wake whoever may help */
	bool closing;      /* workers leave, when the queue is empty */
	bool abandoned;    /* close gave up: who leaves last frees the pool */
	unsigned numbers;  /* of workers ever */
	struct worker *all;
	struct worker *gone;     /* has left, is not joined yet */
	struct eddy_loop *corks; /* loops that hold jobs for us, or may nudge */
	pthread_cond_t left;     /* a worker has left, or a cork was drawn */
	struct eddy_executor_stats stats;
};

/* With the lock, as most that follows: slots that are not claimed. */
static inline uint32_t
unclaimed(const struct pool *pool)
{
	const struct lane *normal = &pool->lanes[NORMAL];
	const struct lane *urgent = &pool->lanes[URGENT];

	return normal->tail - normal->head + urgent->tail - urgent->head;
}

/* Each job looks at urgent, so that is not written in vain. */
static inline void
eddy__pool_set_urgent(struct pool *pool)
{
	const struct lane *lane = &pool->lanes[URGENT];
	bool urgent = lane->head != lane->tail;

	if (A_LOAD(&pool->urgent) != urgent)
		A_STORE(&pool->urgent, urgent);
}

/* Is nobody there any more who needs the pool?  Asked when somebody left. */
static inline bool
deserted(struct pool *pool)
{
	if (pool->stats.workers != 0 || pool->leaving != 0 ||
	    pool->corks != NULL)
		return false;
	if (pool->closing)
		eddy_executor_drained(&pool->executor);
	return true;
}

/* True: the caller rings, when it has given the lock back. */
bool eddy__pool_claim_sleeper(struct pool *pool);

/* Perhaps without the pool: an address only. */
static inline void
pool_ring(struct pool *pool, bool claimed)
{
	if (claimed)
		eddy__futex_wake(&pool->wakes, 1, false);
}

/* A job that some worker holds but has not begun, or NULL. */
struct eddy_job *eddy__pool_steal(
    struct pool *pool, const struct worker *thief);

/* A new worker, which does not leave while the caller has the lock. */
int eddy__pool_add_worker(struct pool *pool);

/* Gives the lock back: all that is not begun ends so. */
void eddy__pool_fail_queue(
    struct pool *pool, enum eddy_outcome outcome, int result);

/* Counts of one worker; of any outcome. */
uint64_t eddy__worker_ended(const struct worker *worker);
void eddy__worker_add_stats(
    struct eddy_executor_stats *sum, const struct worker *worker);

/* Without the lock: wait for its thread to end; NULL: nobody. */
void eddy__worker_join(struct worker *worker);

#endif
