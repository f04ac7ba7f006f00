/* SPDX-License-Identifier: ISC */
/*
 * What does a stall watch cost, and how soon does it tell?
 *
 * Instructions of a turn with one callback; requests of an echo server in a
 * process of its own, whose watching thread has to share its CPU; and how long
 * after the threshold a stall is told.
 */
#include <eddy.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum { CLIENTS = 50, SIZE = 64, STALLS = 20 };

#define THRESHOLD EDDY_MS(50)

static struct eddy_stall_watch watch = {.threshold = THRESHOLD};

/* A turn. */

static long turns;

static void
on_post(struct eddy_loop *loop, struct eddy_post *post)
{
	if (--turns > 0)
		eddy_post(loop, post);
}

static bool
is_watched(void)
{
	return strstr(bench_running->name, "not") == NULL;
}

static double
turn(long n)
{
	struct eddy_loop *loop;
	struct eddy_post post;
	int64_t began;

	bench_check(eddy_loop_open(&loop, NULL), "loop");
	if (is_watched())
		bench_check(eddy_stall_start(loop, &watch), "stall watch");
	eddy_post_init(&post, on_post);
	turns = n;
	began = eddy_now();
	eddy_post(loop, &post);
	eddy_loop_run(loop);
	began = eddy_now() - began;
	bench_check(eddy_loop_close(loop), "close");
	return (double)began / (double)n;
}

/* Echo. */

struct echo {
	struct eddy_task task;
	int fd, n;
	char data[SIZE];
};

static eddy_step
echo(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct echo, f);
	do {
		EDDY_TRY(f->n, eddy_read(self, f->fd, f->data, SIZE));
		EDDY_TRY(eddy_write_full(self, f->fd, f->data, (size_t)f->n));
	} while (f->n > 0);
	EDDY_END;
}

/* A process with a second thread, even one that sleeps, has its kernel count
 * references of each descriptor that a call names: that is not the watch's. */
enum way { ALONE, WATCHED, SECOND, WAYS };

static struct pollfd ends[WAYS][CLIENTS];
static double load(long n);
static struct bench_case echoing[] = {[ALONE] = {.name = "eddy", .run = load},
    [WATCHED] = {.name = "eddy, watched", .run = load},
    [SECOND] = {.name = "eddy, a thread that sleeps", .run = load},
    {.name = NULL}};

static void *
asleep(void *arg)
{
	pause();
	return arg;
}

static void
serve(enum way way)
{
	static struct echo echoes[CLIENTS];
	struct eddy_loop *loop;
	pthread_t thread;
	int pair[2], i;
	pid_t pid;

	for (i = 0; i < CLIENTS; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
			bench_check(-EMFILE, "socketpair");
		ends[way][i] = (struct pollfd){pair[0], POLLIN, 0};
		EDDY_INIT(&echoes[i], echo, .fd = pair[1]);
	}
	pid = fork();
	bench_check(pid, "fork");
	if (pid != 0) {
		for (i = 0; i < CLIENTS; i++)
			close(echoes[i].fd);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench_pin(0);
	bench_check(eddy_loop_open(&loop, NULL), "loop");
	if (way == WATCHED)
		bench_check(eddy_stall_start(loop, &watch), "stall watch");
	if (way == SECOND)
		bench_check(
		    -pthread_create(&thread, NULL, asleep, NULL), "thread");
	for (i = 0; i < CLIENTS; i++)
		eddy_loop_spawn(loop, &echoes[i].task, NULL);
	_exit(eddy_loop_run(loop));
}

/* All clients ask, and again when they were answered. */
static double
load(long n)
{
	struct pollfd *mine = ends[bench_running - echoing];
	int64_t began = eddy_now();
	long asked = 0, answered = 0;
	char data[SIZE] = {0};
	int i;

	for (; asked < CLIENTS; asked++)
		if (write(mine[asked].fd, data, SIZE) != SIZE)
			bench_check(-EIO, "request");
	while (answered < asked) {
		if (poll(mine, CLIENTS, 10000) <= 0)
			bench_check(-ETIME, "echo");
		for (i = 0; i < CLIENTS; i++) {
			if (mine[i].revents == 0)
				continue;
			if (read(mine[i].fd, data, SIZE) != SIZE)
				bench_check(-EIO, "answer");
			answered++;
			if (asked < n && asked++ >= 0 &&
			    write(mine[i].fd, data, SIZE) != SIZE)
				bench_check(-EIO, "request");
		}
	}
	return (double)(eddy_now() - began) / (double)answered;
}

/* Stalls. */

static struct {
	int64_t told, latest;
	int left, ends[2];
} stalls;

static void
on_stall(const struct eddy_stall *stall)
{
	stalls.told = eddy_now();
	if (!stall->over && write(stalls.ends[1], "x", 1) != 1)
		abort();
}

static void
on_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	int64_t late, began = eddy_now();
	char c;

	if (read(stalls.ends[0], &c, 1) != 1)
		abort();
	late = stalls.told - began - THRESHOLD;
	stalls.latest = late > stalls.latest ? late : stalls.latest;
	if (--stalls.left > 0) /* at another point between two looks */
		eddy_timer_start(loop, timer,
		    eddy_after(EDDY_MS(500) + EDDY_US(began % 9999)));
}

static void
time_reports(void)
{
	struct eddy_loop *loop;
	struct eddy_timer timer;

	watch.fn = on_stall;
	stalls.left = bench_quick() ? 2 : STALLS;
	if (pipe(stalls.ends) < 0)
		bench_check(-EMFILE, "pipe");
	bench_check(eddy_loop_open(&loop, NULL), "loop");
	bench_check(eddy_stall_start(loop, &watch), "stall watch");
	eddy_timer_init(&timer, on_timer);
	eddy_timer_start(loop, &timer, eddy_after(EDDY_MS(1)));
	eddy_loop_run(loop);
	bench_check(eddy_loop_close(loop), "close");
	bench_bar("ms a stall is told after the threshold, at most",
	    (double)stalls.latest / 1e6, 20);
}

int
main(void)
{
	struct bench_case turning[] = {
	    {.name = "eddy, not watched", .run = turn},
	    {.name = "eddy, watched", .run = turn}, {.name = NULL}};
	enum way way;

	bench_count_with(1000, 101000);
	bench_compare("turn of one callback", turning, 200000);
	if (turning[0].instructions > 0)
		bench_bar("instructions of a turn, watched / not",
		    turning[1].instructions / turning[0].instructions, 1.02);
	for (way = ALONE; way < WAYS; way++)
		serve(way);
	bench_pin(1);
	bench_compare("echo, 50 socket pairs", echoing, 200000);
	bench_pin(-1);
	bench_bar("ns of an echo, watched / not",
	    echoing[WATCHED].median / echoing[ALONE].median, 1 / 0.97);
	time_reports();
	return 0;
}
