/* SPDX-License-Identifier: ISC */
/*
 * What does one lone offload cost, beside its floor: a futex down and an
 * edge-triggered eventfd up?  "bench_offload trips threads|processes N" only
 * makes N round trips, for strace.
 */
#include <eddy.h>

#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static struct eddy_zygote *zygote;

/* The floor: one word, one eventfd, no queue. */

struct floor {
	uint32_t word; /* odd: a job; 0xffffffff: leave */
	int bell;
};

static void *
floor_worker(void *arg)
{
	struct floor *floor = arg;
	uint64_t one = 1;
	uint32_t seen = 0, word;

	for (;;) {
		while ((word = __atomic_load_n(
			    &floor->word, __ATOMIC_ACQUIRE)) == seen)
			syscall(SYS_futex, &floor->word, FUTEX_WAIT, seen, NULL,
			    NULL, 0);
		if (word == UINT32_MAX)
			return NULL;
		seen = word;
		if (write(floor->bell, &one, sizeof(one)) < 0)
			return NULL;
	}
}

static double
floor_trips(struct floor *floor, long n)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int64_t began;
	long i;

	epoll_ctl(epoll, EPOLL_CTL_ADD, floor->bell, &event);
	began = eddy_now();
	for (i = 0; i < n; i++) {
		__atomic_add_fetch(&floor->word, 1, __ATOMIC_RELEASE);
		syscall(SYS_futex, &floor->word, FUTEX_WAKE, 1, NULL, NULL, 0);
		while (epoll_wait(epoll, &event, 1, -1) < 1)
			;
	}
	began = eddy_now() - began;
	__atomic_store_n(&floor->word, UINT32_MAX, __ATOMIC_RELEASE);
	syscall(SYS_futex, &floor->word, FUTEX_WAKE, 1, NULL, NULL, 0);
	close(epoll);
	return (double)began / (double)n;
}

static double
floor_thread(long n)
{
	struct floor floor = {0, eventfd(0, EFD_NONBLOCK)};
	pthread_t thread;
	double ns;

	pthread_create(&thread, NULL, floor_worker, &floor);
	ns = floor_trips(&floor, n);
	pthread_join(thread, NULL);
	close(floor.bell);
	return ns;
}

static double
floor_process(long n)
{
	struct floor *floor = mmap(NULL, sizeof(*floor), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double ns;
	pid_t pid;

	floor->bell = eventfd(0, EFD_NONBLOCK);
	pid = fork();
	if (pid == 0) {
		floor_worker(floor);
		_exit(0);
	}
	ns = floor_trips(floor, n);
	waitpid(pid, NULL, 0);
	close(floor->bell);
	munmap(floor, sizeof(*floor));
	return ns;
}

/* eddy */

static int
nothing(void *arg)
{
	(void)arg;
	return 0;
}

struct trips {
	struct eddy_task task;
	struct eddy_executor *executor;
	bool processes;
	long i, n;
	int64_t began;
	double ns;
	char byte[1];
};

static int
open_executor(struct trips *f)
{
	struct eddy_thread_pool_options threads = {.workers_max = 1};
	struct eddy_process_pool_options processes = {
	    .zygote = zygote, .workers = 1};

	if (!f->processes)
		return eddy_thread_pool_open(&f->executor, &threads);
	return eddy_process_pool_open(&f->executor, f->task.loop, &processes);
}

static eddy_step
trips(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct trips, f);
	EDDY_TRY(eddy_complete(self, open_executor(f)));
	EDDY_TRY(eddy_offload(self, f->executor, nothing, f->byte));
	f->began = eddy_now();
	for (f->i = 0; f->i < f->n; f->i++)
		EDDY_TRY(eddy_offload(self, f->executor, nothing, f->byte));
	f->ns = (double)(eddy_now() - f->began) / (double)f->n;
	EDDY_FINALLY;
	if (f->executor != NULL)
		eddy_executor_close(f->executor, EDDY_S(1));
	EDDY_END;
}

static double
eddy_trips(bool processes, long n)
{
	struct trips f;

	bench_check(
	    eddy_run(EDDY_INIT(&f, trips, .processes = processes, .n = n)),
	    processes ? "processes" : "threads");
	return f.ns;
}

static double
eddy_threads(long n)
{
	return eddy_trips(false, n);
}

static double
eddy_processes(long n)
{
	return eddy_trips(true, n);
}

/* System calls a trip: strace counts all threads and processes. */
static void
count_calls(const char *self, const char *which, double limit)
{
	enum { FEW = 1000, MANY = 11000 };
	char command[512], subject[64];
	long calls[2] = {0, 0};
	int i;

	snprintf(subject, sizeof(subject), "system calls, lone %s trip", which);
	for (i = 0; i < 2; i++) {
		FILE *in;

		snprintf(command, sizeof(command),
		    "strace -f -c -U calls,name -o /dev/stdout %s trips %s %d "
		    "2>/dev/null | awk '$2 == \"total\" { print $1 }'",
		    self, which, i == 0 ? FEW : MANY);
		in = popen(command, "r");
		if (in == NULL || fscanf(in, "%ld", &calls[i]) != 1)
			calls[i] = 0;
		if (in != NULL)
			pclose(in);
	}
	if (calls[0] == 0 || calls[1] == 0)
		bench_skip(subject, "strace");
	else
		bench_bar(subject, (double)(calls[1] - calls[0]) / (MANY - FEW),
		    limit);
}

int
main(int argc, char **argv)
{
	struct bench_case cases[] = {
	    {"floor: thread, futex and eventfd", floor_thread, 0, {0}},
	    {"eddy_offload to a thread", eddy_threads, 0, {0}},
	    {"floor: process, futex and eventfd", floor_process, 0, {0}},
	    {"eddy_offload to a process", eddy_processes, 0, {0}},
	    {NULL, NULL, 0, {0}}};

	bench_check(eddy_zygote_open(&zygote, 0), "zygote");
	if (argc == 4 && strcmp(argv[1], "trips") == 0) {
		eddy_trips(strcmp(argv[2], "processes") == 0, atol(argv[3]));
		eddy_zygote_close(zygote);
		return 0;
	}
	bench_compare("lone round trip, free placement", cases, 20000);
	bench_bar("thread trip / floor, free",
	    cases[1].median / cases[0].median, 1.5);
	bench_bar("process trip / floor, free",
	    cases[3].median / cases[2].median, 1.5);
	eddy_zygote_close(zygote);
	bench_pin(0);
	bench_check(eddy_zygote_open(&zygote, 0), "zygote");
	bench_compare("lone round trip, one CPU", cases, 20000);
	bench_bar("thread trip / floor, one CPU",
	    cases[1].median / cases[0].median, 1.5);
	bench_bar("process trip / floor, one CPU",
	    cases[3].median / cases[2].median, 1.5);
	eddy_zygote_close(zygote);
	bench_pin(-1);
	count_calls(argv[0], "threads", 5);
	count_calls(argv[0], "processes", 6);
	return 0;
}
