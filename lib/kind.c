/* SPDX-License-Identifier: ISC */
/*
 * kind: which handle a node of the loop is a member of.
 */
#include <eddy/executor.h>
#include <eddy/post.h>
#include <eddy/signal.h>
#include <eddy/task.h>
#include <eddy/watch.h>

#include "loop_impl.h"

/* A program that does not link them has no such handles. */
#pragma weak eddy__timer_fire
#pragma weak eddy__watch_fire
#pragma weak eddy__post_fire
#pragma weak eddy__signal_fire
#pragma weak eddy__job_deliver
#pragma weak eddy__task_resume
#pragma weak eddy__task_ring

#define KIND(run, name, type, node, fn) \
	run, name, (int)offsetof(type, fn) - (int)offsetof(type, node)

static const struct kind kinds[] = {
    {KIND(NULL, "callback", struct eddy_ready, next, run)},
    {KIND(eddy__task_resume, "task", struct eddy_task, use.ready, fn)},
    {KIND(eddy__task_ring, "task", struct due, ready, fn)},
    {KIND(eddy__timer_fire, "timer", struct due, ready, fn)},
    {KIND(eddy__watch_fire, "watch", struct eddy_watch, ready, fn)},
    {KIND(eddy__post_fire, "post", struct eddy_post, ready, fn)},
    {KIND(eddy__signal_fire, "signal", struct eddy_signal, ready, fn)},
    {KIND(eddy__job_deliver, "job", struct eddy_job, ready, to)},
};

const struct kind *
eddy__kind_of(loop_run_fn *run)
{
	size_t i = sizeof(kinds) / sizeof(kinds[0]);

	while (--i != 0 && (run == NULL || kinds[i].run != run))
		;
	return &kinds[i];
}
