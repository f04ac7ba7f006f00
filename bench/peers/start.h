/* SPDX-License-Identifier: ISC */
/*
 * start: what bench_start asks of a library: ns to open and close a loop, and
 * how big its handles are.
 */
#ifndef BENCH_PEERS_START_H
#define BENCH_PEERS_START_H

#include <stddef.h>

struct start_peer {
	double (*loop)(long n);
	size_t timer, watch, job, post; /* bytes; 0: it has none */
};

/* Weak: not linked when its -dev package is missing. */
extern const struct start_peer start_libev __attribute__((weak));
extern const struct start_peer start_libevent __attribute__((weak));
extern const struct start_peer start_libuv __attribute__((weak));

#endif
