/* SPDX-License-Identifier: ISC */
/*
 * job_inside: what a job may ask of the thread or process that runs it.
 */
#include <eddy/executor.h>

#include <errno.h>

#include "executor_impl.h"
#include "sys.h"

/* The job this thread runs, and how to stop it. */
struct inside {
	struct eddy_job *job;
	void (*stop)(void *); /* guarded by the lock of its executor */
	void *arg;
	void *state;           /* of this worker */
	struct report *report; /* in a worker process */
	int bell;
};

static _Thread_local struct inside inside;

bool
eddy_job_begin(struct eddy_job *job)
{
	uint32_t queued = JOB_QUEUED;

	if (!A_CAS(&job->state, &queued, JOB_RUNNING))
		return false;
	inside.job = job;
	return true;
}

void
eddy__job_leave(const struct eddy_job *job)
{
	if (inside.job == job)
		eddy__job_enter(NULL);
}

bool
eddy__job_runs_on(const struct eddy_executor *executor)
{
	const struct eddy_executor *here;

	here = inside.job != NULL ? inside.job->executor : NULL;
	return here != NULL && (here == executor || here->inner == executor);
}

bool
eddy__job_would_block(const struct eddy_executor *executor)
{
	return inside.job != NULL &&
	       (eddy__job_runs_on(executor) ||
		   (executor->inner != NULL &&
		       eddy__job_runs_on(executor->inner)));
}

/* After job->stop was set: one of the two sides sees the other. */
void
eddy__job_call_stop(struct eddy_executor *executor, struct eddy_job *job)
{
	pthread_mutex_lock(&executor->lock);
	if ((job_flags(job) & JOB_HOOKED) != 0) {
		struct inside *in = (void *)job->ready.next;

		job_set_flag(job, JOB_HOOKED, false);
		in->stop(in->arg);
	}
	pthread_mutex_unlock(&executor->lock);
}

/* A job that runs is in no list, so its node can tell where. */
int
eddy_job_on_stop(void (*stop)(void *), void *arg)
{
	struct eddy_job *job = inside.job;
	int r = 0;

	if (job == NULL)
		return -EINVAL;
	pthread_mutex_lock(&job->executor->lock);
	if (A_LOAD(&job->stop) != EDDY_NONE && stop != NULL)
		r = -ECANCELED;
	else
		inside.stop = stop, inside.arg = arg;
	job_set_flag(job, JOB_HOOKED, r == 0 && stop != NULL);
	job->ready.next = (void *)&inside;
	pthread_mutex_unlock(&job->executor->lock);
	return r;
}

void
eddy__job_stop(void (**ret_stop)(void *), void **ret_arg)
{
	*ret_stop = inside.stop;
	*ret_arg = inside.arg;
}

void
eddy__job_enter(struct eddy_job *job)
{
	if (inside.stop != NULL)
		eddy_job_on_stop(NULL, NULL);
	inside.job = job;
}

bool
eddy_job_stop_requested(void)
{
	return inside.job != NULL && A_LOAD(&inside.job->stop) != 0;
}

/* A worker. */

void
eddy__worker_enter(void *state, struct report *report, int bell)
{
	inside.state = state;
	inside.report = report;
	inside.bell = bell;
}

void *
eddy_worker_state(void)
{
	return inside.state;
}

int
eddy_job_progress(int64_t value)
{
	struct eddy_job *job = inside.job;

	if (inside.report != NULL) {
		A_STORE(&inside.report->value, value);
		A_RELEASE(&inside.report->count, inside.report->count + 1);
		return eddy__ring(inside.bell) < 0 ? -EPIPE : 0;
	}
	if (job == NULL || (job_flags(job) & EDDY_JOB_LONG) == 0 ||
	    job->door == NULL)
		return -EINVAL;
	A_STORE(&long_job_of(job)->latest, value);
	eddy_post(((struct door *)job->door)->loop, &long_job_of(job)->post);
	return 0;
}
