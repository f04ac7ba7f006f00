/* SPDX-License-Identifier: ISC */
/*
 * executor_impl: what the executors of this library share.
 *
 * IDLE -> QUEUED -> RUNNING -> DONE, and IDLE again once its loop has heard;
 * WAITING before QUEUED for a job that waits for room.  begin and cancel leave
 * QUEUED by compare-and-swap or under the executor's lock; DONE is the release
 * store that publishes result, outcome and bytes.
 */
#ifndef EDDY_EXECUTOR_IMPL_H
#define EDDY_EXECUTOR_IMPL_H

#include <eddy/transform.h>

#include "atomics.h"
#include "list.h"
#include "loop_impl.h"

enum job_state {
	JOB_IDLE,
	JOB_WAITING, /* for room, in executor->waiters */
	JOB_CORKED,  /* in the cork of its loop: LISTED when the turn ends */
	JOB_QUEUED,  /* or on the way to a thread pool's */
	JOB_LISTED,  /* in a slot of a thread pool, or just taken from it; or in
	                the queue of a strand or a process pool */
	JOB_RUNNING,
	JOB_DONE,
};

enum {
	JOB_STORED = 0x80,   /* flag: storage of eddy_offload, in spare_jobs */
	JOB_HOOKED = 0x40,   /* flag: its thread has a stop function */
	JOB_OWNED = 0x20,    /* flag: of a struct owned_job */
	JOB_HANDED = 0x10,   /* flag: by its strand to the inner executor */
	URGENT_IN_ROW = 7,   /* then one that is not */
	QUEUE_LIMIT = 65536, /* 6 MiB of jobs: a bound, not a target */
	LOWEST_RESULT = -4095, /* as the kernel's errors */
};

static inline struct eddy_job *
job_of(struct eddy_ready *ready)
{
	return CONTAINER_OF(ready, struct eddy_job, ready);
}

/* Private ones change while it is out, under the lock of its executor. */
static inline unsigned
job_flags(const struct eddy_job *job)
{
	return A_LOAD(&job->flags);
}

static inline void
job_set_flag(struct eddy_job *job, unsigned flag, bool on)
{
	unsigned others = job_flags(job) & ~flag;

	A_STORE(&job->flags, (uint8_t)(on ? others | flag : others));
}

/* With a loop it is until its outcome was heard. */
static inline bool
job_is_out(const struct eddy_job *job)
{
	uint32_t state = A_ACQUIRE(&job->state);

	return state != JOB_IDLE && (state != JOB_DONE || job->door != NULL);
}

static inline const char *
job_name(const struct eddy_job *job)
{
	return job->name != NULL ? job->name : "job";
}

static inline struct eddy_long_job *
long_job_of(struct eddy_job *job)
{
	return CONTAINER_OF(job, struct eddy_long_job, job);
}

/* Between a job in another process and its host. */
struct report {
	int64_t value;   /* job: how far it is */
	uint32_t count;  /* job: changes of value */
	uint32_t wanted; /* host: value may be told */
	uint32_t stop;   /* host: the job is asked to stop */
};

/* What is called when a job is to stop. */
struct hook {
	void (*fn)(void *); /* or NULL */
	void *arg;
};

/* The job that a thread runs, and how to stop it. */
struct inside {
	struct eddy_job *job;
	struct hook stop;      /* guarded by the lock of its executor, */
	struct hook interrupt; /* as this: the pool's own */
	void *state;           /* of this worker */
	struct report *report; /* in a worker process */
	int bell;
	struct eddy_descriptors *fds; /* of the job, there */
	struct inside *outer; /* whose job has submitted this one; or NULL */
	struct inside *innermost; /* of the outermost: or NULL */
};

/* A job of offload_owned.c, which may be given up while it runs. */
struct owned_job {
	struct eddy_job job;
	/* Before its outcome is published.  False: nobody waits for that. */
	bool (*settle)(struct eddy_job *job);
	void (*drop)(void *arg);
	void *ref;     /* to a pointer: NULL once it was given up */
	uint32_t fate; /* any thread */
};

