/* SPDX-License-Identifier: ISC */
/*
 * offload: a job whose storage and executor the loop supplies.
 *
 * Storage is reused, so a steady state allocates nothing.  The loop's own
 * thread pool is opened by the first offload that names no executor.
 */
#include <eddy/offload.h>

#include <errno.h>
#include <stdint.h>

#include <eddy/thread_pool.h>

#include "executor_impl.h"
#include "loop_impl.h"
#include "sys.h"

struct own_pool {
	struct attachment attachment;
	struct eddy_executor *executor;
};

static int
close_own(
    struct eddy_loop *loop, struct attachment *attachment, int64_t duration)
{
	struct own_pool *own = CONTAINER_OF(
	    attachment, struct own_pool, attachment);

	(void)loop;
	return own->executor != NULL
	           ? eddy_executor_close(own->executor, duration)
	           : 0;
}

int
eddy_loop_executor(struct eddy_loop *loop, struct eddy_executor **ret_executor)
{
	int r = eddy__loop_mine(loop);
	struct own_pool *own;

	if (r < 0)
		return r;
	if (loop->options.executor != NULL) {
		*ret_executor = loop->options.executor;
		return 0;
	}
	own = eddy__loop_attached(loop, close_own, sizeof(*own));
	if (own == NULL)
		return -ENOMEM;
	if (own->executor == NULL)
		r = eddy_thread_pool_open(&own->executor, NULL);
	if (r == 0)
		*ret_executor = own->executor;
	return r;
}

static struct eddy_job *
take_storage(struct eddy_loop *loop)
{
	struct eddy_ready *spare = list_pop(&loop->spare_jobs);
	struct eddy_job *job;

	if (spare == NULL)
		return eddy__alloc(sizeof(*job));
	job = job_of(spare);
	*job = (struct eddy_job){0};
	return job;
}

EDDY_ASYNC
eddy_offload_bytes(struct eddy_task *self, struct eddy_executor *executor,
    eddy_job_fn *fn, void *arg, size_t size)
{
	struct eddy_job *job;
	int r = size > UINT32_MAX ? -EMSGSIZE : 0;

	if (r == 0 && executor == NULL)
		r = eddy_loop_executor(self->loop, &executor);
	if (r < 0)
		return eddy_complete(self, r);
	job = take_storage(self->loop);
	if (job == NULL)
		return eddy_complete(self, -ENOMEM);
	job->fn = fn;
	job->arg = arg;
	job->size = (uint32_t)size;
	job->flags = JOB_STORED;
	job->name = self->name;
	return eddy_job_run(self, executor, job);
}
