/* SPDX-License-Identifier: ISC */
/*
 * What does a timer cost among 1,000, 100,000 and 1,000,000 of them, beside
 * libev, libuv and libevent: add, cancel, reset, fire?  Deadlines are random.
 * Timers are added as they lie in memory, like the connections of a server;
 * cancelled and reset in random order; "churn" cancels 1,000 at a time and adds
 * them again, while the others wait; "busy" resets those of 1,000 of them again
 * and again.
 *
 * A count is of one pass over all n timers: a run of n ends before the
 * operation in question and one of 2n behind it, so what led to it cancels out.
 * That of a busy reset has the turns in which eddy mends what its resets left.
 */
#include <eddy.h>

#include <stdio.h>
#include <unistd.h>

#include "bench.h"
#include "peers/timer.h"

enum {
	MOST = 1000000,
	COUNTED = 100000, /* of these: callgrind needs minutes for all */
	ACTIVE = 1000
};

#define SOON EDDY_MS(bench_quick() ? 5 : 100) /* all are due within */
#define FAR  EDDY_S(10) /* none is due while a run takes */

static const struct {
	const char *name, *package; /* of Debian */
	const struct timer_peer *peer;
	double limit, lazy; /* of eddy's time / theirs; 0: none */
} peers[] = {{"eddy", NULL, &timer_eddy, 0, 0},
    {"libev", "libev-dev", &timer_libev, 1 / 1.3, 0.2},
    {"libuv", "libuv1-dev", &timer_libuv, 0.25, 0},
    {"libevent", "libevent-dev", &timer_libevent, 0, 0}};

enum { PEERS = sizeof(peers) / sizeof(peers[0]) };

/* The last two are eddy's own: a reset that is not later, and what a later one
 * leaves to be done when the old deadline comes. */
enum op { ADD, CANCEL, CHURN, RESET, BUSY, FIRE, SOONER, MEND, OPS };

static const char *const names[OPS] = {"add", "cancel", "churn", "reset",
    "busy reset", "fire", "reset sooner", "mend after a reset"};

long timer_fired;
static enum op op;
static bool without;  /* counting: all but the operation in question */
static int64_t spent; /* ns in that */
static long armed;    /* timers of this table */
static struct bench_case cases[PEERS + 2];
static const struct timer_peer *peer_of[PEERS]; /* a case's */
static struct timer_order far[MOST], other[MOST], soon[MOST], few[ACTIVE];

static int64_t
random_below(int64_t limit)
{
	static uint64_t x = 88172645463325252u; /* xorshift64 */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (int64_t)(x >> 1) % limit;
}

/* All n, each once, as they lie in memory or in random order; ns from least. */
static void
arrange(struct timer_order *orders, uint32_t n, bool shuffled, int64_t least,
    int64_t range)
{
	uint32_t i, j;

	for (i = 0; i < n; i++) {
		j = shuffled ? (uint32_t)random_below(i + 1) : i;
		orders[i] = orders[j];
		orders[j].which = i;
		orders[j].ns = least + random_below(range);
	}
}

/* Do what leads to the operation in question, or that. */
static void
act(enum op what, timer_work *work, const struct timer_order *orders, long n)
{
	int64_t began = eddy_now();

	if (what == op && without)
		return;
	work(orders, n);
	if (what == op)
		spent += eddy_now() - began;
}

/* Nothing fires; often enough for the clock. */
static void
start_and_stop(const struct timer_peer *peer, long n)
{
	long active = n < ACTIVE ? n : ACTIVE, j;

	peer->turn();
	act(ADD, peer->add, far, n);
	for (j = 0; op == CHURN && j < n; j += active) {
		act(CHURN, peer->cancel, other + j, active);
		act(CHURN, peer->add, other + j, active);
	}
	if (op == RESET || op == BUSY) {
		peer->reset(far, n); /* the first is not the rule */
		peer->turn();
	}
	if (op == RESET)
		act(RESET, peer->reset, other, n);
	for (j = 0; op == BUSY && j < n; j += active, peer->turn())
		act(BUSY, peer->reset, few, active);
	if (op == SOONER)
		act(SOONER, peer->add, soon, n);
	if (op == CANCEL || !bench_counting())
		act(CANCEL, peer->cancel, other, n);
}

