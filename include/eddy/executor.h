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

#include <eddy/post.h>

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
#define EDDY_JOB_NOWAIT    1u /* full: -EAGAIN for awaiting tasks too */
#define EDDY_JOB_URGENT    2u /* before others; but one in eight is another */
#define EDDY_JOB_INTERRUPT 4u /* asked to stop: the signal of its pool, too */
#define EDDY_JOB_LONG      8u /* it is that of a struct eddy_long_job */

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
	union eddy_job_to {
		eddy_job_done_fn *done;
		struct eddy_task *task;
		uintptr_t needs; /* nobody; see job.c */
	} to;                    /* private: who hears of the outcome */
	int result;              /* see enum eddy_outcome */
	uint8_t flags;           /* EDDY_JOB_* */
	uint8_t outcome;         /* enum eddy_outcome */
	uint8_t stop;            /* private: asked to, for that outcome */
	uint8_t attempts; /* workers that died with it before it started */
};

/* What *ptr takes; of a void *, such as NULL, nothing; an array does not
 * compile, since it is its first element that would go. */
/* clang-format off */
#ifdef __cplusplus
#define EDDY_SIZE_OF_(ptr) sizeof(*(ptr))
#else
#define EDDY_SIZE_OF_(ptr) (__extension__ (EDDY_NO_ARRAY_(ptr) + \
	(EDDY_IS_(ptr, void *) ? 0 : sizeof(*(ptr)))))
#define EDDY_NO_ARRAY_(ptr) (0 * sizeof(struct { int array_without_ampersand : \
	EDDY_IS_(ptr, __typeof__((void)0, (ptr))) ? 1 : -1; }))
#define EDDY_IS_(ptr, type) \
	__builtin_types_compatible_p(__typeof__(ptr), type)
#endif
/* clang-format on */

/* An initialiser: struct eddy_job job = EDDY_JOB(hash_file, &data); */
#define EDDY_JOB(function, ptr)                                             \
	{                                                                   \
		.fn = (function), .arg = (ptr), .size = EDDY_SIZE_OF_(ptr), \
		.name = #function                                           \
	}

struct eddy_worker_report; /* process_pool.h */

/* Descriptors that go with a job. */
#define EDDY_DESCRIPTORS 16
struct eddy_descriptors {
	unsigned in_count, out_count;
	int in[EDDY_DESCRIPTORS];  /* lent to the job while it runs */
	int out[EDDY_DESCRIPTORS]; /* what it returned: the caller closes */
};

/* A job that tells how far it is: the latest to on_progress, on its loop. */
struct eddy_long_job {
	struct eddy_job job; /* with EDDY_JOB_LONG */
	void (*on_progress)(
	    struct eddy_loop *loop, struct eddy_long_job *long_job);
	int64_t progress; /* the latest, for on_progress */
	/* Of process pools; others do not look at them. */
	int64_t run_limit; /* ns from its start until it is stopped; 0: none */
	struct eddy_worker_report *report; /* borrowed; NULL: not wanted */
	uint32_t in_only;  /* bytes at the front of arg that do not come back */
	uint32_t out_only; /* at its end that do not go there */
	/* Of any executor. */
	struct eddy_descriptors *fds; /* borrowed; or NULL */
	int64_t latest;               /* private: any thread */
	struct eddy_post post;        /* private */
};

/* An initialiser, as EDDY_JOB. */
#define EDDY_LONG_JOB(function, ptr, progress_fn) \
	{                                         \
		.job = {.fn = (function),         \
		    .arg = (ptr),                 \
		    .size = EDDY_SIZE_OF_(ptr),   \
		    .name = #function,            \
		    .flags = EDDY_JOB_LONG},      \
		.on_progress = (progress_fn)      \
	}

/* A job that returned -errno counts as returned; failed: its worker did. */
struct eddy_executor_stats {
	uint64_t submitted, returned, failed, cancelled, expired;
	unsigned queued, running, workers; /* now */
	unsigned abandoned;                /* still run, though given up */
};

