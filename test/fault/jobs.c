/* SPDX-License-Identifier: ISC */
/*
 * jobs: jobs on threads and processes.
 */
#include "scenario.h"

enum { JOBS = 8 };

static struct call last[JOBS]; /* out when the pool is closed */
static int last_count;
static uint32_t told; /* by another thread */

int
give(void *arg)
{
	int *in = arg;

	*in += 1;
	return 0;
}

void
on_call(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	((struct call *)job)->answers++;
}

int
submit_by(struct eddy_executor *pool, struct eddy_loop *loop, struct call *call,
    eddy_job_fn *fn, int64_t deadline)
{
	int r;

	*call = (struct call){.in = 7};
	call->job = (struct eddy_job)EDDY_JOB(fn, &call->in);
	call->job.deadline = deadline;
	r = eddy_submit(pool, &call->job, loop, on_call);
	call->accepted = r == 0;
	return r;
}

int
submit(struct eddy_executor *pool, struct eddy_loop *loop, struct call *call,
    eddy_job_fn *fn)
{
	return submit_by(pool, loop, call, fn,
	    fault->later ? eddy_after(EDDY_MS(40 * (1 + SLOW * 4))) : 0);
}

int
answered(const struct call *calls, int n, eddy_job_fn *fn)
{
	int i, first = 0;

	for (i = 0; i < n; i++) {
		const struct call *call = &calls[i];

		must(call->answers == call->accepted);
		if (!call->accepted || call->job.fn != fn)
			continue;
		must(call->job.outcome != EDDY_NONE);
		must(call->in == 7 + (call->job.outcome == EDDY_RETURNED));
		note(&first, eddy_job_rc(&call->job));
	}
	return first;
}

int
use_jobs(struct eddy_loop *loop, struct eddy_executor *pool, int n)
{
	struct call calls[JOBS];
	int i, first = 0;

	for (i = 0; i < n; i++)
		note(&first, submit(pool, loop, &calls[i], give));
	must(eddy_loop_run(loop) == 0);
	note(&first, answered(calls, n, give));
	for (i = 0; i < n; i++)
		note(&first, submit(pool, loop, &last[i], give));
	last_count = n;
	return first;
}

int
with_pool(const struct eddy_thread_pool_options *threads,
    const struct eddy_process_pool_options *processes, use_fn *use)
{
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	int first = eddy_loop_open(&loop, NULL);

	if (first < 0)
		return first;
	last_count = 0;
	note(&first, threads != NULL
			 ? eddy_thread_pool_open(&pool, threads)
			 : eddy_process_pool_open(&pool, loop, processes));
	if (first == 0) {
		note(&first, use(loop, pool));
		note(&first, eddy_executor_close(pool, EDDY_S(10)));
		must(eddy_loop_run(loop) == 0);
		answered(last, last_count, give);
	}
	must(eddy_loop_close(loop) == 0);
	return first;
}

/* Alone: else another wake-up may hide a lost one. */
static int
use_one(struct eddy_loop *loop, struct eddy_executor *pool)
{
	return use_jobs(loop, pool, 1);
}

static int
use_many(struct eddy_loop *loop, struct eddy_executor *pool)
{
	return use_jobs(loop, pool, JOBS);
}

/* Without a timer each. */
static const struct eddy_thread_pool_options plain = {.workers_max = 2};

int
run_one_on_threads(void)
{
	return with_pool(&plain, NULL, use_one);
}

int
run_many_on_threads(void)
{
	return with_pool(&plain, NULL, use_many);
}

int
use_strand(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct eddy_executor *strand;
	int first = eddy_strand_open(&strand, pool, 0);

	if (first == 0) {
		note(&first, use_jobs(loop, strand, JOBS));
		note(&first, eddy_executor_close(strand, EDDY_S(10)));
	}
	return first;
}

struct mix {
	struct eddy_task task;
	struct eddy_executor *pool;
	int array[4], *bytes;
	int rc, first;
};

static eddy_step
mix(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct mix, f);
	EDDY_AWAIT(f->rc,
	    eddy_map(self, NULL, give, f->array, 4, sizeof(f->array[0]), 2));
	note(&f->first, f->rc);
	EDDY_AWAIT(
	    f->rc, eddy_timeout(self, EDDY_S(5),
		       eddy_offload_owned(self, NULL, give, &f->bytes, free)));
	note(&f->first, f->rc);
	f->rc = eddy_loop_executor(self->loop, &f->pool);
	if (f->rc == 0)
		EDDY_AWAIT(
		    f->rc, eddy_executor_drain(self, f->pool, EDDY_S(5)));
	note(&f->first, f->rc);
	EDDY_RETURN(f->first);
	EDDY_END;
}

int
run_mix(void)
{
	struct mix frame;
	int i, r;

	EDDY_INIT(&frame, mix, .bytes = calloc(1, sizeof(int)));
	r = eddy_run(&frame.task);
	for (i = 0; i < 4; i++)
		must(frame.array[i] == 1 || (r < 0 && frame.array[i] == 0));
	must(r < 0 || *frame.bytes == 1);
	free(frame.bytes);
	return r;
}

