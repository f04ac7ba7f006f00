/* SPDX-License-Identifier: ISC */
/*
 * What does it cost to call into a loop from 1, 2 and 4 other threads that do so
 * as fast as they can?  Those called "flag" make one call of many; they are for
 * information.
 */
#include <eddy.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bench.h"
#include "peers/post.h"

static const struct {
	const char *name, *package; /* of Debian; NULL: no peer */
	const struct post_peer *peer;
} peers[] = {{"eddy", NULL, &post_eddy},
    {"raw stack, eventfd", NULL, &post_raw},
    {"Boost.Asio", "libboost-dev", &post_asio},
    {"GLib", "libglib2.0-dev", &post_glib},
    {"eddy, flag", NULL, &post_eddy_flag}, {"libuv, flag", NULL, &post_libuv},
    {"libev, flag", NULL, &post_libev}};

enum { PEERS = sizeof(peers) / sizeof(peers[0]) };

static struct bench_case cases[PEERS + 1];
static int peer_of[PEERS]; /* a case's */
static long posters, each;
static const struct post_peer *peer;
static atomic_bool go;
static atomic_long done; /* posters */
static long seen;        /* loop thread */

bool
post_seen(void)
{
	return ++seen == posters * each;
}

bool
post_told(void)
{
	return atomic_load(&done) == posters;
}

static void *
work(void *arg)
{
	unsigned poster = (unsigned)(uintptr_t)arg;
	long i;

	while (!atomic_load(&go))
		sched_yield();
	for (i = 0; i < each - 1; i++)
		peer->post(poster, i);
	atomic_fetch_add(&done, 1);
	peer->post(poster, i); /* behind done: a flag's last one tells */
	return NULL;
}

static double
run(long n)
{
	pthread_t threads[POST_MOST];
	int64_t began;
	long i;

	peer = peers[peer_of[bench_running - cases]].peer;
	each = n / posters + 1;
	seen = 0;
	atomic_store(&done, 0);
	atomic_store(&go, false);
	peer->open();
	for (i = 0; i < posters; i++)
		bench_check(-pthread_create(
				&threads[i], NULL, work, (void *)(uintptr_t)i),
		    "thread");
	began = eddy_now();
	atomic_store(&go, true);
	peer->run();
	began = eddy_now() - began;
	for (i = 0; i < posters; i++)
		pthread_join(threads[i], NULL);
	peer->close();
	return (double)began / (double)(each * posters);
}

static void
compare(void)
{
	double eddy, best = 0;
	char line[64];
	int i, count = 0;

	for (i = 0; i < PEERS; i++) {
		if (peers[i].peer == NULL)
			continue;
		peer_of[count] = i;
		cases[count++] = (struct bench_case){
		    .name = peers[i].name, .run = run};
	}
	cases[count].name = NULL;
	snprintf(line, sizeof(line), "post, %ld posters", posters);
	bench_count_with(10000, 110000);
	bench_compare(line, cases, 1000000);
	eddy = cases[0].median;
	for (i = 0; i < count; i++)
		if (peers[peer_of[i]].package != NULL &&
		    (best == 0 || cases[i].median < best))
			best = cases[i].median;
	snprintf(line, sizeof(line), "post, %ld posters, ns", posters);
	bench_bar(line, eddy, 25);
	snprintf(
	    line, sizeof(line), "post, %ld posters, eddy / best peer", posters);
	if (best != 0)
		bench_bar(line, eddy / best, 1);
	else
		bench_skip(line, "libboost-dev, libglib2.0-dev");
}

int
main(void)
{
	for (posters = 1; posters <= POST_MOST; posters *= 2)
		compare();
	return 0;
}
