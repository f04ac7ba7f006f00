/* SPDX-License-Identifier: ISC */
#include "start.h"

#include <eddy/base.h>
#include <event2/event.h>
#include <event2/event_struct.h>

static double
loop(long n)
{
	int64_t began = eddy_now();
	long i;

	for (i = 0; i < n; i++)
		event_base_free(event_base_new());
	return (double)(eddy_now() - began) / (double)n;
}

const struct start_peer start_libevent = {
    loop, sizeof(struct event), sizeof(struct event), 0, sizeof(struct event)};
