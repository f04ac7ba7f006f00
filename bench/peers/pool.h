/* SPDX-License-Identifier: ISC */
/*
 * pool: what bench_pool asks of a library: keep window jobs out until all have
 * run.  Each runs pool_work; the loop submits it again while pool_again says so.
 */
#ifndef BENCH_PEERS_POOL_H
#define BENCH_PEERS_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Who runs; DIRECT is threads without a queue, RAW and RING without a pool. */
enum {
	EDDY,
	NO_SPIN,
	LIBUV,
	ASIO,
	GLIB,
	DIRECT,
	RAW,
	RING,
	ASYNCIO,
	UVLOOP,
	TOKIO,
	GO,
	POOL_PEERS
};

/* Where threads may run: anywhere; the loop on CPU 0 and the workers on CPU 1;
 * all on CPU 0. */
enum { FREE, TWO_CPUS, ONE_CPU };

struct pool_load {
	long peer, workers, window, jobs;
	long work;   /* ns, of each job */
	long seldom; /* ns, of one job in 100; 0: none */
	long gap;    /* eddy: ns from job to job, whenever they come back */
	long idle;   /* eddy: then be idle for a second, that is measured */
	long place;
};

struct pool_cost {
	double time, cpu; /* ns a job; idle: us of CPU in all */
	double p99;       /* ns from submit to callback, with seldom */
	double wakes;     /* idle */
};

/* Part of each job. */
struct pool_unit {
	long work;     /* ns */
	int64_t since; /* submitted; only with seldom */
	uint64_t count;
};

/* first: open the pool, which then stays. */
typedef void pool_run(const struct pool_load *load, bool first);

pool_run pool_eddy;
pool_run pool_direct;
pool_run pool_raw;
pool_run pool_ring;
pool_run pool_libuv __attribute__((weak));
pool_run pool_asio __attribute__((weak));
pool_run pool_glib __attribute__((weak));

extern pool_run *const pool_peers[POOL_PEERS]; /* NULL: not here */

void pool_eddy_idle(struct pool_cost *ret_cost);
int64_t pool_cpu(clockid_t clock); /* ns */

/* Run what argv says and print its cost; answers as main. */
int pool_child(char **argv);

/* Loop thread. */
extern struct pool_state {
	long left, out; /* jobs to submit again, jobs that are out */
	bool mixed;
} pool_state;

void pool_draw(struct pool_unit *unit);
void pool_note(const struct pool_unit *unit);

/* Before the first submit. */
static inline void
pool_start(struct pool_unit *unit, const struct pool_load *load)
{
	unit->work = load->work;
	if (pool_state.mixed)
		pool_draw(unit);
}

/* It has come back.  False: do not submit it again. */
static inline bool
pool_again(struct pool_unit *unit)
{
	if (pool_state.mixed)
		pool_note(unit);
	if (pool_state.left == 0) {
		pool_state.out--;
		return false;
	}
	pool_state.left--;
	if (pool_state.mixed)
		pool_draw(unit);
	return true;
}

static inline bool
pool_over(void)
{
	return pool_state.out == 0;
}

/* The job. */
void pool_burn(long ns);

static inline void
pool_work(struct pool_unit *unit)
{
	if (unit->work != 0)
		pool_burn(unit->work);
	unit->count++;
}

#ifdef __cplusplus
}
#endif

#endif
