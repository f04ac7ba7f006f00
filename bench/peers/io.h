/* SPDX-License-Identifier: ISC */
/*
 * io: what bench_io asks of a loop: to call io_ready for readable descriptors,
 * and to serve echo connections.
 */
#ifndef BENCH_PEERS_IO_H
#define BENCH_PEERS_IO_H

#include <stdbool.h>

enum { IO_BYTES = 4096 }; /* read at most so many at a time */

struct io_peer {
	/* Watch them all; the kernel knows them then. */
	void (*open)(int n, const int *fds);
	void (*run)(void); /* until io_ready says true */
	void (*close)(void);
	/* In a process of its own: echo what comes from connections to this
	 * socket, which does not block; never returns. */
	void (*serve)(int listener);
};

/* The i-th descriptor is readable.  True: that was the last one. */
bool io_ready(int i);
/* The same, when its byte has been read already. */
bool io_pass(int i);

/* What comes from fd goes back at once; false: close it. */
bool io_echo(int fd);
int io_accept(int listener); /* negative: nobody is there */

extern const struct io_peer io_eddy;
extern const struct io_peer io_eddy_edge; /* serves nobody, as the next one */
extern const struct io_peer io_eddy_level;
extern const struct io_peer io_raw;
extern const struct io_peer io_raw_edge;    /* read until EAGAIN */
extern const struct io_peer io_raw_oneshot; /* armed again after EAGAIN */
extern const struct io_peer io_libuv __attribute__((weak));
extern const struct io_peer io_libev __attribute__((weak));
extern const struct io_peer io_libevent __attribute__((weak));

#endif
