/* SPDX-License-Identifier: ISC */
/*
 * timer: what bench_timer asks of a library.
 *
 * Each keeps its timers in one array, as a program has them in its
 * connections, and loops over the orders itself, so that a call of the library
 * is all that is measured.
 */
#ifndef BENCH_PEERS_TIMER_H
#define BENCH_PEERS_TIMER_H

#include <stdint.h>

enum { TIMER_RESET_S = 60 }; /* what a reset sets: later than any ns */

struct timer_order {
	int64_t ns; /* from now; a peer rounds down to what it knows */
	uint32_t which;
};

typedef void timer_work(const struct timer_order *orders, long n);

struct timer_peer {
	void (*open)(long n);
	timer_work *add;
	timer_work *cancel;
	timer_work *reset;  /* as a server does at each request */
	void (*turn)(void); /* look at the clock and fire what is due */
	void (*close)(void);
};

extern long timer_fired; /* callbacks count here */

/* Weak: a peer is not linked when its -dev package is missing. */
extern const struct timer_peer timer_eddy;
extern const struct timer_peer timer_libev __attribute__((weak));
extern const struct timer_peer timer_libuv __attribute__((weak));
extern const struct timer_peer timer_libevent __attribute__((weak));

#endif
