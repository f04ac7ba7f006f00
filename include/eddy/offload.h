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
	eddy_offload_bytes(self, executor, fn, ptr, EDDY_SIZE_OF_(ptr))
EDDY_ASYNC eddy_offload_bytes(struct eddy_task *self,
    struct eddy_executor *executor, eddy_job_fn *fn, void *arg, size_t size);

/* The same with bytes that go with the job: *ref points to them, and when the
 * await is cancelled or timed out it returns at once, *ref is NULL, and
 * drop(bytes) is called where and when the job ends, if only in the queue. */
#define eddy_offload_owned(self, executor, fn, ref, drop) \
	eddy_offload_owned_bytes(                         \
	    self, executor, fn, ref, EDDY_SIZE_OF_(*(ref)), drop)
EDDY_ASYNC eddy_offload_owned_bytes(struct eddy_task *self,
    struct eddy_executor *executor, eddy_job_fn *fn, void *ref, size_t size,
    void (*drop)(void *));

/* Await fn(&array[i]) for i = 0 to n - 1, each of size bytes, at most at_most
 * of them at a time.  0, or the first failure, after which no more begin. */
EDDY_ASYNC eddy_map(struct eddy_task *self, struct eddy_executor *executor,
    eddy_job_fn *fn, void *array, size_t n, size_t size, unsigned at_most);

/* The executor that NULL stands for, to have its stats, or a strand over it.
 * It is closed with the loop.  Loop thread; -ENOMEM and the like. */
int eddy_loop_executor(
    struct eddy_loop *loop, struct eddy_executor **ret_executor);

/* Await a job of one's own, for its deadline, name, outcome and result. */
EDDY_ASYNC eddy_job_run(struct eddy_task *self, struct eddy_executor *executor,
    struct eddy_job *job);

/* Refuse jobs from now on (-ESHUTDOWN) and await the outcomes of those that
 * were accepted; the executor (not NULL) stays open.  -ETIME: not within
 * duration ns; one may go on.  -ESHUTDOWN: closed meanwhile.  -EBUSY: a drain
 * is under way. */
EDDY_ASYNC eddy_executor_drain(
    struct eddy_task *self, struct eddy_executor *executor, int64_t duration);

EDDY_HEADER_END_

#endif
