/* SPDX-License-Identifier: ISC */
/*
 * process_home: a home loop in a thread of its own, for a pool that was given
 * none.
 *
 * The loop is opened, and the pool on it, by the thread that wants the pool (so
 * before there is another that a fork could miss); then the new thread runs it.
 * What only the home thread may do is done there while the caller waits.
 */
#include <limits.h>

#include "process_impl.h"

static void *
run(void *arg)
{
	struct pool *pool = arg;

	eddy_loop_run(pool->home);
	return NULL;
}

/* Pool lives on a loop that this thread has opened for it. */
int
eddy__process_home_open(struct pool *pool)
{
	int r;

	pool->home->holds++;
	pool->executor.home = NULL;     /* any thread may close it */
	A_STORE(&pool->home->owner, 0); /* until it runs */
	r = eddy__thread_create(&pool->thread, 0, run, pool);
	if (r < 0)
		A_STORE(&pool->home->owner, eddy__self());
	pool->own_home = r == 0;
	return r;
}

static void
do_errand(struct eddy_loop *loop, struct eddy_post *post)
{
	struct errand *errand = CONTAINER_OF(post, struct errand, post);

	(void)loop;
	errand->fn(errand);
	A_RELEASE(&errand->done, 1);
	/* An address only: the errand may be gone by now. */
	eddy__futex_wake(&errand->done, INT_MAX, false);
}

void
eddy__process_at_home(struct pool *pool, struct errand *errand)
{
	bool away, asks;

	errand->pool = pool;
	if (!executor_ours(&pool->executor))
		return;
	/* With the lock: asked before a close it is done; then home may go. */
	pthread_mutex_lock(&pool->executor.lock);
	away = pool->own_home && !eddy__loop_here(pool->home);
	asks = away && (errand->closes || !is_closing(pool));
	if (asks) {
		eddy_post_init(&errand->post, do_errand);
		eddy_post(pool->home, &errand->post);
	}
	pthread_mutex_unlock(&pool->executor.lock);
	if (!away)
		errand->fn(errand);
	while (asks && A_ACQUIRE(&errand->done) == 0)
		eddy__futex_wait(&errand->done, 0, EDDY_FOREVER, false);
}
