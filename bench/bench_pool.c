/* SPDX-License-Identifier: ISC */
/*
 * What does a job on a thread pool cost, in time and in CPU, beside other
 * libraries: alone, by windows of jobs that are out, with work to do, behind
 * long jobs, seldom, and when there is none?  Each run is a process of its own,
 * "bench_pool" with the fields of struct pool_load, since some have one pool.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "peers/pool.h"

#define PYTHON        "/usr/bin/python3 " /* Debian's */
#define TOKIO_PROGRAM "build/bench/peers/pool_tokio"
#define GO_PROGRAM    "build/bench/peers/pool_go"

static const struct {
	const char *name, *package; /* of Debian */
	const char *command, *test; /* NULL: this program, and linked in */
} names[POOL_PEERS] = {{"eddy", "", NULL, NULL},
    {"eddy, spinning off", "", NULL, NULL}, {"libuv", "libuv1-dev", NULL, NULL},
    {"Boost.Asio", "libboost-dev", NULL, NULL},
    {"GLib", "libglib2.0-dev", NULL, NULL},
    {"threads, no queue", "", NULL, NULL},
    {"raw futex, eventfd", "", NULL, NULL}, {"bare rings", "", NULL, NULL},
    {"asyncio", "python3", PYTHON "bench/peers/pool_asyncio.py asyncio",
	PYTHON "-c 'import asyncio' 2>/dev/null"},
    {"uvloop", "python3-uvloop", PYTHON "bench/peers/pool_asyncio.py uvloop",
	PYTHON "-c 'import uvloop' 2>/dev/null"},
    {"Tokio", "librust-tokio-dev", TOKIO_PROGRAM, "test -x " TOKIO_PROGRAM},
    {"Go, goroutines", "golang-go", GO_PROGRAM, "test -x " GO_PROGRAM}};

/* Who runs, as a set; PEERS have a queue and are not ours. */
#define SET(peer) (1u << (peer))
#define OURS      (SET(EDDY) | SET(NO_SPIN))
#define PEERS     (SET(LIBUV) | SET(ASIO) | SET(GLIB))
/* For information, but for Tokio's lone job; Go's stays in its own scheduler. */
#define SCRIPTS (SET(ASYNCIO) | SET(UVLOOP) | SET(TOKIO) | SET(GO))

static const char *self;
static struct bench_case cases[POOL_PEERS + 1];
static int peer_of[POOL_PEERS]; /* a case's */
static struct pool_load load;
static char title[64];

/* Of each round, the warm-up first; the second table is made of them. */
static struct pool_cost costs[POOL_PEERS][BENCH_ROUNDS + 1];
static int rounds[POOL_PEERS];

static struct pool_cost
run_child(long peer, long n)
{
	struct pool_cost c = {0, 0, 0, 0};
	char command[512];
	FILE *child;

	snprintf(command, sizeof(command),
	    "%s %ld %ld %ld %ld %ld %ld %ld %ld %ld",
	    names[peer].command != NULL ? names[peer].command : self, peer,
	    load.workers, load.window, n, load.work, load.seldom, load.gap,
	    load.idle, load.place);
	child = popen(command, "r");
	if (child == NULL ||
	    fscanf(child, "%lf %lf %lf %lf", &c.time, &c.cpu, &c.p99,
		&c.wakes) != 4 ||
	    pclose(child) != 0)
		bench_check(-1, command);
	return c;
}

static double
run(long n)
{
	int peer = peer_of[bench_running - cases];
	struct pool_cost cost = run_child(peer, n);

	costs[peer][rounds[peer]++] = cost;
	return load.seldom != 0 ? cost.p99 : cost.time;
}

static double
recall_cpu(long n)
{
	int peer = peer_of[bench_running - cases];

	(void)n;
	return costs[peer][rounds[peer]++].cpu;
}

static bool
is_here(int peer)
{
	static signed char known[POOL_PEERS]; /* 0: not yet */

	if (names[peer].test == NULL)
		return pool_peers[peer] != NULL;
	if (known[peer] == 0)
		known[peer] = bench_finds(names[peer].test) ? 1 : -1;
	return known[peer] > 0;
}

static void
compare(const char *what, unsigned set, double (*fn)(long n), long n)
{
	char line[96];
	int peer, i = 0;

	for (peer = 0; peer < POOL_PEERS; peer++) {
		if ((set & SET(peer)) == 0 || !is_here(peer))
			continue;
		peer_of[i] = peer;
		cases[i++] = (struct bench_case){.name = names[peer].name,
		    .run = fn,
		    .foreign = names[peer].command != NULL};
	}
	cases[i].name = NULL;
	memset(rounds, 0, sizeof(rounds));
	snprintf(line, sizeof(line), "%s, %s", title, what);
	if (fn == run && load.place == FREE && load.workers == 2 &&
	    load.work == 0 && load.gap == 0) /* they look at the clock */
		bench_count_with(n / 100, n / 20);
	bench_compare(line, cases, n);
}

