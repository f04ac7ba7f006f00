/* SPDX-License-Identifier: ISC */
/*
 * The floor of a yield: as many callbacks, each linked into the next list.
 */
#include "task.h"

#include <stdlib.h>

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
yield(long n)
{
	struct callback *all = calloc((size_t)task_count, sizeof(*all));
	struct callback *list = NULL, *now, *next;
	long turns = n / task_count + 1, i;
	int64_t began;

	for (i = 0; i < task_count; i++) {
		all[i].fn = requeue;
		requeue(&all[i], &list);
	}
	began = eddy_now();
	for (i = 0; i < turns; i++) {
		now = list;
		for (list = NULL; now != NULL; now = next) {
			next = now->next;
			now->fn(now, &list);
		}
	}
	began = eddy_now() - began;
	free(all);
	return (double)began / (double)(turns * task_count);
}

const struct task_peer task_floor = {.yield = yield};
