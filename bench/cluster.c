/* SPDX-License-Identifier: ISC */
/*
 * cluster: each job is a coroutine of the home loop, from submit to outcome.
 *
 * It waits for a place among those that are out, takes a line that is idle or
 * opens one, and sends its job there.  So queue, limits and cancel are those of
 * tasks, and no thread waits for a server.
 */
#include "cluster.h"

#include <errno.h>
#include <libgearman/gearman.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster_line.h"

enum { AT_ONCE = 16, ATTEMPTS = 3, QUEUE = 65536 };
#define SILENCE EDDY_S(30)
#define DIAL    EDDY_S(2)    /* for one server to answer */
#define RETRY   EDDY_MS(100) /* between looks for a server that is down */

struct call {
	struct eddy_task task;
	struct eddy_post post; /* start it, or look whether to stop */
	struct cluster *cluster;
	const struct cluster_function *function;
	struct eddy_job *job;      /* the user's */
	struct call *next, **link; /* guarded, as stop, by the cluster's lock */
	bool stop, started, placed, sent;
	unsigned i, attempts;
	int64_t until;
	int rc, why; /* why: there is no answer yet */
	struct line *line;
	struct exchange exchange;
};

/* The next server, from the one that answered last. */
static EDDY_ASYNC
dial(struct eddy_task *self, struct call *f)
{
	struct cluster *cluster = f->cluster;
	struct eddy_name *to;

	cluster->good = (cluster->good + (f->i > 0)) % cluster->count;
	to = &cluster->servers[cluster->good];
	return eddy_timeout(
	    self, DIAL, eddy_net_connect(self, to->host, to->service));
}

static eddy_step
call(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct call, f);
	if (f->job->deadline != 0)
		eddy_deadline_set(self, f->job->deadline);
	EDDY_TRY(eddy_semaphore_acquire(self, &f->cluster->places));
	f->placed = true;
	f->until = eddy_after(f->cluster->options.silence);
	if (f->job->deadline == 0 || f->until < f->job->deadline)
		eddy_deadline_set(self, f->until);
	while (f->attempts < ATTEMPTS) {
		f->line = line_take(&f->cluster->idle);
		for (f->i = 0; f->line == NULL && f->i < f->cluster->count;
		     f->i++) {
			EDDY_AWAIT(f->rc, dial(self, f));
			if (f->rc >= 0)
				f->rc = line_open(self->loop, f->rc, &f->line);
		}
		if (f->line == NULL) {
			f->why = f->rc == -ETIME ? -ETIMEDOUT : -ECONNREFUSED;
			EDDY_TRY(eddy_sleep(self, RETRY));
			continue;
		}
		f->why = -ETIMEDOUT;
		f->sent = true;
		EDDY_INIT(&f->exchange, exchange, .line = f->line,
		    .name = f->function->name, .job = f->job);
		EDDY_AWAIT(f->rc, eddy_call(self, &f->exchange.task));
		if (f->rc == 0 && !f->cluster->closed)
			line_leave(&f->cluster->idle, f->line);
		else
			line_close(f->line);
		if (f->rc != -ECONNRESET)
			EDDY_RETURN(f->rc);
		f->attempts += f->function->idempotent ? 1 : ATTEMPTS;
	}
	EDDY_RETURN(-ECONNRESET);
	EDDY_END;
}

static void
on_called(struct eddy_loop *home, struct eddy_task *task)
{
	struct call *call = (struct call *)task;
	struct cluster *cluster = call->cluster;
	struct eddy_job *job = call->job;
	int r = task->result, why = r == -ETIME ? call->why : r;
	int result = r < 0 ? why : call->exchange.result;
	enum eddy_outcome outcome = r < 0 ? EDDY_LOST : call->exchange.outcome;

	if (r == -ETIME && job->deadline != 0 && job->deadline <= eddy_now())
		outcome = EDDY_EXPIRED;
	if (r == -ECANCELED && !call->sent)
		outcome = EDDY_CANCELLED;
	pthread_mutex_lock(&cluster->lock);
	*call->link = call->next;
	if (call->next != NULL)
		call->next->link = call->link;
	cluster->queue--;
	pthread_mutex_unlock(&cluster->lock);
	eddy_post_cancel(home, &call->post);
	if (call->placed)
		eddy_semaphore_release(&cluster->places);
	free(call);
	cluster->ended[outcome]++;
	eddy_job_end(job, outcome, result);
	eddy_executor_room(&cluster->executor, 1);
}

/* It was submitted by another thread, or cancelled. */
static void
on_post(struct eddy_loop *home, struct eddy_post *post)
{
	struct call *f = (void *)((char *)post - offsetof(struct call, post));
	bool stop;

	if (!f->started)
		f->started = eddy_loop_spawn(home, &f->task, on_called) == 0;
	pthread_mutex_lock(&f->cluster->lock);
	stop = f->stop || f->cluster->closed;
	pthread_mutex_unlock(&f->cluster->lock);
	if (stop)
		eddy_cancel(&f->task);
}

