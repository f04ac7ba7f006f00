/* SPDX-License-Identifier: ISC */
/*
 * What does it cost to begin: a loop, a pool with its first job; and how many
 * bytes does each handle, and each task that sleeps, take?
 */
#include <eddy.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench.h"
#include "peers/start.h"

static const struct {
	const char *name;
	const struct start_peer *peer;
} peers[] = {{"libuv", &start_libuv}, {"libev", &start_libev},
    {"libevent", &start_libevent}};

enum { PEERS = sizeof(peers) / sizeof(peers[0]), SLEEPERS = 100000 };

static struct eddy_zygote *zygote;

static double
each(int64_t began, long n)
{
	return (double)(eddy_now() - began) / (double)n;
}

static double
floor_loop(long n)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int64_t began = eddy_now();
	long i;

	for (i = 0; i < n; i++) {
		int epoll = epoll_create1(EPOLL_CLOEXEC);
		int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		epoll_ctl(epoll, EPOLL_CTL_ADD, bell, &event);
		close(bell);
		close(epoll);
	}
	return each(began, n);
}

static double
eddy_loop(long n)
{
	int64_t began = eddy_now();
	struct eddy_loop *loop;
	long i;

	for (i = 0; i < n; i++) {
		bench_check(eddy_loop_open(&loop, NULL), "loop");
		bench_check(eddy_loop_close(loop), "close");
	}
	return each(began, n);
}

static int
nothing(void *arg)
{
	(void)arg;
	return 0;
}

struct first {
	struct eddy_task task;
	bool processes;
	struct eddy_executor *executor;
	char byte[1];
};

static eddy_step
first(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct first, f);
	if (f->processes)
		EDDY_TRY(eddy_complete(
		    self, eddy_process_pool_open(&f->executor, self->loop,
			      &(struct eddy_process_pool_options){
				  .zygote = zygote, .workers = 1})));
	EDDY_TRY(eddy_offload(self, f->executor, nothing, &f->byte));
	EDDY_FINALLY;
	if (f->executor != NULL)
		eddy_executor_close(f->executor, EDDY_S(1));
	EDDY_END;
}

static double
first_job(long n)
{
	bool processes = bench_running->name[5] == 'p';
	int64_t began = eddy_now();
	struct first f;
	long i;

	for (i = 0; i < n; i++)
		bench_check(
		    eddy_run(EDDY_INIT(&f, first, .processes = processes)),
		    bench_running->name);
	return each(began, n);
}

/* Resident bytes of this process. */
static long
resident(void)
{
	FILE *in = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (in == NULL || fscanf(in, "%*d %ld", &pages) != 1)
		pages = 0;
	if (in != NULL)
		fclose(in);
	return pages * sysconf(_SC_PAGESIZE);
}

struct sleeper {
	struct eddy_task task;
};

static eddy_step
sleeper(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct sleeper, f);
	EDDY_TRY(eddy_sleep(self, EDDY_S(3600)));
	EDDY_END;
}

struct crowd {
	struct eddy_task task;
	struct sleeper *sleepers;
	int i;
	long bytes;
};

static eddy_step
crowd(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct crowd, f);
	f->bytes = resident();
	f->sleepers = calloc(SLEEPERS, sizeof(*f->sleepers));
	for (f->i = 0; f->i < SLEEPERS; f->i++)
		EDDY_TRY(eddy_complete(self,
		    eddy_spawn(self, EDDY_INIT(&f->sleepers[f->i], sleeper))));
	EDDY_TRY(eddy_yield(self));
	EDDY_TRY(eddy_yield(self));
	f->bytes = resident() - f->bytes;
	EDDY_RETURN(-ECANCELED); /* and all that sleep */
	EDDY_END;
}

static void
show(const char *name, size_t timer, size_t watch, size_t job, size_t post)
{
	printf("  %-20s %8zu %8zu %8zu %8zu\n", name, timer, watch, job, post);
}

static void
show_sizes(void)
{
	struct crowd f;
	int i;

	printf("\n%-22s %8s %8s %8s %8s\n", "bytes of a handle (0: none)",
	    "timer", "watch", "job", "post");
	show("eddy", sizeof(struct eddy_timer), sizeof(struct eddy_watch),
	    sizeof(struct eddy_job), sizeof(struct eddy_post));
	for (i = 0; i < PEERS; i++)
		if (peers[i].peer != NULL)
			show(peers[i].name, peers[i].peer->timer,
			    peers[i].peer->watch, peers[i].peer->job,
			    peers[i].peer->post);
	eddy_run(EDDY_INIT(&f, crowd));
	free(f.sleepers);
	bench_bar("resident bytes a sleeping task, with its frame",
	    (double)f.bytes / SLEEPERS, 220);
}

int
main(void)
{
	struct bench_case loops[PEERS + 3] = {
	    {.name = "floor: epoll and eventfd", .run = floor_loop},
	    {.name = "eddy", .run = eddy_loop}};
	struct bench_case firsts[] = {
	    {.name = "eddy threads", .run = first_job},
	    {.name = "eddy processes", .run = first_job}, {.name = NULL}};
	int i, n = 2;

	for (i = 0; i < PEERS; i++)
		if (peers[i].peer != NULL)
			loops[n++] = (struct bench_case){
			    .name = peers[i].name, .run = peers[i].peer->loop};
	bench_count_with(100, 600);
	bench_compare("open and close a loop", loops, 5000);
	bench_check(eddy_zygote_open(&zygote, 0), "zygote");
	bench_count_with(10, 60);
	bench_compare("open, run one job, close", firsts, 300);
	eddy_zygote_close(zygote);
	show_sizes();
	return 0;
}
