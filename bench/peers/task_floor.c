/* SPDX-License-Identifier: ISC */
/*
 * The floor of a yield: as many callbacks, each linked into the next list.
 */
#include "task.h"

#include <stdlib.h>

enum { AHEAD = 8 }; /* as in the loop */

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
yield_apart(long n, size_t size)
{
	char *all = calloc((size_t)task_count, size);
	struct callback *list = NULL, *now, *next;
	long turns = n / task_count + 1, i;
	int64_t began;

	for (i = 0; i < task_count; i++) {
		now = (void *)(all + (size_t)i * size);
		now->fn = requeue;
		requeue(now, &list);
	}
	began = eddy_now();
	for (i = 0; i < turns; i++) {
		now = list;
		for (list = NULL; now != NULL; now = next) {
			next = now->next;
			__builtin_prefetch(
			    (char *)now + AHEAD * ((char *)next - (char *)now));
			now->fn(now, &list);
		}
	}
	began = eddy_now() - began;
	free(all);
	return (double)began / (double)(turns * task_count);
}

static double
yield(long n)
{
	return yield_apart(n, sizeof(struct callback));
}

double
task_floor_yield_apart(long n)
{
	return yield_apart(n, task_eddy_size);
}

const struct task_peer task_floor = {.yield = yield};
