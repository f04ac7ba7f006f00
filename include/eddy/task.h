/* SPDX-License-Identifier: ISC */
/*
 * task: stackless coroutines, each the scope of those it spawns.
 *
 * A coroutine is `eddy_step name(struct eddy_task *self)` over a struct that
 * starts with `struct eddy_task task;`.  What must survive an await lives in
 * that struct.  A task ends after its children; see eddy(7) and
 * eddy-task(3).  Everything here belongs to the loop thread.
 */
#ifndef EDDY_TASK_H
#define EDDY_TASK_H

#include <limits.h>

#include <eddy/loop.h>
#include <eddy/timer.h>

EDDY_HEADER_BEGIN_

struct eddy_task;

/* What a coroutine returns; only the macros make one.  Private. */
typedef struct {
	struct eddy_task *next; /* to run now; NULL; itself: later */
} eddy_step;

/* What an operation returns; EDDY_AWAIT and EDDY_TRY take it.  Private. */
typedef struct {
	int rc;                 /* EDDY_PENDING or the result */
	struct eddy_task *next; /* what the step is to return */
} eddy_async;

#define EDDY_PENDING INT_MIN
#define EDDY_ASYNC   __attribute__((warn_unused_result)) eddy_async

typedef eddy_step eddy_task_fn(struct eddy_task *self);
typedef void eddy_task_done_fn(struct eddy_loop *loop, struct eddy_task *task);

/* Where a task stands; one static record for each await. */
struct eddy_site {
	void *resume;           /* private: label; NULL at first */
	const char *func, *file;
	const char *text;       /* the operation as written */
	int line;
};

/* How to give up an operation: take the wait out of wherever it is, then
 * eddy_unpark(task, rc), now or when that is possible.  May be called again
 * until then.  eddy_unpark itself will do where nobody else holds the task;
 * the answer is ignored. */
struct eddy_op {
	const char *name;
	int (*cancel)(struct eddy_task *task, int rc);
};

/* All private but fn, at, loop, op, use, result, kid_count, name, why.
 * What a yield reads comes last, then what it writes, beside the user's own. */
struct eddy_task {
	struct eddy_task *kids;
	union {
		struct eddy_task *parent; /* scope or caller */
		eddy_task_done_fn *done;  /* of a root */
	} up;
	struct eddy_task *next, *prev;
	const char *name;            /* borrowed; the function's by default */
	const struct eddy_site *why; /* it was cancelled, if there is a text */
	const struct eddy_op *op;    /* what it waits for */
	struct eddy_alarm alarm;     /* of a sleep or a limit */
	struct eddy_loop *loop;
	int result;                  /* of the task, once it is done */
	unsigned flags;              /* and a failure among the children */
	eddy_task_fn *fn;
	union {
		struct eddy_ready ready; /* to go on, or among who wait */
		struct eddy_task *callee;
		uint32_t keep;
		struct { /* rc lies beside the links of ready */
			struct eddy_task **winner;
			void *unused;
			int rc;
		} so_far;
		struct {
			uintptr_t more;
			int fd;
			unsigned size;
			void *data;
		} io;
		void *user[3]; /* the operation's maker's until eddy_unpark */
	} use;
	const struct eddy_site *at;  /* the last await */
	int rc;                      /* of the last await; why it gives up */
	uint32_t kid_count;
};

/* clang-format off */

/* Labels as values and local labels are GNU C; these keep -Wpedantic quiet. */
#define EDDY_QUIET_ _Pragma("GCC diagnostic push") \
	_Pragma("GCC diagnostic ignored \"-Wpedantic\"")
#define EDDY_LOUD_ _Pragma("GCC diagnostic pop")

/* A '{' with labels of its own: any number of awaits may share a line. */
#define EDDY_BLOCK_(...) EDDY_QUIET_ { __label__ __VA_ARGS__; EDDY_LOUD_
#define EDDY_SITE_(label, text) EDDY_QUIET_ \
	static const struct eddy_site eddy_site_ = \
	{ &&label, __func__, __FILE__, text, __LINE__ }; EDDY_LOUD_ (void)0
#define EDDY_SUSPEND_(to) do { \
		eddy_step eddy_step_; \
		eddy_me_->at = &eddy_site_; \
		eddy_step_.next = (to); \
		return eddy_step_; \
	} while (0)

