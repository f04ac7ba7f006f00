/* SPDX-License-Identifier: ISC */
#include "pool.h"

#include <uv.h>

#include <stdio.h>
#include <stdlib.h>

struct unit {
	uv_work_t request;
	struct pool_unit unit;
};

static void
work(uv_work_t *request)
{
	pool_work(&((struct unit *)request)->unit);
}

static void
on_done(uv_work_t *request, int status)
{
	(void)status;
	if (pool_again(&((struct unit *)request)->unit))
		uv_queue_work(uv_default_loop(), request, work, on_done);
}

void
pool_libuv(const struct pool_load *load, bool first)
{
	struct unit *units = calloc((size_t)load->window, sizeof(*units));
	char workers[24];
	long i;

	snprintf(workers, sizeof(workers), "%ld", load->workers);
	if (first)
		setenv("UV_THREADPOOL_SIZE", workers, 1);
	for (i = 0; i < load->window; i++) {
		pool_start(&units[i].unit, load);
		uv_queue_work(
		    uv_default_loop(), &units[i].request, work, on_done);
	}
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	free(units);
}
