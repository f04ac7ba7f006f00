/* SPDX-License-Identifier: ISC */
/*
 * explore: run real lock-free code under every interleaving.
 *
 * A suite defines EDDY_EXPLORE and includes the code under test; lib/atomics.h
 * then takes its macros from here, and each is a scheduling point.  Threads
 * are coroutines.  explore() walks all schedules depth first, with at most
 * bound preemptions each, and at most delays stores that other threads see
 * late: at any later moment, but not after the next fence or read-modify-write
 * of their thread (x86-TSO).  So a missing fence is found, too.  A state in
 * which nobody can go on is a lost wake-up.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

enum {
	EXPLORE_THREADS = 4,
	EXPLORE_PATH = 4096, /* choices in one schedule; more is a livelock */
	EXPLORE_STORES = 4,  /* of a thread, behind a late one */
	EXPLORE_STACK = 64 * 1024,
};

/* A program: reset makes its state new; a NULL body ends the threads. */
struct explore_program {
	void (*reset)(void);
	void (*body[EXPLORE_THREADS + 1])(void);
};

struct explore_store {
	void *word;
	uint64_t value;
	size_t size;
};

struct explore_thread {
	ucontext_t context; /* its start; from then on the cheaper one */
	jmp_buf place;
	bool started, finished;
	bool (*ready)(void); /* NULL: runnable */
	struct explore_store stores[EXPLORE_STORES];
	int stored;
};

static struct {
	struct explore_thread threads[EXPLORE_THREADS];
	const struct explore_program *program;
	jmp_buf scheduler;
	int count, current, bound;
	int delays, late; /* stores: at most, and so far in this schedule */
	unsigned char path[EXPLORE_PATH], width[EXPLORE_PATH];
	int position, length;
	unsigned long schedules, steps;
	const char *bug; /* NULL: none so far */
} explorer;

static char explore_stacks[EXPLORE_THREADS][EXPLORE_STACK];

/* One of n: on the known path, or its first branch where that ends. */
static inline int
explore_choose(int n)
{
	if (n == 1)
		return 0;
	if (explorer.position == EXPLORE_PATH) {
		explorer.bug = "livelock: the schedule does not end";
		return 0;
	}
	if (explorer.position == explorer.length) {
		explorer.path[explorer.length] = 0;
		explorer.width[explorer.length++] = (unsigned char)n;
	}
	return explorer.path[explorer.position++];
}

static inline bool
explore_next_path(void)
{
	for (; explorer.length > 0; explorer.length--) {
		int last = explorer.length - 1;

		if (++explorer.path[last] < explorer.width[last])
			return true;
	}
	return false;
}

static inline void
explore_point(void)
{
	if (_setjmp(explorer.threads[explorer.current].place) == 0)
		_longjmp(explorer.scheduler, 1);
}

/* In the scheduler: thread i until its next point. */
static inline void
explore_resume(int i)
{
	struct explore_thread *thread = &explorer.threads[i];

	explorer.current = i;
	explorer.steps++;
	if (_setjmp(explorer.scheduler) != 0)
		return;
	if (thread->started)
		_longjmp(thread->place, 1);
	thread->started = true;
	setcontext(&thread->context);
}

/* Sleep until ready. */
static inline void
explore_wait(bool (*ready)(void))
{
	explorer.threads[explorer.current].ready = ready;
	explore_point();
	explorer.threads[explorer.current].ready = NULL;
}

/* In a thread: what must hold.  The schedule ends where it does not. */
static inline void
explore_expect(bool holds, const char *what)
{
	if (holds)
		return;
	explorer.bug = what;
	explore_point();
}

static inline void
explore_drain_one(struct explore_thread *thread)
{
	struct explore_store *store = &thread->stores[0];

	/* Little-endian: the low bytes come first. */
	memcpy(store->word, &store->value, store->size);
	thread->stored--;
	memmove(store, store + 1, (size_t)thread->stored * sizeof(*store));
}

static inline void
explore_drain(void)
{
	struct explore_thread *self = &explorer.threads[explorer.current];

	while (self->stored > 0)
		explore_drain_one(self);
}

static inline void
explore_store(void *word, uint64_t value, size_t size)
{
	struct explore_thread *self = &explorer.threads[explorer.current];

	if (self->stored == EXPLORE_STORES)
		explore_drain();
	self->stores[self->stored++] = (struct explore_store){
	    word, value, size};
	/* In their order: behind a late store each is late. */
	if (self->stored > 1)
		return;
	if (explorer.late < explorer.delays && explore_choose(2) == 1)
		explorer.late++;
	else
		explore_drain();
}

