/* SPDX-License-Identifier: ISC */
#include "pool.h"

#include <uv.h>

#include <stdio.h>
#include <stdlib.h>

struct unit {
	uv_work_t request;
	uint64_t count;
};

static long left, work_ns;

static void
work(uv_work_t *request)
{
	pool_burn(work_ns);
	((struct unit *)request)->count++;
}

static void
on_done(uv_work_t *request, int status)
{
	(void)status;
	if (left-- > 0)
		uv_queue_work(uv_default_loop(), request, work, on_done);
}

void
pool_libuv(const struct pool_load *load, bool first)
{
	struct unit *units = calloc((size_t)load->window, sizeof(*units));
	char workers[16];
	long i;

	snprintf(workers, sizeof(workers), "%u", load->workers);
	if (first)
		setenv("UV_THREADPOOL_SIZE", workers, 1);
	left = load->jobs - load->window;
	work_ns = load->work;
	for (i = 0; i < load->window; i++)
		uv_queue_work(
		    uv_default_loop(), &units[i].request, work, on_done);
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	free(units);
}