static int
submit(struct eddy_executor *executor, struct eddy_job *job)
{
	struct cluster *cluster = (struct cluster *)executor;
	const struct cluster_function *function = cluster->options.table;
	struct call *f;
	bool full;

	while (function->name != NULL && function->fn != job->fn)
		function++;
	if (function->name == NULL)
		return -ENOENT;
	if (job->size > CLUSTER_MOST)
		return -EMSGSIZE;
	f = malloc(sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	EDDY_INIT(f, call, .cluster = cluster, .function = function, .job = job,
	    .why = -ETIMEDOUT);
	eddy_post_init(&f->post, on_post);
	pthread_mutex_lock(&cluster->lock);
	full = cluster->queue == QUEUE;
	if (!full) {
		f->next = cluster->calls;
		f->link = &cluster->calls;
		if (f->next != NULL)
			f->next->link = &f->next;
		cluster->calls = f;
		cluster->queue++;
		cluster->submitted++;
		f->started = eddy_loop_spawn(
				 cluster->home, &f->task, on_called) == 0;
		if (!f->started) /* another thread */
			eddy_post(cluster->home, &f->post);
	}
	pthread_mutex_unlock(&cluster->lock);
	if (full)
		free(f);
	return full ? -EAGAIN : 0;
}

static int
cancel(struct eddy_executor *executor, struct eddy_job *job,
    enum eddy_outcome outcome)
{
	struct cluster *cluster = (struct cluster *)executor;
	struct call *call;

	(void)outcome;
	pthread_mutex_lock(&cluster->lock);
	call = cluster->calls;
	while (call != NULL && call->job != job)
		call = call->next;
	if (call != NULL) {
		call->stop = true;
		eddy_post(cluster->home, &call->post);
	}
	pthread_mutex_unlock(&cluster->lock);
	return call != NULL ? 0 : -EALREADY;
}

/* Cancel calls: those that are not out, or all.  Were any out? */
static bool
give_up(struct cluster *cluster, bool all)
{
	struct call *call;
	bool out = false;

	for (call = cluster->calls; call != NULL; call = call->next) {
		out = out || call->sent;
		if (call->started && (all || !call->sent))
			eddy_cancel(&call->task);
	}
	return out;
}

static int
close_cluster(struct eddy_executor *executor, int64_t duration)
{
	struct cluster *cluster = (struct cluster *)executor;
	int64_t until = eddy_after(duration), left;
	struct line *line;
	bool out;

	cluster->closed = true;
	give_up(cluster, false);
	while (cluster->calls != NULL && (left = until - eddy_now()) > 0 &&
	       eddy_loop_step(cluster->home, left) > 0)
		;
	out = give_up(cluster, true);
	while (cluster->calls != NULL && eddy_loop_step(cluster->home, 0) > 0)
		;
	while ((line = line_take(&cluster->idle)) != NULL)
		line_close(line);
	return out ? -ETIME : 0;
}

static void
describe(struct eddy_executor *executor, struct eddy_executor_stats *ret_stats)
{
	struct cluster *cluster = (struct cluster *)executor;
	const uint64_t *ended = cluster->ended;
	unsigned at_once = cluster->options.at_once;
	unsigned running = at_once - cluster->places.count;

	pthread_mutex_lock(&cluster->lock);
	*ret_stats = (struct eddy_executor_stats){cluster->submitted,
	    ended[EDDY_RETURNED],
	    ended[EDDY_CRASHED] + ended[EDDY_EXITED] + ended[EDDY_LOST] +
		ended[EDDY_PROTOCOL],
	    ended[EDDY_CANCELLED], ended[EDDY_EXPIRED],
	    cluster->queue - running, running, at_once, 0};
	pthread_mutex_unlock(&cluster->lock);
}

/* Note a server, and whether it is there. */
static gearman_return_t
add_server(const char *host, in_port_t port, void *context)
{
	struct cluster *cluster = context;
	struct eddy_name *name = &cluster->servers[cluster->count];
	gearman_client_st *client;

	if (cluster->count == CLUSTER_SERVERS)
		return GEARMAN_INVALID_ARGUMENT;
	client = gearman_client_create(NULL); /* the others may get NULL */
	snprintf(name->host, sizeof(name->host), "%s", host);
	snprintf(name->service, sizeof(name->service), "%u", port);
	cluster->count++;
	gearman_client_set_timeout(client, DIAL / EDDY_MS(1));
	gearman_client_add_server(client, host, port);
	if (gearman_client_echo(client, "?", 1) == GEARMAN_SUCCESS)
		cluster->good = cluster->count - 1;
	gearman_client_free(client);
	return GEARMAN_SUCCESS;
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

	*cluster = (struct cluster){
	    .options = *options, .home = home, .good = CLUSTER_SERVERS};
	if (options->silence == 0)
		cluster->options.silence = SILENCE;
	if (options->at_once == 0)
		cluster->options.at_once = AT_ONCE;
	if (gearman_parse_servers(options->servers, add_server, cluster) !=
	    GEARMAN_SUCCESS)
		return -EINVAL;
	if (cluster->good == CLUSTER_SERVERS)
		return -ECONNREFUSED;
	eddy_semaphore_init(&cluster->places, cluster->options.at_once);
	eddy_executor_init(&cluster->executor, &ops);
	pthread_mutex_init(&cluster->lock, NULL);
	return 0;
}
