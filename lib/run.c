/* SPDX-License-Identifier: ISC */
/*
 * run: eddy_run, which is a loop, a root task and an orderly end.
 */
#include <eddy/task.h>

#include <errno.h>
#include <unistd.h>

#include "sys.h"
#include "task_impl.h"
#include "text.h"

static void
main_ended(struct eddy_loop *loop, struct eddy_task *task)
{
	loop->main_result = task->result;
	eddy_loop_stop(loop);
}

/* Cancel what is left and give it the close duration to leave. */
static int
drain(struct eddy_loop *loop)
{
	int64_t left, deadline = eddy_after(loop->options.close_duration);
	struct eddy_task *task;
	int r;

	loop->draining = true;
	for (task = loop->roots; task != NULL; task = task->next)
		eddy_cancel(task, "its loop is closing");
	r = eddy__loop_alive(loop);
	while (r > 0 && (loop->roots != NULL || eddy__loop_jobs(loop))) {
		left = eddy__left(deadline);
		if (left == 0)
			return -ETIME;
		r = eddy_loop_step(loop, left);
	}
	/* Those who are left wait for what nobody brings. */
	if (r >= 0)
		r = loop->roots != NULL ? -EDEADLK
		    : loop->pools != 0  ? -EBUSY
		                        : 0;
	return r;
}

/* It returned: is the main task left, and nothing can happen any more? */
static bool
is_stuck(struct eddy_loop *loop)
{
	struct text text = {.fd = STDERR_FILENO};

	if (loop->main_result != EDDY_PENDING || eddy__loop_alive(loop))
		return false;
	eddy__print(&text,
	    "eddy: deadlock: these tasks wait and nothing can wake them\n");
	eddy__print_end(&text);
	eddy_dump_tasks(loop, STDERR_FILENO);
	return true;
}

int
eddy_run(struct eddy_task *main_task)
{
	return eddy_run_with(NULL, main_task);
}

int
eddy_run_with(
    const struct eddy_loop_options *options, struct eddy_task *main_task)
{
	struct eddy_loop *loop;
	int r = eddy_loop_open(&loop, options), left;

	if (r < 0)
		return eddy__task_refuse(main_task, r);
	loop->main_result = EDDY_PENDING;
	r = eddy_loop_spawn(loop, main_task, main_ended);
	if (r == 0)
		r = eddy_loop_run(loop);
	if (r == 0 && is_stuck(loop))
		r = -EDEADLK;
	left = drain(loop);
	if (r == 0 && loop->main_result != EDDY_PENDING)
		r = loop->main_result;
	/* What would not leave in time keeps the loop; better than its end. */
	if (left == 0)
		left = eddy_loop_close(loop);
	else
		eddy__loop_abandon(loop);
	return left < 0 && r >= 0 ? left : r;
}
