/* SPDX-License-Identifier: ISC */
/*
 * cluster: libgearman blocks, so it runs on a thread pool, a connection a thread.
 *
 * For each job the executor submits one of its own to that pool, which sends the
 * job away, waits for the answer and ends it.  So queue, room, deadline in the
 * queue and cancel are the pool's, and no loop waits for a server.
 */
#include "cluster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libgearman/gearman.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* RETRY: ms between looks for a server that is down. */
enum { AT_ONCE = 16, ATTEMPTS = 3, RETRY = 100 };
#define SILENCE EDDY_S(30)

struct remote {
	struct eddy_job inner;  /* on the pool */
	struct eddy_job *outer; /* the user's */
	struct cluster *cluster;
	const struct cluster_function *function;
	struct remote *next;
	bool ended;                /* outer has its outcome */
	enum eddy_outcome outcome; /* EDDY_NONE: no answer yet */
	int result;
};

/* A thread's connection; client is NULL after one that failed. */
struct line {
	gearman_client_st *client;
	const char *servers;
};

static void
hang_up(struct line *line)
{
	if (line->client != NULL)
		gearman_client_free(line->client);
	line->client = NULL;
}

static int
pick_up(struct line *line)
{
	if (line->client != NULL)
		return 0;
	line->client = gearman_client_create(NULL);
	if (line->client == NULL)
		return -ENOMEM;
	if (gearman_client_add_servers(line->client, line->servers) ==
	    GEARMAN_SUCCESS)
		return 0;
	hang_up(line);
	return -EINVAL;
}

static int
open_line(void *cluster, void **ret_line)
{
	struct line *line = calloc(1, sizeof(*line));

	if (line == NULL)
		return -ENOMEM;
	line->servers = ((struct cluster *)cluster)->options.servers;
	*ret_line = line;
	return 0;
}

static void
close_line(void *line)
{
	hang_up(line);
	free(line);
}

static gearman_return_t
on_status(gearman_task_st *task)
{
	eddy_job_progress(gearman_task_numerator(task));
	return GEARMAN_SUCCESS;
}

static gearman_return_t
on_complete(gearman_task_st *task)
{
	struct remote *remote = gearman_task_context(task);
	struct eddy_job *job = remote->outer;
	const char *data = gearman_task_data(task);
	size_t size = gearman_task_data_size(task);
	struct cluster_answer answer = {htonl(EDDY_PROTOCOL), 0};

	remote->outcome = EDDY_PROTOCOL;
	if (size >= sizeof(answer))
		memcpy(&answer, data, sizeof(answer));
	if (ntohl(answer.outcome) != EDDY_RETURNED) {
		if (ntohl(answer.outcome) - 1 < EDDY_PROTOCOL)
			remote->outcome = ntohl(answer.outcome);
	} else if (size == sizeof(answer) + job->size) {
		remote->outcome = EDDY_RETURNED;
		if (job->size != 0)
			memcpy(job->arg, data + sizeof(answer), job->size);
	}
	remote->result = (int)ntohl(answer.result);
	return GEARMAN_SUCCESS;
}

/* One exchange of at most so many ns; 0, or why there is no answer. */
static int
ask(struct line *line, struct remote *remote, int64_t limit)
{
	int64_t ms = limit / EDDY_MS(1) + 1;
	gearman_client_st *client = line->client;
	gearman_return_t r;

	gearman_client_set_timeout(client, ms < INT_MAX ? (int)ms : INT_MAX);
	gearman_client_set_status_fn(client, on_status);
	gearman_client_set_complete_fn(client, on_complete);
	gearman_client_add_task(client, NULL, remote, remote->function->name,
	    NULL, remote->outer->arg, remote->outer->size, &r);
	if (r == GEARMAN_SUCCESS)
		r = gearman_client_run_tasks(client);
	gearman_client_task_free_all(client);
	if (remote->outcome != EDDY_NONE)
		return 0;
	hang_up(line);
	return r == GEARMAN_TIMEOUT             ? -ETIMEDOUT
	       : r == GEARMAN_COULD_NOT_CONNECT ? -ECONNREFUSED
	                                        : -ECONNRESET;
}

/* Again while no server is there, or if the job may run twice.  0: answered. */
static int
ask_again(struct line *line, struct remote *remote)
{
	int64_t deadline = remote->outer->deadline, left;
	int64_t until = eddy_after(remote->cluster->options.silence);
	int r = -ETIMEDOUT, attempts = 0;

	if (deadline != 0 && deadline < until)
		until = deadline;
	while ((left = until - eddy_now()) > 0 && !eddy_job_stop_requested()) {
		r = pick_up(line);
		if (r == 0)
			r = ask(line, remote, left);
		if (r == -ECONNREFUSED)
			poll(NULL, 0, RETRY);
		else if (r != -ECONNRESET || !remote->function->idempotent ||
			 ++attempts == ATTEMPTS)
			break;
	}
	return r;
}

