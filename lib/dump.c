/* SPDX-License-Identifier: ISC */
/*
 * dump: a loop and an executor as text for people.
 */
#include <eddy/dump.h>

#include <inttypes.h>

#include <eddy/task.h>

#include "loop_impl.h"
#include "text.h"

/* A program without tasks has none to dump. */
#pragma weak eddy_dump_tasks

enum { WORKERS = 64 }; /* and jobs that are listed */

static void
print_descriptors(struct text *text, const struct eddy_loop *loop)
{
	char path[192];
	uint32_t fd;
	int n;

	for (fd = 0; fd < loop->watched_room; fd++) {
		struct eddy_ready *const *waiters = loop->watched[fd].waiters;

		if (waiters[0] == NULL && waiters[1] == NULL)
			continue;
		n = eddy__path_of(fd, path, sizeof(path));
		eddy__print(text, "descriptor %u%s%s: %s%s\n", fd,
		    n > 0 ? ", " : "", path, waiters[0] != NULL ? "read" : "",
		    waiters[1] == NULL || waiters[1] == waiters[0] ? ""
		    : waiters[0] != NULL                           ? ", write"
								   : "write");
	}
}

static void
print_worker(struct text *text, const struct eddy_worker *worker)
{
	if (worker->id != 0)
		eddy__print(text, "  worker %d: ", worker->id);
	else
		eddy__print(text, "  queued: ");
	eddy__print(text, "%s", worker->job != NULL ? worker->job : "idle");
	if (worker->job != NULL && worker->since != 0)
		eddy__print(text, ", submitted %.3f s ago",
		    (double)(eddy_now() - worker->since) / 1e9);
	eddy__print(text, "\n");
}

/* For loop, or (NULL) for who says that this is the right thread. */
static void
print_executor(struct text *text, struct eddy_executor *executor,
    const struct eddy_loop *loop)
{
	struct eddy_executor_stats stats;
	struct eddy_worker workers[WORKERS];
	const struct eddy_loop *home = A_ACQUIRE(&executor->home);
	unsigned i, n = 0;

	if (loop != NULL && home != NULL && home != loop) {
		eddy__print(text, "%s: of another loop\n", executor->ops->name);
		return;
	}
	eddy_executor_stats(executor, &stats);
	eddy__print(text,
	    "%s: %u queued, %u running, %u workers; submitted %" PRIu64
	    ", returned %" PRIu64 ", failed %" PRIu64 ", cancelled %" PRIu64
	    ", expired %" PRIu64 "\n",
	    executor->ops->name, stats.queued, stats.running, stats.workers,
	    stats.submitted, stats.returned, stats.failed, stats.cancelled,
	    stats.expired);
	if (executor->ops->workers != NULL)
		n = executor->ops->workers(executor, workers, WORKERS);
	for (i = 0; i < n && i < WORKERS; i++)
		print_worker(text, &workers[i]);
	if (executor->inner != NULL)
		print_executor(text, executor->inner, loop);
}

int
eddy_executor_dump(struct eddy_executor *executor, int fd)
{
	struct text text = {.fd = fd};

	print_executor(&text, executor, NULL);
	return eddy__print_end(&text);
}

int
eddy_loop_dump(struct eddy_loop *loop, int fd)
{
	struct text text = {.fd = fd};
	struct eddy_executor *used = loop->options.executor;
	int r = eddy__loop_mine(loop);

	if (r < 0)
		return r;
	eddy__print(&text,
	    "loop: %u turns, %u timers, %u holds, %" PRIu64 " jobs out\n",
	    A_LOAD(&loop->turns),
	    loop->heaps[0].used - loop->heaps[0].gone + loop->heaps[1].used -
		loop->heaps[1].gone,
	    loop->holds, eddy__loop_jobs(loop));
	r = eddy__print_end(&text);
	if (r == 0 && eddy_dump_tasks != NULL)
		eddy_dump_tasks(loop, fd);
	print_descriptors(&text, loop);
	if (used != NULL)
		print_executor(&text, used, loop);
	if (loop->held != NULL && loop->held != used) /* as it has jobs there */
		print_executor(&text, loop->held, loop);
	return eddy__print_end(&text);
}
