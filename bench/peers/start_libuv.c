/* SPDX-License-Identifier: ISC */
#include "start.h"

#include <eddy/base.h>
#include <uv.h>

static double
loop(long n)
{
	int64_t began = eddy_now();
	uv_loop_t l;
	long i;

	for (i = 0; i < n; i++)
		if (uv_loop_init(&l) != 0 || uv_loop_close(&l) != 0)
			return 0;
	return (double)(eddy_now() - began) / (double)n;
}

const struct start_peer start_libuv = {loop, sizeof(uv_timer_t),
    sizeof(uv_poll_t), sizeof(uv_work_t), sizeof(uv_async_t)};
