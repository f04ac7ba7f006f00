/* SPDX-License-Identifier: ISC */
/*
 * offload: a job whose storage and executor the loop supplies.
 *
 * Storage is reused, so a steady state allocates nothing.  The loop's own
 * thread pool is opened by the first offload that names no executor.
 */
#include "offload_impl.h"

#include <errno.h>
#include <string.h>

#include <eddy/thread_pool.h>

#include "executor_impl.h"
#include "sys.h"

struct own_pools {
	struct attachment attachment;
	struct eddy_executor *pools[OWN_POOLS]; /* NULL: not opened yet */
};

static int
close_own(struct eddy_loop *loop, struct attachment *attachment)
{
	struct own_pools *own = CONTAINER_OF(
	    attachment, struct own_pools, attachment);
	int i, r = 0, r2;

	for (i = 0; i < OWN_POOLS; i++) {
		if (own->pools[i] == NULL)
			continue;
		r2 = eddy_executor_close(
		    own->pools[i], loop->options.close_duration);
		r = r2 < 0 ? r2 : r;
	}
	return r;
}

int
eddy__loop_pool(struct eddy_loop *loop, enum own_pool which,
    struct eddy_executor **ret_executor)
{
	static const struct eddy_thread_pool_options options[OWN_POOLS] = {
	    [POOL_OF_NAMES] = {.workers_max = 4, .name = "eddy-name"}};
	struct own_pools *own = eddy__loop_attached(
	    loop, close_own, sizeof(*own));
	int r = own != NULL ? 0 : -ENOMEM;

	if (r == 0 && own->pools[which] == NULL)
		r = eddy_thread_pool_open(&own->pools[which], &options[which]);
	if (r == 0)
		*ret_executor = own->pools[which];
	return r;
}

int
eddy_loop_executor(struct eddy_loop *loop, struct eddy_executor **ret_executor)
{
	int r = eddy__loop_mine(loop);

	if (r < 0)
		return r;
	if (loop->options.executor == NULL)
		return eddy__loop_pool(loop, POOL_OF_JOBS, ret_executor);
	*ret_executor = loop->options.executor;
	return 0;
}

/* With room for the arguments of eddy__offload_call. */
struct stored_job {
	struct eddy_job job;
	union call_arg args[CALL_ARGS];
};

/* args, or arg of size bytes. */
static EDDY_ASYNC
run(struct eddy_task *self, struct eddy_executor *executor, eddy_job_fn *fn,
    const union call_arg *args, void *arg, uint32_t size)
{
	struct eddy_ready *spare = list_pop(&self->loop->spare_jobs);
	struct stored_job *stored;

	if (spare != NULL)
		stored = CONTAINER_OF(job_of(spare), struct stored_job, job);
	else
		stored = eddy__alloc(sizeof(*stored));
	if (stored == NULL)
		return eddy_complete(self, -ENOMEM);
	if (args != NULL) {
		arg = stored->args;
		size = sizeof(stored->args);
		memcpy(arg, args, size);
	}
	stored->job = (struct eddy_job){.fn = fn,
	    .arg = arg,
	    .size = size,
	    .flags = JOB_STORED,
	    .name = self->name};
	return eddy_job_run(self, executor, &stored->job);
}

EDDY_ASYNC
eddy_offload_bytes(struct eddy_task *self, struct eddy_executor *executor,
    eddy_job_fn *fn, void *arg, size_t size)
{
	int r = size > UINT32_MAX ? -EMSGSIZE : 0;

	if (r == 0 && executor == NULL)
		r = eddy_loop_executor(self->loop, &executor);
	if (r < 0)
		return eddy_complete(self, r);
	return run(self, executor, fn, NULL, arg, (uint32_t)size);
}

EDDY_ASYNC
eddy__offload_call(
    struct eddy_task *self, eddy_job_fn *fn, const union call_arg *args)
{
	struct eddy_executor *executor = NULL;
	int r = eddy_loop_executor(self->loop, &executor);

	if (r == 0 && executor->elsewhere)
		r = -EXDEV;
	if (r < 0)
		return eddy_complete(self, r);
	return run(self, executor, fn, args, NULL, 0);
}
