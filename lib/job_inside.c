/* SPDX-License-Identifier: ISC */
/*
 * job_inside: what a job may ask of the thread or process that runs it.
 */
#include <eddy/executor.h>

#include <errno.h>

#include "executor_impl.h"
#include "sys.h"

static _Thread_local struct inside inside;

/* Of the innermost of the jobs that run here, each in the submit of another. */
static inline struct inside *
here(void)
{
	return inside.innermost != NULL ? inside.innermost : &inside;
}

int
eddy__executor_submit(struct eddy_executor *executor, struct eddy_job *job)
{
	struct inside *outer = here(), inner;
	int r;

	if (outer->job == NULL && outer->report == NULL)
		return executor->ops->submit(executor, job);
	inner = (struct inside){.state = outer->state, .outer = outer};
	inside.innermost = &inner;
	r = executor->ops->submit(executor, job);
	eddy__inside_leave(&inner); /* one that began, but ends elsewhere */
	inside.innermost = outer;
	return r;
}

bool
eddy_job_begin(struct eddy_job *job)
{
	if (!A_SWAP(&job->state, JOB_QUEUED, JOB_RUNNING))
		return false;
	eddy__inside_leave(here()); /* one around it: nobody calls its hooks */
	here()->job = job;
	job_note(job, JOB_BEGUN);
	return true;
}

void
eddy__job_leave(const struct eddy_job *job)
{
	if (here()->job != job)
		return;
	job_note(job, JOB_OVER);
	eddy__inside_leave(here());
}

bool
eddy__job_runs_on(const struct eddy_executor *executor)
{
	const struct inside *in = here();

	while (in != NULL &&
	       (in->job == NULL || (in->job->executor != executor &&
				       in->job->executor->inner != executor)))
		in = in->outer;
	return in != NULL;
}

void
eddy__job_call_stop(struct eddy_executor *executor, struct eddy_job *job)
{
	struct inside *in;

	pthread_mutex_lock(&executor->lock);
	if ((job_flags(job) & JOB_HOOKED) != 0) {
		in = (void *)job->ready.next;
		job_set_flag(job, JOB_HOOKED, false);
		executor->stopping++;
		if (in->interrupt.fn != NULL)
			in->interrupt.fn(in->interrupt.arg);
		if (in->stop.fn != NULL)
			in->stop.fn(in->stop.arg);
		executor->stopping--;
	}
	pthread_mutex_unlock(&executor->lock);
}

/* Set what is called; more: than now.  What was there is called all the same
 * when somebody is about to.  A running job is in no list: its node tells. */
static int
hook(struct hook *which, struct hook changed, bool more)
{
	struct inside *in = here();
	struct eddy_job *job = in->job;
	bool asked, hooked;

	pthread_mutex_lock(&job->executor->lock);
	asked = A_LOAD(&job->stop) != EDDY_NONE;
	if (!more || !asked) {
		*which = changed;
		hooked = in->stop.fn != NULL || in->interrupt.fn != NULL;
		if (!hooked || !asked)
			job_set_flag(job, JOB_HOOKED, hooked);
	}
	job->ready.next = (void *)in;
	pthread_mutex_unlock(&job->executor->lock);
	return more && asked ? -ECANCELED : 0;
}

int
eddy__job_set_stop(struct hook stop, bool more)
{
	return here()->job != NULL ? hook(&here()->stop, stop, more) : -EINVAL;
}

int
eddy_job_on_stop(void (*stop)(void *), void *arg)
{
	return eddy__job_set_stop((struct hook){stop, arg}, stop != NULL);
}

int
eddy__job_interrupt(void (*interrupt)(void *), void *worker)
{
	struct hook changed = {interrupt, worker};

	return hook(&here()->interrupt, changed, true);
}

struct hook
eddy__job_stop(void)
{
	return here()->stop;
}

void
eddy__job_unhook(void)
{
	static const struct hook none;
	struct inside *in = here();

	if (in->stop.fn != NULL)
		hook(&in->stop, none, false);
	if (in->interrupt.fn != NULL)
		hook(&in->interrupt, none, false);
}

bool
eddy_job_stop_requested(void)
{
	const struct inside *in = here();

	if (in->report != NULL)
		return A_LOAD(&in->report->stop) != 0;
	return in->job != NULL && A_LOAD(&in->job->stop) != 0;
}

struct inside *
eddy__worker_enter(void *state)
{
	inside = (struct inside){.state = state};
	return &inside;
}

/* Of the job that runs here, or NULL. */
static struct eddy_descriptors *
descriptors(void)
{
	const struct inside *in = here();
	struct eddy_job *job = in->job;

	if (in->report != NULL)
		return in->fds;
	return job != NULL && (job_flags(job) & EDDY_JOB_LONG) != 0
	           ? long_job_of(job)->fds
	           : NULL;
}

int
eddy_job_fd(unsigned i)
{
	const struct eddy_descriptors *fds = descriptors();

	return fds != NULL && i < fds->in_count ? fds->in[i] : -EINVAL;
}

int
eddy_job_return_fd(int fd)
{
	struct eddy_descriptors *fds = descriptors();

	if (fds == NULL || fd < 0)
		return -EINVAL;
	if (fds->out_count == EDDY_DESCRIPTORS)
		return -ENOSPC;
	fds->out[fds->out_count++] = fd;
	return 0;
}

void *
eddy_worker_state(void)
{
	return here()->state;
}

int
eddy_job_progress(int64_t value)
{
	const struct inside *in = here();
	struct report *report = in->report;
	struct eddy_job *job = in->job;

	if (report != NULL && A_LOAD(&report->wanted) != 0) {
		A_STORE(&report->value, value);
		A_RELEASE(&report->count, report->count + 1);
		return eddy__ring(in->bell) < 0 ? -EPIPE : 0;
	}
	if (job == NULL || (job_flags(job) & EDDY_JOB_LONG) == 0 ||
	    job->door == NULL || long_job_of(job)->on_progress == NULL)
		return -EINVAL;
	A_RELEASE(&long_job_of(job)->latest, value);
	eddy_post(((struct door *)job->door)->loop, &long_job_of(job)->post);
	return 0;
}
