/* SPDX-License-Identifier: ISC */
/*
 * Tasks that do what the input says: await this and that, spawn, call, cancel,
 * hand jobs to an executor whose moves the input chooses, too.  At the end each
 * has ended, each job had one outcome, and what was given out has come back.
 */
#include "fuzz.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <eddy/offload.h>
#include <eddy/strand.h>
#include <eddy/sync.h>

enum { TASKS = 24, HELD = 8, SLOTS = 3, TOKENS = 2, DEPTH = 6, TURNS = 500 };

static struct fuzz_input in;
static struct eddy_loop *loop;
static struct eddy_clock clock_;
static bool over; /* the input has ended: everything shall */

/* An executor that holds jobs until the input, or the end, lets them go. */

static struct eddy_executor held, *strand;
static struct eddy_job *jobs[HELD];
static long accepted, ended;

static int
submit(struct eddy_executor *executor, struct eddy_job *job)
{
	int i;

	(void)executor;
	if (!over && fuzz_below(&in, 16) == 15)
		return -ENOMEM;
	for (i = 0; i < HELD && jobs[i] != NULL; i++)
		;
	if (i == HELD)
		return -EAGAIN;
	jobs[i] = job;
	accepted++;
	return 0;
}

/* Let the job in a slot go. */
static void
finish(int i, bool run, enum eddy_outcome outcome, int result)
{
	struct eddy_job *job = jobs[i];

	jobs[i] = NULL;
	if (!eddy_job_begin(job))
		return; /* it was cancelled meanwhile: not ours any more */
	if (run) {
		outcome = EDDY_RETURNED;
		result = job->fn(job->arg);
	}
	ended++;
	eddy_job_end(job, outcome, result);
	eddy_executor_room(&held, 1);
}

static int
cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	int i;

	(void)executor;
	for (i = 0; i < HELD && jobs[i] != job; i++)
		;
	if (i == HELD)
		return -EALREADY;
	if (!over && fuzz_below(&in, 4) == 3)
		return 0; /* asked; it ends later */
	jobs[i] = NULL;
	ended++;
	eddy_job_end(job, outcome, 0);
	eddy_executor_room(&held, 1);
	return 0;
}

static int
close_held(struct eddy_executor *executor, int64_t duration)
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

static const struct eddy_executor_ops held_ops = {.name = "held",
    .submit = submit,
    .cancel = cancel,
    .close = close_held,
    .describe = describe};

static int
work(void *arg)
{
	return ++*(int *)arg & 0xff;
}

static void
drop(void *arg)
{
	free(arg);
}

/* What tasks share. */

static struct eddy_event event;
static struct eddy_semaphore tokens;
static struct eddy_queue queue;
static void *slots[SLOTS];
static long taken;

static struct walk *walks[TASKS]; /* those that run */

struct walk {
	struct eddy_task task;
	int index, depth, held, n, numbers[3];
	int *owned;
	void *item;
	struct walk *kid;
};

static eddy_step walk(struct eddy_task *self);

static struct walk *
make(int depth)
{
	int i;

	for (i = 0; i < TASKS && walks[i] != NULL; i++)
		;
	if (i == TASKS || depth > DEPTH)
		return NULL;
	walks[i] = (struct walk *)EDDY_NEW(walk, .index = i, .depth = depth);
	return walks[i];
}

/* It was not taken: the frame is gone. */
static int
unless(struct walk *made, int index, int r)
{
	if (r < 0 && made != NULL)
		walks[index] = NULL;
	return r;
}

static int
spawn(struct walk *f, bool supervised)
{
	struct walk *kid = make(f->depth + 1);
	int index = kid != NULL ? kid->index : 0;

	if (kid == NULL)
		return -ENOMEM;
	return unless(kid, index,
	    supervised ? eddy_spawn_supervised(&f->task, &kid->task)
		       : eddy_spawn(&f->task, &kid->task));
}

static void
cancel_one(void)
{
	struct walk *f = walks[fuzz_below(&in, TASKS)];

	if (f != NULL)
		fuzz_must(eddy_cancel(&f->task, "fuzz") == 0);
}

/* Some operation that a timeout or an event may end. */
static eddy_async
wait_for_something(struct walk *f)
{
	struct eddy_task *self = &f->task;

	switch (fuzz_below(&in, 8)) {
	case 0:
		return eddy_event_wait(self, &event);
	case 1:
		return eddy_queue_push(self, &queue, self);
	case 2:
		return eddy_queue_pop(self, &queue, &f->item);
	case 3:
		return eddy_offload(self, &held, work, &f->n);
	case 4:
		return eddy_offload(self, strand, work, &f->n);
	case 5:
		return eddy_map(self, &held, work, f->numbers, 3,
		    sizeof(f->numbers[0]), 1 + fuzz_below(&in, 3));
	case 6:
		return eddy_join_all(self);
	default:
		return eddy_sleep(self, fuzz_byte(&in));
	}
}

static eddy_async
step(struct walk *f)
{
	struct eddy_task *self = &f->task;
	struct walk *callee;
	eddy_async op;

	switch (fuzz_below(&in, 12)) {
	case 0:
		return eddy_yield(self);
	case 1:
		return eddy_complete(self, spawn(f, fuzz_below(&in, 2)));
	case 2:
		callee = make(f->depth + 1);
		if (callee == NULL)
			return eddy_complete(self, -ENOMEM);
		return eddy_call(self, &callee->task);
	case 3:
		return eddy_timeout(
		    self, fuzz_byte(&in), wait_for_something(f));
	case 4:
		op = wait_for_something(f);
		return eddy_until(self, &event, op);
	case 5:
		return eddy_race(self, NULL);
	case 6:
		return eddy_throttle(self, fuzz_below(&in, 3));
	case 7:
		cancel_one();
		return eddy_yield(self);
	case 8:
		if (fuzz_below(&in, 2))
			eddy_event_set(&event);
		else
			eddy_event_clear(&event);
		return eddy_complete(self, 0);
	case 9:
		eddy_deadline_set(self, eddy_loop_after(loop, fuzz_byte(&in)));
		return eddy_complete(self, 0);
	default:
		return wait_for_something(f);
	}
}