static inline struct owned_job *
owned_of(struct eddy_job *job)
{
	return CONTAINER_OF(job, struct owned_job, job);
}

/* For the trace of its loop, and if it is the job that is timed there.  While
 * job is out; not if it may be given up, whose loop may be gone. */
void eddy__job_note(const struct eddy_job *job, enum loop_note what);
static inline bool
job_noted(const struct eddy_job *job, unsigned flags)
{
	const struct door *door = job->door;

	return door != NULL && (flags & JOB_OWNED) == 0 &&
	       (A_LOAD(&door->timed) == job || A_LOAD(&door->trace) != NULL);
}

static inline void
job_note(const struct eddy_job *job, enum loop_note what)
{
	if (job_noted(job, job_flags(job)))
		eddy__job_note(job, what);
}

/* Its stamp is in result; of one in a cork or slot, and when it has left it for
 * as long as it runs, in a link that is not used there. */
static inline void
job_keep_stamp(struct eddy_job *job, int stamp)
{
	job->ready.prev = (void *)(intptr_t)stamp;
}

static inline int
job_kept_stamp(const struct eddy_job *job)
{
	return (int)(intptr_t)job->ready.prev;
}

/* In the thread of its loop, whose cork fits. */
static inline void
cork_put(struct cork *cork, struct eddy_job *job, int stamp)
{
	job_keep_stamp(job, stamp);
	A_RELEASE(&job->state, JOB_CORKED); /* as submit in job.c */
	cork->jobs[cork->count++] = job;
}

static inline bool
job_expired(const struct eddy_job *job)
{
	return job->deadline != 0 && job->deadline <= eddy_now();
}

/* Is there anybody to whom room that was made, by a read-modify-write or with a
 * lock, is of use?  Pairs with the lock of who first counts itself. */
static inline bool
executor_waited(struct eddy_executor *executor)
{
	A_FENCE_BEHIND(&executor->waiting);
	return A_LOAD(&executor->waiting) != 0;
}

/* Make job out on executor: it holds the door of loop, which will call run, for
 * to.  What eddy_submit answers. */
int eddy__job_submit(struct eddy_executor *executor, struct eddy_job *job,
    struct eddy_loop *loop, loop_run_fn *run, union eddy_job_to to);

/* False: in a forked child, where its threads are not. */
static inline bool
executor_ours(const struct eddy_executor *executor)
{
	return executor->ours == NULL || A_LOAD(executor->ours) != 0;
}

/* Has executor no reason of its own to refuse a job? */
static inline int
executor_check(const struct eddy_executor *executor)
{
	if (!executor_ours(executor))
		return -ECHILD;
	if (A_LOAD(&executor->closing))
		return -ESHUTDOWN;
	return A_LOAD(&executor->waiting) != 0 ? -EAGAIN : 0;
}

/* With the lock: does job come too late?  To a drain, unless it has waited. */
static inline bool
executor_refuses(
    const struct eddy_executor *executor, const struct eddy_job *job)
{
	return executor->closed ||
	       (executor->closing && executor->admitting != job);
}

/* ops->submit, which may run the job within, and in that another. */
int eddy__executor_submit(struct eddy_executor *executor, struct eddy_job *job);

/* The same, but the job waits for room itself. */
int eddy__job_enqueue(struct eddy_executor *executor, struct eddy_job *job);

/* offload_job.c: a task's job, which waits for room unless EDDY_JOB_NOWAIT; run
 * is called with the outcome. */
int eddy__job_start(struct eddy_task *task, struct eddy_executor *executor,
    struct eddy_job *job, void (*run)(struct eddy_loop *, struct eddy_ready *));

/* To hear of a task's job. */
loop_run_fn eddy__job_wake;

