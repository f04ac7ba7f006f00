/* SPDX-License-Identifier: ISC */
/*
 * offload_owned: a job whose bytes go with it, so nobody has to wait for it.
 *
 * fate: OUT -> ENDED by who ends the job, or OUT -> GIVEN_UP by the task that
 * waits (compare-and-swap: one of them).  A job that was given up is dropped
 * where it ends, and nothing of its loop is touched any more; GIVEN_UP -> LEFT
 * by the first of the two that does not need it any more, the other frees it.
 */
#include <eddy/offload.h>

#include <errno.h>
#include <string.h>

#include "executor_impl.h"
#include "sys.h"
#include "task_impl.h"

enum fate { OUT, ENDED, GIVEN_UP, LEFT };

static void
release(struct owned_job *owned)
{
	if (A_XCHG(&owned->fate, LEFT) == LEFT)
		eddy__free(owned);
}

/* In the thread where it ends. */
static bool
settle(struct eddy_job *job)
{
	struct owned_job *owned = owned_of(job);

	if (A_SWAP(&owned->fate, OUT, ENDED))
		return true;
	owned->drop(job->arg);
	A_SUB(&job->executor->abandoned, 1);
	release(owned);
	return false;
}

static int
give_up(struct eddy_task *task, int rc)
{
	struct owned_job *owned = task->use.user[0];
	struct eddy_job *job = &owned->job;
	struct eddy_executor *executor = job->executor;
	void *nothing = NULL;

	A_ADD(&job->executor->abandoned, 1); /* before it may end as one */
	if (!A_SWAP(&owned->fate, OUT, GIVEN_UP)) {
		A_SUB(&job->executor->abandoned, 1);
		return 0; /* the outcome is on its way */
	}
	memcpy(owned->ref, &nothing, sizeof(nothing));
	eddy__job_give_up(job, EDDY_CANCELLED);
	eddy__job_forgotten(task->loop, executor);
	release(owned);
	return eddy_unpark(task, rc);
}

const struct eddy_op eddy__owned_op = {"job", give_up};

EDDY_ASYNC
eddy_offload_owned_bytes(struct eddy_task *self, struct eddy_executor *executor,
    eddy_job_fn *fn, void *ref, size_t size, void (*drop)(void *))
{
	struct owned_job *owned;
	int r = size > UINT32_MAX ? -EMSGSIZE : 0;

	if (r == 0 && drop == NULL)
		r = -EINVAL;
	if (r == 0 && executor == NULL)
		r = eddy_loop_executor(self->loop, &executor);
	if (r < 0)
		return eddy_complete(self, r);
	owned = eddy__alloc(sizeof(*owned));
	if (owned == NULL)
		return eddy_complete(self, -ENOMEM);
	memcpy(&owned->job.arg, ref, sizeof(void *));
	owned->job.fn = fn;
	owned->job.size = (uint32_t)size;
	owned->job.flags = JOB_OWNED;
	owned->job.name = self->name;
	owned->settle = settle;
	owned->drop = drop;
	owned->ref = ref;
	self->use.user[0] = owned;
	r = eddy__job_start(self, executor, &owned->job, eddy__job_wake);
	if (r < 0) {
		eddy__free(owned);
		return eddy_complete(self, r);
	}
	return eddy__park(self, &eddy__owned_op);
}
