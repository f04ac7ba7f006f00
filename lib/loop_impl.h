/* SPDX-License-Identifier: ISC */
/*
 * loop_impl: struct eddy_loop, for the modules that are parts of it.
 */
#ifndef EDDY_LOOP_IMPL_H
#define EDDY_LOOP_IMPL_H

#include <eddy/timer.h>
#include <eddy/stats.h>

#include <errno.h>
#include <sys/epoll.h>

#include "debug.h"
#include "door.h"
#include "list.h"
#include "spin.h"

struct eddy_job;

/* An alarm's place in its heap; four fill a cache line. */
struct heap_entry {
	int64_t deadline; /* at most the alarm's */
	struct eddy_alarm *alarm;
};

struct heap {
	struct heap_entry *block;   /* as allocated */
	struct heap_entry *entries; /* in it; the first one is the soonest */
	uint32_t used, room;
	uint32_t gone;            /* of used: nobody's, but never all */
	uint32_t first;           /* index of the alarm of entries[0] */
	struct eddy_alarm nobody; /* has the entries of those that stopped */
};

/* Which clock a deadline is on; the same unless the loop's is virtual. */
enum { LOOP_TIME, REAL_TIME };
enum { OF_TASK = 2 }; /* beside it: the alarm is a task's */

/* An alarm whose time has come, in the loop's lists. */
enum { DUE_MOST = 256 }; /* a turn, so that the cache holds them */
struct due {
	struct eddy_ready ready;
	struct eddy_alarm *alarm;
	eddy_timer_fn *fn; /* of a timer, for those who look on */
};

static inline struct due *
due_of(struct eddy_ready *ready)
{
	return CONTAINER_OF(ready, struct due, ready);
}
#define BELL          0 /* the tag of events that only wake */
#define DUE           (UINT32_MAX - DUE_MOST + 1) /* index: in loop->due */
#define FIRST_OF_REAL (UINT32_C(1) << 31) /* and of those in the second heap */

/* The loop's table by descriptor: who waits, and what epoll was told. */
struct watched {
	struct eddy_ready *waiters[2]; /* to read, to write; NULL: nobody */
	uint32_t wanted[2];            /* their EPOLL* bits, EPOLLET inverted */
	uint32_t armed;                /* EPOLL* bits; 0: not in the epoll */
	uint16_t generation;           /* of the last ADD; tags its events */
	uint8_t doubt;                 /* rounds until it is looked at */
	uint8_t known;                 /* since the ADD: */
};

enum {
	FD_STREAM = 1, /* a read gets all there is; not so of datagrams */
	FD_ENDED = 2,  /* there was an event without a next one */
	FD_DRY = 4,    /* nothing to read, since the last event */
};

enum { ARRIVALS = 256 }; /* events a turn: enough to amortise the call */
enum { CORK = 256 };     /* jobs: a lock for each so many */

/* Jobs that this turn submitted to one executor, which gets them at its end:
 * one lock and one wake for all. */
struct cork {
	struct eddy_job *jobs[CORK];
	unsigned count, room;           /* room: 0 or CORK */
	struct eddy_executor *executor; /* which knows of it; or NULL */
	void (*flush)(struct eddy_loop *, bool last);
	struct eddy_loop *next; /* the executor's */
};

/* The head of what another module keeps in a loop, which is known by its close.
 * That is called when the loop closes, and the loop frees the memory. */
struct attachment;
typedef int loop_close_fn(struct eddy_loop *loop, struct attachment *);
struct attachment {
	loop_close_fn *close;
	struct attachment *next;
};

/* What is noted of a job (ahead: it may run in a process, unseen; not for a
 * trace), or (a stall) of none. */
enum loop_note { JOB_OUT, JOB_BEGUN, JOB_OVER, JOB_HEARD, STALLED, JOB_AHEAD };

/* Who looks on. */
struct observer {
	/* stall: the loop has begun or slept.  trace: run the batch. */
	void (*look)(struct observer *);
	/* The loop closes; or (not here) its copy in a forked child does. */
	void (*leave)(struct observer *, bool here);
	/* trace: any thread; in that one (0: this). */
	void (*note)(struct observer *, enum loop_note what, int thread,
	    const struct eddy_job *);
};

struct eddy_loop {
	/* Any thread. */
	struct door *door; /* constant */
	uintptr_t owner;   /* pthread_self() of the loop thread */
	uintptr_t running; /* the same inside run and step, else 0 */
	uint32_t turns;    /* batches ever */

