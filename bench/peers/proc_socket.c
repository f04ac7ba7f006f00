/* SPDX-License-Identifier: ISC */
/*
 * What one writes without a library: forked workers that read a job from a
 * stream socket, run it and write it back, and a loop that keeps depth jobs in
 * each socket.
 */
#include "proc.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../bench.h"

enum { WORKERS = 8, DEPTH = 64 };

struct worker {
	int fd, pid;
	char *jobs[DEPTH];
	long head, tail, sent; /* jobs that came back, went in, went out */
	size_t out, in;        /* bytes of the one on its way */
	uint32_t events;
};

static struct worker workers[WORKERS];
static int epoll_fd;
static char **spare; /* jobs that wait */
static long idle;    /* how many */

static int
work(int fd)
{
	size_t n, size = (size_t)proc_load.size;
	char *bytes = malloc(size);
	ssize_t r;

	for (;;) {
		for (n = 0; n < size; n += (size_t)r)
			if ((r = read(fd, bytes + n, size - n)) <= 0)
				return 0;
		proc_work(bytes, size);
		for (n = 0; n < size; n += (size_t)r)
			if ((r = write(fd, bytes + n, size - n)) <= 0)
				return 0;
	}
}

static void
listen_for(struct worker *w, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = w};
	int op = w->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	if (w->events != events)
		bench_check(epoll_ctl(epoll_fd, op, w->fd, &event), "epoll");
	w->events = events;
}

static void
open_workers(void)
{
	int pids[WORKERS], ends[2];
	long i;

	epoll_fd = epoll_create1(0);
	for (i = 0; i < proc_load.workers; i++) {
		struct worker *w = &workers[i];

		bench_check(
		    socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
		w->fd = ends[0];
		w->pid = pids[i] = fork();
		if (pids[i] == 0) {
			while (i >= 0)
				close(workers[i--].fd);
			_exit(work(ends[1]));
		}
		close(ends[1]);
		listen_for(w, EPOLLIN);
	}
	proc_workers(pids);
	spare = calloc((size_t)proc_load.window, sizeof(*spare));
	for (i = 0; i < proc_load.window; i++)
		spare[i] = calloc(1, (size_t)proc_load.size);
}

/* As much as the socket takes. */
static void
push(struct worker *w)
{
	size_t size = (size_t)proc_load.size;

	while (w->sent < w->tail) {
		ssize_t r = send(w->fd, w->jobs[w->sent % DEPTH] + w->out,
		    size - w->out, MSG_DONTWAIT);

		if (r < 0) {
			listen_for(w, EPOLLIN | EPOLLOUT);
			return;
		}
		w->out += (size_t)r;
		if (w->out == size) {
			w->out = 0;
			w->sent++;
		}
	}
	listen_for(w, EPOLLIN);
}

/* Idle workers first. */
static void
give(void)
{
	long i, level;

	for (level = 0; level < proc_load.depth; level++)
		for (i = 0; i < proc_load.workers; i++) {
			struct worker *w = &workers[i];

			if (idle > 0 && w->tail - w->head == level)
				w->jobs[w->tail++ % DEPTH] = spare[--idle];
		}
}

static void
pull(struct worker *w)
{
	size_t size = (size_t)proc_load.size;

	while (w->head < w->sent) {
		char *job = w->jobs[w->head % DEPTH];
		ssize_t r = recv(
		    w->fd, job + w->in, size - w->in, MSG_DONTWAIT);

		if (r <= 0)
			return;
		w->in += (size_t)r;
		if (w->in < size)
			continue;
		w->in = 0;
		w->head++;
		if (proc_again())
			spare[idle++] = job;
	}
}

void
proc_socket(bool first)
{
	struct epoll_event events[WORKERS];
	long i;
	int n;

	if (first)
		open_workers();
	idle = proc_load.window;
	for (;;) {
		bool busy = false;

		give();
		for (i = 0; i < proc_load.workers; i++) {
			push(&workers[i]);
			busy = busy || workers[i].head < workers[i].tail;
		}
		if (!busy)
			return;
		n = epoll_wait(epoll_fd, events, WORKERS, -1);
		while (n-- > 0)
			pull(events[n].data.ptr);
	}
}