static int
call(void *arg)
{
	struct remote *remote = arg;
	struct eddy_job *job = remote->outer;
	int r;

	if (!eddy_job_begin(job))
		return 0;
	r = ask_again(eddy_worker_state(), remote);
	if (r < 0) {
		bool late = job->deadline != 0 && job->deadline <= eddy_now();

		remote->outcome = late ? EDDY_EXPIRED : EDDY_LOST;
		remote->result = late ? 0 : r;
	}
	pthread_mutex_lock(&remote->cluster->lock);
	remote->ended = true;
	pthread_mutex_unlock(&remote->cluster->lock);
	eddy_job_end(job, remote->outcome, remote->result);
	return 0;
}

static void
on_called(struct eddy_loop *home, struct eddy_job *inner)
{
	struct remote *remote = (struct remote *)inner, **link;
	struct cluster *cluster = remote->cluster;

	(void)home;
	pthread_mutex_lock(&cluster->lock);
	for (link = &cluster->remotes; *link != remote; link = &(*link)->next)
		;
	*link = remote->next;
	pthread_mutex_unlock(&cluster->lock);
	if (!remote->ended) /* it never left the queue */
		eddy_job_end(remote->outer, inner->outcome, inner->result);
	free(remote);
	eddy_executor_room(&cluster->executor, 1);
}

static int
submit(struct eddy_executor *executor, struct eddy_job *job)
{
	struct cluster *cluster = (struct cluster *)executor;
	const struct cluster_function *function = cluster->options.table;
	struct remote *remote;
	int r;

	while (function->name != NULL && function->fn != job->fn)
		function++;
	if (function->name == NULL)
		return -ENOENT;
	if (job->size > CLUSTER_MOST)
		return -EMSGSIZE;
	remote = calloc(1, sizeof(*remote));
	if (remote == NULL)
		return -ENOMEM;
	remote->inner = (struct eddy_job)EDDY_JOB(call, remote);
	remote->inner.name = function->name;
	remote->inner.deadline = job->deadline;
	remote->inner.flags = job->flags & EDDY_JOB_URGENT;
	remote->outer = job;
	remote->cluster = cluster;
	remote->function = function;
	pthread_mutex_lock(&cluster->lock);
	r = eddy_submit(
	    cluster->pool, &remote->inner, cluster->home, on_called);
	if (r == 0) {
		remote->next = cluster->remotes;
		cluster->remotes = remote;
	}
	pthread_mutex_unlock(&cluster->lock);
	if (r < 0)
		free(remote);
	return r;
}

static int
cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	struct cluster *cluster = (struct cluster *)executor;
	struct remote *remote;
	int r = -EALREADY;

	(void)outcome;
	pthread_mutex_lock(&cluster->lock);
	for (remote = cluster->remotes; remote != NULL; remote = remote->next)
		if (remote->outer == job && !remote->ended)
			r = eddy_job_cancel(&remote->inner);
	pthread_mutex_unlock(&cluster->lock);
	return r;
}

static int
close_cluster(struct eddy_executor *executor, int64_t duration)
{
	return eddy_executor_close(
	    ((struct cluster *)executor)->pool, duration);
}

static void
describe(struct eddy_executor *executor, struct eddy_executor_stats *ret_stats)
{
	eddy_executor_stats(((struct cluster *)executor)->pool, ret_stats);
}

int
cluster_open(struct cluster *cluster, struct eddy_loop *home,
    const struct cluster_options *options)
{
	static const struct eddy_executor_ops ops = {.name = "cluster",
	    .submit = submit,
	    .cancel = cancel,
	    .close = close_cluster,
	    .describe = describe};
	struct eddy_thread_pool_options threads = {
	    .workers_max = options->at_once != 0 ? options->at_once : AT_ONCE,
	    .worker_open = open_line,
	    .worker_close = close_line,
	    .init = cluster};
	struct line line = {NULL, options->servers};
	int r;

	*cluster = (struct cluster){.options = *options, .home = home};
	if (cluster->options.silence == 0)
		cluster->options.silence = SILENCE;
	r = pick_up(&line);
	if (r == 0 &&
	    gearman_client_echo(line.client, "?", 1) != GEARMAN_SUCCESS)
		r = -ECONNREFUSED;
	hang_up(&line);
	if (r == 0)
		r = eddy_thread_pool_open(&cluster->pool, &threads);
	if (r < 0)
		return r;
	eddy_executor_init(&cluster->executor, &ops);
	pthread_mutex_init(&cluster->lock, NULL);
	return 0;
}
