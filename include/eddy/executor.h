/* SPDX-License-Identifier: ISC */
/*
 * executor: where blocking code runs, and the job that takes it there.
 *
 * A job is a plain function over flat bytes (no pointers in them).  An accepted
 * job has exactly one outcome, delivered on the loop it was submitted with.
 * Job and bytes are borrowed from submit until then.  Threads, processes and
 * strands are executors; the table below makes another.
 */
#ifndef EDDY_EXECUTOR_H
#define EDDY_EXECUTOR_H

#include <pthread.h>

#include <eddy/loop.h>

EDDY_HEADER_BEGIN_

struct eddy_job;
struct eddy_task;

/* 0 or more, or -errno; below -4095 counts as broken. */
typedef int eddy_job_fn(void *arg);
typedef void eddy_job_done_fn(struct eddy_loop *loop, struct eddy_job *job);

/* What happened to a job; what its function returned is another thing. */
enum eddy_outcome {
	EDDY_NONE,      /* no outcome yet */
	EDDY_RETURNED,  /* result: what fn returned */
	EDDY_CRASHED,   /* result: the signal that killed the worker */
	EDDY_EXITED,    /* result: the code that fn left the process with */
	EDDY_EXPIRED,   /* the deadline passed; it is not running (any more) */
	EDDY_CANCELLED, /* it never ran, or its worker was killed */
	EDDY_LOST,      /* result: -errno; no worker could be had to run it */
	EDDY_PROTOCOL   /* its worker broke the rules of the channel */
};

/* Job flags. */
#define EDDY_JOB_NOWAIT 1u /* a full queue is -EAGAIN for awaiting tasks too */

struct eddy_job {
	struct eddy_ready ready; /* private */
	eddy_job_fn *fn;
	void *arg;        /* borrowed */
	uint32_t size;    /* of *arg, bytes; a process gets a copy */
	uint32_t state;   /* private */
	int64_t deadline; /* absolute ns for queue and run; 0: none */
	const char *name; /* borrowed; for people */
	struct eddy_executor *executor; /* private */
	void *door;                     /* private: of its loop */
	union {
		eddy_job_done_fn *done;
		struct eddy_task *task;
	} to;             /* private: who hears of the outcome */
	int result;       /* see enum eddy_outcome */
	uint8_t flags;    /* EDDY_JOB_* */
	uint8_t outcome;  /* enum eddy_outcome */
	uint8_t stop;     /* private: asked to, for that outcome */
	uint8_t attempts; /* workers that died with it before it started */
};

/* An initialiser: struct eddy_job job = EDDY_JOB(hash_file, &data); */
#define EDDY_JOB(function, ptr)                                         \
	{                                                               \
		.fn = (function), .arg = (ptr), .size = sizeof(*(ptr)), \
		.name = #function                                       \
	}

/* A job that returned -errno counts as returned; failed: its worker did. */
struct eddy_executor_stats {
	uint64_t submitted, returned, failed, cancelled, expired;
	unsigned queued, running, workers; /* now */
};

/* Make an executor: embed struct eddy_executor first and fill the table.
 * submit may be called in any thread and is the only call that may refuse a
 * job: -EAGAIN when full, -ESHUTDOWN when closing.  Later the executor calls
 * eddy_job_begin, fn and eddy_job_end; and when its queue has room for n jobs
 * again eddy_executor_room, which submits those that wait (so it must not hold
 * a lock that submit takes). */
struct eddy_executor_ops {
	const char *name;
	int (*submit)(struct eddy_executor *executor, struct eddy_job *job);
	/* Take back a queued job or stop a running one with that outcome.  0,
	 * or -EALREADY: its outcome is on its way. */
	int (*cancel)(struct eddy_executor *executor, struct eddy_job *job,
	    enum eddy_outcome outcome);
	int (*close)(struct eddy_executor *executor, int64_t duration);
	void (*describe)(struct eddy_executor *executor,
	    struct eddy_executor_stats *ret_stats);
};

struct eddy_executor {
	const struct eddy_executor_ops *ops;
	pthread_mutex_t lock;      /* private: guards waiters */
	struct eddy_ready waiters; /* private: jobs that wait for room, FIFO */
	uint32_t waiting;          /* private: how many */
	uint64_t room; /* private: what eddy_executor_room hands out */
	bool closing;  /* private */
};

void eddy_executor_init(
    struct eddy_executor *executor, const struct eddy_executor_ops *ops);
void eddy_executor_fini(struct eddy_executor *executor);
void eddy_executor_room(struct eddy_executor *executor, unsigned n);
/* False: it was cancelled meanwhile; leave it alone. */
bool eddy_job_begin(struct eddy_job *job);
/* Publish the outcome, in any thread; the job is not the executor's any more. */
void eddy_job_end(struct eddy_job *job, enum eddy_outcome outcome, int result);

/* Run job on executor; done is called on loop with the outcome.  Any thread.
 * Without a loop (and done) the caller waits with eddy_job_wait.  -EAGAIN: the
 * queue is full; -EMSGSIZE: too big; -ESHUTDOWN; -EBUSY: the job is out. */
int eddy_submit(struct eddy_executor *executor, struct eddy_job *job,
    struct eddy_loop *loop, eddy_job_done_fn *done);

/* Wait for a job that was submitted without a loop.  Its eddy_job_rc, or -ETIME
 * with outcome EDDY_NONE when the deadline (absolute ns) came first.  -EDEADLK:
 * asked inside a job of the same executor. */
int eddy_job_wait(struct eddy_job *job, int64_t deadline);

/* Take back a queued job (it never runs) or stop a running one: a process is
 * killed, a thread's job is asked and goes on until it returns.  Any thread,
 * while the job is alive.  -EALREADY: it has its outcome. */
int eddy_job_cancel(struct eddy_job *job);

/* Result and outcome as one number: fn's result; -EOWNERDEAD when it crashed
 * or exited, -ETIME, -ECANCELED, -EPROTO, or why it was lost. */
int eddy_job_rc(const struct eddy_job *job);

/* Inside a job: was it asked to stop? */
bool eddy_job_stop_requested(void);

/* Inside a job on a thread: have stop(arg) called in the thread of whoever asks
 * this job to stop, once, while the job still runs (its end waits for stop to
 * return): sqlite3_interrupt, shutdown(2) and the like.  NULL: not any more.
 * -ECANCELED: it was asked already; -EINVAL: not inside a job. */
int eddy_job_on_stop(void (*stop)(void *), void *arg);

/* Stop accepting, cancel what is queued, wait for what runs.  Frees the
 * executor.  -ETIME: jobs still run after duration ns; threads keep the
 * pool's memory until they leave, processes are killed.  -EDEADLK: called by a
 * job of its own. */
int eddy_executor_close(struct eddy_executor *executor, int64_t duration);

void eddy_executor_stats(
    struct eddy_executor *executor, struct eddy_executor_stats *ret_stats);

/* An executor for unit tests: runs each job at once, on an exact copy of its
 * bytes while the original is poisoned, so that pointers into it and wrong
 * sizes show.  The caller's storage; close with eddy_executor_fini. */
void eddy_copy_executor(struct eddy_executor *executor);

EDDY_HEADER_END_

#endif
