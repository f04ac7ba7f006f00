/* SPDX-License-Identifier: ISC */
/*
 * simulate: seeded programs of tasks and timers over a kernel that is made up.
 *
 * Each program is run twice: by the model, a naive scheduler over a kernel of its
 * own, which writes down what has to happen; then by the library, whose system
 * calls the linker sends to a second such kernel.  What either does next follows
 * from the seed and the number of the step alone.
 */
#ifndef SIMULATE_H
#define SIMULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <eddy/base.h>

enum {
	TASKS = 96, /* ids of one program */
	ROOTS = 6,  /* of them, from the start */
	TIMERS = 8, /* timer 0 ends the program */
	EVENTS = 3, /* and as many semaphores and queues */
	SLOTS = 2,  /* of queue 0; one less of the next ones */
	FDS = 7,    /* 0 to 3 are sockets, of which two are streams */
	STREAMS = 2,
	SOCKETS = 4,  /* what follows are pipes; the last one may block */
	STEPS = 24,   /* of a task */
	BYTES = 32,   /* most of one read or write */
	ROOM = 40,    /* bytes that a descriptor takes until its peer reads */
	LENGTH = 500, /* units of time until the end */
	TRACE = 1 << 14,
};

/* A program, by its seed. */
struct program {
	uint64_t seed;
	bool is_virtual;  /* options.clock; else CLOCK_MONOTONIC is made up */
	bool coarse;      /* no epoll_pwait2 */
	int64_t unit;     /* ns */
	int64_t grid;     /* ns: sleeps end at multiples of that */
	int64_t work;     /* ns at most that a step takes */
	unsigned trouble; /* one call of so many; 0: none */
};

struct program program_of(uint64_t seed);

/* What a task does in one step. */
enum verb {
	/* Waits, which a timeout or an event may end. */
	SLEEP,
	WAIT,
	ACQUIRE,
	PUSH,
	POP,
	PARK,
	READ,
	READ_FULL,
	WRITE,
	WRITE_FULL,
	POLL,
	JOIN,
	JOIN_ALL,
	THROTTLE,
	RACE,
	CALL,
	WAITS,
	YIELD = WAITS,
	SPAWN,
	SPAWN_SUPERVISED,
	BOUND,
	ACTS,
	/* What a timer may do, too. */
	CANCEL = ACTS,
	SET,
	CLEAR,
	RELEASE,
	TRY_PUSH,
	TRY_POP,
	UNPARK,
	CLOSE,
	START,
	STOP,
	SPAWN_ROOT,
	VERBS,
	/* The end of a task; of a timer alone. */
	LEAVE = VERBS,
	REPEAT,
};

struct step {
	enum verb verb;
	unsigned which;   /* object, or how many */
	unsigned other;   /* task */
	int64_t duration; /* of a sleep or timer, ns */
	int64_t limit;    /* of a timeout, ns; -1: none */
	int until;        /* event, or -1 */
	size_t size;
	int result; /* of LEAVE */
	bool shield, gives_up;
};

struct step step_of(const struct program *program, unsigned task, unsigned n);
struct step last_step_of(const struct program *program, unsigned task);
struct step timer_step_of(
    const struct program *program, unsigned timer, unsigned fired);
/* ns that it takes. */
int64_t work_of(const struct program *program, unsigned id, unsigned n);

uint64_t draw(uint64_t seed, uint64_t a, uint64_t b, uint64_t c);

/* The kernel: streams whose peers send, take and leave as the seed says. */

struct stream {
	unsigned generation, sent;
	int64_t sends, takes; /* when next */
	size_t in, out;       /* bytes there */
	uint64_t read, written, hash;
	bool ended, reset;
	/* What epoll knows. */
	bool added, edge;
	uint32_t events;
	uint64_t data, stale;
};

struct kernel {
	const struct program *program;
	int64_t now;
	int64_t interrupt; /* the next EINTR of a sleep */
	uint64_t calls;    /* that may have had trouble */
	uint64_t troubles;
	struct stream streams[FDS];
};

void kernel_open(struct kernel *kernel, const struct program *program);
void kernel_advance(struct kernel *kernel);
int64_t kernel_ceil(const struct kernel *kernel, int64_t when);
int64_t kernel_next(const struct kernel *kernel, int fd); /* change */
int kernel_order(const struct kernel *kernel, int i);
uint32_t kernel_level(const struct kernel *kernel, int fd); /* EPOLL* */
int kernel_read(struct kernel *kernel, int fd, void *data, size_t size);
int kernel_write(struct kernel *kernel, int fd, const void *data, size_t size);
void kernel_close(struct kernel *kernel, int fd);
bool kernel_trouble(struct kernel *kernel);
struct epoll_event;
int kernel_wait(
    struct kernel *kernel, struct epoll_event *events, int n, int64_t duration);
int kernel_control(
    struct kernel *kernel, int op, int fd, uint32_t events, uint64_t data);

/* What happened. */

enum what { STEPPED, ENDED, FIRED, REPORTED };

struct happening {
	int64_t now;
	uint32_t what, id, n;
	int32_t result;
	uint64_t data;
};

struct history {
	unsigned count;
	struct happening all[TRACE];
	int results[TASKS]; /* of tasks, at the end */
	unsigned tasks;
	int64_t end; /* when */
	uint64_t written;
};

void model_run(const struct program *program, struct history *history);

#endif
