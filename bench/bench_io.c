/* SPDX-License-Identifier: ISC */
/*
 * What does it cost to hear of a descriptor, and to serve connections?
 *
 * The first is libevent's classic benchmark: of many socket pairs a hundred are
 * active, and who reads a byte writes one to the next.  The second is an echo
 * server in a process of its own on one CPU, with a client that keeps all
 * connections busy on another.
 */
#include <eddy.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "peers/io.h"

static const struct {
	const char *name, *package; /* of Debian; NULL: no peer */
	const struct io_peer *peer;
} peers[] = {{"eddy", NULL, &io_eddy},
    {"eddy, watches, edge", NULL, &io_eddy_edge},
    {"eddy, watches, level", NULL, &io_eddy_level},
    {"raw epoll, level", NULL, &io_raw},
    {"raw epoll, edge until EAGAIN", NULL, &io_raw_edge},
    {"raw epoll, one-shot", NULL, &io_raw_oneshot},
    {"libev", "libev-dev", &io_libev},
    {"libevent", "libevent-dev", &io_libevent},
    {"libuv", "libuv1-dev", &io_libuv}};

enum {
	PEERS = sizeof(peers) / sizeof(peers[0]),
	MOST = 10000,
	ACTIVE = 100,
	CLIENTS = 1000,
	SIZE = 64,
	RATIOS = 21
};

static struct bench_case cases[PEERS + 1];
static int peer_of[PEERS]; /* a case's */
static int *fds, *ends;    /* to read, to write */
static int pairs;
static long left, awaited; /* to be written, to be read */

/* Dispatch. */

static void
give(int i)
{
	left--;
	if (write(ends[i], "x", 1) != 1)
		bench_check(-errno, "write");
}

bool
io_pass(int i)
{
	if (left > 0)
		give(i + 1 < pairs ? i + 1 : 0);
	return --awaited == 0;
}

/* The call that eddy_read makes, too; the next byte may be there already. */
bool
io_ready(int i)
{
	char byte;

	return recv(fds[i], &byte, 1, MSG_DONTWAIT) == 1 && io_pass(i);
}

static double
dispatch(long n)
{
	const struct io_peer *peer = peers[peer_of[bench_running - cases]].peer;
	int64_t began;
	int i;

	peer->open(pairs, fds);
	left = awaited = n = n > ACTIVE ? n : ACTIVE;
	for (i = 0; i < ACTIVE; i++)
		give(i * (pairs / ACTIVE));
	began = eddy_now();
	peer->run();
	began = eddy_now() - began;
	peer->close();
	return (double)began / (double)n;
}

/* Cases of those who can; the number of one by its name, or -1. */
static void
choose(double (*run)(long), bool serving)
{
	int i, count = 0;

	for (i = 0; i < (int)PEERS; i++) {
		const struct io_peer *peer = peers[i].peer;

		if (peer == NULL ||
		    (serving ? peer->serve == NULL : peer->open == NULL))
			continue;
		peer_of[count] = i;
		cases[count++] = (struct bench_case){
		    .name = peers[i].name, .run = run};
	}
	cases[count].name = NULL;
}

static const struct bench_case *
find(const char *name)
{
	const struct bench_case *c = cases;

	while (c->name != NULL && strcmp(c->name, name) != 0)
		c++;
	return c->name != NULL ? c : NULL;
}

