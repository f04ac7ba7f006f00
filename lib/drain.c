/* SPDX-License-Identifier: ISC */
/*
 * drain: a task awaits that an executor has no job left.
 */
#include <eddy/offload.h>

#include <errno.h>

#include "executor_impl.h"
#include "task_impl.h"

static int
give_up(struct eddy_task *task, int rc)
{
	eddy__executor_undrain(task->use.user[0]);
	return eddy_unpark(task, rc);
}

static const struct eddy_op drain_op = {"drain", give_up};

static void
wake(struct eddy_loop *loop, struct eddy_executor *executor, int result)
{
	(void)loop;
	eddy_unpark(executor->drain_task, result);
}

EDDY_ASYNC
eddy_executor_drain(
    struct eddy_task *self, struct eddy_executor *executor, int64_t duration)
{
	int r = eddy_cancelled(self) ? -ECANCELED : 0;

	if (r == 0)
		r = eddy_executor_drain_then(executor, self->loop, wake);
	if (r < 0)
		return eddy_complete(self, r);
	executor->drain_task = self;
	self->use.user[0] = executor;
	return eddy__limit(
	    self, eddy_after(duration), REAL_TIME, eddy__park(self, &drain_op));
}
