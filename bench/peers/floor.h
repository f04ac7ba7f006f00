/* SPDX-License-Identifier: ISC */
/*
 * floor: the least that a lone job elsewhere costs when both sides sleep: one
 * word, a futex down, and an edge-triggered eventfd that is never read up.
 */
#ifndef BENCH_PEERS_FLOOR_H
#define BENCH_PEERS_FLOOR_H

#include <stdbool.h>

/* ns a round trip to a thread or a process; apart: that one to CPU 1, we stay
 * where we are. */
double floor_trips(bool process, bool apart, long n);

#endif