static double
run(const struct bench_case *c)
{
	bench_running = c;
	return c->run(bench_count(10000));
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* limit is of the median of the ratios of short runs in pairs, in which each goes
 * first as often: what drifts, or comes and goes, hits both. */
static void
bar(const char *title, const char *name, const char *other, double limit)
{
	const struct bench_case *ours = find(name), *theirs = find(other);
	int i, pairs_run = bench_quick() ? 1 : RATIOS;
	double first, ratios[RATIOS];
	char subject[96];

	if (bench_counting())
		return;
	snprintf(subject, sizeof(subject), "%s, %s / %s", title, name, other);
	if (theirs == NULL) {
		bench_skip(subject, other);
		return;
	}
	for (i = 0; i < pairs_run; i++) {
		first = run(i % 2 == 0 ? ours : theirs);
		ratios[i] = i % 2 == 0 ? first / run(theirs)
		                       : run(ours) / first;
	}
	qsort(ratios, (size_t)pairs_run, sizeof(ratios[0]), ascending);
	bench_bar(subject, ratios[pairs_run / 2], limit);
}

static void
open_pairs(int n)
{
	int i, pair[2], r = 0;

	for (i = 0; i < n && r == 0; i++) {
		r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
		fds[i] = pair[0];
		ends[i] = pair[1];
	}
	bench_check(r < 0 ? -errno : 0, "socketpair");
	pairs = n;
}

static void
compare_dispatch(int n)
{
	char title[64];
	int i;

	open_pairs(n);
	choose(dispatch, false);
	snprintf(title, sizeof(title), "%d pairs, %d active", n, ACTIVE);
	if (n <= 1000) /* the counted one inherits them */
		bench_count_with(2000, 12000);
	bench_compare(title, cases, 50000);
	bar(title, "eddy", "raw epoll, level", 1.15);
	bar(title, "eddy", "libev", 1);
	bar(title, "eddy, watches, edge", "raw epoll, level", 1.15);
	bar(title, "eddy, watches, edge", "libev", 1);
	bar(title, "eddy, watches, level", "raw epoll, level", 1.15);
	bar(title, "eddy, watches, level", "libev", 1);
	for (i = 0; i < n; i++) {
		close(fds[i]);
		close(ends[i]);
	}
}

/* Echo. */

bool
io_echo(int fd)
{
	static char buffers[(PEERS + 1) * CLIENTS][IO_BYTES];
	char
	    *data = buffers[fd]; /* as a server needs that must wait to write */
	ssize_t n = recv(fd, data, IO_BYTES, MSG_DONTWAIT);

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	return send(fd, data, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n;
}

int
io_accept(int listener)
{
	return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static struct server {
	pid_t pid;
	int epoll, fds[CLIENTS];
} servers[PEERS];
static int clients;

static void
start_server(struct server *server, const struct io_peer *peer)
{
	struct sockaddr_in in = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {0}};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t size = sizeof(in);
	int i, one = 1;

	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&in, size) < 0 ||
	    listen(listener, CLIENTS) < 0 ||
	    getsockname(listener, (struct sockaddr *)&in, &size) < 0)
		bench_check(-errno, "listen");
	server->pid = fork();
	if (server->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		bench_pin(0);
		peer->serve(listener);
		_exit(1);
	}
	close(listener);
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < clients; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = i};
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (connect(fd, (struct sockaddr *)&in, size) < 0)
			bench_check(-errno, "connect");
		epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event);
		server->fds[i] = fd;
	}
}

static void
stop_server(struct server *server)
{
	int i;

	for (i = 0; i < clients; i++)
		close(server->fds[i]);
	close(server->epoll);
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
}

/* n requests, as many at a time as there are clients. */
static void
load(const struct server *server, long n)
{
	struct epoll_event events[256];
	char data[SIZE] = {0};
	long asked, answered = 0;
	int i, got;

	for (asked = 0; asked < clients; asked++)
		if (write(server->fds[asked], data, SIZE) != SIZE)
			bench_check(-EPROTO, "request");
	while (answered < n || answered < asked) {
		got = epoll_wait(server->epoll, events, 256, 10000);
		if (got <= 0)
			bench_check(-ETIME, "echo");
		for (i = 0; i < got; i++, answered++) {
			int fd = server->fds[events[i].data.fd];

			if (read(fd, data, SIZE) != SIZE)
				bench_check(-EPROTO, "answer");
			if (asked < n && asked++ >= 0 &&
			    write(fd, data, SIZE) != SIZE)
				bench_check(-EPROTO, "request");
		}
	}
}

