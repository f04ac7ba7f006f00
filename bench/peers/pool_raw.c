/* SPDX-License-Identifier: ISC */
/*
 * The floor of a lone job when everybody sleeps: one slot, a futex down, and an
 * edge-triggered eventfd that is never read up.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool.h"

#include "../bench.h"

static _Alignas(64) atomic_uint asked;
static _Alignas(64) atomic_uint answered;
static struct pool_unit unit;
static int bell, poll_fd;

static void
futex(int op, unsigned value)
{
	syscall(
	    SYS_futex, &asked, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void *
work(void *arg)
{
	uint64_t one = 1;
	unsigned n;

	for (n = 0;; n++) {
		while (atomic_load(&asked) == n)
			futex(FUTEX_WAIT, n);
		pool_work(&unit);
		atomic_store(&answered, n + 1);
		if (write(bell, &one, sizeof(one)) < 0)
			return arg;
	}
}

static void
open_pair(void)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	pthread_t thread;

	bell = eventfd(0, EFD_NONBLOCK);
	poll_fd = epoll_create1(0);
	bench_check(epoll_ctl(poll_fd, EPOLL_CTL_ADD, bell, &event), "epoll");
	bench_check(-pthread_create(&thread, NULL, work, NULL), "thread");
}

void
pool_raw(const struct pool_load *load, bool first)
{
	struct epoll_event event;
	unsigned n;

	if (first)
		open_pair();
	pool_start(&unit, load);
	do {
		n = atomic_fetch_add(&asked, 1) + 1;
		futex(FUTEX_WAKE, 1);
		while (atomic_load(&answered) != n)
			epoll_wait(poll_fd, &event, 1, -1);
	} while (pool_again(&unit));
}