struct offload {
	struct eddy_task task;
	struct offload_kid {
		struct eddy_task task;
		int in;
	} kids[3];
	int i;
};

static eddy_step
offload_kid(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct offload_kid, f);
	EDDY_TRY(eddy_offload(self, NULL, give, &f->in));
	EDDY_END;
}

static eddy_step
offload(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct offload, f);
	for (f->i = 0; f->i < 3; f->i++)
		(void)eddy_spawn(
		    self, EDDY_INIT(&f->kids[f->i], offload_kid, .in = 7));
	EDDY_TRY(eddy_join_all(self));
	for (f->i = 0; f->i < 3; f->i++)
		if (f->kids[f->i].in != 8)
			EDDY_RETURN(-EBADMSG);
	EDDY_END;
}

int
run_offload(void)
{
	struct offload frame;
	int r = eddy_run(EDDY_INIT(&frame, offload));

	must(r != -EBADMSG);
	return r;
}

/* An output in the slot, and one that comes as a descriptor. */
static int
write_some(struct eddy_span in, struct eddy_output *output)
{
	size_t size = *(const size_t *)in.data;
	void *data;
	int r = eddy_output_reserve(output, size, &data);

	return r < 0 ? r : eddy_output_commit(output, size);
}

void
on_outcome(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	must(job->outcome != EDDY_NONE);
}

int
use_transforms(struct eddy_loop *loop, struct eddy_executor *pool)
{
	static const size_t sizes[] = {10, 100000};
	struct eddy_transform transform;
	int first = 0;
	size_t i;

	for (i = 0; i < COUNT_OF(sizes) && first == 0; i++) {
		eddy_transform_init(
		    &transform, write_some, &sizes[i], sizeof(sizes[i]));
		note(&first, eddy_submit(pool, &transform.long_job.job, loop,
				 on_outcome));
		must(eddy_loop_run(loop) == 0);
		if (first == 0)
			note(&first, eddy_job_rc(&transform.long_job.job));
		eddy_transform_release(&transform);
	}
	return first;
}

/* What is stopped, or stops others. */

int
hang(void *arg)
{
	(void)arg;
	while (!eddy_job_stop_requested())
		usleep(100);
	return 0;
}

/* Two are running or about to, two wait. */
int
use_cancels(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct call calls[4];
	int i, first = 0;

	for (i = 0; i < 3; i++)
		note(&first, submit_by(pool, loop, &calls[i], hang, 0));
	note(&first, submit(pool, loop, &calls[3], give));
	must(eddy_loop_step(loop, EDDY_MS(1)) >= 0);
	for (i = 0; i < 3; i++)
		if (calls[i].accepted)
			eddy_job_cancel(&calls[i].job);
	must(eddy_loop_run(loop) == 0);
	note(&first, answered(calls, 4, give));
	return first;
}

/* And one has little time; a process is killed then. */
int
use_deadlines(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct call call;
	int first = 0;

	note(
	    &first, submit_by(pool, loop, &call, hang, eddy_after(EDDY_MS(3))));
	must(eddy_loop_run(loop) == 0);
	answered(&call, 1, give);
	note(&first, use_cancels(loop, pool));
	return first;
}

/* Until it is interrupted. */
static int
read_pipe(void *arg)
{
	char byte;

	A_STORE(&told, 1);
	return read(*(int *)arg, &byte, 1) < 0 ? -errno : 0;
}

int
use_interrupt(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct call call = {.answers = 0};
	int ends[2], i, first = 0;

	must(pipe(ends) == 0);
	A_STORE(&told, 0);
	call.job = (struct eddy_job)EDDY_JOB(read_pipe, &ends[0]);
	call.job.flags = EDDY_JOB_INTERRUPT;
	note(&first, eddy_submit(pool, &call.job, loop, on_call));
	for (i = 0; i < 20 && first == 0 && A_LOAD(&told) == 0; i++)
		must(eddy_loop_step(loop, EDDY_MS(1)) >= 0);
	if (first == 0)
		eddy_job_cancel(&call.job);
	must(eddy_loop_run(loop) == 0);
	must(call.answers == (first == 0));
	if (call.job.outcome == EDDY_LOST)
		note(&first, eddy_job_rc(&call.job));
	close(ends[0]);
	close(ends[1]);
	return first;
}

/* Outcomes without a loop. */
static int
wait_for_one(struct eddy_executor *executor)
{
	struct call call = {.in = 7};
	int r;

	call.job = (struct eddy_job)EDDY_JOB(give, &call.in);
	r = eddy_submit(executor, &call.job, NULL, NULL);
	if (r == 0)
		r = eddy_job_wait(&call.job, eddy_after(EDDY_S(10)));
	must(call.in == 7 + (r == 0));
	return r;
}

int
run_waits(void)
{
	struct eddy_executor *pool, copies;
	int i, first = eddy_thread_pool_open(&pool, NULL);

	if (first < 0)
		return first;
	for (i = 0; i < 2; i++)
		note(&first, wait_for_one(pool));
	must(eddy_executor_close(pool, EDDY_S(10)) == 0);
	eddy_copy_executor(&copies);
	note(&first, wait_for_one(&copies));
	eddy_executor_fini(&copies);
	return first;
}
