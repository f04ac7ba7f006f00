/* SPDX-License-Identifier: ISC */
/*
 * process_impl: struct pool, for its table (process_pool.c), the life of its
 * workers (process_host.c) and what jobs take there (process_transfer.c).
 *
 * A job is in the inbox, in the queue, in one slot of one worker, or over.  The
 * table of slots is the host's own; a channel only tells what became of them.
 * All of it belongs to the home thread, but what says otherwise.
 */
#ifndef EDDY_PROCESS_IMPL_H
#define EDDY_PROCESS_IMPL_H

#include <eddy/post.h>
#include <eddy/watch.h>

#include "process_channel.h"

enum worker_state {
	NONE,
	BOOT, /* ordered; then, with a pid, in worker_open */
	LIVE,
	ASKED, /* what runs was asked to stop, for why; no job is behind it */
	RETIRING, /* told to leave */
	DYING,    /* killed, for why */
	STUCK,    /* and settled, but not dead */
	KEPT,     /* dead, but its memory is reserved */
};

enum { URGENT_LANE, NORMAL_LANE, LANE_COUNT };

struct worker {
	struct eddy_watch bell;
	struct pool *pool;
	enum worker_state state;
	enum eddy_outcome why; /* of what it runs; EDDY_NONE: as it dies */
	int64_t due;           /* when that state has lasted too long; 0 */
	int64_t limit;         /* when its oldest job has; 0 */
	int64_t born;          /* LIVE since; 0: never */
	uint64_t generation;
	pid_t pid;
	int pidfd; /* -1: none yet */
	int mail;  /* -1: none */
	bool deaf; /* it has closed its end, or is dead */
	struct channel *channel;
	struct eddy_job *jobs[DEPTH_MAX]; /* by slot; NULL: taken back */
	unsigned held;                    /* of them */
	struct eddy_job *reserved; /* the only one it may have; or NULL */
	uint32_t area;             /* that is reserved */
	size_t copied; /* of its oldest job, which has returned result */
	int result;
	int64_t large_at;    /* when it had a job worth trimming after; 0 */
	uint32_t tail, head; /* what the channel says is checked by these */
	uint32_t reports[DEPTH_MAX]; /* by slot: progress that was told */
	uint32_t bells;              /* that nothing explains */
};

struct pool {
	struct eddy_executor executor;
	struct eddy_process_pool_options options;
	struct eddy_loop *home;
	bool own_home; /* run by thread; process_home.c */
	pthread_t thread;
	size_t channel_size;

	/* Any thread. */
	struct eddy_ready inbox; /* guarded by the executor's lock: */
	struct eddy_post knock;  /* look there, and at jobs to stop */
	uint32_t queued;         /* in inbox and lanes */
	uint64_t submitted;      /* jobs ever */
	int broken; /* why there will be no worker any more, or 0 */

	/* Home thread. */
	struct eddy_zygote *zygote;
	int link; /* -1: the zygote is lost */
	struct eddy_watch link_watch;
	struct eddy_watch clock; /* a timerfd: the next deadline or retry */
	int64_t wake_at;         /* that it is set to; 0: not */
	struct eddy_ready lanes[LANE_COUNT]; /* the queue */
	unsigned in_row;                     /* urgent ones since another */
	struct worker *workers;
	uint64_t generation;
	uint64_t failed;   /* workers up to this generation count as one */
	unsigned reserved; /* workers that are */
	unsigned spawning; /* orders that the zygote has not answered */
	unsigned failures; /* boots in a row */
	int64_t retry_at;
	bool wanted;     /* a worker, to be reserved */
	unsigned inside; /* in the middle of so much: no dispatch now */
	bool more;       /* jobs came meanwhile */
	struct eddy_executor_stats stats;
};

#define EACH_WORKER(worker, pool)                             \
	(worker) = (pool)->workers;                           \
	(worker) < (pool)->workers + (pool)->options.workers; \
	(worker)++

enum { ATTEMPTS = 3 };           /* workers that die before they start a job */
#define DEATH_DURATION EDDY_S(5) /* for SIGKILL to work */

/* The long job around job (or NULL), or one that asks for nothing. */
static inline const struct eddy_long_job *
long_part(struct eddy_job *job)
{
	static const struct eddy_long_job none;

	return job != NULL && (job_flags(job) & EDDY_JOB_LONG) != 0
	           ? long_job_of(job)
	           : &none;
}

static inline bool
is_closing(const struct pool *pool)
{
	return A_LOAD(&pool->executor.closed);
}

/* Or it may be. */
static inline bool
is_alive(const struct worker *worker)
{
	return worker->state != NONE && worker->state < STUCK;
}

