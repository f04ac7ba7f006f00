/* SPDX-License-Identifier: ISC */
#include "io.h"

#include <eddy.h>

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../bench.h"

static struct eddy_loop *loop;

/* Tasks. */

struct reader {
	struct eddy_task task;
	int fd, i, n;
	char bytes[64]; /* more than there are, as in a program */
};

static struct reader *readers;
static int count;

static eddy_step
reader(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct reader, f);
	for (;;) {
		EDDY_TRY(
		    f->n, eddy_read(self, f->fd, f->bytes, sizeof(f->bytes)));
		for (; f->n > 0; f->n--) /* mostly one */
			if (io_pass(f->i))
				eddy_loop_stop(loop);
	}
	EDDY_END;
}

static void
open_loop(int n, const int *fds)
{
	int i;

	bench_check(eddy_loop_open(&loop, NULL), "loop");
	readers = calloc((size_t)n, sizeof(*readers));
	count = n;
	for (i = 0; i < n; i++)
		bench_check(
		    eddy_loop_spawn(loop,
			EDDY_INIT(&readers[i], reader, .fd = fds[i], .i = i),
			NULL),
		    "spawn");
	eddy_loop_step(loop, 0);
}

static void
run(void)
{
	eddy_loop_run(loop);
}

static void
close_loop(void)
{
	int i;

	for (i = 0; i < count; i++)
		eddy_cancel(&readers[i].task);
	while (eddy_loop_step(loop, 0) > 0)
		;
	bench_check(eddy_loop_close(loop), "close");
	free(readers);
}

struct echo {
	struct eddy_task task;
	int fd, n;
	char data[IO_BYTES];
};

static eddy_step
echo(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct echo, f);
	do {
		EDDY_TRY(
		    f->n, eddy_read(self, f->fd, f->data, sizeof(f->data)));
		EDDY_TRY(eddy_write_full(self, f->fd, f->data, (size_t)f->n));
	} while (f->n > 0);
	EDDY_FINALLY;
	eddy_close(self->loop, f->fd);
	EDDY_END;
}

struct server {
	struct eddy_task task;
	int fd, client;
};

static eddy_step
server(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct server, f);
	for (;;) {
		EDDY_TRY(f->client, eddy_accept(self, f->fd, NULL));
		bench_check(eddy_spawn_supervised(
				self, EDDY_NEW(echo, .fd = f->client)),
		    "spawn");
	}
	EDDY_END;
}

static void
serve(int listener)
{
	struct server s;

	eddy_run(EDDY_INIT(&s, server, .fd = listener));
}

const struct io_peer io_eddy = {open_loop, run, close_loop, serve};

/* Watches. */

static struct eddy_watch *watches;

static void
on_level(struct eddy_loop *l, struct eddy_watch *watch, uint32_t events)
{
	(void)events;
	if (io_ready((int)(watch - watches)))
		eddy_loop_stop(l);
}

/* What is read makes no edge, what comes after that does. */
static void
on_edge(struct eddy_loop *l, struct eddy_watch *watch, uint32_t events)
{
	int i = (int)(watch - watches);
	char bytes[64];
	ssize_t n = recv(watch->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	(void)events;
	for (; n > 0; n--)
		if (io_pass(i))
			eddy_loop_stop(l);
}

static void
open_watches(int n, const int *fds, eddy_watch_fn *fn, uint32_t events)
{
	int i;

	bench_check(eddy_loop_open(&loop, NULL), "loop");
	watches = calloc((size_t)n, sizeof(*watches));
	for (i = 0; i < n; i++) {
		eddy_watch_init(&watches[i], fds[i], fn, 0);
		bench_check(
		    eddy_watch_start(loop, &watches[i], events), "watch");
	}
}

static void
open_levels(int n, const int *fds)
{
	open_watches(n, fds, on_level, EPOLLIN);
}

static void
open_edges(int n, const int *fds)
{
	open_watches(n, fds, on_edge, EPOLLIN | EPOLLET);
}

static void
close_watches(void)
{
	bench_check(eddy_loop_close(loop), "close");
	free(watches);
}

const struct io_peer io_eddy_level = {open_levels, run, close_watches, NULL};
const struct io_peer io_eddy_edge = {open_edges, run, close_watches, NULL};
