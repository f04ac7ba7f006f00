/* SPDX-License-Identifier: ISC */
/*
 * offload: await a blocking function.
 *
 * The same line runs on threads and on processes; only the executor differs.
 */
#ifndef EDDY_OFFLOAD_H
#define EDDY_OFFLOAD_H

#include <eddy/executor.h>
#include <eddy/task.h>

EDDY_HEADER_BEGIN_

/* Await fn(ptr) on executor; NULL: the loop's own, a thread pool that is opened
 * on first use.  A thread works on *ptr in place, a process on a copy that is
 * copied back when fn returned.  *ptr outlives the await.  The result is
 * eddy_job_rc's.  Waits for room when the queue is full. */
#define eddy_offload(self, executor, fn, ptr) \
	eddy_offload_bytes(self, executor, fn, ptr, sizeof(*(ptr)))
EDDY_ASYNC eddy_offload_bytes(struct eddy_task *self,
    struct eddy_executor *executor, eddy_job_fn *fn, void *arg, size_t size);

/* Await a job of one's own, for its deadline, name, outcome and result. */
EDDY_ASYNC eddy_job_run(struct eddy_task *self, struct eddy_executor *executor,
    struct eddy_job *job);

EDDY_HEADER_END_

#endif
