/* SPDX-License-Identifier: ISC */
#include "floor.h"

#include <eddy/base.h>

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench.h"

struct floor {
	uint32_t word; /* changed: a job; 0xffffffff: leave */
	int bell;
	bool apart;
};

static void *
work(void *arg)
{
	struct floor *floor = arg;
	uint32_t seen = 0, word;
	uint64_t one = 1;

	if (floor->apart)
		bench_pin(1);
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

static void
wake(struct floor *floor, uint32_t word)
{
	__atomic_store_n(&floor->word, word, __ATOMIC_RELEASE);
	syscall(SYS_futex, &floor->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static double
trips(struct floor *floor, long n)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int64_t began;
	long i;

	epoll_ctl(epoll, EPOLL_CTL_ADD, floor->bell, &event);
	for (began = 0, i = -10; i < n; i++) {
		if (i == 0)
			began = eddy_now();
		wake(floor, (uint32_t)(i + 11));
		while (epoll_wait(epoll, &event, 1, -1) < 1)
			;
	}
	began = eddy_now() - began;
	wake(floor, UINT32_MAX);
	close(epoll);
	return (double)began / (double)n;
}

double
floor_trips(bool process, bool apart, long n)
{
	struct floor *floor = mmap(NULL, sizeof(*floor), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;
	pid_t pid = 0;
	double ns;

	*floor = (struct floor){0, eventfd(0, EFD_NONBLOCK), apart};
	if (!process)
		pthread_create(&thread, NULL, work, floor);
	else if ((pid = fork()) == 0)
		_exit(work(floor) != NULL);
	ns = trips(floor, n);
	if (process)
		waitpid(pid, NULL, 0);
	else
		pthread_join(thread, NULL);
	close(floor->bell);
	munmap(floor, sizeof(*floor));
	return ns;
}