/* A section is the body or a FINALLY: its EDDY_RETURNs go to its own end,
 * where the children are awaited.  EDDY_TRY names eddy_section_, so that one
 * inside FINALLY draws a deprecation warning. */
#define EDDY_OPEN_(mark) \
	EDDY_BLOCK_(eddy_leave_, eddy_left_) \
	typedef int eddy_section_ __attribute__((unused)) mark; \
	if (0) { goto eddy_leave_; } {
#define EDDY_CLOSE_ } eddy_leave_: do { \
		EDDY_SITE_(eddy_left_, "(leaving)"); \
		eddy_left_: \
		if (eddy_leave_children_(eddy_me_)) \
			EDDY_SUSPEND_(NULL); \
	} while (0); }

/* Open a coroutine over type, whose first member is `struct eddy_task task`;
 * frame becomes the pointer to it. */
#define EDDY_BEGIN(self, type, frame) \
	__extension__ EDDY_STATIC_ASSERT_(offsetof(type, task) == 0, \
	    "struct eddy_task task must be the first member"); \
	static const struct eddy_site eddy_start_ = \
	    { NULL, __func__, __FILE__, "(start)", __LINE__ }; \
	struct eddy_task *const eddy_me_ = (self); \
	type *const frame = (type *)(void *)eddy_me_; \
	(void)frame; \
	EDDY_QUIET_ if (eddy_me_->at) goto *eddy_me_->at->resume; EDDY_LOUD_ \
	eddy_me_->at = &eddy_start_; \
	EDDY_OPEN_()

/* What follows runs however the body was left, after its children have ended;
 * awaits in it are not cancelled. */
#define EDDY_FINALLY EDDY_CLOSE_ EDDY_OPEN_(__attribute__((deprecated( \
	"EDDY_TRY inside EDDY_FINALLY would skip the rest of it"))))
#define EDDY_END     EDDY_CLOSE_ return eddy_end_(eddy_me_)

/* Leave with a result: 0 or more, or -errno. */
#define EDDY_RETURN(value) \
	do { eddy_me_->result = (value); goto eddy_leave_; } while (0)

/* Wait for an operation; its result goes to lhs. */
#define EDDY_AWAIT(lhs, op) EDDY_AWAIT_(#op, lhs =, op)
#define EDDY_AWAIT_(text, assign, op) do { \
		EDDY_BLOCK_(eddy_here_) EDDY_SITE_(eddy_here_, text); \
		eddy_async eddy_a_; \
		eddy_a_ = (op); \
		if (__builtin_expect(eddy_a_.rc == EDDY_PENDING, 1)) { \
			EDDY_SUSPEND_(eddy_a_.next); \
			eddy_here_:; \
		} else { \
			eddy_me_->rc = eddy_a_.rc; \
		} \
		assign eddy_me_->rc; } \
	} while (0)

/* EDDY_TRY(op), EDDY_TRY(lhs, op): await; leave with a negative result. */
#define EDDY_TRY(...) EDDY_PICK_(__VA_ARGS__, EDDY_TRY2_, EDDY_TRY1_, ) \
	(#__VA_ARGS__, __VA_ARGS__)
#define EDDY_PICK_(a, b, macro, ...) macro
#define EDDY_TRY1_(text, op)      EDDY_TRY_(text, (void), op)
#define EDDY_TRY2_(text, lhs, op) EDDY_TRY_(text, lhs =, op)
#define EDDY_TRY_(text, assign, op) do { \
		(void)sizeof(eddy_section_); \
		EDDY_AWAIT_(text, assign, op); \
		if (eddy_me_->rc < 0) EDDY_RETURN(eddy_me_->rc); \
	} while (0)

/* Start an operation as a child t of scope, without awaiting it:
 * EDDY_START(self, &f->t, eddy_sleep(&f->t, EDDY_MS(5))).  0 or -errno. */
#define EDDY_START(scope, t, op) __extension__({ \
		static const struct eddy_site eddy_began_ = \
		    { NULL, __func__, __FILE__, #op, __LINE__ }; \
		struct eddy_task *eddy_t_ = (t); \
		int eddy_rc_ = eddy_slot_(scope, eddy_t_, &eddy_began_); \
		if (eddy_rc_ == 0) eddy_rc_ = eddy_started_(eddy_t_, op); \
		eddy_rc_; \
	})

