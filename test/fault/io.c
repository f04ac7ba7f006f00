/* SPDX-License-Identifier: ISC */
/*
 * io: descriptors: connections, copies, a server.
 */
#include <netinet/in.h>

#include "scenario.h"

/* Descriptors: a connection, and a pipe that does not block. */

enum { WORDS = 1 << 16 }; /* bytes, more than a pipe takes at once */

struct talk {
	struct eddy_task task;
	enum { LISTEN, TALK, POUR, DRINK } role;
	struct eddy_address address;
	int fd, conn, rc;
	char bytes[1000];
};

static char said[WORDS], heard[WORDS];

static eddy_step
talk(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct talk, f);
	begun++;
	if (f->role == LISTEN) {
		EDDY_TRY(f->conn, eddy_accept(self, f->fd, &f->address));
		EDDY_TRY(eddy_read_full(self, f->conn, heard, WORDS));
		EDDY_TRY(eddy_write(self, f->conn, "!", 1));
	} else if (f->role == TALK) {
		EDDY_TRY(eddy_connect(self, f->fd, &f->address));
		EDDY_TRY(eddy_write_full(self, f->fd, said, WORDS));
		EDDY_TRY(eddy_read(self, f->fd, f->bytes, 1000));
	} else if (f->role == POUR) {
		EDDY_TRY(eddy_write_full(self, f->fd, said, WORDS));
		EDDY_TRY(eddy_write_full(self, f->fd, said, WORDS));
	} else {
		do
			EDDY_TRY(
			    f->rc, eddy_timeout(self, EDDY_S(10),
				       eddy_read(self, f->fd, f->bytes, 1000)));
		while (f->rc > 0);
	}
	EDDY_FINALLY;
	if (f->role == LISTEN && f->conn > 0)
		eddy_close(self->loop, f->conn);
	if (f->role == POUR)
		eddy_close(self->loop, f->fd);
	left++;
	EDDY_END;
}

struct talks {
	struct eddy_task task;
	struct talk all[DRINK + 1];
	int i;
};

static eddy_step
talks(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct talks, f);
	for (f->i = LISTEN; f->i <= DRINK; f->i++)
		eddy_spawn(self, EDDY_INIT(&f->all[f->i], talk, .role = f->i,
				     .fd = f->all[f->i].fd,
				     .address = f->all[LISTEN].address));
	EDDY_FINALLY;
	eddy_close(self->loop, f->all[LISTEN].fd);
	eddy_close(self->loop, f->all[TALK].fd);
	eddy_close(self->loop, f->all[DRINK].fd);
	EDDY_END;
}

/* Of this machine only; any port. */
static int
listener_open(struct eddy_address *ret_address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&ret_address->name;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ret_address->size = sizeof(*in);
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(fd, (struct sockaddr *)in, sizeof(*in)) == 0);
	must(getsockname(fd, (struct sockaddr *)in, &ret_address->size) == 0);
	must(listen(fd, 4) == 0);
	return fd;
}

int
run_talks(void)
{
	struct talks frame = {.i = 0};
	struct talk *listener = &frame.all[LISTEN];
	int fds[2], r;

	memset(said, 'x', WORDS);
	listener->fd = listener_open(&listener->address);
	frame.all[TALK].fd = socket(AF_INET, SOCK_STREAM, 0);
	must(pipe2(fds, O_NONBLOCK) == 0);
	frame.all[DRINK].fd = fds[0];
	frame.all[POUR].fd = fds[1];
	eddy_prepare(&frame.task, talks, "talks");
	begun = left = 0;
	r = eddy_run(&frame.task);
	must(begun == left);
	if (begun == 0) { /* not even a loop */
		close(listener->fd);
		close(frame.all[TALK].fd);
		close(fds[0]);
		close(fds[1]);
	}
	return r;
}

/* A file through a pipe into a socket. */

struct move {
	struct eddy_task task;
	int from, to, rc;
};

static eddy_step
move(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct move, f);
	begun++;
	EDDY_TRY(f->rc, eddy_copy(self, f->from, f->to, SIZE_MAX));
	EDDY_FINALLY;
	eddy_close(self->loop, f->to);
	left++;
	EDDY_END;
}

struct moves {
	struct eddy_task task;
	struct move in, out;
	struct eddy_event never;
	int file, pipe[2], pair[2];
};

static eddy_step
moves(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct moves, f);
	eddy_spawn(
	    self, EDDY_INIT(&f->in, move, .from = f->file, .to = f->pipe[1]));
	eddy_spawn(self,
	    EDDY_INIT(&f->out, move, .from = f->pipe[0], .to = f->pair[0]));
	eddy_event_init(&f->never);
	EDDY_TRY(eddy_until_hangup(self, f->pipe[1],
	    eddy_until(self, &f->never,
		eddy_read_full(self, f->pair[1], heard, WORDS))));
	EDDY_FINALLY;
	eddy_close(self->loop, f->pipe[0]);
	eddy_close(self->loop, f->pair[1]);
	EDDY_END;
}

