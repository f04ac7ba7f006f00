/* SPDX-License-Identifier: ISC */
/*
 * pool: what bench_pool asks of a library: keep window jobs out until all have
 * run.  Each job burns work ns and counts; the loop submits it again.
 */
#ifndef BENCH_PEERS_POOL_H
#define BENCH_PEERS_POOL_H

#include <stdbool.h>
#include <stdint.h>

struct pool_load {
	unsigned workers;
	long window, jobs;
	long work; /* ns */
	long spin; /* eddy's spin_duration */
};

/* first: open the pool, which then stays. */
typedef void pool_run(const struct pool_load *load, bool first);

pool_run pool_eddy;
pool_run pool_libuv __attribute__((weak));

void pool_burn(long ns);

#endif
