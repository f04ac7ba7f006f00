/* SPDX-License-Identifier: ISC */
/*
 * copy_executor: what a worker process does to a job's bytes, without one.
 */
#include <eddy/executor.h>

#include <errno.h>
#include <string.h>

#include "executor_impl.h"
#include "sys.h"

enum { POISON = 0xa5 };

static int
submit(struct eddy_executor *executor, struct eddy_job *job)
{
	void *copy, *arg = NULL;
	int r;

	(void)executor;
	if (job->arg == NULL && job->size != 0)
		return -EINVAL;
	/* Exactly as long as the job says, so that checkers see one too far. */
	copy = eddy__alloc(job->size);
	if (copy == NULL)
		return -ENOMEM;
	eddy_job_begin(job);
	if (job->fn == eddy__transform_run) {
		arg = job->arg; /* its input is to be read only */
	} else if (job->size != 0) {
		arg = copy;
		memcpy(copy, job->arg, job->size);
		memset(job->arg, POISON, job->size);
	}
	r = job->fn(arg);
	if (job->size != 0)
		memcpy(job->arg, copy, job->size);
	eddy__free(copy);
	if (r < LOWEST_RESULT)
		eddy_job_end(job, EDDY_PROTOCOL, 0);
	else
		eddy_job_end(job, EDDY_RETURNED, r);
	return 0;
}

static int
cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	(void)executor;
	(void)job;
	(void)outcome;
	return -EALREADY; /* all jobs are over */
}

static int
close_executor(struct eddy_executor *executor, int64_t duration)
{
	(void)duration;
	eddy_executor_fini(executor);
	return 0;
}

static void
describe(struct eddy_executor *executor, struct eddy_executor_stats *ret_stats)
{
	(void)executor;
	*ret_stats = (struct eddy_executor_stats){0};
}

void
eddy_copy_executor(struct eddy_executor *executor)
{
	static const struct eddy_executor_ops ops = {"copy", submit, cancel,
	    close_executor, describe, eddy_executor_drained, NULL};

	eddy_executor_init(executor, &ops);
}
