/* SPDX-License-Identifier: ISC */
/*
 * cluster_worker: the other end, jobs of a Gearman server on a process pool.
 *
 * Each lane is a thread with a connection and a loop: it takes a job, runs it on
 * the pool that all share, and sends outcome, result and bytes back.  While one
 * lane's job runs, the next one fetches.
 */
#include "cluster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libgearman/gearman.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 2, RETRY = 100 /* ms */ };

static struct eddy_executor *pool;

struct lane {
	const char *servers;
	const struct cluster_function *table;
	struct eddy_loop *loop;
	gearman_job_st *job; /* that it runs */
};

/* What the loop calls back with. */
struct errand {
	struct eddy_long_job job;
	struct lane *lane;
};

static void
on_progress(struct eddy_loop *loop, struct eddy_long_job *job)
{
	(void)loop;
	gearman_job_send_status(
	    ((struct errand *)job)->lane->job, (uint32_t)job->progress, 100);
}

static void
on_done(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)job;
	eddy_loop_stop(loop);
}

/* The bytes are in place behind the answer. */
static void
run(struct lane *lane, const struct cluster_function *function,
    struct cluster_answer *answer, size_t size)
{
	struct errand errand = {{.on_progress = on_progress}, lane};
	struct eddy_job *job = &errand.job.job;
	int r;

	*job = (struct eddy_job){.fn = function->fn,
	    .arg = answer + 1,
	    .size = (uint32_t)size,
	    .name = function->name,
	    .flags = EDDY_JOB_LONG};
	r = eddy_submit(pool, job, lane->loop, on_done);
	if (r == 0)
		r = eddy_loop_run(lane->loop);
	answer->outcome = htonl(r == 0 ? job->outcome : EDDY_LOST);
	answer->result = htonl((uint32_t)(r == 0 ? job->result : r));
}

static void *
on_job(gearman_job_st *job, void *context, size_t *ret_size,
    gearman_return_t *ret_code)
{
	struct lane *lane = context;
	const struct cluster_function *function = lane->table;
	size_t size = gearman_job_workload_size(job);
	struct cluster_answer *answer = calloc(1, sizeof(*answer) + size);

	while (strcmp(function->name, gearman_job_function_name(job)) != 0)
		function++; /* only what we registered comes */
	*ret_code = answer != NULL ? GEARMAN_SUCCESS : GEARMAN_WORK_FAIL;
	if (answer == NULL)
		return NULL;
	if (size != 0)
		memcpy(answer + 1, gearman_job_workload(job), size);
	lane->job = job;
	run(lane, function, answer, size);
	*ret_size = sizeof(*answer);
	if (ntohl(answer->outcome) == EDDY_RETURNED)
		*ret_size += size;
	return answer; /* libgearman frees it */
}

/* For as long as one connection lasts. */
static void
serve(struct lane *lane)
{
	gearman_worker_st *worker = gearman_worker_create(NULL);
	const struct cluster_function *function;
	gearman_return_t r;

	if (worker == NULL)
		return;
	r = gearman_worker_add_servers(worker, lane->servers);
	for (function = lane->table; function->name != NULL; function++)
		if (r == GEARMAN_SUCCESS)
			r = gearman_worker_add_function(
			    worker, function->name, 0, on_job, lane);
	while (r == GEARMAN_SUCCESS)
		r = gearman_worker_work(worker);
	gearman_worker_free(worker);
}

static void *
keep_serving(void *arg)
{
	for (;;) {
		serve(arg);
		poll(NULL, 0, RETRY); /* the server is down */
	}
	return NULL;
}

int
cluster_serve(const char *servers, const struct cluster_function *table)
{
	struct eddy_process_pool_options options = {
	    .workers = 1, .slot_size = CLUSTER_MOST};
	static struct lane lanes[LANES];
	pthread_t thread;
	int i, r = eddy_process_pool_open(&pool, NULL, &options);

	for (i = 0; r == 0 && i < LANES; i++) {
		lanes[i].servers = servers;
		lanes[i].table = table;
		r = eddy_loop_open(&lanes[i].loop, NULL);
		if (r == 0 && i > 0)
			r = -pthread_create(
			    &thread, NULL, keep_serving, &lanes[i]);
	}
	if (r == 0)
		keep_serving(&lanes[0]);
	return r;
}