/* As many turns as it takes when all deadlines have passed. */
static void
come_due(const struct timer_peer *peer, long n)
{
	int64_t due = eddy_after(SOON + EDDY_MS(20)), began;

	peer->turn();
	peer->add(soon, n);
	if (op == MEND)
		peer->reset(other, n);
	while ((began = eddy_now()) < due)
		usleep((useconds_t)((due - began) / 1000 + 1));
	if (without)
		return;
	timer_fired = 0;
	do
		peer->turn(); /* eddy: 256 of them */
	while (op == FIRE && timer_fired < n && eddy_now() < due + EDDY_S(60));
	spent += eddy_now() - began;
	bench_check(timer_fired == (op == FIRE ? n : 0) ? 0 : -1, "fire");
	if (!bench_counting())
		peer->cancel(other, n);
}

static void
arrange_all(long n)
{
	static long arranged;

	if (n == arranged)
		return;
	arrange(far, (uint32_t)n, false, FAR, FAR);
	arrange(other, (uint32_t)n, true, FAR, FAR);
	arrange(soon, (uint32_t)n, false, 0, SOON);
	arrange(few, n < ACTIVE ? (uint32_t)n : ACTIVE, true, FAR, FAR);
	arranged = n;
}

static double
run(long n)
{
	const struct timer_peer *peer = peer_of[bench_running - cases];
	bool fires = op == FIRE || op == MEND;
	long times = fires || n >= 10000 ? 1 : 10000 / n, i;

	if (bench_counting()) {
		without = n == armed;
		n = armed;
		times = 1;
	}
	if (n > ACTIVE)
		n -= n % ACTIVE;
	arrange_all(n);
	if (bench_counting() && op == ADD) { /* it has its memory */
		peer->add(far, n);
		peer->cancel(other, n);
	}
	spent = 0;
	for (i = 0; i < times; i++)
		(fires ? come_due : start_and_stop)(peer, n);
	return (double)spent / (double)(times * n);
}

/* The least of a reset that keeps equal deadlines in order. */
__attribute__((noinline)) static void
store(uint32_t which, int64_t deadline)
{
	static struct {
		int64_t deadline;
		long start;
	} stored[ACTIVE];
	static long starts;

	stored[which].deadline = deadline;
	stored[which].start = starts++;
	__asm__ volatile("" : : "r"(stored) : "memory"); /* somebody reads it */
}

static double
floor_reset(long n)
{
	long active = n < ACTIVE ? n : ACTIVE, i, j;
	int64_t began;

	n -= n % active;
	arrange_all(n);
	began = eddy_now();
	for (i = 0; i < n; i += active)
		for (j = 0; j < active; j++)
			store(few[j].which, began + i);
	return (double)(eddy_now() - began) / (double)n;
}

static void
bar(const char *what, long n, int i, double limit)
{
	const struct bench_case *theirs = cases;
	char subject[64];

	if (limit == 0)
		return;
	snprintf(subject, sizeof(subject), "%s, %ld timers, eddy / %s", what, n,
	    peers[i].name);
	while (theirs->name != NULL && theirs->name != peers[i].name)
		theirs++;
	if (theirs->name != NULL)
		bench_bar(subject, cases[0].median / theirs->median, limit);
	else
		bench_skip(subject, peers[i].package);
}

static void
compare(long n)
{
	int i, count = 0, end = op > FIRE ? 1 : PEERS;
	char title[64];

	for (i = 0; i < end; i++) {
		if (peers[i].peer == NULL)
			continue;
		peer_of[count] = peers[i].peer;
		cases[count++] = (struct bench_case){
		    .name = peers[i].name, .run = run};
	}
	if (op == BUSY)
		cases[count++] = (struct bench_case){
		    .name = "floor: a call, two words, a count",
		    .run = floor_reset,
		    .foreign = true};
	cases[count].name = NULL;
	snprintf(title, sizeof(title), "%s, %ld timers", names[op], n);
	armed = n;
	if (n == COUNTED)
		bench_count_with(n, 2 * n);
	bench_compare(title, cases, n);
	for (i = 1; n >= 100000 && i < end; i++) {
		if (op != BUSY)
			bar(names[op], n, i, peers[i].limit);
		if (op == BUSY)
			bar("busy reset", n, i, peers[i].lazy);
	}
}

int
main(void)
{
	static const long sizes[] = {1000, 100000, 1000000};
	int size, i;

	for (size = 0; size < 3; size++) {
		for (i = 0; i < PEERS; i++)
			if (peers[i].peer != NULL)
				peers[i].peer->open(bench_count(sizes[size]));
		for (op = ADD; op < OPS; op++)
			compare(sizes[size]);
		for (i = 0; i < PEERS; i++)
			if (peers[i].peer != NULL)
				peers[i].peer->close();
	}
	return 0;
}