/* For people: a worker that is there, or a job that is queued. */
struct eddy_worker {
	int id;          /* as a thread or process; 0: the job is queued */
	const char *job; /* the name of what it runs; NULL: it is idle */
	int64_t since;   /* when that was submitted, ns; 0: unknown */
};

/* Make an executor: embed struct eddy_executor first and fill the table.  Later
 * the executor calls eddy_job_begin, fn and eddy_job_end; and when its queue
 * has room for n jobs again eddy_executor_room, which submits those that wait
 * (so it must not hold a lock that submit takes). */
struct eddy_executor_ops {
	const char *name;
	/* Any thread.  The only call that may refuse a job: -EAGAIN when full,
	 * -ESHUTDOWN when closing. */
	int (*submit)(struct eddy_executor *executor, struct eddy_job *job);
	/* Take back a queued job or stop a running one with that outcome.  0,
	 * or -EALREADY: its outcome is on its way. */
	int (*cancel)(struct eddy_executor *executor, struct eddy_job *job,
	    enum eddy_outcome outcome);
	int (*close)(struct eddy_executor *executor, int64_t duration);
	void (*describe)(struct eddy_executor *executor,
	    struct eddy_executor_stats *ret_stats);
	/* Call eddy_executor_drained once, when no job is left: from now on
	 * none is submitted.  NULL: it cannot be drained. */
	void (*drain)(struct eddy_executor *executor);
	/* How many workers there are, and up to n of them; where that leaves
	 * room jobs of the queue follow, and count.  NULL: unknown. */
	unsigned (*workers)(struct eddy_executor *executor,
	    struct eddy_worker *ret_workers, unsigned n);
};

/* All private but ops. */
struct eddy_executor {
	const struct eddy_executor_ops *ops;
	/* When nobody needs its memory any more; NULL: it is the caller's. */
	void (*destroy)(struct eddy_executor *executor);
	uint32_t refs; /* any thread: until closed; jobs that were not heard */
	const uint32_t *ours;       /* 0 in a forked child; or NULL */
	struct eddy_loop *home;     /* it is closed in that thread; or NULL */
	pthread_mutex_t lock;       /* guards all that follows */
	struct eddy_ready waiters;  /* jobs that wait for room, FIFO */
	uint32_t waiting;           /* how many; or are on their way */
	uint64_t room;              /* what eddy_executor_room hands out */
	struct eddy_job *admitting; /* one of those on their way */
	unsigned stopping;          /* stop functions that run, with the lock */
	bool closing;               /* refuses jobs */
	bool closed;                /* and those that wait */
	bool elsewhere;             /* its jobs have another address space */
	uint32_t abandoned;         /* any thread */
	const char **ret_names;     /* of eddy_executor_close_naming */
	unsigned names;
	/* Of a strand: what it is in front of; a job has ended, and (if true)
	 * the next one or none is handed on after its outcome was published. */
	struct eddy_executor *inner;
	bool (*ended)(struct eddy_executor *executor, enum eddy_outcome outcome,
	    struct eddy_job **ret_next);
	void (*hand_on)(struct eddy_executor *executor, struct eddy_job *job);
	/* Of the drain, if any. */
	struct eddy_loop *drain_loop;
	void (*on_drained)(
	    struct eddy_loop *loop, struct eddy_executor *executor, int result);
	struct eddy_post drained;
	struct eddy_task *drain_task;
	uint32_t drains; /* any thread: 1 until drained is posted */
};

void eddy_executor_init(
    struct eddy_executor *executor, const struct eddy_executor_ops *ops);
void eddy_executor_fini(struct eddy_executor *executor);
void eddy_executor_room(struct eddy_executor *executor, unsigned n);
/* False: it was cancelled meanwhile; leave it alone. */
bool eddy_job_begin(struct eddy_job *job);
/* Publish the outcome, in any thread; the job is the executor's no more. */
void eddy_job_end(struct eddy_job *job, enum eddy_outcome outcome, int result);

/* Run job on executor; done is called on loop with the outcome.  Any thread.
 * Without a loop (and done) the caller waits with eddy_job_wait.  -EAGAIN: the
 * queue is full; -EMSGSIZE: too big; -ESHUTDOWN; -EBUSY: the job is out. */
