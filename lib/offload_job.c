/* SPDX-License-Identifier: ISC */
/*
 * offload_job: a task awaits a job, and waits for room first when it must; or
 * that an executor has no job left.
 */
#include <eddy/offload.h>

#include <errno.h>

#include "executor_impl.h"
#include "sys.h"
#include "task_impl.h"

static int
give_up(struct eddy_task *task, int rc)
{
	struct eddy_job *job = task->use.user[0];

	(void)rc; /* the outcome comes when the job has ended */
	return eddy__job_give_up(
	    job, job_expired(job) ? EDDY_EXPIRED : EDDY_CANCELLED);
}

const struct eddy_op eddy__job_op = {"job", give_up};

void
eddy__job_wake(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_job *job = job_of(ready);
	struct eddy_task *task = job->to.task;
	int rc = eddy_job_rc(job);

	eddy__job_heard(loop, job);
	if ((job_flags(job) & JOB_OWNED) != 0)
		eddy__free(owned_of(job));
	else if ((job_flags(job) & JOB_STORED) != 0)
		list_push(&loop->spare_jobs, &job->ready);
	eddy_unpark(task, rc);
}

int
eddy__job_start(struct eddy_task *task, struct eddy_executor *executor,
    struct eddy_job *job, void (*run)(struct eddy_loop *, struct eddy_ready *))
{
	if (job->fn == NULL)
		return -EINVAL;
	if (eddy_cancelled(task))
		return -ECANCELED;
	return eddy__job_submit(
	    executor, job, task->loop, run, (union eddy_job_to){.task = task});
}

EDDY_ASYNC
eddy_job_run(struct eddy_task *self, struct eddy_executor *executor,
    struct eddy_job *job)
{
	int64_t deadline = job->deadline;
	int r = eddy__job_start(self, executor, job, eddy__job_wake);

	if (r < 0) {
		if ((job_flags(job) & JOB_STORED) != 0)
			list_push(&self->loop->spare_jobs, &job->ready);
		return eddy_complete(self, r);
	}
	self->use.user[0] = job;
	if (deadline == 0)
		return eddy__park(self, &eddy__job_op);
	return eddy__limit(
	    self, deadline, REAL_TIME, eddy__park(self, &eddy__job_op));
}

static int
stop_drain(struct eddy_task *task, int rc)
{
	struct eddy_executor *executor = task->use.user[0];

	if (rc != -EINVAL && A_LOAD(&executor->drains) == 0)
		return -EALREADY; /* they are out; the news is on its way */
	eddy__executor_undrain(executor);
	return eddy_unpark(task, rc);
}

static const struct eddy_op drain_op = {"drain", stop_drain};

static void
on_drained(struct eddy_loop *loop, struct eddy_executor *executor, int result)
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
		r = eddy_executor_drain_then(executor, self->loop, on_drained);
	if (r < 0)
		return eddy_complete(self, r);
	executor->drain_task = self;
	self->use.user[0] = executor;
	return eddy__limit(
	    self, eddy_after(duration), REAL_TIME, eddy__park(self, &drain_op));
}