/* Frames.  name is the tag of the struct and the coroutine's function:
 * EDDY_INIT(&f->kid, name, .arg = 1) fills the caller's storage,
 * EDDY_NEW(name, .arg = 1) allocates one that the library frees at its end
 * (NULL when memory is short; spawn and call take that as -ENOMEM).
 * Above 16 KiB they do not compile: use eddy_prepare, eddy_new_frame; nor does
 * EDDY_NEW of what is aligned beyond malloc(3). */
#define EDDY_INIT(...) EDDY_INIT_(__VA_ARGS__, )
#define EDDY_INIT_(ptr, name, ...) \
	((void)sizeof(*(ptr) = *(struct name *)0), eddy_init_(ptr, \
	    EDDY_FRAME_(name, __VA_ARGS__), sizeof(struct name), name, #name))
#define EDDY_NEW(...) EDDY_NEW_(__VA_ARGS__, )
#define EDDY_NEW_(name, ...) (EDDY_PLAIN_(name), eddy_new_( \
	EDDY_FRAME_(name, __VA_ARGS__), sizeof(struct name), name, #name))
#define EDDY_FRAME_(name, ...) (EDDY_SMALL_(name), \
	&(const struct name){ .task = { .flags = 0 }, __VA_ARGS__ })
#define EDDY_SMALL_(name) ((void)sizeof(struct { \
	EDDY_STATIC_ASSERT_(sizeof(struct name) <= 16384, \
	    "frame over 16 KiB: use eddy_prepare or eddy_new_frame"); int x; }))
#define EDDY_PLAIN_(name) ((void)sizeof(struct { \
	EDDY_STATIC_ASSERT_(_Alignof(struct name) <= _Alignof(max_align_t), \
	    "frame aligned beyond what malloc gives: use EDDY_INIT"); int x; }))

/* Cancel a task, what it calls and all they spawned.  The reason, a literal for
 * the dump, may be left out.  -EALREADY: it has ended; -EINVAL: it never was
 * started. */
#define eddy_cancel(...) EDDY_PICK_(__VA_ARGS__, EDDY_CANCEL2_, \
	EDDY_CANCEL1_, )(__VA_ARGS__)
#define EDDY_CANCEL1_(task) EDDY_CANCEL2_(task, "cancelled")
#define EDDY_CANCEL2_(task, reason) __extension__({ \
		static const struct eddy_site eddy_why_ = \
		    { NULL, __func__, __FILE__, reason, __LINE__ }; \
		eddy_cancel_at(task, &eddy_why_); \
	})

#ifdef __cplusplus
#define EDDY_STATIC_ASSERT_ static_assert
#else
#define EDDY_STATIC_ASSERT_ _Static_assert
#endif

/* clang-format on */

/* Run main_task on a loop of its own until it has ended, then cancel what is
 * left, drain and close.  The main task's result, or -errno.  -EDEADLK: it
 * waited and nothing could wake it; who waits for what is on stderr. */
int eddy_run(struct eddy_task *main_task);
int eddy_run_with(
    const struct eddy_loop_options *options, struct eddy_task *main_task);

/* Run task on a loop that another thread runs, and wait for its result until
 * deadline (absolute ns, real time); then it is cancelled and awaited: -ETIME.
 * The same, but -ECANCELED, when the job that this thread runs is asked to
 * stop, or when the loop is closed.
 * Any thread; the loop must be open: hold it.  -EDEADLK: inside that loop.
 * Takes an EDDY_NEW frame. */
int eddy_run_on(
    struct eddy_loop *loop, struct eddy_task *task, int64_t deadline);

/* Start a root task; done, if not NULL, is called at its end.  A frame from
 * EDDY_NEW is taken also on failure. */
int eddy_loop_spawn(struct eddy_loop *loop, struct eddy_task *task,
    eddy_task_done_fn *done);

/* Start a child in scope.  -ENOMEM: child is NULL; -ECANCELED: the scope is
 * being left; -EINVAL: child was started before.  Takes an EDDY_NEW frame. */
int eddy_spawn(struct eddy_task *scope, struct eddy_task *child);

