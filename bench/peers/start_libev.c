/* SPDX-License-Identifier: ISC */
#include "start.h"

#include <eddy/base.h>
#include <ev.h>

static double
loop(long n)
{
	int64_t began = eddy_now();
	long i;

	for (i = 0; i < n; i++)
		ev_loop_destroy(ev_loop_new(EVFLAG_AUTO));
	return (double)(eddy_now() - began) / (double)n;
}

const struct start_peer start_libev = {
    loop, sizeof(ev_timer), sizeof(ev_io), 0, sizeof(ev_async)};
