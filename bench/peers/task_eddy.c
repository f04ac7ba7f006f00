/* SPDX-License-Identifier: ISC */
#include "task.h"

#include <eddy.h>

#include <errno.h>
#include <stdlib.h>

#include "../bench.h"

/* The first one reads the clock, between its turns: n of them for everybody. */
struct yielder {
	struct eddy_task task;
	long i, n;
	int64_t *ns;
};

const size_t task_eddy_size = sizeof(struct yielder);

static eddy_step
yielder(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct yielder, f);
	EDDY_TRY(eddy_yield(self));
	if (f->ns != NULL)
		*f->ns -= eddy_now();
	for (f->i = 0; f->i < f->n; f->i++)
		EDDY_TRY(eddy_yield(self));
	if (f->ns != NULL)
		*f->ns += eddy_now();
	EDDY_END;
}

struct empty {
	struct eddy_task task;
};

static eddy_step
empty(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct empty, f);
	EDDY_END;
}

/* The mains. */
struct work {
	struct eddy_task task;
	long i, n;
	int64_t ns;
	bool prepares;            /* instead of EDDY_INIT */
	struct yielder *yielders; /* task_count */
	struct empty *kids, *kid; /* TASK_BATCH; the next */
};

static eddy_step
yields(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct work, f);
	for (f->i = 0; f->i < task_count; f->i++) {
		EDDY_INIT(&f->yielders[f->i], yielder, .n = f->n,
		    .ns = f->i == 0 ? &f->ns : NULL);
		if (eddy_spawn(self, &f->yielders[f->i].task) < 0)
			EDDY_RETURN(-ENOMEM);
	}
	EDDY_TRY(eddy_join_all(self));
	EDDY_END;
}

static eddy_step
completes(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct work, f);
	f->ns -= eddy_now();
	for (f->i = 0; f->i < f->n; f->i++)
		EDDY_TRY(eddy_complete(self, 0));
	f->ns += eddy_now();
	EDDY_END;
}

static eddy_step
calls(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct work, f);
	f->ns -= eddy_now();
	for (f->i = 0; f->i < f->n; f->i++)
		EDDY_TRY(eddy_call(self, EDDY_INIT(f->kids, empty)));
	f->ns += eddy_now();
	EDDY_END;
}

/* Into storage that is used again. */
static eddy_step
spawns(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct work, f);
	f->kid = f->kids;
	f->ns -= eddy_now();
	for (f->i = 0; f->i < f->n; f->i++) {
		struct empty *kid = f->kid++;

		if (f->prepares)
			eddy_prepare(&kid->task, empty, "empty");
		else
			EDDY_INIT(kid, empty);
		if (eddy_spawn(self, &kid->task) < 0)
			EDDY_RETURN(-EINVAL);
		if (f->kid == f->kids + TASK_BATCH) {
			EDDY_TRY(eddy_join_all(self));
			f->kid = f->kids;
		}
	}
	EDDY_TRY(eddy_join_all(self));
	f->ns += eddy_now();
	EDDY_END;
}

static double
run(eddy_task_fn *fn, long n, bool prepares)
{
	struct work f = {.n = n, .prepares = prepares};

	f.yielders = calloc((size_t)task_count, sizeof(*f.yielders));
	f.kids = calloc(TASK_BATCH, sizeof(*f.kids));
	eddy_prepare(&f.task, fn, "main");
	bench_check(eddy_run(&f.task), "run");
	free(f.kids);
	free(f.yielders);
	return (double)f.ns / (double)n;
}

static double
yield(long n)
{
	long turns = n / task_count + 1;

	return run(yields, turns, false) / (double)task_count;
}

static double
complete(long n)
{
	return run(completes, n, false);
}

static double
call(long n)
{
	return run(calls, n, false);
}

static double
spawn(long n)
{
	return run(spawns, n, false);
}

double
task_eddy_spawn_prepared(long n)
{
	return run(spawns, n, true);
}

const struct task_peer task_eddy = {yield, complete, call, spawn};
