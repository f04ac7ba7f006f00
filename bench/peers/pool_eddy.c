/* SPDX-License-Identifier: ISC */
#include "pool.h"

#include <eddy.h>

#include <stdlib.h>

#include "../bench.h"

struct unit {
	struct eddy_job job;
	uint64_t count;
};

static struct eddy_loop *loop;
static struct eddy_executor *pool;
static long left, work_ns;

void
pool_burn(long ns)
{
	int64_t until = ns != 0 ? eddy_now() + ns : 0;

	while (ns != 0 && eddy_now() < until)
		;
}

static int
work(void *arg)
{
	uint64_t *count = arg;

	pool_burn(work_ns);
	++*count;
	return 0;
}

static void
on_done(struct eddy_loop *l, struct eddy_job *job)
{
	if (left-- > 0)
		bench_check(eddy_submit(pool, job, l, on_done), "submit");
}

static void
open_pool(const struct pool_load *load)
{
	struct eddy_loop_options options = {.spin_duration = load->spin};
	struct eddy_thread_pool_options threads = {.workers_min = load->workers,
	    .workers_max = load->workers,
	    .spin_duration = load->spin};

	bench_check(eddy_loop_open(&loop, &options), "loop");
	bench_check(eddy_thread_pool_open(&pool, &threads), "pool");
}

void
pool_eddy(const struct pool_load *load, bool first)
{
	struct unit *units = calloc((size_t)load->window, sizeof(*units));
	long i;

	if (first)
		open_pool(load);
	left = load->jobs - load->window;
	work_ns = load->work;
	for (i = 0; i < load->window; i++) {
		units[i].job = (struct eddy_job)EDDY_JOB(work, &units[i].count);
		bench_check(
		    eddy_submit(pool, &units[i].job, loop, on_done), "submit");
	}
	bench_check(eddy_loop_run(loop), "run");
	free(units);
}