	/* Loop thread from here on. */
	struct eddy_ready pending; /* runs in the next batch */
	struct eddy_ready batch;   /* runs now */
	struct eddy_ready *called; /* the last of it; perhaps gone by now */
	bool dispatching;          /* the batch is being run */
	bool stopping;
	bool coarse; /* no epoll_pwait2 here */
	bool parked; /* embedded, between steps: who brings work rings */
	int epoll;
	int64_t now;        /* absolute ns, when the batch was collected */
	int stamp;          /* job_stamp of that, in real time */
	uint64_t submitted; /* jobs ever, by this thread */
	uint64_t delivered; /* outcomes of jobs */
	unsigned holds;
	unsigned foreign;  /* tasks that somebody outside the library wakes */
	unsigned watching; /* who waits for descriptors, but background */
	unsigned pools;    /* process pools that live here */

	struct heap heaps[2]; /* timer.c: by LOOP_TIME, REAL_TIME */
	struct due due[DUE_MOST];
	uint32_t due_count; /* of this turn */
	uint32_t sequence;  /* of starts */

	/* embed.c */
	void (*park)(struct eddy_loop *); /* at the end of a step; or NULL */
	int alarm;                        /* timerfd; its time, absolute ns: */
	int64_t alarm_at;

	/* watch.c */
	struct epoll_event events[ARRIVALS + 1]; /* and one of another turn */
	const struct epoll_event *event, *end;   /* those left */
	struct eddy_ready more;                  /* in the batch meanwhile */
	struct watched *watched;
	uint32_t watched_room;
	uint32_t verified; /* descriptors of this round */
	int64_t verify_at; /* when to go on; EDDY_FOREVER: nothing in doubt */
	bool doubts;       /* another round is needed */
	/* io.c: a task's descriptor may be ready (0), or is lost (-errno). */
	void (*wake)(struct eddy_ready *waiter, int rc);

	/* task.c */
	struct eddy_task *roots;
	struct eddy_task *current; /* takes a step just now */
	bool draining;             /* run.c: new roots start cancelled */
	int budget;      /* awaits that may yet complete at once in this step */
	int main_result; /* run.c */

	struct eddy_loop_stats stats; /* any thread reads */
	uint64_t sample_at;           /* job.c: the job that is timed next */
	int64_t timed_at;             /* when door->timed was submitted */
	int64_t began; /* ns: a batch that was not counted yet; or 0 */
	struct observer *stall, *trace; /* or NULL */
	struct spin spin;
	int64_t waited;   /* ns: the last time, where it could be awake */
	int64_t pace;     /* ns: that for an outcome, moving average */
	uint64_t counted; /* outcomes in it */
	struct eddy_executor *held; /* job.c: the memory of, or NULL */
	int64_t held_jobs;          /* its own, less all that were heard */
	void (*let_go)(struct eddy_loop *); /* job.c: of held, if it can */
	bool heard;  /* the door had something last time */
	bool polled; /* descriptors were asked then */
	struct cork cork;
	struct eddy_ready spare_jobs; /* offload_job.c */
	struct attachment *attached;
	struct eddy_loop_options options;
};

/* When a job was submitted, in ms or so, modulo 52 days.  0: unknown. */
enum { STAMP_SHIFT = 20 };
static inline int
job_stamp(int64_t now)
{
	return (int)(uint32_t)(now >> STAMP_SHIFT);
}

/* Is this the loop thread?  For who may come from any. */
static inline bool
eddy__loop_here(const struct eddy_loop *loop)
{
	return A_LOAD(&loop->owner) == eddy__self();
}

/* -EPERM unless this is the loop thread. */
static inline int
eddy__loop_mine(const struct eddy_loop *loop)
{
	if (eddy__loop_here(loop))
		return 0;
	HOOK(thread(loop, __builtin_return_address(0)));
	return -EPERM;
}

/* Or -ECHILD in a forked child, which must not change the epoll they share. */
static inline int
eddy__loop_ours(const struct eddy_loop *loop)
{
	return door_ours(loop->door) ? eddy__loop_mine(loop) : -ECHILD;
}

/* Is this thread running the loop just now? */
static inline bool
eddy__loop_inside(const struct eddy_loop *loop)
{
	return A_LOAD(&loop->running) == eddy__self();
}

/* When a wait must end, in real time. */
int64_t eddy__loop_next(struct eddy_loop *loop);

static inline void
histogram_add(struct eddy_histogram *histogram, int64_t duration)
{
	int i = duration > 0 ? 64 - __builtin_clzll((uint64_t)duration) : 0;

	A_STORE(&histogram->counts[i], A_LOAD(&histogram->counts[i]) + 1);
	if (duration > A_LOAD(&histogram->max))
		A_STORE(&histogram->max, duration);
}

static inline bool
cork_fits(const struct cork *cork, const struct eddy_executor *executor)
{
	return cork->executor == executor && cork->count != cork->room;
}

/* last: the cork is not needed for a while. */
static inline void
eddy__loop_flush(struct eddy_loop *loop, bool last)
{
	if (loop->cork.executor != NULL && (last || loop->cork.count != 0))
		loop->cork.flush(loop, last);
}

