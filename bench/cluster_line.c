/* SPDX-License-Identifier: ISC */
/*
 * cluster_line: libgearman's non-blocking client on a descriptor of ours.
 *
 * By itself it resolves names and lingers at a close, both of which block, and
 * it tells nobody what to watch.  So it is lent a duplicate of a socket that the
 * loop has connected, watches and closes.
 */
#include "cluster_line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgearman/gearman.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

enum { MOMENT = 5 /* ms: on this machine, or for what is ready */ };

static bool
leads_to(int fd, const struct sockaddr_in *name)
{
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
	       size == sizeof(peer) && memcmp(&peer, name, size) == 0;
}

/* There is no call for this.  The client connects to a door of ours, where else
 * nobody comes: what leads there is its socket, and fd takes its place. */
static int
lend(gearman_client_st *client, int fd)
{
	struct sockaddr_in name = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);
	int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int i = 0, end = (int)sysconf(_SC_OPEN_MAX);

	/* set_identifier does not wait for a task: it connects, and sends. */
	if (bind(door, (struct sockaddr *)&name, size) == 0 &&
	    listen(door, 1) == 0 &&
	    getsockname(door, (struct sockaddr *)&name, &size) == 0 &&
	    gearman_client_add_server(
		client, "127.0.0.1", ntohs(name.sin_port)) == GEARMAN_SUCCESS &&
	    gearman_client_set_identifier(client, "eddy", 4) == GEARMAN_SUCCESS)
		while (i < end && !leads_to(i, &name))
			i++;
	else
		i = end;
	close(door);
	return i < end && dup3(fd, i, O_CLOEXEC) == i ? 0 : -ENOTCONN;
}

static gearman_return_t
on_status(gearman_task_st *task)
{
	struct exchange *f = gearman_task_context(task);
	struct eddy_long_job *job = (struct eddy_long_job *)f->job;

	if ((f->job->flags & EDDY_JOB_LONG) == 0 || job->on_progress == NULL)
		return GEARMAN_SUCCESS;
	job->progress = gearman_task_numerator(task);
	job->on_progress(f->task.loop, job);
	return GEARMAN_SUCCESS;
}

static gearman_return_t
on_complete(gearman_task_st *task)
{
	struct exchange *f = gearman_task_context(task);
	struct eddy_job *job = f->job;
	const char *data = gearman_task_data(task);
	size_t size = gearman_task_data_size(task);
	struct cluster_answer answer = {htonl(EDDY_PROTOCOL), 0};

	f->outcome = EDDY_PROTOCOL;
	if (size >= sizeof(answer))
		memcpy(&answer, data, sizeof(answer));
	if (ntohl(answer.outcome) != EDDY_RETURNED) {
		if (ntohl(answer.outcome) - 1 < EDDY_PROTOCOL)
			f->outcome = ntohl(answer.outcome);
	} else if (size == sizeof(answer) + job->size) {
		f->outcome = EDDY_RETURNED;
		if (job->size != 0)
			memcpy(job->arg, data + sizeof(answer), job->size);
	}
	f->result = (int)ntohl(answer.result);
	return GEARMAN_SUCCESS;
}

static void
on_ready(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	struct line *line = (void *)((char *)watch -
				     offsetof(struct line, watch));

	(void)loop;
	if (line->waiter != NULL &&
	    (events & (line->wanted | EPOLLERR | EPOLLHUP)) != 0)
		eddy_unpark(line->waiter, 0);
}

int
line_open(struct eddy_loop *loop, int fd, struct line **ret_line)
{
	struct line *line = calloc(1, sizeof(*line));
	int r = -ENOMEM;

	if (line == NULL) {
		eddy_close(loop, fd);
		return r;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	line->loop = loop;
	line->fd = fd;
	line->client = gearman_client_create(NULL);
	if (line->client != NULL) {
		gearman_client_add_options(
		    line->client, GEARMAN_CLIENT_NON_BLOCKING);
		gearman_client_set_timeout(line->client, MOMENT);
		gearman_client_set_status_fn(line->client, on_status);
		gearman_client_set_complete_fn(line->client, on_complete);
		r = lend(line->client, fd);
	}
	getrandom(&line->name, sizeof(line->name), 0);
	eddy_watch_init(&line->watch, fd, on_ready, EDDY_WATCH_BACKGROUND);
	if (r == 0)
		r = eddy_watch_start(
		    loop, &line->watch, EPOLLIN | EPOLLOUT | EPOLLET);
	if (r < 0)
		line_close(line);
	else
		*ret_line = line;
	return r;
}

void
line_close(struct line *line)
{
	eddy_close(line->loop, line->fd);
	if (line->client != NULL)
		gearman_client_free(line->client);
	free(line);
}

struct line *
line_take(struct line **idle)
{
	struct line *line;
	char byte;

	while ((line = *idle) != NULL) {
		*idle = line->next;
		if (recv(line->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
		    errno == EAGAIN)
			break;
		line_close(line); /* as the server has */
	}
	return line;
}

void
line_leave(struct line **idle, struct line *line)
{
	line->next = *idle;
	*idle = line;
}

/* Wait for what the client waits for.  Edges will do: it has tried. */
static EDDY_ASYNC
await(struct eddy_task *self, struct exchange *f)
{
	static const struct eddy_op op = {"gearman", eddy_unpark};
	const char *state = gearman_task_strstate(f->request);
	bool sends = strcmp(state, "GEARMAN_TASK_STATE_SUBMIT") == 0;

	if (eddy_cancelled(self))
		return eddy_complete(self, -ECANCELED);
	f->line->waiter = self;
	f->line->wanted = sends ? EPOLLOUT : EPOLLIN;
	return eddy_park(self, &op);
}

/* With a name of its own, so that no server takes two jobs for one. */
static void
add_task(struct exchange *f)
{
	struct line *line = f->line;
	char unique[GEARMAN_MAX_UNIQUE_SIZE];

	snprintf(unique, sizeof(unique), "%llx-%u", line->name, line->count++);
	f->request = gearman_client_add_task(line->client, NULL, f, f->name,
	    unique, f->job->arg, f->job->size, NULL);
}

eddy_step
exchange(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct exchange, f);
	add_task(f);
	while (gearman_client_run_tasks(f->line->client) == GEARMAN_IO_WAIT) {
		EDDY_TRY(await(self, f));
		gearman_client_wait(f->line->client); /* it looks for itself */
	}
	gearman_client_task_free_all(f->line->client);
	f->line->waiter = NULL;
	EDDY_RETURN(f->outcome != EDDY_NONE ? 0 : -ECONNRESET);
	EDDY_END;
}
