/* SPDX-License-Identifier: ISC */
/*
 * The floor of posts that each arrive: a stack, a flag that says whether the
 * loop sleeps, and an eventfd that is written then.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "post.h"

#include "../bench.h"

/* A cache line each, as post_eddy.c's. */
struct node {
	_Alignas(64) struct node *next;
	atomic_bool busy;
};

static struct node nodes[POST_MOST][POST_POOL];
static _Alignas(64) struct node *_Atomic top;
static _Alignas(64) atomic_bool asleep;
static int bell, poll_fd;

static void
open_loop(void)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	memset(nodes, 0, sizeof(nodes));
	bell = eventfd(0, EFD_NONBLOCK);
	poll_fd = epoll_create1(0);
	bench_check(epoll_ctl(poll_fd, EPOLL_CTL_ADD, bell, &event), "epoll");
}

static void
post(unsigned poster, long i)
{
	struct node *node = &nodes[poster][i % POST_POOL], *old;
	uint64_t one = 1;

	while (atomic_load_explicit(&node->busy, memory_order_acquire))
		sched_yield();
	atomic_store_explicit(&node->busy, true, memory_order_relaxed);
	old = atomic_load_explicit(&top, memory_order_relaxed);
	do
		node->next = old;
	while (!atomic_compare_exchange_weak(&top, &old, node));
	if (atomic_load(&asleep) && atomic_exchange(&asleep, false) &&
	    write(bell, &one, sizeof(one)) < 0)
		bench_check(-1, "write");
}

/* Oldest first. */
static struct node *
take(void)
{
	struct node *node = atomic_exchange(&top, NULL), *list = NULL, *next;

	for (; node != NULL; node = next) {
		next = node->next;
		node->next = list;
		list = node;
	}
	return list;
}

static void
run(void)
{
	struct epoll_event event;
	struct node *node, *next;
	bool last = false;

	while (!last) {
		for (node = take(); node != NULL; node = next) {
			next = node->next;
			atomic_store_explicit(
			    &node->busy, false, memory_order_release);
			last = post_seen();
		}
		atomic_store(&asleep, true);
		if (!last && atomic_load(&top) == NULL)
			epoll_wait(poll_fd, &event, 1, -1);
		atomic_store_explicit(&asleep, false, memory_order_relaxed);
	}
}

static void
close_loop(void)
{
	close(bell);
	close(poll_fd);
}

const struct post_peer post_raw = {open_loop, post, run, close_loop};
