/* SPDX-License-Identifier: ISC */
/*
 * The floor of many jobs: a ring of struct eddy_job to each worker and one back,
 * the result in the job, and nothing else: no other thread may submit, nothing
 * can be cancelled, stolen or closed.  Nobody sleeps; who finds nothing lets
 * others run.
 */
#include <eddy/executor.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

#include "../bench.h"

enum { SLOTS = 8192, LOOKS = 100 }; /* more than any window */

struct unit {
	struct eddy_job job;
	struct pool_unit unit;
};

/* From one thread to one; a slot is NULL, or has a job. */
struct ring {
	_Alignas(64) unsigned in;
	_Alignas(64) unsigned out;
	_Alignas(64) struct eddy_job *_Atomic slots[SLOTS];
};

struct pair {
	struct ring there, back;
	pthread_t thread;
};

static void
put(struct ring *ring, struct eddy_job *job)
{
	atomic_store_explicit(
	    &ring->slots[ring->in++ % SLOTS], job, memory_order_release);
}

static struct eddy_job *
take(struct ring *ring)
{
	struct eddy_job *_Atomic *slot = &ring->slots[ring->out % SLOTS], *job;

	job = atomic_load_explicit(slot, memory_order_acquire);
	if (job == NULL)
		return NULL;
	__builtin_prefetch(ring->slots[(ring->out + 8) % SLOTS], 1);
	atomic_store_explicit(slot, NULL, memory_order_relaxed);
	ring->out++;
	return job;
}

static void
rest(void)
{
	static _Thread_local int looks;

	if (++looks % LOOKS == 0)
		sched_yield();
}

static int
work(void *arg)
{
	pool_work(arg);
	return 0;
}

static void *
serve(void *arg)
{
	struct pair *pair = arg;
	struct eddy_job *job;

	for (;;) {
		job = take(&pair->there);
		if (job == NULL) {
			rest();
			continue;
		}
		job->result = job->fn(job->arg);
		job->outcome = EDDY_RETURNED;
		put(&pair->back, job);
	}
	return arg;
}

static void
submit(struct pair *pair, struct eddy_job *job)
{
	job->result = 0;
	job->outcome = EDDY_NONE;
	put(&pair->there, job);
}

static struct pair *
open_pairs(long workers)
{
	size_t size = (size_t)workers * sizeof(struct pair);
	struct pair *all = aligned_alloc(64, size);
	long i;

	memset(all, 0, size);
	for (i = 0; i < workers; i++)
		bench_check(
		    -pthread_create(&all[i].thread, NULL, serve, &all[i]),
		    "thread");
	return all;
}

/* What has come back from pair.  False: nothing. */
static bool
collect(struct pair *pair)
{
	struct eddy_job *job = take(&pair->back);
	bool any = job != NULL;

	for (; job != NULL; job = take(&pair->back))
		if (pool_again(job->arg))
			submit(pair, job);
	return any;
}

void
pool_ring(const struct pool_load *load, bool first)
{
	struct unit *units = calloc((size_t)load->window, sizeof(*units));
	static struct pair *pairs;
	bool any;
	long i;

	if (first)
		pairs = open_pairs(load->workers);
	for (i = 0; i < load->window; i++) {
		units[i].job = (struct eddy_job)EDDY_JOB(work, &units[i].unit);
		pool_start(&units[i].unit, load);
		submit(&pairs[i % load->workers], &units[i].job);
	}
	while (!pool_over()) {
		any = false;
		for (i = 0; i < load->workers; i++)
			any = collect(&pairs[i]) || any;
		if (!any)
			rest();
	}
	free(units);
}
