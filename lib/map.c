/* SPDX-License-Identifier: ISC */
/*
 * map: one function over the elements of an array, a few at a time.
 *
 * A job for each of those at work, used again for the next element.  The first
 * failure stops the rest; the task resumes when the last job has its outcome.
 */
#include <eddy/offload.h>

#include <errno.h>

#include "executor_impl.h"
#include "sys.h"
#include "task_impl.h"

struct map {
	struct eddy_task *task;
	struct eddy_executor *executor;
	eddy_job_fn *fn;
	char *element; /* the next one */
	size_t size, left;
	unsigned count, out; /* jobs; those that have no outcome yet */
	int error, stop;     /* of the first failure; or asked for */
	struct map_job {
		struct eddy_job job;
		struct map *map;
	} jobs[];
};

static void
release(struct map *map)
{
	eddy__executor_drop(map->executor);
	eddy__free(map);
}

static void
stop(struct map *map, int error)
{
	unsigned i;

	if (map->stop != 0)
		return;
	map->stop = error;
	for (i = 0; i < map->count; i++)
		eddy__job_give_up(&map->jobs[i].job, EDDY_CANCELLED);
}

static int
give_up(struct eddy_task *task, int rc)
{
	stop(task->use.user[0], rc); /* and await the outcomes */
	return 0;
}

static const struct eddy_op map_op = {"map", give_up};

static void
fail(struct map *map, int error)
{
	if (map->error == 0)
		map->error = error;
	stop(map, error);
}

static void heard(struct eddy_loop *loop, struct eddy_ready *ready);

/* The next element, if there is one. */
static void
go_on(struct map *map, struct eddy_job *job)
{
	int r;

	if (map->left == 0 || map->stop != 0)
		return;
	*job = (struct eddy_job){.fn = map->fn,
	    .arg = map->element,
	    .size = (uint32_t)map->size,
	    .name = map->task->name};
	map->element += map->size;
	map->left--;
	r = eddy__job_start(map->task, map->executor, job, heard);
	if (r < 0)
		fail(map, r);
	else
		map->out++;
}

static void
heard(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_job *job = job_of(ready);
	struct map *map = CONTAINER_OF(job, struct map_job, job)->map;
	int rc = eddy_job_rc(job), error;

	eddy__job_heard(loop, job);
	map->out--;
	if (rc < 0)
		fail(map, rc);
	go_on(map, job);
	if (map->out != 0)
		return;
	error = map->error == 0 && map->left != 0 ? map->stop : map->error;
	eddy_unpark(map->task, error);
	release(map);
}

EDDY_ASYNC
eddy_map(struct eddy_task *self, struct eddy_executor *executor,
    eddy_job_fn *fn, void *array, size_t n, size_t size, unsigned at_most)
{
	unsigned i, count = at_most < QUEUE_LIMIT ? at_most : QUEUE_LIMIT;
	struct map *map;
	int r = size > UINT32_MAX ? -EMSGSIZE : 0;

	if (fn == NULL || at_most == 0)
		r = -EINVAL;
	if (r == 0 && executor == NULL)
		r = eddy_loop_executor(self->loop, &executor);
	if (r == 0 && eddy_cancelled(self))
		r = -ECANCELED;
	if (r < 0 || n == 0)
		return eddy_complete(self, r);
	count = n < count ? (unsigned)n : count;
	map = eddy__alloc(sizeof(*map) + count * sizeof(map->jobs[0]));
	if (map == NULL)
		return eddy_complete(self, -ENOMEM);
	map->task = self;
	map->executor = executor;
	eddy__executor_hold(executor); /* it may be closed between two jobs */
	map->fn = fn;
	map->element = array;
	map->size = size;
	map->left = n;
	map->count = count;
	for (i = 0; i < count; i++) {
		map->jobs[i].map = map;
		go_on(map, &map->jobs[i].job);
	}
	if (map->out == 0) {
		r = map->error;
		release(map);
		return eddy_complete(self, r);
	}
	self->use.user[0] = map;
	return eddy__park(self, &map_op);
}
