/* SPDX-License-Identifier: ISC */
/*
 * What do tasks cost: a yield through the loop, an await that completes at
 * once, a call, a spawn?  The floor is a function pointer called from a list.
 */
#include <eddy.h>

#include <stdlib.h>

#include "bench.h"

enum { TASKS = 1000 };

/* The floor of a yield: as many callbacks, linked into the next list. */

struct callback {
	struct callback *next;
	void (*fn)(struct callback *, struct callback **);
};

static void
requeue(struct callback *self, struct callback **list)
{
	self->next = *list;
	*list = self;
}

static double
bare_callbacks(long n)
{
	static struct callback all[TASKS];
	struct callback *list = NULL, *now, *next;
	int64_t began;
	long turn;
	int i;

	for (i = 0; i < TASKS; i++) {
		all[i].fn = requeue;
		requeue(&all[i], &list);
	}
	began = eddy_now();
	for (turn = 0; turn < n / TASKS + 1; turn++) {
		now = list;
		for (list = NULL; now != NULL; now = next) {
			next = now->next;
			now->fn(now, &list);
		}
	}
	return (double)(eddy_now() - began) / (double)((n / TASKS + 1) * TASKS);
}

struct yielder {
	struct eddy_task task;
	long i, n;
};

static eddy_step
yielder(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct yielder, f);
	for (f->i = 0; f->i < f->n; f->i++)
		EDDY_TRY(eddy_yield(self));
	EDDY_END;
}

static eddy_step
empty(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct yielder, f);
	EDDY_END;
}

enum work { YIELD, COMPLETE, CALL, SPAWN };

struct worker {
	struct eddy_task task;
	enum work work;
	struct yielder *kids;
	long i, n;
	int64_t began;
	double ns;
};

static struct eddy_task *
fresh(struct worker *f, eddy_task_fn *fn)
{
	struct eddy_task *kid = &f->kids[f->i % TASKS].task;

	eddy_prepare(kid, fn, "kid");
	return kid;
}

static eddy_step
worker(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct worker, f);
	f->began = eddy_now();
	for (f->i = 0; f->work == YIELD && f->i < TASKS; f->i++) {
		f->kids[f->i].n = f->n / TASKS + 1;
		eddy_spawn(self, fresh(f, yielder));
	}
	for (f->i = 0; f->work == COMPLETE && f->i < f->n; f->i++)
		EDDY_TRY(eddy_complete(self, 0));
	for (f->i = 0; f->work == CALL && f->i < f->n; f->i++)
		EDDY_TRY(eddy_call(self, fresh(f, empty)));
	for (f->i = 0; f->work == SPAWN && f->i < f->n; f->i++) {
		if (f->i % TASKS == 0)
			EDDY_TRY(eddy_join_all(self));
		eddy_spawn(self, fresh(f, empty));
	}
	EDDY_TRY(eddy_join_all(self));
	f->ns = (double)(eddy_now() - f->began) / (double)f->n;
	EDDY_END;
}

static double
run(enum work work, long n)
{
	struct worker f;
	struct yielder *kids = calloc(TASKS, sizeof(*kids));

	bench_check(
	    eddy_run(EDDY_INIT(&f, worker, .work = work, .kids = kids, .n = n)),
	    "run");
	free(kids);
	return f.ns;
}

static double
yields(long n)
{
	return run(YIELD, n);
}

static double
completions(long n)
{
	return run(COMPLETE, n);
}

static double
calls(long n)
{
	return run(CALL, n);
}

static double
spawns(long n)
{
	return run(SPAWN, n);
}

int
main(void)
{
	struct bench_case cases[] = {
	    {"floor: bare callbacks, 1,000 in a list", bare_callbacks, 0, {0}},
	    {"yield through the loop, 1,000 tasks", yields, 0, {0}},
	    {"await that completes at once", completions, 0, {0}},
	    {"call and return", calls, 0, {0}},
	    {"spawn and finish, storage reused", spawns, 0, {0}},
	    {NULL, NULL, 0, {0}}};

	bench_compare("tasks, each operation", cases, 2000000);
	return 0;
}