static double
echo(long n)
{
	int64_t began = eddy_now();

	load(&servers[peer_of[bench_running - cases]], n);
	return (double)(eddy_now() - began) / (double)n;
}

static double
used(pid_t pid)
{
	char path[64];
	double ns = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	in = fopen(path, "r");
	if (in == NULL || fscanf(in, "%lf", &ns) != 1)
		bench_check(-ENOENT, path);
	fclose(in);
	return ns;
}

static double
echo_cpu(long n)
{
	const struct server *server = &servers[peer_of[bench_running - cases]];
	double before = used(server->pid);

	load(server, n);
	return (used(server->pid) - before) / (double)n;
}

static void
compare_echo(int n)
{
	char title[64];
	int i, kind;

	clients = n;
	for (i = 0; i < (int)PEERS; i++)
		if (peers[i].peer != NULL && peers[i].peer->serve != NULL)
			start_server(&servers[i], peers[i].peer);
	bench_pin(1);
	for (kind = 0; kind < 2; kind++) {
		choose(kind == 0 ? echo : echo_cpu, true);
		snprintf(title, sizeof(title), "echo, %d connections%s", n,
		    kind == 0 ? "" : ", CPU of the server");
		bench_compare(title, cases, 20000);
		if (kind != 0)
			continue; /* for information */
		bar(title, "eddy", "raw epoll, level", 1 / 0.95);
		bar(title, "eddy", "libev", 1);
		bar(title, "eddy", "libevent", 1);
		bar(title, "eddy", "libuv", 1);
	}
	bench_pin(-1);
	for (i = 0; i < (int)PEERS; i++)
		if (servers[i].pid != 0)
			stop_server(&servers[i]);
}

/* Idle connections. */

struct idle {
	struct eddy_task task;
	int fd, rc;
	char data[SIZE];
};

static eddy_step
idle(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct idle, f);
	EDDY_AWAIT(f->rc, eddy_read(self, f->fd, f->data, sizeof(f->data)));
	EDDY_END;
}

static double
resident(void)
{
	double pages = 0;
	FILE *in = fopen("/proc/self/statm", "r");

	if (in == NULL || fscanf(in, "%*s %lf", &pages) != 1)
		pages = 0;
	if (in != NULL)
		fclose(in);
	return pages * (double)sysconf(_SC_PAGESIZE);
}

static void
measure_idle(int n)
{
	struct eddy_loop *loop;
	double before, bytes;
	int i;

	for (i = 0; i < n; i++)
		fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
	bench_check(fds[n - 1] < 0 ? -errno : 0, "socket");
	bench_check(eddy_loop_open(&loop, NULL), "loop");
	before = resident();
	for (i = 0; i < n; i++) {
		bench_check(
		    eddy_loop_spawn(loop, EDDY_NEW(idle, .fd = fds[i]), NULL),
		    "spawn");
		eddy_loop_step(loop, 0);
	}
	bytes = (resident() - before) / n - SIZE;
	bench_bar("bytes of an idle connection beyond its buffer", bytes, 256);
	for (i = 0; i < n; i++)
		eddy_close(loop, fds[i]);
	eddy_loop_step(loop, 0);
	bench_check(eddy_loop_close(loop), "close");
}

int
main(void)
{
	struct rlimit limit;
	int sizes[] = {100, 1000, MOST}, i;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < 2 * MOST + 100)
		sizes[2] = (int)limit.rlim_cur / 2 - 100;
	fds = calloc(MOST, sizeof(*fds));
	ends = calloc(MOST, sizeof(*ends));
	if (!bench_counting())
		measure_idle(MOST);
	bench_pin(0);
	for (i = 0; i < 3; i++)
		compare_dispatch(sizes[i]);
	compare_echo(50);
	compare_echo(CLIENTS);
	return 0;
}