static const struct bench_case *
case_of(int peer)
{
	int i;

	for (i = 0; cases[i].name != NULL; i++)
		if (peer_of[i] == peer)
			return &cases[i];
	return NULL;
}

/* Ours against another. */
static void
bar(const char *what, int mine, int theirs, double limit)
{
	const struct bench_case *c = case_of(theirs);
	char subject[128];

	snprintf(subject, sizeof(subject), "%s, %s, %s / %s", title, what,
	    names[mine].name, names[theirs].name);
	if (c == NULL)
		bench_skip(subject, names[theirs].package);
	else
		bench_bar(subject, case_of(mine)->median / c->median, limit);
}

/* Ours against the best of those that are here. */
static void
bar_best(const char *what, int mine, double limit)
{
	int peer, best = -1;

	for (peer = 0; peer < POOL_PEERS; peer++)
		if ((PEERS & SET(peer)) != 0 && case_of(peer) != NULL &&
		    (best < 0 || case_of(peer)->median < case_of(best)->median))
			best = peer;
	if (best >= 0)
		bar(what, mine, best, limit);
	else
		bench_skip(what, "no peer");
}

static void
lone(int place, long workers)
{
	static const char *const places[] = {"free", "two CPUs", "one CPU"};

	load = (struct pool_load){
	    .workers = workers, .window = 1, .place = place};
	snprintf(title, sizeof(title), "lone job, %s, %ld workers",
	    places[place], workers);
	compare("time", OURS | PEERS | SET(RAW) | (place == FREE ? SCRIPTS : 0),
	    run, 4000);
	bar("time", NO_SPIN, RAW, 1.1);
	bar("time", NO_SPIN, LIBUV, 0.85);
	if (place != ONE_CPU) /* where nobody can wait awake */
		bar("time", EDDY, LIBUV, 0.1);
	if (place == FREE)
		bar("time", EDDY, TOKIO, 0.1);
	compare("CPU", OURS | PEERS | SET(RAW), recall_cpu, 0);
	if (place != ONE_CPU)
		bar("CPU", EDDY, LIBUV, 0.15);
}

static void
window(long workers, long size, long n)
{
	load = (struct pool_load){.workers = workers, .window = size};
	snprintf(
	    title, sizeof(title), "window %ld, %ld workers", size, workers);
	compare("time", OURS | PEERS | SET(RING) | (size != 4096 ? SCRIPTS : 0),
	    run, n);
	if (size == 16) {
		bar_best("time", NO_SPIN, 1);
		bar_best("time", EDDY, 0.5);
	} else {
		bar("time", EDDY, LIBUV, size == 256 ? 0.45 : 0.15);
	}
}

static void
with_work(long us, long n, double limit)
{
	load = (struct pool_load){
	    .workers = 2, .window = 64, .work = us * 1000};
	snprintf(title, sizeof(title), "jobs of %ld us", us);
	compare("time", OURS | PEERS | SET(DIRECT), run, n);
	bar("time", EDDY, DIRECT, limit);
	bar_best("time", EDDY, 1);
}

static void
mixed(void)
{
	load = (struct pool_load){
	    .workers = 4, .window = 64, .work = 10000, .seldom = 10000000};
	snprintf(title, sizeof(title), "10 us beside 1 %% of 10 ms");
	compare("p99 of the short", OURS | PEERS, run, 10000);
	bar_best("p99", EDDY, 1);
}

static void
sparse(void)
{
	load = (struct pool_load){.workers = 2, .window = 1, .gap = 1000000};
	snprintf(title, sizeof(title), "a job each ms");
	compare("time", OURS, run, 1000);
	compare("CPU", OURS, recall_cpu, 0);
	bar("CPU", EDDY, NO_SPIN, 1.05);
}

static void
idle(void)
{
	struct pool_cost cost;

	load = (struct pool_load){.workers = 4, .window = 16, .idle = 1};
	cost = run_child(EDDY, bench_count(100000));
	bench_bar("idle for 1 s, us of CPU", cost.cpu, 0);
	bench_bar("idle for 1 s, wake-ups", cost.wakes, 0);
}

int
main(int argc, char **argv)
{
	static const long windows[] = {16, 256, 4096};
	static const long jobs[] = {50000, 300000, 500000};
	long workers;
	int i;

	if (argc > 1)
		return pool_child(argv);
	self = argv[0];
	for (i = FREE; i <= ONE_CPU; i++)
		for (workers = 1; workers <= 4; workers *= 2)
			lone(i, workers);
	for (i = 0; i < 3; i++)
		for (workers = 1; workers <= 4; workers *= 2)
			window(workers, windows[i], jobs[i]);
	with_work(1, 100000, 1.6);
	with_work(10, 20000, 1.07);
	with_work(100, 3000, 1.02);
	mixed();
	sparse();
	idle();
	return 0;
}
