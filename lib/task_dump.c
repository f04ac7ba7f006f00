/* SPDX-License-Identifier: ISC */
/*
 * task_dump: tasks as people want to see them: the tree of a loop, and the one
 * line about an error that nobody read.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "task_impl.h"

enum { INDENT = 2, DEEPEST = 60 }; /* columns */

static const char *
name_of(const struct eddy_task *task)
{
	return task->name != NULL ? task->name : "(unnamed)";
}

static void
print(const struct eddy_task *task, int depth, int fd)
{
	const struct eddy_site *at = task->at, *why = task->why;
	const char *op = task->op != NULL ? task->op->name : "ready";
	int indent = depth * INDENT < DEEPEST ? depth * INDENT : DEEPEST;

	dprintf(fd, "%*s%s: %s", indent, "", name_of(task), op);
	if (at != NULL)
		dprintf(fd, ", %s:%d %s: %s", at->file, at->line, at->func,
		    at->text);
	if (why != NULL)
		dprintf(fd, " [cancelled: %s", why->text);
	if (why != NULL && why->file != NULL)
		dprintf(fd, ", %s:%d %s", why->file, why->line, why->func);
	dprintf(fd, why != NULL ? "]\n" : "\n");
}

/* Without recursion: trees may be deep. */
static void
dump(const struct eddy_task *root, int fd)
{
	const struct eddy_task *task = root, *next;
	int depth = 0;

	while (task != NULL) {
		print(task, depth, fd);
		next = eddy__task_below(task);
		depth += next != NULL;
		while (next == NULL && task != root) {
			next = eddy__task_after(task);
			if (next == NULL) {
				task = task->up.parent;
				depth--;
			}
		}
		task = next;
	}
}

void
eddy_dump_tasks(const struct eddy_loop *loop, int fd)
{
	const struct eddy_task *root;
	int saved = errno;

	for (root = loop->roots; root != NULL; root = root->next)
		dump(root, fd);
	errno = saved;
}

void
eddy__task_report(const struct eddy_task *task)
{
	struct eddy_loop *loop = task->loop;
	int saved = errno;

	if (loop->options.on_error != NULL) {
		loop->options.on_error(loop, task, task->result);
		return;
	}
	errno = -task->result;
	dprintf(STDERR_FILENO, "eddy: %s: nobody read its error: %m\n",
	    name_of(task));
	errno = saved;
}
