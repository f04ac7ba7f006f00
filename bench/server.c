/* SPDX-License-Identifier: ISC */
/*
 * server: HTTP/1.1 with eddy, as a program to copy from.
 *
 * GET /path sends a file, which threads read; POST /echo sends a small body back;
 * /hash computes in another process, and /crash crashes there: a 500, no more.
 * Each connection is a task, which a deadline ends however its client stalls.
 * SIGINT and SIGTERM end what is idle and let the rest end.
 * usage: server HOST PORT [DIRECTORY [IDLE_MS]]
 */
/* clang-format off */
#include <eddy.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONNECTIONS = 1000, ROUNDS = 2000000, IN = 4096, OUT = 8192 };

/* What runs in other processes, after the loop: plain code over flat bytes. */
static int hash(void *sum)
{
	uint32_t *word = sum;

	(void)!nice(19);
	for (int i = 0; i < ROUNDS; i++) {
		*word = (*word ^ (uint8_t)i) * 0x01000193; /* FNV-1a */
		if (i % 81920 == 0) /* 100 us, or the loop waits for a tick */
			sched_yield();
	}
	return 0;
}

static int crash(void *sum)
{
	(void)sum;
	abort();
}

/* The server is the scope of a task for each connection. */
struct server {
	struct eddy_task task;
	const char *host, *port;
	int64_t idle;
	struct eddy_executor *processes;
	struct eddy_signal signals;
	struct eddy_event stopping;
	int fd, rc;
};

struct send_file {
	struct eddy_task task;
	struct connection *c;
	struct stat stat;
	off_t sent;
	int file, n;
};

struct connection {
	struct eddy_task task;
	struct server *server;
	char in[IN + 1], out[OUT];
	size_t have, head, body, hosts, lengths; /* bytes, fields */
	const char *method, *path;
	int fd, n, status;
	uint32_t sum;
	bool keep;
	struct send_file file;
};

/* Parsing answers 0, or the status that refuses the request. */
static int parse_request(struct connection *c, char *line)
{
	char *path = strchr(line, ' '), *query;
	char *version = path != NULL ? strchr(path + 1, ' ') : NULL;

	if (version == NULL || path[1] != '/' || path[2] == '/' ||
	    strstr(path, "/..") != NULL)
		return 400;
	*path++ = *version++ = '\0';
	c->method = line;
	c->path = strtok_r(path, "?", &query);
	c->keep = strcmp(version, "HTTP/1.1") == 0;
	return c->keep ? 0 : 505;
}

static int parse_field(struct connection *c, char *line)
{
	size_t name = strcspn(line, " \t:"), digits;
	char *value = line + name;

	if (name == 0 || *value != ':')
		return 400;
	*value++ = '\0';
	value += strspn(value, " \t");
	digits = strspn(value, "0123456789");
	c->hosts += strcasecmp(line, "Host") == 0;
	if (strcasecmp(line, "Transfer-Encoding") == 0)
		return 501;
	if (strcasecmp(line, "Connection") == 0)
		c->keep = strcasestr(value, "close") == NULL;
	if (strcasecmp(line, "Content-Length") != 0)
		return 0;
	if (c->lengths++ != 0 || digits == 0 || value[digits] != '\0')
		return 400;
	c->body = strtoul(value, NULL, 10);
	return digits > 9 || c->body > IN - c->head ? 413 : 0;
}

/* Once, when all of it is there. */
static int parse(struct connection *c)
{
	char *line = c->in, *end = memmem(line, c->have, "\r\n\r\n", 4);
	int status;

	if (c->head != 0 || end == NULL)
		return c->head == 0 && c->have == IN ? 431 : 0;
	c->head = (size_t)(end + 4 - line);
	status = memchr(line, '\0', c->head) != NULL ? 400 : 0;
	for (end[2] = '\0'; status == 0 && *line != '\0'; line = end + 2) {
		end = strstr(line, "\r\n");
		*end = '\0';
		status = strpbrk(line, "\r\n") != NULL ? 400
		         : line == c->in               ? parse_request(c, line)
		                                       : parse_field(c, line);
	}
	return status == 0 && c->hosts != 1 ? 400 : status;
}

/* Make an answer of size bytes in out, n of them now; NULL: in words. */
static void
put(struct connection *c, int status, const char *data, size_t n, size_t size)
{
	char text[16];

	if (data == NULL)
		n = size = (size_t)sprintf(text, "%d\n", status);
	c->keep = c->keep && status < 400 && !c->server->stopping.set;
	c->n = sprintf(c->out,
	    "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\n%s\r\n", status,
	    status < 400 ? "OK" : "Error", size,
	    c->keep ? "" : "Connection: close\r\n");
	if (strcmp(c->method, "HEAD") == 0)
		return;
	memcpy(c->out + c->n, data != NULL ? data : text, n);
	c->n += (int)n;
}

static eddy_step send_file(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct send_file, f);
	EDDY_AWAIT(f->file, eddy_open(self, f->c->path + 1,
	    O_RDONLY | O_NONBLOCK | O_NOCTTY, 0));
	if (f->file < 0 || fstat(f->file, &f->stat) < 0 ||
	    !S_ISREG(f->stat.st_mode)) {
		put(f->c, 404, NULL, 0, 0);
		EDDY_RETURN(0);
	}
	put(f->c, 200, "", 0, (size_t)f->stat.st_size);
	while (f->sent < f->stat.st_size && strcmp(f->c->method, "HEAD") != 0) {
		f->n = (int)MIN(OUT - f->c->n, f->stat.st_size - f->sent);
		EDDY_TRY(f->n, eddy_pread(self, f->file, f->c->out + f->c->n,
		    (size_t)f->n, f->sent));
		if (f->n == 0)
			EDDY_RETURN(-EIO); /* it has shrunk: too late to say */
		f->sent += f->n;
		f->n += f->c->n;
		f->c->n = 0;
		EDDY_TRY(eddy_write_full(
		    self, f->c->fd, f->c->out, (size_t)f->n));
	}
	EDDY_FINALLY;
	if (f->file >= 0)
		close(f->file);
	EDDY_END;
}