/* A thread sees its own stores at once. */
static inline uint64_t
explore_load(const void *word, size_t size)
{
	struct explore_thread *self = &explorer.threads[explorer.current];
	uint64_t value = 0;
	int i;

	memcpy(&value, word, size);
	for (i = 0; i < self->stored; i++)
		if (self->stores[i].word == word)
			value = self->stores[i].value;
	return value;
}

#define A_LOAD(p)         \
	(explore_point(), \
	    (__typeof__(*(p)))(uintptr_t)explore_load((p), sizeof(*(p))))
#define A_STORE(p, v)     \
	(explore_point(), \
	    explore_store((p), (uint64_t)(uintptr_t)(v), sizeof(*(p))))
#define A_ACQUIRE(p)    A_LOAD(p)
#define A_RELEASE(p, v) A_STORE(p, v)

#define A_MODIFY(p, v)                        \
	({                                    \
		explore_point();              \
		explore_drain();              \
		__typeof__(*(p)) old_ = *(p); \
		*(p) = (__typeof__(*(p)))(v); \
		old_;                         \
	})
#define A_XCHG(p, v) A_MODIFY(p, v)
#define A_ADD(p, v)  A_MODIFY(p, old_ + (v))
#define A_SUB(p, v)  A_MODIFY(p, old_ - (v))
#define A_CAS(p, old, v)                     \
	({                                   \
		explore_point();             \
		explore_drain();             \
		bool same_ = *(p) == *(old); \
		if (same_)                   \
			*(p) = (v);          \
		else                         \
			*(old) = *(p);       \
		same_;                       \
	})
#define A_FENCE(p)        ((void)(p), explore_point(), explore_drain())
#define A_FENCE_BEHIND(p) A_FENCE(p)

static inline void
explore_enter(int i)
{
	explorer.program->body[i]();
	explorer.threads[i].finished = true;
	explore_point();
}

static inline void
explore_begin(int i)
{
	struct explore_thread *thread = &explorer.threads[i];

	memset(thread, 0, sizeof(*thread));
	getcontext(&thread->context);
	thread->context.uc_stack.ss_sp = explore_stacks[i];
	thread->context.uc_stack.ss_size = EXPLORE_STACK;
	makecontext(&thread->context, (void (*)(void))explore_enter, 1, i);
}

static inline bool
explore_runnable(int i)
{
	struct explore_thread *thread = &explorer.threads[i];

	return !thread->finished && (thread->ready == NULL || thread->ready());
}

/*
 * What may happen next: thread i runs (i), or its oldest store becomes visible
 * (THREADS + i).  Who ran last comes first, so that going on is the first
 * branch; once the bound is spent only it may run, unless it waits.
 */
static inline int
explore_options(int last, int left, int *options)
{
	bool goes_on = last >= 0 && explore_runnable(last);
	int i, n = 0;

	if (goes_on)
		options[n++] = last;
	for (i = 0; i < explorer.count; i++)
		if (i != last && explore_runnable(i) && (!goes_on || left > 0))
			options[n++] = i;
	for (i = 0; i < explorer.count; i++)
		if (explorer.threads[i].stored > 0)
			options[n++] = EXPLORE_THREADS + i;
	return n;
}

static inline bool
explore_finished(void)
{
	int i;

	for (i = 0; i < explorer.count; i++)
		if (!explorer.threads[i].finished)
			return false;
	return true;
}

/* One schedule. */
static inline void
explore_schedule(void)
{
	int options[2 * EXPLORE_THREADS], last = -1, left = explorer.bound;
	int i, n, next;

	explorer.position = explorer.late = 0;
	explorer.schedules++;
	explorer.program->reset();
	for (i = 0; i < explorer.count; i++)
		explore_begin(i);
	while (explorer.bug == NULL && !explore_finished()) {
		n = explore_options(last, left, options);
		if (n == 0) {
			explorer.bug = "lost wake-up: all wait";
			break;
		}
		next = options[explore_choose(n)];
		if (next >= EXPLORE_THREADS) {
			explore_drain_one(
			    &explorer.threads[next - EXPLORE_THREADS]);
			continue;
		}
		left -= last >= 0 && next != last && options[0] == last;
		last = next;
		explore_resume(next);
	}
}

/* Every schedule within the bounds: what is wrong, or NULL. */
static inline const char *
explore(const struct explore_program *program, int bound, int delays)
{
	explorer.program = program;
	explorer.bound = bound;
	explorer.delays = delays;
	explorer.length = 0;
	explorer.schedules = explorer.steps = 0;
	explorer.bug = NULL;
	for (explorer.count = 0; program->body[explorer.count] != NULL;)
		explorer.count++;
	do
		explore_schedule();
	while (explorer.bug == NULL && explore_next_path());
	return explorer.bug;
}

#endif
