/* SPDX-License-Identifier: ISC */
/*
 * task_dump: tasks as people want to see them: the tree of a loop, and the one
 * line about an error that nobody read.
 */
#include <errno.h>
#include <unistd.h>

#include "executor_impl.h"
#include "task_impl.h"
#include "text.h"

/* A program that does not offload has no jobs to wait for. */
#pragma weak eddy__job_op
#pragma weak eddy__owned_op

enum { INDENT = 2, DEEPEST = 60 }; /* columns */

static const char *
name_of(const struct eddy_task *task)
{
	return task->name != NULL ? task->name : "(unnamed)";
}

/* What it waits for: the job, or the operation by name. */
static void
print_wait(struct text *text, const struct eddy_task *task)
{
	const struct eddy_job *job;
	uint32_t state;

	if (task->op == NULL ||
	    (task->op != &eddy__job_op && task->op != &eddy__owned_op)) {
		eddy__print(
		    text, "%s", task->op != NULL ? task->op->name : "ready");
		return;
	}
	job = task->use.user[0]; /* also of a struct owned_job */
	state = A_LOAD(&job->state);
	eddy__print(text, "job %s on %s, %s", job_name(job),
	    job->executor->ops->name,
	    state == JOB_RUNNING   ? "running"
	    : state == JOB_WAITING ? "waits for room"
	    : state == JOB_DONE    ? "done"
				   : "queued");
}

static void
print(struct text *text, const struct eddy_task *task, int depth)
{
	const struct eddy_site *at = task->at, *why = task->why;
	int indent = depth * INDENT < DEEPEST ? depth * INDENT : DEEPEST;
	const struct eddy_alarm *alarm = &task->alarm;
	double left = ((double)alarm->deadline -
			  (double)eddy_loop_after(task->loop, 0)) /
	              1e9;

	eddy__print(text, "%*s%s: ", indent, "", name_of(task));
	print_wait(text, task);
	if (alarm->index != 0 && alarm->index < DUE)
		eddy__print(text, ", %.3f s left", left);
	else if (alarm->index == 0 && task->op != NULL) /* see eddy__park */
		eddy__print(text, ", for %.3f s", -left);
	if (at != NULL)
		eddy__print(text, ", %s:%d %s: %s", at->file, at->line,
		    at->func, at->text);
	if (why != NULL && why->text == NULL)
		why = NULL; /* only bounded */
	if (why != NULL)
		eddy__print(text, " [cancelled: %s", why->text);
	if (why != NULL && why->file != NULL)
		eddy__print(
		    text, ", %s:%d %s", why->file, why->line, why->func);
	eddy__print(text, why != NULL ? "]\n" : "\n");
}

void
eddy_dump_tasks(const struct eddy_loop *loop, int fd)
{
	const struct eddy_task *root, *task;
	struct text text = {.fd = fd};
	int depth = 0; /* and so again behind each tree */

	for (root = loop->roots; root != NULL; root = root->next)
		for (task = root; task != NULL;
		     task = eddy__task_next(
			 root, task, eddy__task_below(task), &depth))
			print(&text, task, depth);
	eddy__print_end(&text);
}

void
eddy__task_report(const struct eddy_task *task)
{
	struct eddy_loop *loop = task->loop;
	struct text text = {.fd = STDERR_FILENO};
	int saved = errno;

	if (loop->options.on_error != NULL) {
		loop->options.on_error(loop, task, task->result);
		return;
	}
	errno = -task->result;
	eddy__print(
	    &text, "eddy: %s: nobody read its error: %m\n", name_of(task));
	errno = saved;
	eddy__print_end(&text); /* without SIGPIPE */
}
