/* SPDX-License-Identifier: ISC */
/*
 * process_channel: the memory that one worker shares with the host, and the
 * messages between host and zygote.
 *
 * A fresh sealed memfd for each worker.  slot: FREE -> QUEUED by the host,
 * QUEUED -> RUNNING by the worker or -> TAKEN by the host (compare-and-swap:
 * one of them gets it), RUNNING -> DONE by the worker.  Whatever a worker can
 * write, the host fetches once and checks; its own numbers are elsewhere.
 */
#ifndef EDDY_PROCESS_CHANNEL_H
#define EDDY_PROCESS_CHANNEL_H

#include <sys/types.h>

#include <eddy/process_pool.h>

#include "executor_impl.h"

enum {
	DEPTH_MAX = 8,
	CHANNEL_HEADER = 4096, /* struct channel; then depth areas */
	FD_CHANNEL = 0,
	FD_BELL,
	FD_MAIL,            /* a socket, with EDDY_PASS_DESCRIPTORS */
	FD_COUNT,           /* that a new worker gets */
	EXIT_NO_BELL = 121, /* the job closed our eventfd */
	EXIT_INIT = 122,
	EXIT_NO_CHANNEL = 123,
	EXIT_CALLED = 124, /* exit() in a job, code unknown (musl) */
};

enum slot_state { SLOT_FREE, SLOT_QUEUED, SLOT_RUNNING, SLOT_DONE, SLOT_TAKEN };

struct slot {
	uint32_t state;        /* both */
	int32_t result;        /* worker */
	uint64_t fn;           /* host */
	uint32_t area;         /* host: which has its bytes */
	uint32_t is_transform; /* host */
	uint32_t passes;       /* host: fn may ask for, and return, some */
	uint32_t fds_in;       /* host: how many are in the mail */
	uint32_t fds_out;      /* worker: the same */
	uint32_t big;          /* worker: the last of them has the output */
	uint64_t in_size;      /* host */
	uint64_t out_size;     /* worker: of a transform */
	struct report report;  /* both */
};

/* Each side has cache lines of its own. */
struct channel {
	struct eddy_process_pool_options options; /* init: in the first area */
	/* The host writes. */
	_Alignas(64) uint32_t tail; /* slots filled ever */
	uint32_t quit;
	uint32_t wakes; /* the worker's futex: counts changes of the two */
	/* The worker writes. */
	_Alignas(64) uint32_t head; /* slots emptied ever */
	uint32_t asleep;            /* or about to: wake it */
	uint32_t ready;             /* 1: initialised */
	int32_t error;              /* of init */
	uint64_t rss;               /* KiB, the most it ever had */
	_Alignas(64) struct slot slots[DEPTH_MAX];
};

static inline void *
channel_area(struct channel *channel, uint32_t i, size_t slot_size)
{
	return (char *)channel + CHANNEL_HEADER + i * slot_size;
}

/* Where the output of a transform starts: the next line behind its input. */
static inline size_t
transform_offset(size_t in_size)
{
	return (in_size + 63) & ~(size_t)63;
}

enum zygote_op { Z_READY, Z_POOL, Z_SPAWN, Z_SPAWNED, Z_FAILED, Z_EXITED };

struct zygote_message {
	uint32_t op, index, fds; /* fds: how many come with it */
	size_t size;
	int32_t pid, error, code, status; /* code, status: as in siginfo_t */
	struct rusage usage;              /* of who has exited */
};

/* Worker and zygote. */
_Noreturn void eddy__zygote_main(int orders, pid_t host);
_Noreturn void eddy__worker_main(const int *fds, pid_t zygote, size_t size);
void eddy__die_with(pid_t parent); /* or at once, if it is gone */

/* The host: a link is a pool's own socket to its zygote. */
int eddy__zygote_link(struct eddy_zygote *zygote);
void eddy__zygote_unlink(struct eddy_zygote *zygote, int link);
/* Any thread: may a worker have fn?  It was mapped when zygote was opened. */
bool eddy__zygote_has(const struct eddy_zygote *zygote, uintptr_t fn);

#endif
