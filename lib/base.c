/* SPDX-License-Identifier: ISC */
#include <eddy/base.h>

#include <time.h>

#include "sys.h"

const char *
eddy_version(void)
{
	return EDDY_VERSION;
}

static inline int64_t
look(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return EDDY_S(now.tv_sec) + now.tv_nsec;
}

int64_t
eddy_now(void)
{
	return look(CLOCK_MONOTONIC);
}

int64_t
eddy__now_coarse(void)
{
	return look(CLOCK_MONOTONIC_COARSE);
}

int64_t
eddy__later(int64_t now, int64_t duration)
{
	int64_t deadline;

	if (duration == EDDY_FOREVER ||
	    __builtin_add_overflow(now, duration > 0 ? duration : 0, &deadline))
		return EDDY_FOREVER;
	return deadline;
}

int64_t
eddy__left(int64_t deadline)
{
	int64_t now = eddy_now();

	if (deadline == EDDY_FOREVER)
		return deadline;
	return deadline > now ? deadline - now : 0;
}

int64_t
eddy_after(int64_t duration)
{
	return eddy__later(eddy_now(), duration);
}
