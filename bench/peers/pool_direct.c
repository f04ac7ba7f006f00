/* SPDX-License-Identifier: ISC */
/*
 * The floor of jobs with work: no queue, each thread runs its share of them.
 */
#include "pool.h"

#include <pthread.h>

#include "../bench.h"

enum { MOST = 64 };

struct share {
	pthread_t thread;
	const struct pool_load *load;
	long jobs;
};

static void *
work(void *arg)
{
	const struct share *share = arg;
	struct pool_unit unit = {share->load->work, 0, 0};
	long i;

	for (i = 0; i < share->jobs; i++)
		pool_work(&unit);
	return NULL;
}

void
pool_direct(const struct pool_load *load, bool first)
{
	struct share shares[MOST];
	long i, jobs = load->jobs, workers = load->workers;

	(void)first;
	for (i = 0; i < workers; i++) {
		shares[i] = (struct share){
		    .load = load, .jobs = (jobs + i) / workers};
		bench_check(
		    -pthread_create(&shares[i].thread, NULL, work, &shares[i]),
		    "thread");
	}
	for (i = 0; i < workers; i++)
		pthread_join(shares[i].thread, NULL);
}
