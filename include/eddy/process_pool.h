/* SPDX-License-Identifier: ISC */
/*
 * process_pool: an executor of forked processes, for code that crashes, hangs,
 * leaks or must not share this address space.
 *
 * Workers are forked by a zygote, a tiny process forked early, so function
 * pointers stay valid and host state does not get copied.  One crash costs one
 * job and one worker, which is replaced.  See eddy-process-pool(3).
 */
#ifndef EDDY_PROCESS_POOL_H
#define EDDY_PROCESS_POOL_H

#include <sys/resource.h>

#include <eddy/executor.h>

EDDY_HEADER_BEGIN_

struct eddy_zygote; /* opaque */

/* Fork the zygote: after configuration and the drop of privileges, before the
 * first thread and big allocations.  -EDEADLK: this process has threads (one of
 * them may hold a lock for ever in the child); EDDY_FORK_THREADED insists. */
int eddy_zygote_open(struct eddy_zygote **ret_zygote, unsigned flags);
#define EDDY_FORK_THREADED 1u

/* End it and whatever it still has.  -EBUSY while a pool uses it. */
int eddy_zygote_close(struct eddy_zygote *zygote);

/* Jobs may take descriptors along and return some, and the outputs of
 * transforms exceed a slot: for one more socket for each worker. */
#define EDDY_PASS_DESCRIPTORS 2u

struct eddy_process_pool_options {
	struct eddy_zygote *zygote; /* borrowed; NULL: the pool forks its own */
	unsigned flags;       /* EDDY_FORK_THREADED, for its own zygote; and: */
	unsigned workers;     /* 0: CPUs of this process, or its quota */
	unsigned depth;       /* jobs a worker holds, 1 to 8; 0: 2.  1 for
	                         untrusted code */
	unsigned queue_limit; /* jobs that wait; 0: 65536 */
	size_t slot_size;     /* most bytes a job has; 0: 64 KiB */
	/* In each new worker before its first job, and when it is told to leave
	 * (not when it is killed); < 0: it cannot be had.  May be NULL. */
	int (*worker_open)(void *init, void **ret_state);
	void (*worker_close)(void *state);
	const void *init; /* borrowed until close; worker_open gets a copy */
	size_t init_size; /* of it, at most slot_size; 0: init is NULL */
	/* The same after worker_open, and the last thing before the first job:
	 * for a filter of system calls. */
	int (*worker_sandbox)(void *init);
	int64_t boot_limit; /* ns for a worker to get that far; 0: none */
	int64_t
	    grace; /* ns from asking a job to stop to SIGKILL; 0: not asked */
	/* An idle worker beyond one of these is replaced; 0: none. */
	unsigned max_jobs;
	size_t max_rss;   /* bytes, of the most it ever had */
	int64_t lifetime; /* ns */
};

/* How the worker that had a job ended, for struct eddy_long_job. */
struct eddy_worker_report {
	int pid;    /* 0: it did not end, or the job was not its victim */
	int code;   /* CLD_EXITED, CLD_KILLED, CLD_DUMPED; 0: not known */
	int status; /* the exit code or the signal */
	enum eddy_outcome
	    why;             /* what it was killed for; EDDY_NONE: not by us */
	bool stuck;          /* SIGKILL has not ended it within 5 s */
	struct rusage usage; /* of all its life */
};

/* Open a pool whose bells and deadlines live on home: submit from anywhere, but
 * home has to be running for jobs to move.  NULL: on a loop and in a thread of
 * its own, and any thread may close it.  options may be NULL. */
int eddy_process_pool_open(struct eddy_executor **ret_executor,
    struct eddy_loop *home, const struct eddy_process_pool_options *options);

/* Give job an idle worker, and size bytes in the memory of that as its arg, so
 * that nothing is copied either way: fill them in, submit, and read the result
 * there; then submit again, or release.  What a worker can still write is to be
 * read once only, unless it is trusted.  -EAGAIN: no worker is idle.  Home
 * thread of a loop of the caller's.  -EBUSY: the job is out, or has one. */
int eddy_job_reserve(
    struct eddy_executor *executor, struct eddy_job *job, uint32_t size);
/* Before the close, and not while job is out.  Its arg is NULL then. */
void eddy_job_release(struct eddy_job *job);

/* The process ids of live workers, for people and tests: how many there are,
 * of which at most n are stored.  Home thread; any, if it is the pool's own. */
int eddy_process_pool_pids(
    struct eddy_executor *executor, int *ret_pids, unsigned n);

EDDY_HEADER_END_

#endif
