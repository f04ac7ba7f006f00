/* SPDX-License-Identifier: ISC */
/*
 * thread_pool: an executor of threads, for code that waits.
 *
 * Workers start when jobs wait and leave when idle.  They block all signals
 * but those of faults.  A running job is never abandoned: its bytes are the
 * caller's.
 */
#ifndef EDDY_THREAD_POOL_H
#define EDDY_THREAD_POOL_H

#include <eddy/executor.h>

EDDY_HEADER_BEGIN_

struct eddy_thread_pool_options {
	unsigned workers_max;  /* 0: CPUs (or quota) + 4, at most 32 */
	unsigned workers_min;  /* stay when idle; default 0 */
	unsigned queue_limit;  /* jobs that wait; 0: 65536 */
	size_t stack_size;     /* bytes; 0: the C library's default */
	int64_t spin_duration; /* awake, before sleep; 0: 20 us, -1: none */
	int64_t idle_duration; /* ns until an idle worker leaves; 0: 10 s */
	const char
	    *name; /* of threads: 10 bytes, then "-1" ...; NULL: "eddy" */
	/* In each worker before its first job and after its last; init is
	 * borrowed until close.  < 0: this one cannot be had; may be NULL. */
	int (*worker_open)(void *init, void **ret_state);
	void (*worker_close)(void *state);
	void *init;
	const void *cpus;     /* a cpu_set_t to run on, borrowed; NULL: any */
	size_t cpus_size;     /* bytes */
	int interrupt_signal; /* for EDDY_JOB_INTERRUPT, SIGRTMIN to SIGRTMAX;
	                       * its handler is replaced; 0: none */
};

/* Open a pool; options may be NULL.  No thread starts before the first job. */
int eddy_thread_pool_open(struct eddy_executor **ret_executor,
    const struct eddy_thread_pool_options *options);

EDDY_HEADER_END_

#endif
