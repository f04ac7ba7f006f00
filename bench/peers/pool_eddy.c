/* SPDX-License-Identifier: ISC */
#include "pool.h"

#include <eddy.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../bench.h"

struct unit {
	struct eddy_job job;
	struct pool_unit unit;
};

static struct eddy_loop *loop;
static struct eddy_executor *pool;
static struct unit *units;
static long ticks, gap;

static int
work(void *arg)
{
	pool_work(arg);
	return 0;
}

static void
on_done(struct eddy_loop *l, struct eddy_job *job)
{
	if (pool_again(job->arg))
		bench_check(eddy_submit(pool, job, l, on_done), "submit");
}

static void
open_pool(const struct pool_load *load)
{
	int64_t spin = load->peer == NO_SPIN ? -1 : 0;
	struct eddy_loop_options options = {.spin_duration = spin};
	struct eddy_thread_pool_options threads = {
	    .workers_min = (unsigned)load->workers,
	    .workers_max = (unsigned)load->workers,
	    .spin_duration = spin};

	bench_check(eddy_loop_open(&loop, &options), "loop");
	bench_check(eddy_thread_pool_open(&pool, &threads), "pool");
}

static void
submit(const struct pool_load *load, struct unit *u)
{
	u->job = (struct eddy_job)EDDY_JOB(work, &u->unit);
	pool_start(&u->unit, load);
	bench_check(eddy_submit(pool, &u->job, loop, on_done), "submit");
}

/* A job every gap ns, but none while the last is out. */
static void
on_tick(struct eddy_loop *l, struct eddy_timer *timer)
{
	int r = eddy_submit(pool, &units->job, l, on_done);

	bench_check(r == -EBUSY ? 0 : r, "submit");
	if (--ticks > 0)
		eddy_timer_repeat(l, timer, gap);
}

void
pool_eddy(const struct pool_load *load, bool first)
{
	struct eddy_timer timer;
	long i;

	if (first)
		open_pool(load);
	units = calloc((size_t)load->window, sizeof(*units));
	ticks = pool_state.left;
	gap = load->gap;
	if (gap != 0) {
		pool_state.left = 0;
		eddy_timer_init(&timer, on_tick);
		eddy_timer_start(loop, &timer, eddy_after(gap));
	}
	for (i = 0; i < load->window; i++)
		submit(load, &units[i]);
	bench_check(eddy_loop_run(loop), "run");
	free(units);
}

/* Of all threads but this one: us of CPU, and how often they fell asleep.  What
 * this one takes from one clock to the other counts as theirs: so the least. */
static struct pool_cost
others(void)
{
	struct pool_cost cost = {0, 0, 0, 0};
	struct rusage all, mine;
	int64_t ns = INT64_MAX, once;
	int i;

	for (i = 0; i < 100; i++) {
		once = pool_cpu(CLOCK_THREAD_CPUTIME_ID);
		once = pool_cpu(CLOCK_PROCESS_CPUTIME_ID) - once;
		ns = once < ns ? once : ns;
	}
	getrusage(RUSAGE_THREAD, &mine);
	getrusage(RUSAGE_SELF, &all);
	cost.cpu = (double)ns / 1000;
	cost.wakes = (double)(all.ru_nvcsw + all.ru_nivcsw - mine.ru_nvcsw -
			      mine.ru_nivcsw);
	return cost;
}

static void
release(struct eddy_loop *l, struct eddy_post *post)
{
	(void)post;
	eddy_loop_release(l);
}

static void *
watch(void *arg)
{
	static struct eddy_post post;
	struct pool_cost *cost = arg, before;

	usleep(100000); /* nobody is still awake */
	before = others();
	usleep(1000000);
	*cost = others();
	cost->cpu = (double)(long)(cost->cpu - before.cpu);
	cost->wakes -= before.wakes;
	eddy_post_init(&post, release);
	eddy_post(loop, &post);
	return NULL;
}

void
pool_eddy_idle(struct pool_cost *ret_cost)
{
	pthread_t thread;

	bench_check(eddy_loop_hold(loop), "hold");
	bench_check(-pthread_create(&thread, NULL, watch, ret_cost), "thread");
	bench_check(eddy_loop_run(loop), "run");
	pthread_join(thread, NULL);
}