/* Semaphore and owned bytes have something to give back. */
static eddy_step
walk(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct walk, f);
	while (!over && fuzz_more(&in) && fuzz_below(&in, 10) != 0) {
		eddy_shield(self, fuzz_below(&in, 8) == 7);
		EDDY_AWAIT(f->n, step(f));
		eddy_shield(self, false);
		fuzz_must(f->n >= -4095);
		if (fuzz_below(&in, 4) == 0 && f->held == 0) {
			EDDY_AWAIT(f->n, eddy_semaphore_acquire(self, &tokens));
			f->held += f->n == 0;
			taken += f->n == 0;
			fuzz_must(taken <= TOKENS);
		} else if (f->held != 0) {
			f->held = 0;
			taken--;
			fuzz_must(eddy_semaphore_release(&tokens) == 0);
		}
		if (fuzz_below(&in, 8) == 0) {
			f->owned = calloc(1, sizeof(*f->owned));
			EDDY_AWAIT(f->n, eddy_timeout(self, fuzz_byte(&in),
					     eddy_offload_owned(self, &held,
						 work, &f->owned, drop)));
			free(f->owned);
		}
		if (f->n < 0 && fuzz_below(&in, 3) == 0)
			EDDY_RETURN(f->n);
	}
	EDDY_FINALLY;
	if (f->held != 0) {
		f->held = 0;
		taken--;
		eddy_semaphore_release(&tokens);
	}
	if (!over && fuzz_below(&in, 3) == 0)
		EDDY_AWAIT(f->n, wait_for_something(f));
	walks[f->index] = NULL;
	EDDY_END;
}

static void
ignore(struct eddy_loop *l, const struct eddy_task *task, int error)
{
	(void)l;
	(void)task;
	fuzz_must(error < 0);
}

/* Between turns: what others do. */
static void
act(void)
{
	struct walk *root;
	void *item;
	int i;

	switch (fuzz_below(&in, 6)) {
	case 0:
		root = make(0);
		if (root != NULL)
			fuzz_must(
			    eddy_loop_spawn(loop, &root->task, NULL) == 0);
		break;
	case 1:
		cancel_one();
		break;
	case 2:
		i = (int)fuzz_below(&in, HELD);
		if (jobs[i] != NULL)
			finish(i, fuzz_below(&in, 3) != 0, EDDY_CRASHED, 11);
		break;
	case 3:
		eddy_queue_try_pop(&queue, &item);
		break;
	case 4:
		eddy_queue_try_push(&queue, &queue);
		break;
	default:
		eddy_event_set(&event);
		break;
	}
}

static bool
busy(void)
{
	int i;

	for (i = 0; i < TASKS; i++)
		if (walks[i] != NULL)
			return true;
	for (i = 0; i < HELD; i++)
		if (jobs[i] != NULL)
			return true;
	return false;
}

/* Cancel all, let all jobs go, until nothing is left: or something hangs. */
static void
wind_up(void)
{
	int i, turns = 0;

	over = true;
	while (busy()) {
		if (turns++ == TURNS)
			eddy_dump_tasks(loop, STDERR_FILENO);
		fuzz_must(turns <= TURNS);
		for (i = 0; i < HELD; i++)
			if (jobs[i] != NULL)
				finish(i, true, EDDY_RETURNED, 0);
		for (i = 0; i < TASKS; i++)
			if (walks[i] != NULL)
				eddy_cancel(&walks[i]->task, "end");
		eddy_event_set(&event);
		clock_.now += 256;
		fuzz_must(eddy_loop_step(loop, 0) >= 0);
		if (turns > 10) /* those in FINALLY wait for others */
			eddy_queue_close(&queue);
	}
}

void
fuzz_tasks(const uint8_t *data, size_t size)
{
	struct eddy_loop_options options = {
	    .clock = &clock_, .on_error = ignore};

	in = (struct fuzz_input){data, data + size};
	over = false;
	clock_.now = 0;
	accepted = ended = taken = 0;
	memset(walks, 0, sizeof(walks));
	eddy_event_init(&event);
	eddy_semaphore_init(&tokens, TOKENS);
	eddy_queue_init(&queue, slots, SLOTS);
	eddy_executor_init(&held, &held_ops);
	fuzz_must(eddy_loop_open(&loop, &options) == 0);
	fuzz_must(eddy_strand_open(&strand, &held, 4) == 0);
	while (fuzz_more(&in)) {
		act();
		fuzz_must(eddy_loop_step(loop, 0) >= 0);
		clock_.now += fuzz_below(&in, 16);
	}
	wind_up();
	fuzz_must(accepted == ended);
	fuzz_must(taken == 0 && tokens.count == TOKENS);
	while (eddy_loop_step(loop, 0) > 0)
		;
	fuzz_must(eddy_executor_close(strand, 0) == 0);
	fuzz_must(eddy_executor_close(&held, 0) == 0);
	fuzz_must(eddy_loop_close(loop) == 0);
}