/* As eddy_spawn, but a failure goes to the loop's error hook and the siblings
 * live: for the connections of a server. */
int eddy_spawn_supervised(struct eddy_task *scope, struct eddy_task *child);

/* Storage without EDDY_INIT: for C++ and big frames.  The rest of the frame is
 * left alone; eddy_new_frame zeroes it. */
void eddy_prepare(struct eddy_task *task, eddy_task_fn *fn, const char *name);
struct eddy_task *eddy_new_frame(
    size_t size, eddy_task_fn *fn, const char *name);

/* eddy_cancel with a site that lives at least as long as the task. */
int eddy_cancel_at(struct eddy_task *task, const struct eddy_site *why);

/* Is this task to leave?  False inside FINALLY and a shield. */
bool eddy_cancelled(const struct eddy_task *self);

/* Between on and off, awaits are not cancelled. */
void eddy_shield(struct eddy_task *self, bool on);

/* Bound the whole scope: at deadline (absolute ns on the loop's clock) self and
 * its children are cancelled, and self ends with -ETIME where it would have
 * ended with -ECANCELED.  Set again, it moves; EDDY_FOREVER: no bound. */
int eddy_deadline_set(struct eddy_task *self, int64_t deadline);

/* Has it ended?  Not for EDDY_NEW frames, which are gone then. */
bool eddy_done(const struct eddy_task *task);

/* Operations. */

EDDY_ASYNC eddy_call(struct eddy_task *self, struct eddy_task *callee);
static inline EDDY_ASYNC eddy_yield(struct eddy_task *self);
EDDY_ASYNC eddy_sleep(struct eddy_task *self, int64_t duration);

/* op, but -ETIME when it took longer than duration ns and gave up. */
EDDY_ASYNC eddy_timeout(
    struct eddy_task *self, int64_t duration, eddy_async op);

/* One child's result; also when it has ended.  -EINVAL: not a child;
 * -EDEADLK: itself. */
EDDY_ASYNC eddy_join(struct eddy_task *self, struct eddy_task *child);
/* Until all children have ended: the first failure, or 0. */
EDDY_ASYNC eddy_join_all(struct eddy_task *self);
/* Until fewer than limit children run: bounded concurrency in one line. */
EDDY_ASYNC eddy_throttle(struct eddy_task *self, unsigned limit);
/* The result of the first child to end; the others are cancelled and awaited.
 * A winner from EDDY_NEW is gone by then.  -ECHILD: there are none. */
EDDY_ASYNC eddy_race(struct eddy_task *self, struct eddy_task **ret_winner);

/* Write the tree of the loop's tasks to fd, a line each: name, place, operation
 * and why it was cancelled.  Loop thread. */
void eddy_dump_tasks(const struct eddy_loop *loop, int fd);

/* To make operations: check eddy_cancelled, then complete at once or wait
 * until somebody unparks.  eddy_unpark: -EALREADY when it does not wait. */
EDDY_ASYNC eddy_complete(struct eddy_task *self, int rc);
EDDY_ASYNC eddy_park(struct eddy_task *self, const struct eddy_op *op);
int eddy_unpark(struct eddy_task *task, int rc);

/* For the macros. */
static inline struct eddy_task *
eddy_init_(void *frame, const void *literal, size_t size, eddy_task_fn *fn,
    const char *name)
{
	const size_t head = sizeof(struct eddy_task);

	/* Without its task, which eddy_prepare fills with less ado. */
	__builtin_memcpy((char *)frame + head, (const char *)literal + head,
	    size - head);
	eddy_prepare((struct eddy_task *)frame, fn, name);
	return (struct eddy_task *)frame;
}
struct eddy_task *eddy_new_(
    const void *literal, size_t size, eddy_task_fn *fn, const char *name);
bool eddy_leave_children_(struct eddy_task *self);
eddy_step eddy_end_(struct eddy_task *self);
int eddy_slot_(struct eddy_task *scope, struct eddy_task *t,
    const struct eddy_site *site);
int eddy_started_(struct eddy_task *t, eddy_async op);

/* A task whose next step is its own goes behind the others. */
static inline EDDY_ASYNC
eddy_yield(struct eddy_task *self)
{
	eddy_async yields = {EDDY_PENDING, self};

	return yields;
}

EDDY_HEADER_END_

#endif
