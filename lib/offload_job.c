/* SPDX-License-Identifier: ISC */
/*
 * offload_job: a task awaits a job, and waits for room first when it must.
 */
#include <eddy/offload.h>

#include <errno.h>

#include "executor_impl.h"
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

static void
wake(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_job *job = job_of(ready);
	struct eddy_task *task = job->to.task;
	int rc = eddy_job_rc(job);

	eddy__job_heard(loop, job);
	if ((job_flags(job) & JOB_STORED) != 0)
		list_push(&loop->spare_jobs, &job->ready);
	eddy_unpark(task, rc);
}

int
eddy__job_start(struct eddy_task *task, struct eddy_executor *executor,
    struct eddy_job *job, void (*run)(struct eddy_loop *, struct eddy_ready *))
{
	int r = job->fn != NULL ? 0 : -EINVAL;

	if (r == 0 && eddy_cancelled(task))
		r = -ECANCELED;
	if (r == 0)
		r = eddy__job_prepare(executor, job, task->loop, run);
	if (r < 0)
		return r;
	job->to.task = task;
	r = job_submit(executor, job);
	if (r == -EAGAIN && (job_flags(job) & EDDY_JOB_NOWAIT) == 0) {
		eddy__loop_flush(task->loop, true); /* those came first */
		r = eddy__job_enqueue(executor, job);
	}
	return r < 0 ? eddy__job_withdraw(job, r) : 0;
}

EDDY_ASYNC
eddy_job_run(struct eddy_task *self, struct eddy_executor *executor,
    struct eddy_job *job)
{
	int64_t deadline = job->deadline;
	int r = eddy__job_start(self, executor, job, wake);

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
