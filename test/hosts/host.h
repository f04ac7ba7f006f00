/* SPDX-License-Identifier: ISC */
/*
 * host: eddy's side of a program whose main loop is another library's.
 *
 * begin() is called from a callback of that library, between eddy's steps: it
 * brings a job, a task, a timer and a post, with nothing else to wake the loop.
 * over() is called when all four were heard.
 */
#ifndef HOST_H
#define HOST_H

#include <eddy.h>
#include <stdio.h>
#include <stdlib.h>

static struct eddy_loop *loop;
static int heard;

static void over(void);

#define MUST(condition)                                                \
	do {                                                           \
		if (!(condition)) {                                    \
			printf("line %d: %s\n", __LINE__, #condition); \
			exit(1);                                       \
		}                                                      \
	} while (0)

static void
hear(void)
{
	if (++heard == 4)
		over();
}

static int
work(void *arg)
{
	return ++*(int *)arg;
}

static void
on_job(struct eddy_loop *l, struct eddy_job *job)
{
	(void)l;
	MUST(job->result == 1);
	hear();
}

static void
on_timer(struct eddy_loop *l, struct eddy_timer *t)
{
	(void)l;
	(void)t;
	hear();
}

static void
on_post(struct eddy_loop *l, struct eddy_post *p)
{
	(void)l;
	(void)p;
	hear();
}

struct nap {
	struct eddy_task task;
};

static eddy_step
nap(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct nap, f);
	EDDY_TRY(eddy_sleep(self, EDDY_MS(1)));
	hear();
	EDDY_END;
}

static void
begin(void)
{
	static struct eddy_executor *pool;
	static struct eddy_timer timer;
	static struct eddy_post post;
	static struct nap f;
	static int n;
	static struct eddy_job job = EDDY_JOB(work, &n);

	MUST(eddy_loop_executor(loop, &pool) == 0);
	MUST(eddy_submit(pool, &job, loop, on_job) == 0);
	MUST(eddy_loop_spawn(loop, EDDY_INIT(&f, nap), NULL) == 0);
	eddy_timer_init(&timer, on_timer);
	MUST(eddy_timer_start(loop, &timer, eddy_after(EDDY_MS(1))) == 0);
	eddy_post_init(&post, on_post);
	MUST(eddy_post(loop, &post) == 0);
}

static void
step(void)
{
	MUST(eddy_loop_step(loop, 0) >= 0);
}

static int
open_loop(void)
{
	int fd;

	MUST(eddy_loop_open(&loop, NULL) == 0);
	fd = eddy_loop_fd(loop);
	MUST(fd >= 0);
	return fd;
}

static void
close_loop(const char *name)
{
	MUST(heard == 4);
	MUST(eddy_loop_close(loop) == 0);
	printf(
	    "eddy in %s: a job, a task, a timer and a post were heard\n", name);
}

#endif