/* The slot that its worker runs, or is the next to run. */
static inline uint32_t
oldest_slot(const struct worker *worker)
{
	return worker->head % worker->pool->options.depth;
}

/* NULL: none, or it was taken back. */
static inline struct eddy_job *
oldest_job(const struct worker *worker)
{
	return worker->jobs[oldest_slot(worker)];
}

/* Has the job in a slot returned, and is copied?  Whatever the slot may say. */
static inline bool
is_copied(const struct worker *worker, uint32_t i)
{
	return worker->copied != 0 && i == oldest_slot(worker);
}

/* process_queue.c */
void eddy__process_wake_at(struct pool *pool, int64_t when);
void eddy__process_on_clock(
    struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events);
void eddy__process_on_knock(struct eddy_loop *loop, struct eddy_post *post);
void eddy__process_open_inbox(struct pool *pool);
/* In its lane: last, or first. */
void eddy__process_enqueue(struct pool *pool, struct eddy_job *job, bool first);
/* Back to the front: it has not started. */
void eddy__process_requeue(struct pool *pool, struct eddy_job *job);
void eddy__process_fail_queue(
    struct pool *pool, enum eddy_outcome outcome, int result);
/* Stop a job of the pool, wherever it is. */
int eddy__process_stop(
    struct pool *pool, struct eddy_job *job, enum eddy_outcome outcome);
void eddy__process_end_job(struct pool *pool, struct eddy_job *job,
    enum eddy_outcome outcome, int result);
/* May worker have one more job, with level jobs or fewer now? */
bool eddy__process_takes_more(struct worker *worker, uint32_t level);
/* After inside++ and whatever may end jobs or make room: the end of one may
 * submit a strand's next, which is dispatched when the outermost is left. */
void eddy__process_leave(struct pool *pool);

/* process_host.c */
void eddy__process_clear(struct pool *pool, struct worker *worker);
void eddy__process_release(struct worker *worker);
int eddy__process_refill(struct pool *pool); /* why one could not be ordered */
void eddy__process_kill(struct worker *worker, enum eddy_outcome why);
void eddy__process_quit(struct worker *worker);   /* when it has no job */
void eddy__process_retire(struct worker *worker); /* the same, and soon */
void eddy__process_check(struct worker *worker);  /* is it late? */
void eddy__process_hear(struct pool *pool);       /* all news there are */
/* Stop the job in a slot, that worker runs, and nobody else's: those behind it
 * are taken back first.  -EALREADY: it has returned. */
int eddy__process_interrupt(
    struct worker *worker, uint32_t i, enum eddy_outcome why);

/* process_home.c: have fn done in the home thread, and wait for it; but not of a
 * pool that is being closed, nor in a forked child. */
struct errand {
	struct eddy_post post;
	void (*fn)(struct errand *errand);
	struct pool *pool;
	uint32_t done;
	bool closes; /* it is the close itself */
	/* What fn takes and gives. */
	int64_t duration;
	int result;
	struct eddy_executor_stats *stats;
	int *pids;
	struct eddy_worker *workers;
	unsigned n;
};
void eddy__process_at_home(struct pool *pool, struct errand *errand);
int eddy__process_home_open(struct pool *pool);

/* process_parcel.c.  unpack: -EPROTO where that cannot be true. */
int eddy__process_may_send(const struct pool *pool, struct eddy_job *job);
size_t eddy__process_size_of(struct eddy_job *job); /* on its way there */
void *eddy__process_area(const struct worker *worker, uint32_t i);
int eddy__process_pack(struct worker *worker, uint32_t i, struct eddy_job *job);
int eddy__process_unpack(
    struct worker *worker, uint32_t i, struct eddy_job *job);
/* At most limit of the bytes yet to come back.  True: that was all. */
bool eddy__process_copy_back(
    struct worker *worker, uint32_t i, struct eddy_job *job, size_t limit);

/* process_transfer.c */
/* Give memory back that a large job has needed. */
void eddy__process_trim(struct worker *worker);
struct worker *eddy__process_reserver(
    struct pool *pool, const struct eddy_job *job); /* or NULL */
void eddy__process_put(struct worker *worker, struct eddy_job *job);
/* Get a job back that its worker has not started. */
bool eddy__process_reclaim(struct worker *worker, uint32_t i);
void eddy__process_take_back(struct worker *worker);
void eddy__process_take(struct worker *worker, uint32_t i);
/* What a worker says of its progress, and has done; after limit bytes, one bell
 * later.  False: it cannot be true. */
bool eddy__process_drain(struct worker *worker, size_t limit);
/* A job that its worker has done: 1; 0: when more is copied; or -EPROTO. */
int eddy__process_deliver(struct worker *worker, uint32_t i, size_t limit);
void eddy__process_wake(struct channel *channel);

#endif