int
run_moves(void)
{
	struct moves f = {.file = memfd_create("fault", MFD_CLOEXEC)};
	int r;

	must(pwrite(f.file, said, WORDS, 0) == WORDS);
	must(pipe2(f.pipe, O_NONBLOCK) == 0);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f.pair) == 0);
	eddy_prepare(&f.task, moves, "moves");
	begun = left = 0;
	r = eddy_run(&f.task);
	must(begun == left);
	close(f.file);
	if (begun == 0) { /* not even a loop */
		for (int i = 0; i < 2; i++) {
			close(f.pipe[i]);
			close(f.pair[i]);
		}
	}
	return r;
}

/* A server: each connection a task, which asks the pool. */

struct server {
	struct eddy_task task;
	struct connection {
		struct eddy_task task;
		int fd, in;
	} * new;
	int fd, rc;
};

static eddy_step
connection(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct connection, f);
	begun++;
	EDDY_TRY(eddy_read_full(self, f->fd, &f->in, sizeof(f->in)));
	EDDY_TRY(eddy_offload(self, NULL, give, &f->in));
	EDDY_TRY(eddy_write_full(self, f->fd, &f->in, sizeof(f->in)));
	EDDY_FINALLY;
	eddy_close(self->loop, f->fd);
	left++;
	EDDY_END;
}

static eddy_step
server(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct server, f);
	for (;;) {
		EDDY_TRY(f->rc, eddy_accept(self, f->fd, NULL));
		if (eddy_spawn_supervised(
			self, EDDY_NEW(connection, .fd = f->rc)) < 0)
			eddy_close(self->loop, f->rc);
	}
	EDDY_FINALLY;
	eddy_close(self->loop, f->fd); /* and who waits to be let in hears */
	EDDY_END;
}

struct client {
	struct eddy_task task;
	struct eddy_address *address;
	int fd, in, rc;
};

/* An answer, or the end of the connection. */
static eddy_step
client(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct client, f);
	EDDY_TRY(eddy_connect(self, f->fd, f->address));
	f->in = 7;
	EDDY_AWAIT(f->rc, eddy_write_full(self, f->fd, &f->in, sizeof(f->in)));
	if (f->rc > 0)
		EDDY_AWAIT(
		    f->rc, eddy_read_full(self, f->fd, &f->in, sizeof(f->in)));
	must(f->rc == sizeof(f->in) ? f->in == 8 : fault->fired != 0);
	EDDY_FINALLY;
	eddy_close(self->loop, f->fd);
	EDDY_END;
}

enum { CLIENTS = 3 };

struct business {
	struct eddy_task task;
	struct server server;
	struct client clients[CLIENTS];
	struct eddy_address address;
	int i, rc, first;
};

static eddy_step
business(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct business, f);
	EDDY_INIT(&f->server, server, .fd = f->server.fd);
	if (eddy_spawn_supervised(self, &f->server.task) < 0) {
		f->first = -ENOMEM;
		eddy_close(self->loop, f->server.fd);
	}
	for (f->i = 0; f->i < CLIENTS; f->i++) {
		EDDY_INIT(&f->clients[f->i], client, .address = &f->address,
		    .fd = f->clients[f->i].fd);
		if (eddy_spawn_supervised(self, &f->clients[f->i].task) == 0) {
			EDDY_AWAIT(
			    f->rc, eddy_join(self, &f->clients[f->i].task));
			if (f->rc != -ECONNREFUSED || fault->fired == 0)
				note(&f->first, f->rc); /* else: closed */
		} else {
			f->first = -ENOMEM;
			eddy_close(self->loop, f->clients[f->i].fd);
		}
	}
	eddy_cancel(&f->server.task);
	EDDY_AWAIT(f->rc, eddy_join_all(self));
	EDDY_RETURN(f->first);
	EDDY_END;
}

static void
swallow(struct eddy_loop *loop, const struct eddy_task *task, int error)
{
	(void)loop;
	(void)task;
	must(fault->fired != 0 && error < 0);
}

int
run_server(void)
{
	struct eddy_loop_options options = {.on_error = swallow};
	struct business f = {.first = 0};
	int i, r;

	f.server.fd = listener_open(&f.address);
	for (i = 0; i < CLIENTS; i++)
		f.clients[i].fd = socket(AF_INET, SOCK_STREAM, 0);
	eddy_prepare(&f.task, business, "business");
	begun = left = 0;
	r = eddy_run_with(&options, &f.task);
	must(begun == left);
	if (f.i == 0) { /* not even a loop */
		close(f.server.fd);
		for (i = 0; i < CLIENTS; i++)
			close(f.clients[i].fd);
	}
	return r;
}