static eddy_step connection(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct connection, f);
	for (;;) {
		f->method = "";
		f->head = f->body = f->hosts = f->lengths = 0;
		EDDY_TRY(eddy_complete(self, eddy_deadline_set(self,
		    eddy_loop_after(self->loop, f->server->idle))));
		while ((f->status = parse(f)) == 0 &&
		    (f->head == 0 || f->have < f->head + f->body)) {
			EDDY_TRY(f->n, eddy_until(self, &f->server->stopping,
			    eddy_read(self, f->fd, f->in + f->have, IN - f->have)));
			if (f->n == 0)
				EDDY_RETURN(0);
			f->have += (size_t)f->n;
		}
		eddy_deadline_set(self, eddy_loop_after(self->loop, EDDY_S(30)));
		if (f->status == 0 && (strcmp(f->path, "/hash") == 0 ||
		    strcmp(f->path, "/crash") == 0)) {
			EDDY_AWAIT(f->n, eddy_timeout(self, EDDY_S(9),
			    eddy_offload(self, f->server->processes,
			    f->path[1] == 'h' ? hash : crash, &f->sum)));
			f->status = f->n == 0 ? 200 : f->n == -ETIME ? 504 : 500;
		}
		if (f->status != 0)
			put(f, f->status, NULL, 0, 0);
		else if (strcmp(f->path, "/echo") == 0)
			put(f, 200, f->in + f->head, f->body, f->body);
		else
			EDDY_TRY(eddy_call(self, EDDY_INIT(&f->file, send_file,
			    .c = f, .file = -1)));
		EDDY_TRY(eddy_write_full(self, f->fd, f->out, (size_t)f->n));
		if (!f->keep)
			break;
		f->have -= f->head + f->body; /* what is pipelined behind it */
		memmove(f->in, f->in + f->head + f->body, f->have);
	}
	shutdown(f->fd, SHUT_WR); /* not a reset, which would eat the answer */
	do
		EDDY_AWAIT(f->n, eddy_timeout(self, EDDY_S(1),
		    eddy_read(self, f->fd, f->in, IN)));
	while (f->n > 0);
	EDDY_FINALLY;
	eddy_close(self->loop, f->fd);
	EDDY_END;
}

static void
on_signal(struct eddy_loop *loop, struct eddy_signal *signal, int number)
{
	struct server *f = (struct server *)
	    ((char *)signal - offsetof(struct server, signals));

	(void)number;
	eddy_event_set(&f->stopping);
	eddy_signal_stop(loop, signal); /* the next one kills, as ever */
}

static eddy_step server(struct eddy_task *self)
{
	struct sockaddr_in6 at; /* ports are at one place in both families */
	socklen_t size = sizeof(at);

	EDDY_BEGIN(self, struct server, f);
	EDDY_TRY(eddy_complete(self, /* forks: before all that starts threads */
	    eddy_process_pool_open(&f->processes, self->loop,
	    &(struct eddy_process_pool_options){ /* leaves the loop a CPU */
	    .workers = (unsigned)MAX(1, sysconf(_SC_NPROCESSORS_ONLN) - 1)})));
	eddy_event_init(&f->stopping);
	eddy_signal_init(&f->signals, on_signal);
	EDDY_TRY(eddy_complete(self, eddy_signal_start(self->loop, &f->signals,
	    EDDY_SIGNAL(SIGINT) | EDDY_SIGNAL(SIGTERM))));
	EDDY_TRY(f->fd, eddy_net_listen(self, f->host, f->port, 511));
	getsockname(f->fd, (struct sockaddr *)&at, &size);
	dprintf(STDOUT_FILENO, "port %d\n", ntohs(at.sin6_port));
	while (!f->stopping.set) {
		EDDY_TRY(eddy_throttle(self, CONNECTIONS));
		EDDY_AWAIT(f->rc, eddy_until(self, &f->stopping,
		    eddy_accept(self, f->fd, NULL)));
		if (f->rc < 0) /* too many files, perhaps: let some end */
			EDDY_TRY(eddy_sleep(self, EDDY_MS(10)));
		else if (eddy_spawn_supervised(self, EDDY_NEW(connection,
		    .server = f, .fd = f->rc)) < 0)
			close(f->rc);
	}
	eddy_close(self->loop, f->fd);
	EDDY_TRY(eddy_timeout(self, EDDY_S(10), eddy_join_all(self)));
	EDDY_FINALLY;
	if (f->processes != NULL)
		eddy_executor_close(f->processes, EDDY_S(1));
	EDDY_END;
}

/* What nobody else hears of; clients that stall or go away are no news. */
static void
on_error(struct eddy_loop *loop, const struct eddy_task *task, int error)
{
	(void)loop;
	if (error != -ETIME && error != -ECONNRESET && error != -EPIPE)
		fprintf(stderr, "%s: %s\n", task->name, strerror(-error));
}

int main(int argc, char **argv)
{
	struct eddy_loop_options options = {.on_error = on_error};
	struct server f;
	int r;

	if (argc < 3 || (argc > 3 && chdir(argv[3]) < 0))
		return 2;
	EDDY_INIT(&f, server, .host = argv[1], .port = argv[2],
	    .idle = argc > 4 ? EDDY_MS(atoi(argv[4])) : EDDY_S(5));
	r = eddy_run_with(&options, &f.task);
	if (r < 0)
		on_error(NULL, &f.task, r);
	return r < 0;
}