int eddy_submit(struct eddy_executor *executor, struct eddy_job *job,
    struct eddy_loop *loop, eddy_job_done_fn *done);

/* Wait for a job that was submitted without a loop.  Its eddy_job_rc, or -ETIME
 * when the deadline (absolute ns) came first: eddy_job_rc tells.  -EDEADLK: asked
 * inside a job of this executor, or in the home thread of its pool. */
int eddy_job_wait(struct eddy_job *job, int64_t deadline);

/* Take back a queued job (it never runs) or stop a running one: a process is
 * killed, a thread's job is asked and goes on until it returns.  Any thread,
 * while the job is alive.  -EALREADY: it has its outcome. */
int eddy_job_cancel(struct eddy_job *job);

/* Result and outcome as one number: fn's result; -EOWNERDEAD when it crashed
 * or exited, -ETIME, -ECANCELED, -EPROTO, or why it was lost.  -EINPROGRESS: it
 * is still out. */
int eddy_job_rc(const struct eddy_job *job);

/* Inside a job: was it asked to stop? */
bool eddy_job_stop_requested(void);

/* Inside a job: what worker_open made, or NULL. */
void *eddy_worker_state(void);

/* Inside a job of a struct eddy_long_job: on_progress will see value or a later
 * one (and perhaps one of them twice) before the outcome.  -EINVAL: not inside
 * such a job. */
int eddy_job_progress(int64_t value);

/* Inside a job: descriptor i of those that go with it, lent until it returns;
 * or -EINVAL. */
int eddy_job_fd(unsigned i);
/* Inside a job: return fd with it.  Takes fd, if 0.  -ENOSPC; -EINVAL: the job
 * was submitted without descriptors. */
int eddy_job_return_fd(int fd);

/* Inside a job on a thread: have stop(arg) called in the thread of whoever asks
 * this job to stop, once, while the job still runs (its end waits for stop to
 * return): sqlite3_interrupt, shutdown(2) and the like.  NULL: not any more.
 * -ECANCELED: it was asked already; -EINVAL: not inside a job. */
int eddy_job_on_stop(void (*stop)(void *), void *arg);

/* Stop accepting, cancel what is queued, wait for what runs.  Frees the
 * executor: no other thread may be about to submit to it, or to cancel a job
 * that is not of its own loop (tasks and their timeouts are, at any time).
 * -ETIME: jobs still run after duration ns; threads keep the pool's memory
 * until they leave, processes are killed.  -EDEADLK: called by a job of its
 * own.  -EPERM: in another thread than its home loop's, or a drain's. */
int eddy_executor_close(struct eddy_executor *executor, int64_t duration);

/* The same; after -ETIME names has those of up to n jobs that still run, then
 * NULL where there are fewer. */
int eddy_executor_close_naming(struct eddy_executor *executor, int64_t duration,
    const char **ret_names, unsigned n);

/* Refuse jobs from now on (-ESHUTDOWN) and have done called on loop, once: when
 * those accepted have their outcomes (0), or by a close before that
 * (-ESHUTDOWN).  Loop thread; the loop is held until then and must stay open;
 * the executor stays open.  -EBUSY: a drain is under way, or it is closing;
 * -ENOTSUP. */
typedef void eddy_drained_fn(
    struct eddy_loop *loop, struct eddy_executor *executor, int result);
int eddy_executor_drain_then(struct eddy_executor *executor,
    struct eddy_loop *loop, eddy_drained_fn *done);
/* For executors: no job is left.  Any thread. */
void eddy_executor_drained(struct eddy_executor *executor);

void eddy_executor_stats(
    struct eddy_executor *executor, struct eddy_executor_stats *ret_stats);

/* An executor for unit tests: runs each job at once, on an exact copy of its
 * bytes while the original is poisoned, so that pointers into it and wrong
 * sizes show.  The caller's storage; close with eddy_executor_fini. */
void eddy_copy_executor(struct eddy_executor *executor);

EDDY_HEADER_END_

#endif