/* What the nodes of handles have as run. */
typedef void loop_run_fn(struct eddy_loop *loop, struct eddy_ready *ready);
loop_run_fn eddy__timer_fire, eddy__watch_fire, eddy__post_fire;
loop_run_fn eddy__signal_fire;
loop_run_fn eddy__job_deliver, eddy__task_resume, eddy__task_ring;
struct kind {
	loop_run_fn *run;
	const char *name;
	int fn; /* where the handle's function is, from the node */
};
const struct kind *eddy__kind_of(loop_run_fn *run); /* kind.c */

/* Would a run wait for anything? */
bool eddy__loop_alive(const struct eddy_loop *loop);

/* Jobs whose outcome the loop has not run yet. */
static inline uint64_t
eddy__loop_jobs(const struct eddy_loop *loop)
{
	return A_LOAD(&loop->door->accepted) + loop->submitted -
	       loop->delivered;
}

/* Before a change outside of steps: the host that waits for an embedded loop's
 * descriptor has to look again. */
static inline void
eddy__loop_stir(struct eddy_loop *loop)
{
	if (loop->parked) {
		loop->parked = false;
		eddy__ring(loop->door->bell);
	}
}

/* Where what is to be run goes: into this batch when a callback says so (they
 * are finite), into the next when a task does, or it could starve others. */
static inline struct eddy_ready *
eddy__loop_list(struct eddy_loop *loop)
{
	return loop->current == NULL && loop->dispatching ? &loop->batch
	                                                  : &loop->pending;
}

static inline void
eddy__loop_push(struct eddy_loop *loop, struct eddy_ready *ready)
{
	eddy__loop_stir(loop);
	list_push(eddy__loop_list(loop), ready);
}

/* What has that close; or size bytes, zeroed, that will.  NULL: no memory. */
void *eddy__loop_attached(
    struct eddy_loop *loop, loop_close_fn *close, size_t size);

/* Keep the door for a ring that may come after the loop is gone.  Any thread,
 * while the loop is open or has a job out. */
void eddy__door_hold(struct door *door);
void eddy__door_drop(struct door *door); /* NULL: nothing */
/* One for this thread, which gives it back by taken = 0; or NULL. */
struct outbox *eddy__door_box(struct door *door);
/* What nobody will run any more to door->orphan; list: room for it. */
void eddy__door_clear(struct door *door, struct eddy_ready *list);
/* The same for a loop that will not run again, and its roots. */
void eddy__loop_abandon(struct eddy_loop *loop);
void eddy__door_ring(struct door *door);
/* Push and ring; for threads of the library, which exist in no forked child. */
void eddy__door_send(struct door *door, struct eddy_ready *node);

/* timer.c.  A task's alarm (OF_TASK) calls eddy__task_ring with its due. */
int eddy__alarm_start(struct eddy_loop *loop, struct eddy_alarm *alarm,
    int64_t deadline, int way);
void eddy__alarm_stop(struct eddy_loop *loop, struct eddy_alarm *alarm);
int64_t eddy__alarm_next(struct heap *heap); /* or EDDY_FOREVER */
/* Those due at now to pending, so many a turn. */
void eddy__alarm_collect(
    struct eddy_loop *loop, struct heap *heap, int64_t now);

/* watch.c: the next events, unless stale, to who waits for them. */
loop_run_fn eddy__watch_collect;
/* At verify_at: is what has been waited for so long still in the epoll? */
void eddy__watch_verify(struct eddy_loop *loop);
/* Have epoll report edges of fd for these too; anew: also what is there. */
int eddy__watch_arm(struct eddy_loop *loop, int fd, uint32_t events, bool anew);
/* A task waits, for which a system call said EAGAIN, to read (side 0) or to
 * write (1).  -EEXIST: another does. */
int eddy__watch_wait(
    struct eddy_loop *loop, struct eddy_ready *waiter, int fd, int side);
static inline void
eddy__watch_leave(struct eddy_loop *loop, int fd, int side)
{
	loop->watched[fd].waiters[side] = NULL;
	loop->watched[fd].wanted[side] = 0;
	loop->watching--;
}

/* A read got less than it had room for.  The end may be behind that: only its
 * own event would tell, and not twice.  SCM_RIGHTS and urgent bytes may make a
 * read short, too; then verify finds the rest. */
static inline void
eddy__watch_drained(struct eddy_loop *loop, int fd)
{
	struct watched *entry = (uint32_t)fd < loop->watched_room
	                            ? &loop->watched[fd]
	                            : NULL;

	if (entry != NULL && (entry->armed & EPOLLIN) != 0 &&
	    (entry->known & (FD_STREAM | FD_ENDED)) == FD_STREAM)
		entry->known |= FD_DRY;
}

/* And so, until there is an event, the next would get EAGAIN. */
static inline bool
eddy__watch_dry(const struct eddy_loop *loop, int fd)
{
	return (uint32_t)fd < loop->watched_room &&
	       (loop->watched[fd].known & FD_DRY) != 0;
}

#endif