/* Of tasks that wait for a job; theirs is use.user[0]. */
extern const struct eddy_op eddy__job_op, eddy__owned_op;

/* eddy_job_end in the thread of loop, or NULL: no detour through its door. */
void eddy__job_end_on(struct eddy_loop *loop, struct eddy_job *job,
    enum eddy_outcome outcome, int result);

/* eddy_job_end in two steps, for a thread that ends many. */
static inline void
job_settle(struct eddy_job *job, enum eddy_outcome outcome, int result)
{
	job->outcome = (uint8_t)outcome;
	A_STORE(&job->result, result); /* a cancel may look, in vain */
}

/* Where a thread tells of outcomes: at the door of the last one, which it
 * holds, and by an outbox of its own there, if it has many. */
struct outlet {
	struct door *door;      /* or NULL */
	struct outbox *box;     /* or NULL */
	struct eddy_loop *loop; /* whose thread this is, or NULL */
	int cpu;                /* any thread */
};

/* NULL: to none. */
void eddy__outlet_move(struct outlet *outlet, struct door *door);

void eddy__job_publish(struct outlet *outlet, struct eddy_job *job);

/* Its outcome will not arrive. */
void eddy__job_forgotten(
    struct eddy_loop *loop, struct eddy_executor *executor);

/* Its outcome has arrived: the job is its owner's again. */
void eddy__job_heard(struct eddy_loop *loop, struct eddy_job *job);

/* eddy_job_cancel with an outcome to choose. */
int eddy__job_give_up(struct eddy_job *job, enum eddy_outcome outcome);

/* Its memory, for as long as a job may yet be cancelled. */
void eddy__executor_hold(struct eddy_executor *executor);
void eddy__executor_drop(struct eddy_executor *executor);

/* A job that counts as waiting, but is in no list any more, ends. */
void eddy__executor_end_waiter(struct eddy_executor *executor,
    struct eddy_job *job, enum eddy_outcome outcome);

/* Does this thread run a job of executor, or of a strand in front of it? */
bool eddy__job_runs_on(const struct eddy_executor *executor);

/* After job->stop was set: one of this and eddy_job_on_stop sees the other. */
void eddy__job_call_stop(struct eddy_executor *executor, struct eddy_job *job);

/* This thread does not run job any more, if it did. */
void eddy__job_leave(const struct eddy_job *job);

/* job_transform.c: the function of each transform. */
int eddy__transform_run(void *arg);

/* This thread is a worker: its place for the job that it runs, if any. */
struct inside *eddy__worker_enter(void *state);

/* Before its outcome is published: its hooks are not called any more. */
void eddy__job_unhook(void);
static inline void
eddy__inside_leave(struct inside *inside)
{
	if (inside->stop.fn != NULL || inside->interrupt.fn != NULL)
		eddy__job_unhook();
	inside->job = NULL;
}

/* Of a struct eddy_long_job, in the thread of loop. */
void eddy__job_report(
    struct eddy_loop *loop, struct eddy_job *job, int64_t value);

/* Take a drain's callback back.  In the thread of drain_loop. */
void eddy__executor_undrain(struct eddy_executor *executor);

/* As eddy_job_on_stop, beside it: for the thread pool. */
int eddy__job_interrupt(void (*interrupt)(void *), void *worker);

/* What the job in this thread has as eddy_job_on_stop. */
struct hook eddy__job_stop(void);

/* eddy_job_on_stop; more: only if it was not asked to stop yet. */
int eddy__job_set_stop(struct hook stop, bool more);

/* When that was, ns; or 0. */
int64_t eddy__job_since(int stamp);

/* As ops->workers: behind count entries the jobs of queue, which have their
 * stamp as result.  The new count. */
unsigned eddy__list_jobs(const struct eddy_ready *queue,
    struct eddy_worker *ret_workers, unsigned count, unsigned n);

void eddy__stats_count(
    struct eddy_executor_stats *stats, enum eddy_outcome outcome, uint64_t n);

#endif
