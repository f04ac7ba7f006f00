/* SPDX-License-Identifier: ISC */
#include <eddy/offload.h>
#include <eddy/post.h>
#include <eddy/process_pool.h>
#include <eddy/strand.h>
#include <eddy/thread_pool.h>
#include <eddy/timer.h>
#include <eddy/transform.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"
#include "channel.h"

enum {
	SLOW = CENSUS_TSAN || CENSUS_ASAN,
	NUMBERS = 2048, /* of calls */
	AFTER = 20, /* jobs that a pool must still do at the end of a test */
};

/* Memory that the tests and their workers share. */
static struct board {
	uint32_t ran[NUMBERS]; /* how often, by the number of the call */
	uint32_t here;         /* jobs that have come to hold() */
	uint32_t gate;         /* futex: they stay while it is 0 */
	uint32_t inits, handlers;
	int pid;
} * board;

/* A job, its bytes and how often it was answered. */
struct call {
	struct eddy_job job;
	struct bytes {
		uint32_t number;
		int in, out;
	} bytes;
	int answers;
};

/* Jobs. */

static int
count(void *arg)
{
	struct bytes *bytes = arg;

	A_ADD(&board->ran[bytes->number], 1);
	bytes->out = bytes->in * 2 + 1;
	return bytes->in;
}

/* Counted, and held until the gate opens. */
static int
hold(void *arg)
{
	board->pid = getpid();
	A_ADD(&board->here, 1);
	while (A_ACQUIRE(&board->gate) == 0)
		syscall(SYS_futex, &board->gate, FUTEX_WAIT, 0, NULL);
	return count(arg);
}

static int __attribute__((noreturn)) hang(void *arg)
{
	sigset_t all;

	((struct bytes *)arg)->out = -1;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	board->pid = getpid();
	A_ADD(&board->here, 1);
	for (;;)
		pause();
}

static void
open_gate(void)
{
	A_RELEASE(&board->gate, 1);
	syscall(SYS_futex, &board->gate, FUTEX_WAKE, INT_MAX);
}

/* The rig. */

static void
board_open(void)
{
	board = census_share(sizeof(*board));
}

static void
on_call(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	((struct call *)job)->answers++;
}

/* For a job that is no call. */
static void
on_other(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	(void)job;
}

static void
call_init(struct call *call, eddy_job_fn *fn, uint32_t number)
{
	*call = (struct call){.bytes = {number, 7, 0}};
	call->job = (struct eddy_job)EDDY_JOB(fn, &call->bytes);
}

static void
call_submit(struct rig *rig, struct call *call)
{
	ck_assert_int_eq(
	    eddy_submit(rig->pool, &call->job, rig->loop, on_call), 0);
}

static void
call_start(struct rig *rig, struct call *call, eddy_job_fn *fn, uint32_t number)
{
	call_init(call, fn, number);
	call_submit(rig, call);
}

static void
call_finish(struct rig *rig, struct call *call)
{
	rig_until(rig, call->answers != 0);
	ck_assert_int_eq(call->answers, 1);
}

/* Finish, and demand this outcome; result, where the outcome has one. */
static void
call_expect(
    struct rig *rig, struct call *call, enum eddy_outcome outcome, int result)
{
	call_finish(rig, call);
	ck_assert_int_eq(call->job.outcome, outcome);
	if (outcome != EDDY_EXPIRED && outcome != EDDY_CANCELLED &&
	    outcome != EDDY_PROTOCOL)
		ck_assert_int_eq(call->job.result, result);
	ck_assert_int_eq(call->bytes.out, outcome == EDDY_RETURNED ? 15 : 0);
}

/* Run fn alone. */
static void
expect(struct rig *rig, eddy_job_fn *fn, enum eddy_outcome outcome, int result)
{
	struct call call;

	call_start(rig, &call, fn, 0);
	call_expect(rig, &call, outcome, result);
}

/* How every test ends: the pool is fit, and nobody is answered twice. */
static void
rig_fit(struct rig *rig)
{
	struct call calls[AFTER];
	int i;

	for (i = 0; i < AFTER; i++)
		call_start(rig, &calls[i], count, 0);
	for (i = 0; i < AFTER; i++)
		call_expect(rig, &calls[i], EDDY_RETURNED, 7);
	rig_step(rig);
	for (i = 0; i < AFTER; i++)
		ck_assert_int_eq(calls[i].answers, 1);
}

static void
rig_close(struct rig *rig)
{
	rig_fit(rig);
	ck_assert_int_eq(eddy_executor_close(rig->pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig->loop), 0);
}

static void
rig_ready(struct rig *rig, int workers)
{
	rig_until(rig, eddy_process_pool_pids(rig->pool, NULL, 0) == workers);
}

static bool
gone(pid_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

/* Until process pid, of whatever parent, has ended. */
static void
await_end(pid_t pid)
{
	struct pollfd fd = {
	    .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

	if (fd.fd < 0)
		return;
	ck_assert_int_eq(poll(&fd, 1, 30000), 1);
	close(fd.fd);
}

static pid_t
zygote_pid(void)
{
	FILE *file = fopen("/proc/thread-self/children", "re");
	int pid = 0;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%d", &pid), 1);
	fclose(file);
	return pid;
}

/* Bytes and results. */

struct text {
	char word[60];
	int length;
};

static int
reverse(void *arg)
{
	struct text *text = arg;
	int i;

	for (i = 0; i < text->length / 2; i++) {
		char c = text->word[i];

		text->word[i] = text->word[text->length - 1 - i];
		text->word[text->length - 1 - i] = c;
	}
	return text->length;
}

struct same {
	struct eddy_task task;
	struct eddy_executor *executor;
	struct text text;
	int rc;
};

static eddy_step
same(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct same, f);
	EDDY_AWAIT(f->rc, eddy_offload(self, f->executor, reverse, &f->text));
	EDDY_END;
}

START_TEST(one_line_gives_the_same_bytes_on_threads_and_processes)
{
	struct same frames[3];
	struct eddy_executor *threads;
	struct rig rig;
	size_t i;

	rig_open(&rig, .workers = 1);
	ck_assert_int_eq(eddy_thread_pool_open(&threads, NULL), 0);
	for (i = 0; i < COUNT_OF(frames); i++) {
		EDDY_INIT(&frames[i], same, .text = {"stressed", 8});
		frames[i].executor = i == 0   ? rig.pool
		                     : i == 1 ? threads
		                              : NULL;
		ck_assert_int_eq(
		    eddy_loop_spawn(rig.loop, &frames[i].task, NULL), 0);
	}
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	for (i = 0; i < COUNT_OF(frames); i++) {
		ck_assert_int_eq(frames[i].rc, 8);
		ck_assert_str_eq(frames[i].text.word, "desserts");
		ck_assert_mem_eq(
		    &frames[i].text, &frames[0].text, sizeof(frames[i].text));
	}
	ck_assert_int_eq(eddy_executor_close(threads, EDDY_S(30)), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(bytes_come_back_whatever_the_function_returned)
{
	static const int results[] = {0, 7, INT_MAX, -1, -EIO, -4095};
	struct call call;
	struct rig rig;
	size_t i;

	rig_open(&rig, .workers = 1);
	for (i = 0; i < COUNT_OF(results); i++) {
		call_init(&call, count, 0);
		call.bytes.in = results[i] == INT_MAX ? 1 : results[i];
		call_submit(&rig, &call);
		call_finish(&rig, &call);
		ck_assert_int_eq(call.job.outcome, EDDY_RETURNED);
		ck_assert_int_eq(call.job.result, call.bytes.in);
		ck_assert_int_eq(eddy_job_rc(&call.job), call.bytes.in);
		ck_assert_int_eq(call.bytes.out, call.bytes.in * 2 + 1);
	}
	rig_close(&rig);
}
END_TEST

START_TEST(a_result_below_the_errors_is_refused)
{
	struct call call;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	call_init(&call, count, 0);
	call.bytes.in = -4096;
	call_submit(&rig, &call);
	call_expect(&rig, &call, EDDY_PROTOCOL, 0);
	ck_assert_int_eq(eddy_job_rc(&call.job), -EPROTO);
	rig_close(&rig);
}
END_TEST

struct block {
	uint32_t size;
	unsigned char bytes[8192];
};

static int
complement(void *arg)
{
	struct block *block = arg;
	uint32_t i, size = block->size;

	for (i = 0; i < size; i++)
		block->bytes[i] = (unsigned char)~block->bytes[i];
	return 0;
}

START_TEST(any_size_up_to_the_slot_travels_both_ways)
{
	static const uint32_t sizes[] = {4, 5, 63, 64, 65, 4095, 4096};
	struct block block;
	struct eddy_job job = EDDY_JOB(complement, &block);
	struct rig rig;
	uint32_t i, k;

	rig_open(&rig, .workers = 1, .slot_size = 4096);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		block.size = sizes[i] - 4;
		for (k = 0; k < sizeof(block.bytes); k++)
			block.bytes[k] = (unsigned char)k;
		job.size = sizes[i];
		ck_assert_int_eq(
		    eddy_submit(rig.pool, &job, rig.loop, on_other), 0);
		rig_until(&rig, job.outcome != EDDY_NONE);
		ck_assert_int_eq(job.outcome, EDDY_RETURNED);
		for (k = 0; k < sizeof(block.bytes); k++)
			ck_assert_int_eq(block.bytes[k],
			    (unsigned char)(k < block.size ? ~k : k));
	}
	job.size = 4097;
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &job, rig.loop, on_other), -EMSGSIZE);
	rig_close(&rig);
}
END_TEST

static int
no_bytes(void *arg)
{
	(void)arg;
	return 3;
}

static int
is_null(void *arg)
{
	return arg == NULL;
}

START_TEST(a_job_needs_no_bytes)
{
	struct eddy_job job = {.fn = is_null};
	struct rig rig;

	rig_open(&rig, .workers = 1);
	ck_assert_int_eq(eddy_submit(rig.pool, &job, rig.loop, on_other), 0);
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &job, rig.loop, on_other), -EBUSY);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(job.outcome, EDDY_RETURNED);
	ck_assert_int_eq(job.result, 1);
	job = (struct eddy_job)EDDY_JOB(is_null, NULL);
	ck_assert_int_eq(eddy_submit(rig.pool, &job, rig.loop, on_other), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(job.result, 1);
	job.size = 1; /* of what? */
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &job, rig.loop, on_other), -EINVAL);
	rig_close(&rig);
}
END_TEST

START_TEST(wrong_options_are_refused)
{
	struct eddy_process_pool_options deep = {.depth = 9},
					 big = {.slot_size = 64,
					     .init_size = 65},
					 huge = {.slot_size = SIZE_MAX / 2,
					     .depth = 8},
					 most = {.slot_size = SIZE_MAX};
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *pool;

	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &deep), -EINVAL);
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &big), -EINVAL);
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &huge), -EINVAL);
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &most), -EINVAL);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Whatever one takes: so many of them exceed 32 bits by a little. */
START_TEST(too_many_workers_are_refused)
{
	struct eddy_process_pool_options options = {0};
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *pool;
	uint64_t size;

	for (size = 100; SIZE_MAX == UINT32_MAX && size < 400; size += 4) {
		options.workers = (unsigned)((UINT64_C(1) << 32) / size + 1);
		ck_assert_int_eq(
		    eddy_process_pool_open(&pool, loop, &options), -ENOMEM);
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Not by a signal that ends the program. */
START_TEST(a_limit_on_files_is_one_on_slots)
{
	struct eddy_process_pool_options options = {
	    .slot_size = 4 << 20, .workers = 1};
	struct eddy_loop *loop = census_loop();
	struct eddy_executor *pool;
	struct rlimit old, few;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	few = old;
	few.rlim_cur = 4 << 20;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &few), 0);
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), -EFBIG);
	options.slot_size = 4096;
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Crashes and exits. */

static int
spoil(void *arg)
{
	((struct bytes *)arg)->out = 1;
	return 0;
}

static int
segv(void *arg)
{
	spoil(arg);
	*(volatile int *)mmap(
	    NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1;
	return 0;
}

static int
abrt(void *arg)
{
	spoil(arg);
	abort();
}

static int
fpe(void *arg)
{
	spoil(arg);
	return raise(SIGFPE);
}

static int
bus(void *arg)
{
	int fd = memfd_create("short", 0);

	spoil(arg);
	*(volatile int *)mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) = 1;
	return 0;
}

static int
killed(void *arg)
{
	spoil(arg);
	return raise(SIGKILL);
}

static int
leave(void *arg)
{
	spoil(arg);
	exit(5);
}

static int
leave_at_once(void *arg)
{
	spoil(arg);
	_exit(6);
}

static const struct death {
	eddy_job_fn *fn;
	enum eddy_outcome outcome;
	int result;
} deaths[] = {
    {segv, EDDY_CRASHED, SIGSEGV},
    {abrt, EDDY_CRASHED, SIGABRT},
    {fpe, EDDY_CRASHED, SIGFPE},
    {bus, EDDY_CRASHED, SIGBUS},
    {killed, EDDY_CRASHED, SIGKILL},
    {leave, EDDY_EXITED, EXIT_CODE(5)},
    {leave_at_once, EDDY_EXITED, 6},
};

enum { DEATHS = COUNT_OF(deaths) };

START_TEST(each_way_to_die_is_told_and_spoils_no_bytes)
{
	struct rig rig;
	size_t i;

	rig_open(&rig, .workers = 1);
	for (i = 0; i < DEATHS; i++) {
		struct call call;

		call_start(&rig, &call, deaths[i].fn, 0);
		call_expect(&rig, &call, deaths[i].outcome, deaths[i].result);
		ck_assert_int_eq(eddy_job_rc(&call.job), -EOWNERDEAD);
	}
	rig_close(&rig);
}
END_TEST

/* Each crash between jobs that wait, run or are prefetched beside it. */
START_TEST(a_crash_costs_one_job)
{
	const int n = 10 * DEATHS;
	struct call crashes[10 * DEATHS], others[10 * DEATHS];
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 2, .depth = 1 + (unsigned)_i);
	for (i = 0; i < n; i++) {
		call_start(&rig, &others[i], count, (uint32_t)i);
		call_start(&rig, &crashes[i], deaths[i % DEATHS].fn, 0);
	}
	for (i = 0; i < n; i++) {
		const struct death *death = &deaths[i % DEATHS];

		call_expect(&rig, &crashes[i], death->outcome, death->result);
		call_expect(&rig, &others[i], EDDY_RETURNED, 7);
		if (i > 0)
			ck_assert_uint_eq(board->ran[i], 1);
	}
	rig_close(&rig);
}
END_TEST

START_TEST(a_worker_killed_from_outside_is_a_crash)
{
	struct call call;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	call_start(&rig, &call, hang, 0);
	rig_until(&rig, A_LOAD(&board->here) == 1);
	ck_assert_int_eq(kill(board->pid, SIGKILL), 0);
	call_expect(&rig, &call, EDDY_CRASHED, SIGKILL);
	ck_assert(gone(board->pid));
	rig_close(&rig);
}
END_TEST

START_TEST(an_idle_worker_that_dies_is_replaced)
{
	struct rig rig;
	int pid, next;

	rig_open(&rig, .workers = 1);
	rig_ready(&rig, 1);
	ck_assert_int_eq(eddy_process_pool_pids(rig.pool, &pid, 1), 1);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	await_end(pid);
	expect(&rig, count, EDDY_RETURNED, 7);
	ck_assert_int_eq(eddy_process_pool_pids(rig.pool, &next, 1), 1);
	ck_assert_int_ne(pid, next);
	rig_close(&rig);
}
END_TEST

static void
handler(void)
{
	A_ADD(&board->handlers, 1);
}

START_TEST(handlers_of_the_host_do_not_run_in_workers)
{
	struct rig rig;

	ck_assert_int_eq(atexit(handler), 0);
	rig_open(&rig, .workers = 2);
	expect(&rig, leave, EDDY_EXITED, EXIT_CODE(5));
	expect(&rig, leave_at_once, EDDY_EXITED, 6);
	rig_close(&rig);
	ck_assert_uint_eq(board->handlers, 0);
}
END_TEST

/* Deadlines and cancellation. */

/* A job that is running when this returns; the next one may follow it. */
static void
start_here(struct rig *rig, struct call *call, eddy_job_fn *fn, uint32_t number)
{
	uint32_t here = A_LOAD(&board->here);

	call_start(rig, call, fn, number);
	rig_until(rig, A_LOAD(&board->here) == here + 1);
}

static bool dead_when_answered;

static void
on_death(struct eddy_loop *loop, struct eddy_job *job)
{
	dead_when_answered = gone(board->pid);
	on_call(loop, job);
}

/* Submitted with a deadline, answered by on_death. */
static void
start_limited(struct rig *rig, struct call *call, eddy_job_fn *fn)
{
	call_init(call, fn, 0);
	call->job.deadline = eddy_after(EDDY_MS(30));
	ck_assert_int_eq(
	    eddy_submit(rig->pool, &call->job, rig->loop, on_death), 0);
}

static int
stop_itself(void *arg)
{
	board->pid = getpid();
	spoil(arg);
	return raise(SIGSTOP);
}

START_TEST(a_deadline_kills_what_runs)
{
	static eddy_job_fn *const fns[] = {hang, stop_itself};
	struct call call;
	struct rig rig;
	size_t i;

	rig_open(&rig, .workers = 1);
	for (i = 0; i < COUNT_OF(fns); i++) {
		board->pid = 0;
		do {
			rig_ready(&rig, 1);
			start_limited(&rig, &call, fns[i]);
			call_expect(&rig, &call, EDDY_EXPIRED, 0);
		} while (board->pid == 0); /* it had no CPU in time */
		ck_assert_int_ge(eddy_now(), call.job.deadline);
		ck_assert_int_eq(eddy_job_rc(&call.job), -ETIME);
		ck_assert(dead_when_answered);
	}
	rig_close(&rig);
}
END_TEST

START_TEST(a_deadline_holds_in_the_queue)
{
	struct call first, call;
	struct rig rig;

	rig_open(&rig, .workers = 1, .depth = 1);
	start_here(&rig, &first, hold, 0);
	call_init(&call, count, 1);
	call.job.deadline = eddy_after(EDDY_MS(1));
	call_submit(&rig, &call);
	call_expect(&rig, &call, EDDY_EXPIRED, 0);
	open_gate();
	call_expect(&rig, &first, EDDY_RETURNED, 7);
	rig_close(&rig);
	ck_assert_uint_eq(board->ran[1], 0);
}
END_TEST

START_TEST(a_past_deadline_never_runs)
{
	struct call call;
	struct rig rig;

	rig_open(&rig, .workers = 1, .depth = 1);
	call_init(&call, count, 1);
	call.job.deadline = _i == 0 ? 1 : INT64_MIN;
	call_submit(&rig, &call);
	call_expect(&rig, &call, EDDY_EXPIRED, 0);
	ck_assert_uint_eq(board->ran[1], 0);
	/* The next one is in time. */
	call_init(&call, hold, 2);
	call.job.deadline = eddy_after(EDDY_MS(20));
	call_submit(&rig, &call);
	call_expect(&rig, &call, EDDY_EXPIRED, 0);
	rig_close(&rig);
}
END_TEST

/* Else the test times out. */
START_TEST(a_deadline_of_a_finished_job_does_not_keep_the_loop)
{
	struct call call;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	call_init(&call, count, 0);
	call.job.deadline = eddy_after(EDDY_S(3600));
	call_submit(&rig, &call);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	call_expect(&rig, &call, EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

struct limited {
	struct eddy_task task;
	struct eddy_executor *pool;
	struct bytes bytes;
	int rc;
};

static eddy_step
limited(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct limited, f);
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_MS(30),
			      eddy_offload(self, f->pool, hang, &f->bytes)));
	EDDY_END;
}

static eddy_step
unlimited(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct limited, f);
	EDDY_AWAIT(f->rc, eddy_offload(self, f->pool, hang, &f->bytes));
	EDDY_END;
}

START_TEST(a_timeout_kills_what_runs)
{
	int64_t start = eddy_now();
	struct limited frame;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	EDDY_INIT(&frame, limited, .pool = rig.pool);
	ck_assert_int_eq(eddy_loop_spawn(rig.loop, &frame.task, NULL), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(frame.rc, -ETIME);
	ck_assert_int_eq(frame.bytes.out, 0);
	ck_assert_int_ge(eddy_now(), start + EDDY_MS(30));
	if (board->pid != 0)
		ck_assert(gone(board->pid));
	rig_close(&rig);
}
END_TEST

START_TEST(a_cancelled_task_takes_its_job_along)
{
	struct limited frame;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	eddy_prepare(&frame.task, unlimited, "unlimited");
	frame.pool = rig.pool;
	frame.bytes = (struct bytes){0};
	ck_assert_int_eq(eddy_loop_spawn(rig.loop, &frame.task, NULL), 0);
	rig_until(&rig, A_LOAD(&board->here) == 1);
	ck_assert_int_eq(eddy_cancel(&frame.task), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(frame.rc, -ECANCELED);
	ck_assert_int_eq(frame.bytes.out, 0);
	ck_assert(gone(board->pid));
	rig_close(&rig);
}
END_TEST

START_TEST(a_cancel_kills_what_runs)
{
	struct call call;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	call_init(&call, hang, 0);
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &call.job, rig.loop, on_death), 0);
	rig_until(&rig, A_LOAD(&board->here) == 1);
	ck_assert_int_eq(eddy_job_cancel(&call.job), 0);
	ck_assert_int_eq(call.answers, 0);
	call_expect(&rig, &call, EDDY_CANCELLED, 0);
	ck_assert(dead_when_answered);
	ck_assert_int_eq(eddy_job_rc(&call.job), -ECANCELED);
	ck_assert_int_eq(eddy_job_cancel(&call.job), -EALREADY);
	rig_close(&rig);
}
END_TEST

/* One runs, the others are prefetched or queued. */
START_TEST(a_cancelled_job_that_waits_never_runs)
{
	struct call calls[12];
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 1, .depth = 1u << _i);
	start_here(&rig, &calls[0], hold, 0);
	for (i = 1; i < 12; i++)
		call_start(&rig, &calls[i], count, (uint32_t)i);
	for (i = 1; i < 12; i += 2)
		ck_assert_int_eq(eddy_job_cancel(&calls[i].job), 0);
	for (i = 1; i < 12; i += 2)
		call_expect(&rig, &calls[i], EDDY_CANCELLED, 0);
	open_gate();
	for (i = 0; i < 12; i += 2)
		call_expect(&rig, &calls[i], EDDY_RETURNED, 7);
	rig_close(&rig);
	for (i = 1; i < 12; i++)
		ck_assert_uint_eq(board->ran[i], i % 2 == 0);
}
END_TEST

/* The first cancel kills the worker; the second job waits behind it. */
START_TEST(a_job_behind_a_cancelled_one_can_be_cancelled)
{
	struct call first, second, third;
	struct rig rig;

	rig_open(&rig, .workers = 1, .depth = 4);
	start_here(&rig, &first, hang, 0);
	call_start(&rig, &second, count, 1);
	call_start(&rig, &third, count, 2);
	ck_assert_int_eq(eddy_job_cancel(&first.job), 0);
	ck_assert_int_eq(eddy_job_cancel(&second.job), 0);
	call_expect(&rig, &first, EDDY_CANCELLED, 0);
	call_expect(&rig, &second, EDDY_CANCELLED, 0);
	call_expect(&rig, &third, EDDY_RETURNED, 7);
	rig_close(&rig);
	ck_assert_uint_eq(board->ran[1], 0);
	ck_assert_uint_eq(board->ran[2], 1);
}
END_TEST

/* Both deadlines pass in the same turn, so one finds the worker dying. */
START_TEST(a_job_behind_an_expired_one_expires)
{
	struct call first, second;
	struct rig rig;

	rig_open(&rig, .workers = 1, .depth = 2);
	rig_ready(&rig, 1);
	call_init(&first, hang, 0);
	first.job.deadline = eddy_after(EDDY_MS(500)); /* it runs by then */
	call_submit(&rig, &first);
	rig_until(&rig, A_LOAD(&board->here) == 1);
	call_init(&second, count, 1);
	second.job.deadline = first.job.deadline;
	call_submit(&rig, &second);
	while (eddy_now() < first.job.deadline)
		;
	call_expect(&rig, &first, EDDY_EXPIRED, 0);
	call_expect(&rig, &second, EDDY_EXPIRED, 0);
	rig_close(&rig);
	ck_assert_uint_eq(board->ran[1], 0);
}
END_TEST

static int
busy(void *arg)
{
	struct bytes *bytes = arg;
	int64_t until = eddy_now() + bytes->in * 1000;

	while (eddy_now() < until)
		;
	return count(arg);
}

/* Its deadline hits about when it ends: it is longer after one that was in time,
 * else shorter.  The job behind it has none. */
START_TEST(a_deadline_at_the_end_of_a_job_hits_nobody_else)
{
	int i, expired = 0, length = 200;
	struct call limit, other;
	struct rig rig;

	rig_open(&rig, .workers = 1, .depth = 2);
	rig_ready(&rig, 1);
	for (i = 1; i < (SLOW ? 100 : 1000); i++) {
		rig_ready(&rig, 1);
		call_init(&limit, busy, 0);
		limit.bytes.in = length;
		limit.job.deadline = eddy_after(EDDY_US(200));
		call_init(&other, busy, (uint32_t)i);
		other.bytes.in = 50;
		call_submit(&rig, &limit);
		call_submit(&rig, &other);
		call_finish(&rig, &limit);
		call_finish(&rig, &other);
		if (limit.job.outcome == EDDY_EXPIRED) {
			expired++;
			length -= length / 8;
		} else {
			ck_assert_int_eq(limit.job.outcome, EDDY_RETURNED);
			length += length / 8 + 1;
		}
		ck_assert_int_eq(other.job.outcome, EDDY_RETURNED);
		ck_assert_uint_eq(board->ran[i], 1);
	}
	ck_assert_int_gt(expired, 0);
	rig_close(&rig);
}
END_TEST

/* Queue and dispatch. */

START_TEST(any_depth_runs_each_job_once)
{
	static struct call calls[400];
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 2, .depth = 1u << _i);
	for (i = 0; i < 400; i++)
		call_start(&rig, &calls[i], count, (uint32_t)i);
	for (i = 0; i < 400; i++)
		call_expect(&rig, &calls[i], EDDY_RETURNED, 7);
	rig_close(&rig);
	for (i = 1; i < 400; i++)
		ck_assert_uint_eq(board->ran[i], 1);
}
END_TEST

static uint32_t next_answer;

static void
on_next(struct eddy_loop *loop, struct eddy_job *job)
{
	ck_assert_uint_eq(((struct call *)job)->bytes.number, next_answer++);
	on_call(loop, job);
}

START_TEST(one_worker_keeps_the_order)
{
	static struct call calls[200];
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 1, .depth = 4);
	for (i = 0; i < 200; i++) {
		call_init(&calls[i], count, (uint32_t)i);
		ck_assert_int_eq(
		    eddy_submit(rig.pool, &calls[i].job, rig.loop, on_next), 0);
	}
	call_expect(&rig, &calls[199], EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

/* Those that a long job has behind it in its worker must not wait for it. */
START_TEST(jobs_behind_a_long_one_go_to_an_idle_worker)
{
	struct call calls[20], block;
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 2, .depth = 2u << _i);
	rig_ready(&rig, 2);
	start_here(&rig, &block, hold, 0);
	for (i = 1; i < 20; i++)
		call_start(&rig, &calls[i], count, (uint32_t)i);
	for (i = 1; i < 20; i++)
		call_expect(&rig, &calls[i], EDDY_RETURNED, 7);
	ck_assert_int_eq(block.answers, 0);
	open_gate();
	call_expect(&rig, &block, EDDY_RETURNED, 7);
	rig_close(&rig);
	for (i = 1; i < 20; i++)
		ck_assert_uint_eq(board->ran[i], 1);
}
END_TEST

START_TEST(a_full_queue_refuses)
{
	struct call calls[4], more;
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 1, .depth = 1, .queue_limit = 3);
	start_here(&rig, &calls[0], hold, 0);
	for (i = 1; i < 4; i++)
		call_start(&rig, &calls[i], count, 0);
	call_init(&more, count, 0);
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &more.job, rig.loop, on_call), -EAGAIN);
	ck_assert_int_eq(eddy_job_cancel(&calls[1].job), 0);
	call_submit(&rig, &more);
	open_gate();
	call_expect(&rig, &more, EDDY_RETURNED, 7);
	call_expect(&rig, &calls[1], EDDY_CANCELLED, 0);
	for (i = 2; i < 4; i++)
		call_expect(&rig, &calls[i], EDDY_RETURNED, 7);
	rig_step(&rig);
	for (i = 0; i < AFTER; i++)
		expect(&rig, count, EDDY_RETURNED, 7);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

/* Await a job of one's own. */
struct waiter {
	struct eddy_task task;
	struct eddy_executor *pool;
	struct call call;
	int rc;
};

static eddy_step
waiter(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct waiter, f);
	EDDY_AWAIT(f->rc, eddy_job_run(self, f->pool, &f->call.job));
	EDDY_END;
}

static void
waiter_start(struct rig *rig, struct waiter *frame, uint32_t number)
{
	EDDY_INIT(frame, waiter, .pool = rig->pool);
	call_init(&frame->call, count, number);
	ck_assert_int_eq(eddy_loop_spawn(rig->loop, &frame->task, NULL), 0);
}

/* A pool with one job that runs, one queued and so no room; n wait for it. */
static void
crowd_open(
    struct rig *rig, struct call *first, struct waiter *frames, uint32_t n)
{
	static struct call queued;
	uint32_t i;

	rig_open(rig, .workers = 1, .depth = 1, .queue_limit = 1);
	start_here(rig, first, hold, 0);
	call_start(rig, &queued, count, 0);
	for (i = 0; i < n; i++)
		waiter_start(rig, &frames[i], i + 1);
	rig_step(rig);
	for (i = 0; i < n; i++)
		ck_assert(!eddy_done(&frames[i].task));
}

static void
crowd_close(struct rig *rig)
{
	ck_assert_int_eq(eddy_executor_close(rig->pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_run(rig->loop), 0);
	ck_assert_int_eq(eddy_loop_close(rig->loop), 0);
}

START_TEST(tasks_wait_for_room_in_turn)
{
	struct waiter frames[20];
	struct call first;
	struct rig rig;
	int i;

	crowd_open(&rig, &first, frames, 20);
	open_gate();
	for (i = 0; i < 20; i++) {
		rig_until(&rig, eddy_done(&frames[i].task));
		ck_assert_int_eq(frames[i].rc, 7);
		ck_assert_int_eq(frames[i].call.bytes.out, 15);
	}
	call_expect(&rig, &first, EDDY_RETURNED, 7);
	for (i = 0; i < 20; i++)
		ck_assert_uint_eq(board->ran[i + 1], 1);
	crowd_close(&rig);
}
END_TEST

START_TEST(a_deadline_holds_while_waiting_for_room)
{
	struct waiter frames[3], late;
	struct call first;
	struct rig rig;
	int i;

	crowd_open(&rig, &first, frames, 3);
	EDDY_INIT(&late, waiter, .pool = rig.pool);
	call_init(&late.call, count, 9);
	late.call.job.deadline = eddy_after(EDDY_MS(5));
	ck_assert_int_eq(eddy_loop_spawn(rig.loop, &late.task, NULL), 0);
	rig_until(&rig, eddy_done(&late.task));
	ck_assert_int_eq(late.rc, -ETIME);
	ck_assert_int_eq(late.call.job.outcome, EDDY_EXPIRED);
	ck_assert_int_ge(eddy_now(), late.call.job.deadline);
	ck_assert_int_eq(eddy_cancel(&frames[1].task), 0);
	open_gate();
	rig_until(&rig, eddy_done(&frames[2].task));
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(frames[i].rc, i == 1 ? -ECANCELED : 7);
	call_expect(&rig, &first, EDDY_RETURNED, 7);
	ck_assert_uint_eq(board->ran[2], 0);
	ck_assert_uint_eq(board->ran[9], 0);
	crowd_close(&rig);
}
END_TEST

START_TEST(all_that_wait_for_room_hear_of_the_end_of_the_zygote)
{
	struct waiter frames[5];
	struct call first;
	struct rig rig;
	int i;

	crowd_open(&rig, &first, frames, 5);
	ck_assert_int_eq(kill(zygote_pid(), SIGKILL), 0);
	for (i = 0; i < 5; i++) {
		rig_until(&rig, eddy_done(&frames[i].task));
		ck_assert_int_eq(frames[i].rc, -EPIPE);
	}
	call_expect(&rig, &first, EDDY_LOST, -EPIPE);
	crowd_close(&rig);
}
END_TEST

START_TEST(all_that_wait_for_room_hear_of_the_close)
{
	struct waiter frames[5];
	struct call first;
	struct rig rig;
	int i;

	crowd_open(&rig, &first, frames, 5);
	ck_assert_int_eq(eddy_executor_close(rig.pool, 0), -ETIME);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	for (i = 0; i < 5; i++) {
		ck_assert(eddy_done(&frames[i].task));
		ck_assert_int_eq(frames[i].rc, -ECANCELED);
	}
	ck_assert_int_eq(first.job.outcome, EDDY_CANCELLED);
	ck_assert(gone(board->pid));
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

static struct call *held;

static void
cancel_held(struct eddy_loop *loop, struct eddy_executor *executor, int result)
{
	(void)loop;
	(void)executor;
	ck_assert_int_eq(result, -ESHUTDOWN);
	ck_assert_int_eq(eddy_job_cancel(&held->job), 0);
}

START_TEST(who_hears_of_the_close_may_cancel_what_runs)
{
	struct call call;
	struct rig rig;

	held = &call;
	rig_open(&rig, .workers = 1);
	start_here(&rig, &call, hang, 0);
	ck_assert_int_eq(
	    eddy_executor_drain_then(rig.pool, rig.loop, cancel_held), 0);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_FOREVER), 0);
	call_expect(&rig, &call, EDDY_CANCELLED, 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

START_TEST(stats_add_up)
{
	struct eddy_executor_stats stats;
	struct call calls[10], block, cancelled, late, crash;
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 1, .depth = 1);
	start_here(&rig, &block, hold, 0);
	for (i = 0; i < 10; i++)
		call_start(&rig, &calls[i], count, 0);
	call_start(&rig, &cancelled, count, 0);
	ck_assert_int_eq(eddy_job_cancel(&cancelled.job), 0);
	call_init(&late, count, 0);
	late.job.deadline = eddy_after(EDDY_MS(1));
	call_submit(&rig, &late);
	call_start(&rig, &crash, killed, 0);
	call_finish(&rig, &late);
	eddy_executor_stats(rig.pool, &stats);
	ck_assert_uint_eq(stats.submitted, 14);
	ck_assert_uint_eq(stats.queued, 11);
	ck_assert_uint_eq(stats.running, 1);
	ck_assert_uint_eq(stats.workers, 1);
	ck_assert_uint_eq(stats.cancelled, 1);
	ck_assert_uint_eq(stats.expired, 1);
	open_gate();
	call_finish(&rig, &crash);
	eddy_executor_stats(rig.pool, &stats);
	ck_assert_uint_eq(stats.returned, 11);
	ck_assert_uint_eq(stats.failed, 1);
	ck_assert_uint_eq(stats.queued, 0);
	ck_assert_uint_eq(stats.running, 0);
	ck_assert_uint_eq(stats.submitted, 14);
	rig_close(&rig);
}
END_TEST

/* Other threads. */

struct guest {
	pthread_t thread;
	struct eddy_executor *pool;
	struct call calls[100];
	int rc, accepted;
	uint32_t over; /* 1: the thread is about to end */
};

static void *close_it(void *arg);

static void
guest_run(struct rig *rig, struct guest *guest, void *(*fn)(void *))
{
	struct eddy_executor_stats stats;

	guest->pool = rig->pool;
	guest->rc = -1;
	guest->over = 0;
	ck_assert_int_eq(pthread_create(&guest->thread, NULL, fn, guest), 0);
	while (A_ACQUIRE(&guest->over) == 0) {
		rig_step(rig);
		if (fn != close_it)
			eddy_executor_stats(rig->pool, &stats);
	}
	ck_assert_int_eq(pthread_join(guest->thread, NULL), 0);
}

static void *
with_loop(void *arg)
{
	struct guest *guest = arg;
	struct eddy_loop *loop;
	int i;

	guest->rc = eddy_loop_open(&loop, NULL);
	for (i = 0; i < 100 && guest->rc == 0; i++) {
		call_init(&guest->calls[i], count, (uint32_t)i);
		guest->rc = eddy_submit(
		    guest->pool, &guest->calls[i].job, loop, on_call);
	}
	if (guest->rc == 0)
		guest->rc = eddy_loop_run(loop);
	if (guest->rc == 0)
		guest->rc = eddy_loop_close(loop);
	A_RELEASE(&guest->over, 1);
	return NULL;
}

START_TEST(another_thread_hears_on_its_own_loop)
{
	static struct guest guest;
	struct eddy_executor_stats stats;
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 2);
	guest_run(&rig, &guest, with_loop);
	ck_assert_int_eq(guest.rc, 0);
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(guest.calls[i].answers, 1);
		ck_assert_int_eq(guest.calls[i].job.outcome, EDDY_RETURNED);
		ck_assert_int_eq(guest.calls[i].bytes.out, 15);
	}
	eddy_executor_stats(rig.pool, &stats);
	ck_assert_uint_eq(stats.submitted, 100);
	ck_assert_uint_eq(stats.returned, 100);
	rig_close(&rig);
}
END_TEST

static void *
without_loop(void *arg)
{
	struct guest *guest = arg;
	int i, r = 0;

	for (i = 0; i < 100 && r == 0; i++) {
		struct call *call = &guest->calls[i];

		call_init(call, i % 10 == 9 ? killed : count, (uint32_t)i);
		r = eddy_submit(guest->pool, &call->job, NULL, NULL);
		if (r == 0 && eddy_job_wait(&call->job, EDDY_FOREVER) !=
				  (i % 10 == 9 ? -EOWNERDEAD : 7))
			r = i + 1;
	}
	guest->rc = r;
	A_RELEASE(&guest->over, 1);
	return NULL;
}

START_TEST(another_thread_waits_without_a_loop)
{
	static struct guest guest;
	struct rig rig;

	rig_open(&rig, .workers = 2);
	guest_run(&rig, &guest, without_loop);
	ck_assert_int_eq(guest.rc, 0);
	rig_close(&rig);
}
END_TEST

static void *
wait_and_cancel(void *arg)
{
	struct guest *guest = arg;
	struct call *call = &guest->calls[0];

	call_init(call, hang, 0);
	guest->rc = eddy_submit(guest->pool, &call->job, NULL, NULL);
	if (guest->rc == 0)
		guest->rc = eddy_job_wait(&call->job, eddy_after(EDDY_MS(5)));
	while (guest->rc == -ETIME && A_LOAD(&board->here) == 0)
		sched_yield();
	if (guest->rc == -ETIME)
		guest->rc = eddy_job_cancel(&call->job);
	if (guest->rc == 0)
		guest->rc = eddy_job_wait(&call->job, EDDY_FOREVER);
	A_RELEASE(&guest->over, 1);
	return NULL;
}

START_TEST(another_thread_cancels_what_runs)
{
	static struct guest guest;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	guest_run(&rig, &guest, wait_and_cancel);
	ck_assert_int_eq(guest.rc, -ECANCELED);
	ck_assert_int_eq(guest.calls[0].job.outcome, EDDY_CANCELLED);
	ck_assert(gone(board->pid));
	rig_close(&rig);
}
END_TEST

/* Submits until it is told that the pool closes, or often enough; then lets the
 * job go that the close waits for. */
static void *
submit_on(void *arg)
{
	struct guest *guest = arg;
	int i, r = 0;

	for (i = 0; i < 100 && r == 0; i++) {
		call_init(&guest->calls[i], count, (uint32_t)i);
		r = eddy_submit(guest->pool, &guest->calls[i].job, NULL, NULL);
		guest->accepted += r == 0;
		poll(NULL, 0, 1);
	}
	guest->rc = r;
	open_gate();
	return NULL;
}

START_TEST(a_submit_during_the_close_is_refused_or_answered)
{
	static struct guest guest;
	struct call block;
	struct rig rig;
	int i;

	if (CENSUS_TSAN)
		return; /* it does not see the order that a process makes */
	rig_open(&rig, .workers = 1);
	start_here(&rig, &block, hold, 0);
	guest.pool = rig.pool;
	ck_assert_int_eq(
	    pthread_create(&guest.thread, NULL, submit_on, &guest), 0);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(pthread_join(guest.thread, NULL), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(block.job.outcome, EDDY_RETURNED);
	if (guest.rc != 0)
		ck_assert_int_eq(guest.rc, -ESHUTDOWN);
	for (i = 0; i < guest.accepted; i++)
		ck_assert_int_ne(guest.calls[i].job.outcome, EDDY_NONE);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

/* A home of its own. */

static struct eddy_executor *
homeless_open(unsigned workers)
{
	struct eddy_process_pool_options options = {.workers = workers};
	struct eddy_executor *pool;

	ck_assert_int_eq(eddy_process_pool_open(&pool, NULL, &options), 0);
	return pool;
}

static int
submit_and_wait(struct eddy_executor *pool, eddy_job_fn *fn, int64_t deadline)
{
	struct call call;

	call_init(&call, fn, 0);
	call.job.deadline = deadline;
	ck_assert_int_eq(eddy_submit(pool, &call.job, NULL, NULL), 0);
	return eddy_job_wait(&call.job, EDDY_FOREVER);
}

START_TEST(a_pool_without_a_home_serves_the_thread_that_opened_it)
{
	struct eddy_executor *pool = homeless_open(2);
	struct eddy_executor_stats stats;
	struct call call;

	ck_assert_int_eq(submit_and_wait(pool, count, 0), 7);
	ck_assert_int_eq(submit_and_wait(pool, killed, 0), -EOWNERDEAD);
	ck_assert_int_eq(
	    submit_and_wait(pool, hang, eddy_after(EDDY_MS(10))), -ETIME);
	call_init(&call, hang, 0);
	ck_assert_int_eq(eddy_submit(pool, &call.job, NULL, NULL), 0);
	ck_assert_int_eq(eddy_job_cancel(&call.job), 0);
	ck_assert_int_eq(eddy_job_wait(&call.job, EDDY_FOREVER), -ECANCELED);
	eddy_executor_stats(pool, &stats);
	ck_assert_uint_eq(stats.submitted, 4);
	ck_assert_uint_eq(stats.returned, 1);
	while (eddy_process_pool_pids(pool, NULL, 0) < 2)
		sched_yield();
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(30)), 0);
}
END_TEST

START_TEST(a_pool_without_a_home_serves_loops)
{
	struct rig rig = {census_loop(), homeless_open(2)};
	static struct guest guest;

	expect(&rig, count, EDDY_RETURNED, 7);
	guest_run(&rig, &guest, with_loop);
	ck_assert_int_eq(guest.rc, 0);
	guest_run(&rig, &guest, without_loop);
	ck_assert_int_eq(guest.rc, 0);
	rig_close(&rig);
}
END_TEST

static void *
close_it(void *arg)
{
	struct guest *guest = arg;

	guest->rc = eddy_executor_close(guest->pool, EDDY_MS(1));
	A_RELEASE(&guest->over, 1);
	return NULL;
}

START_TEST(any_thread_closes_a_pool_without_a_home)
{
	struct rig rig = {census_loop(), homeless_open(1)};
	static struct guest guest;
	struct call call;

	start_here(&rig, &call, hang, 0);
	guest_run(&rig, &guest, close_it);
	ck_assert_int_eq(guest.rc, -ETIME);
	call_expect(&rig, &call, EDDY_CANCELLED, 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

struct owner {
	struct eddy_task task;
	struct eddy_executor *pool;
	struct bytes *bytes;
	int rc;
};

static struct eddy_executor *looked_at;
static sem_t dropped;

static void
drop_and_look(void *arg)
{
	struct eddy_executor_stats stats;

	free(arg);
	eddy_executor_stats(looked_at, &stats);
	ck_assert_uint_eq(stats.submitted, 1);
	sem_post(&dropped);
}

static eddy_step
owner(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct owner, f);
	EDDY_AWAIT(f->rc, eddy_timeout(self, EDDY_MS(1),
			      eddy_offload_owned(self, f->pool, hang, &f->bytes,
				  drop_and_look)));
	EDDY_END;
}

START_TEST(bytes_that_are_dropped_at_home_may_look_at_their_pool)
{
	struct rig rig = {census_loop(), homeless_open(1)};
	struct owner f;

	looked_at = rig.pool;
	sem_init(&dropped, 0, 0);
	ck_assert_int_eq(eddy_loop_spawn(rig.loop,
			     EDDY_INIT(&f, owner, .pool = rig.pool,
				 .bytes = calloc(1, sizeof(struct bytes))),
			     NULL),
	    0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(f.rc, -ETIME);
	ck_assert_ptr_null(f.bytes);
	while (sem_wait(&dropped) < 0)
		;
	rig_close(&rig);
}
END_TEST

static void *
close_for_ever(void *arg)
{
	struct guest *guest = arg;

	guest->rc = eddy_executor_close(guest->pool, EDDY_FOREVER);
	return NULL;
}

START_TEST(a_cancel_may_come_while_another_thread_closes)
{
	struct rig rig = {census_loop(), homeless_open(1)};
	struct guest guest = {.pool = rig.pool};
	struct call call;

	start_here(&rig, &call, hang, 0);
	ck_assert_int_eq(
	    pthread_create(&guest.thread, NULL, close_for_ever, &guest), 0);
	while (!A_LOAD(&rig.pool->closed)) /* then it waits for workers */
		sched_yield();
	ck_assert_int_eq(eddy_job_cancel(&call.job), 0);
	call_expect(&rig, &call, EDDY_CANCELLED, 0);
	ck_assert_int_eq(pthread_join(guest.thread, NULL), 0);
	ck_assert_int_eq(guest.rc, 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

static int
close_here(void *arg)
{
	struct eddy_executor_stats stats;

	/* Nobody is there to answer. */
	eddy_executor_stats(arg, &stats);
	if (stats.submitted != 0 || eddy_process_pool_pids(arg, NULL, 0) != 0)
		return -1;
	return eddy_executor_close(arg, EDDY_S(30));
}

START_TEST(a_forked_child_may_close_a_pool_without_a_home)
{
	struct eddy_executor *pool = homeless_open(1);

	ck_assert_int_eq(submit_and_wait(pool, count, 0), 7);
	ck_assert_int_eq(census_child(close_here, pool), 0);
	ck_assert_int_eq(submit_and_wait(pool, count, 0), 7);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(30)), 0);
}
END_TEST

START_TEST(a_home_thread_that_would_wait_for_itself_is_told)
{
	struct call call;
	struct rig rig;
	int r;

	rig_open(&rig, .workers = 1);
	call_init(&call, count, 0);
	ck_assert_int_eq(eddy_submit(rig.pool, &call.job, NULL, NULL), 0);
	r = eddy_job_wait(&call.job, EDDY_FOREVER);
	ck_assert_int_eq(r, -EDEADLK);
	rig_until(
	    &rig, (r = eddy_job_wait(&call.job, EDDY_FOREVER)) != -EDEADLK);
	ck_assert_int_eq(r, 7);
	rig_close(&rig);
}
END_TEST

/* The first thing in a worker. */

static struct bytes given;

static int
take(void *arg, void **ret_state)
{
	(void)ret_state;
	given = *(struct bytes *)arg;
	A_ADD(&board->inits, 1);
	return 1;
}

static int
tell_given(void *arg)
{
	struct bytes *bytes = arg;

	bytes->out = given.out;
	return given.in;
}

START_TEST(bytes_for_init_reach_each_worker)
{
	struct bytes bytes = {1, 7, 15};
	struct rig rig;

	rig_open(&rig, .workers = 1, .worker_open = take, .init = &bytes,
	    .init_size = sizeof(bytes));
	expect(&rig, tell_given, EDDY_RETURNED, 7);
	ck_assert_uint_eq(board->inits, 1);
	expect(&rig, killed, EDDY_CRASHED, SIGKILL);
	expect(&rig, tell_given, EDDY_RETURNED, 7);
	ck_assert_uint_eq(board->inits, 2);
	ck_assert_int_eq(given.in, 0);
	rig_close(&rig);
}
END_TEST

static int
no_init(void *arg, void **ret_state)
{
	(void)ret_state;
	A_ADD(&board->inits, 1);
	return arg == NULL ? -ENOKEY : -EBADE;
}

/* All jobs are lost with error, and the pool says that it is of no use.  Only
 * who hangs meets the limit, however loaded the machine is. */
static void
lost_open(struct rig *rig, int (*init)(void *, void **), int error)
{
	int limit = error != -ETIME ? 10000 : SLOW ? 200 : 20;
	struct call calls[10];
	int i;

	rig_open(rig, .workers = 4, .worker_open = init,
	    .boot_limit = EDDY_MS(limit));
	for (i = 0; i < 10; i++)
		call_start(rig, &calls[i], count, 1);
	for (i = 0; i < 10; i++)
		call_expect(rig, &calls[i], EDDY_LOST, error);
	ck_assert_int_eq(eddy_job_rc(&calls[0].job), error);
	ck_assert_uint_eq(board->ran[1], 0);
	call_init(&calls[0], count, 0);
	ck_assert_int_eq(
	    eddy_submit(rig->pool, &calls[0].job, rig->loop, on_call),
	    -ENOTRECOVERABLE);
	ck_assert_int_eq(eddy_executor_close(rig->pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig->loop), 0);
}

START_TEST(an_error_of_init_is_the_error_of_the_jobs)
{
	struct rig rig;

	lost_open(&rig, no_init, -ENOKEY);
	ck_assert_uint_gt(board->inits, 1);
}
END_TEST

/* All but the first. */
static int
init_once(void *arg, void **ret_state)
{
	(void)arg, (void)ret_state;
	return A_ADD(&board->inits, 1) == 0 ? 0 : -ENOKEY;
}

START_TEST(jobs_wait_for_the_last_worker_there_is)
{
	struct call busy, waiting;
	struct rig rig;

	rig_open(&rig, .workers = 2, .depth = 1, .worker_open = init_once);
	rig_ready(&rig, 1);
	call_start(&rig, &busy, hold, 1);
	call_start(&rig, &waiting, count, 2);
	rig_until(&rig, A_LOAD(&board->inits) > 9); /* failures are enough */
	open_gate();
	call_expect(&rig, &busy, EDDY_RETURNED, 7);
	call_expect(&rig, &waiting, EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

static int
crash_init(void *arg, void **ret_state)
{
	(void)ret_state;
	(void)arg;
	return raise(SIGKILL);
}

START_TEST(a_crash_of_init_loses_the_jobs)
{
	struct rig rig;

	lost_open(&rig, crash_init, -ECHILD);
}
END_TEST

static int __attribute__((noreturn)) hang_init(void *arg, void **ret_state)
{
	(void)ret_state;
	(void)arg;
	for (;;)
		pause();
}

START_TEST(a_boot_limit_ends_an_init_that_hangs)
{
	struct rig rig;

	lost_open(&rig, hang_init, -ETIME);
}
END_TEST

static int
second_init(void *arg, void **ret_state)
{
	(void)ret_state;
	(void)arg;
	return A_ADD(&board->inits, 1) == 0 ? -EIO : 0;
}

START_TEST(a_pool_recovers_from_a_failed_init)
{
	struct rig rig;

	rig_open(&rig, .workers = 1, .worker_open = second_init);
	expect(&rig, count, EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

/* The first worker hangs in it. */
static int
slow_init(void *arg, void **ret_state)
{
	struct bytes bytes = {0};

	(void)arg;
	(void)ret_state;
	if (A_ADD(&board->inits, 1) == 0)
		hold(&bytes);
	return 0;
}

START_TEST(a_worker_killed_in_init_is_replaced)
{
	struct call call;
	struct rig rig;

	rig_open(&rig, .workers = 1, .worker_open = slow_init);
	call_start(&rig, &call, count, 1);
	rig_until(&rig, A_LOAD(&board->here) == 1);
	ck_assert_int_eq(call.answers, 0);
	ck_assert_int_eq(kill(board->pid, SIGKILL), 0);
	call_expect(&rig, &call, EDDY_RETURNED, 7);
	rig_close(&rig);
	ck_assert_uint_eq(board->ran[1], 1);
}
END_TEST

/* By the kernel's call: TSan has a thread of its own in the zygote, which _Fork
 * leaves on glibc's list of those whose ids are to be changed, too; where that
 * had not begun yet setresuid would wait for it. */
static int
drop_privileges(void *arg, void **ret_state)
{
	(void)ret_state;
	(void)arg;
	return syscall(SYS_setresuid, 65534, 65534, 65534) == 0 ? 0 : -errno;
}

#define ALLOW(call)                                            \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), \
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* What the page says that a worker needs. */
static int
allow_little(void *arg)
{
	struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					 offsetof(struct seccomp_data, nr)),
	    ALLOW(futex), ALLOW(write), ALLOW(rt_sigprocmask),
	    ALLOW(exit_group),
#ifdef SYS_futex_time64
	    ALLOW(futex_time64),
#endif
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
	struct sock_fprog filter = {COUNT_OF(code), code};

	if (arg == NULL || *(int *)arg != 7)
		return -EBADE;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		return -errno;
	return 0;
}

static int
open_file(void *arg)
{
	spoil(arg);
	return open("/dev/null", O_RDONLY);
}

START_TEST(a_sandbox_holds_and_lets_jobs_run)
{
	int seven = 7;
	struct rig rig;

	if (SLOW)
		return; /* sanitizers need more */
	rig_open(&rig, .workers = 1, .worker_sandbox = allow_little,
	    .init = &seven, .init_size = sizeof(seven));
	expect(&rig, count, EDDY_RETURNED, 7);
	expect(&rig, open_file, EDDY_CRASHED, SIGSYS);
	rig_close(&rig);
}
END_TEST

static int
death_signal(void *arg)
{
	int number = 0;

	((struct bytes *)arg)->out = (int)getuid();
	prctl(PR_GET_PDEATHSIG, &number);
	return number;
}

/* Dropping privileges clears the signal that ties it to the zygote. */
START_TEST(a_worker_without_privileges_still_dies_with_its_zygote)
{
	struct call call;
	struct rig rig;

	if (geteuid() != 0)
		return;
	rig_open(&rig, .workers = 1, .worker_open = drop_privileges);
	call_start(&rig, &call, death_signal, 0);
	call_finish(&rig, &call);
	ck_assert_int_eq(call.job.outcome, EDDY_RETURNED);
	ck_assert_int_eq(call.job.result, SIGKILL);
	ck_assert_int_eq(call.bytes.out, 65534);
	rig_close(&rig);
}
END_TEST

/* What a worker has. */

struct descriptors {
	int n, numbers[8];
	char targets[8][64];
};

static int
list_descriptors(void *arg)
{
	struct descriptors *list = arg;
	char path[32];
	int fd;

	for (fd = 0; fd < 20000; fd++) {
		ssize_t length;

		if (fcntl(fd, F_GETFD) < 0)
			continue;
		if (list->n == 8)
			return -E2BIG;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, list->targets[list->n], 63);
		if (length < 0)
			return -errno;
		list->numbers[list->n++] = fd;
	}
	return list->n;
}

/* The list of a worker of a new pool, made with the descriptors of now. */
static void
worker_descriptors(struct rig *rig, struct descriptors *list)
{
	struct eddy_job job = EDDY_JOB(list_descriptors, list);

	*list = (struct descriptors){0};
	rig_open(rig, .workers = 1);
	ck_assert_int_eq(eddy_submit(rig->pool, &job, rig->loop, on_other), 0);
	rig_until(rig, job.outcome != EDDY_NONE);
	ck_assert_int_eq(job.outcome, EDDY_RETURNED);
}

START_TEST(a_worker_has_four_descriptors)
{
	struct descriptors list;
	struct rig rig;
	int i, others[20];

	for (i = 0; i < 20; i++) /* without close-on-exec */
		others[i] = dup(0);
	worker_descriptors(&rig, &list);
	ck_assert_int_eq(list.n, 4);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(list.numbers[i], i);
	ck_assert_str_eq(list.targets[0], "/dev/null");
	ck_assert_str_eq(list.targets[3], "anon_inode:[eventfd]");
	for (i = 0; i < 20; i++)
		close(others[i]);
	rig_close(&rig);
}
END_TEST

/* Fewer than a worker has: its own go as high as they can. */
START_TEST(few_descriptors_will_do)
{
	struct rlimit old, few = {64, 64};
	struct descriptors list;
	struct rig rig;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	few.rlim_max = _i == 0 ? old.rlim_max : few.rlim_cur;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	worker_descriptors(&rig, &list);
	ck_assert_int_eq(list.n, 4);
	ck_assert_int_ge(list.numbers[3], 63);
	rig_close(&rig);
}
END_TEST

static const char *
bad_target(const struct descriptors *list)
{
	int i, bells = 0;

	for (i = 0; i < list->n; i++) {
		const char *target = list->targets[i];

		bells += strcmp(target, "anon_inode:[eventfd]") == 0;
		if (list->numbers[i] <= 2 &&
		    (strstr(target, "memfd") != NULL ||
			strstr(target, "anon") != NULL ||
			strstr(target, "socket") != NULL))
			return target;
	}
	return bells == 1 ? NULL : "no bell";
}

/* As after a careless daemonisation.  What eddy opened must not become the
 * standard output of a job. */
START_TEST(a_host_without_standard_descriptors_makes_clean_workers)
{
	struct descriptors list;
	const char *bad;
	int i, saved[3];
	struct rig rig;

	for (i = 0; i < 3; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 50);
		if ((_i >> i & 1) != 0)
			close(i);
	}
	worker_descriptors(&rig, &list);
	rig_close(&rig);
	for (i = 0; i < 3; i++) {
		dup2(saved[i], i);
		close(saved[i]);
	}
	bad = bad_target(&list);
	ck_assert_msg(bad == NULL, "a worker has %s as 0, 1 or 2", bad);
	ck_assert_int_eq(list.numbers[0], 0);
	ck_assert_str_eq(list.targets[0], "/dev/null");
}
END_TEST

static int
read_stdin(void *arg)
{
	char c;

	((struct bytes *)arg)->out = 15;
	return read(0, &c, 1) == 0 ? 7 : -EIO;
}

START_TEST(a_worker_reads_nothing)
{
	struct rig rig;

	rig_open(&rig, .workers = 1);
	expect(&rig, read_stdin, EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

static int
close_all(void *arg)
{
	int fd;

	for (fd = 0; fd < 20000; fd++)
		close(fd);
	return count(arg);
}

START_TEST(a_job_may_close_all_descriptors)
{
	struct call calls[10];
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 1);
	for (i = 0; i < 10; i++)
		call_start(&rig, &calls[i], i % 2 ? count : close_all, 0);
	for (i = 0; i < 10; i++)
		call_expect(&rig, &calls[i], EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

static int
replace_all(void *arg)
{
	int fd;

	for (fd = 3; fd < 1024; fd++)
		dup2(0, fd);
	return count(arg);
}

START_TEST(a_job_may_replace_all_descriptors)
{
	struct call calls[10];
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 1);
	for (i = 0; i < 10; i++)
		call_start(&rig, &calls[i], i % 2 ? count : replace_all, 0);
	for (i = 0; i < 10; i++)
		call_expect(&rig, &calls[i], EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

static int
fork_and_return(void *arg)
{
	pid_t pid = fork();

	if (pid > 0)
		waitpid(pid, NULL, 0);
	return count(arg);
}

static int
fork_and_exit(void *arg)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		exit(3);
	if (waitpid(pid, &status, 0) != pid ||
	    WEXITSTATUS(status) != EXIT_CODE(3))
		return -ECHILD;
	return count(arg);
}

static int
fork_and_return_later(void *arg)
{
	pid_t pid = fork();

	if (pid == 0)
		while (A_ACQUIRE(&board->gate) == 0)
			sched_yield();
	return count(arg);
}

START_TEST(a_child_of_a_job_may_return_or_exit)
{
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 1);
	for (i = 0; i < 10; i++) {
		expect(&rig, fork_and_return, EDDY_RETURNED, 7);
		expect(&rig, fork_and_exit, EDDY_RETURNED, 7);
	}
	expect(&rig, fork_and_return_later, EDDY_RETURNED, 7);
	open_gate();
	rig_close(&rig);
}
END_TEST

/* out: the child, which stays. */
static int
leave_child(void *arg)
{
	struct bytes *bytes = arg;
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	bytes->out = pid;
	return pid > 0 ? 0 : -EAGAIN;
}

static int
leave_daemon(void *arg)
{
	int ends[2], pid = -1;

	if (pipe(ends) < 0)
		return -errno;
	if (fork() == 0) {
		setsid();
		pid = fork();
		if (pid == 0)
			for (;;)
				pause();
		(void)!write(ends[1], &pid, sizeof(pid));
		_exit(0);
	}
	(void)!read(ends[0], &pid, sizeof(pid));
	close(ends[0]);
	close(ends[1]);
	wait(NULL);
	((struct bytes *)arg)->out = pid;
	return pid > 0 ? 0 : -EAGAIN;
}

static pid_t
leave_behind(struct rig *rig, eddy_job_fn *fn)
{
	struct call call;

	call_start(rig, &call, fn, 0);
	call_finish(rig, &call);
	ck_assert_int_eq(call.job.outcome, EDDY_RETURNED);
	ck_assert_int_eq(call.job.result, 0);
	ck_assert_int_eq(kill(call.bytes.out, 0), 0);
	return call.bytes.out;
}

START_TEST(a_child_left_behind_ends_with_the_worker)
{
	struct rig rig;
	pid_t pid;

	rig_open(&rig, .workers = 1);
	pid = leave_behind(&rig, leave_child);
	expect(&rig, killed, EDDY_CRASHED, SIGKILL);
	await_end(pid);
	rig_close(&rig);
}
END_TEST

START_TEST(what_jobs_left_behind_ends_with_the_pool)
{
	pid_t child, daemon;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	child = leave_behind(&rig, leave_child);
	daemon = leave_behind(&rig, leave_daemon);
	rig_close(&rig);
	await_end(child);
	await_end(daemon);
}
END_TEST

static int
use_shell(void *arg)
{
	char line[8] = "";
	FILE *file;

	if (WEXITSTATUS(system("exit 3")) != 3)
		return -ECHILD;
	file = popen("echo shell", "r");
	if (file == NULL || fgets(line, sizeof(line), file) == NULL ||
	    pclose(file) != 0 || strcmp(line, "shell\n") != 0)
		return -EPIPE;
	return count(arg);
}

START_TEST(a_job_may_use_the_shell)
{
	struct rig rig;

	rig_open(&rig, .workers = 1);
	expect(&rig, use_shell, EDDY_RETURNED, 7);
	expect(&rig, use_shell, EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

static int
block_signals(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	return count(arg);
}

/* How many signals are blocked, ignored or handled. */
static int
see_signals(void *arg)
{
	struct sigaction action;
	sigset_t mask;
	int number, n = 0;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (number = 1; number < NSIG; number++)
		if (sigismember(&mask, number) == 1 ||
		    (sigaction(number, NULL, &action) == 0 &&
			action.sa_handler != SIG_DFL && number != SIGPIPE))
			n++;
	((struct bytes *)arg)->out = 15;
	return n;
}

static void
ignore(int number)
{
	(void)number;
}

START_TEST(each_job_starts_with_its_signals_in_order)
{
	sigset_t some, old;
	struct rig rig;
	int number;

	/* Whoever started this may have had it ignore some, as nohup(1). */
	for (number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigprocmask(SIG_BLOCK, &some, &old);
	signal(SIGUSR2, ignore);
	rig_open(&rig, .workers = 1);
	signal(SIGUSR2, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	expect(&rig, see_signals, EDDY_RETURNED, 0);
	expect(&rig, block_signals, EDDY_RETURNED, 7);
	expect(&rig, see_signals, EDDY_RETURNED, 0);
	rig_close(&rig);
}
END_TEST

static int
change_surroundings(void *arg)
{
	if (chdir("/proc") < 0 || setenv("SURROUNDINGS", "job", 1) < 0 ||
	    setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		return -errno;
	umask(0127);
	return count(arg);
}

/* Which of those it finds changed. */
static int
see_surroundings(void *arg)
{
	mode_t mask = umask(0127);
	char path[64] = "";

	umask(mask);
	((struct bytes *)arg)->out = 15;
	return (getcwd(path, sizeof(path)) != NULL &&
		   strcmp(path, "/proc") == 0) |
	       (getenv("SURROUNDINGS") != NULL) << 1 |
	       (strcmp(setlocale(LC_CTYPE, NULL), "C.UTF-8") == 0) << 2 |
	       (mask == 0127) << 3;
}

/* A new worker has them as they were when its zygote was opened. */
START_TEST(what_a_job_changes_around_it_stays_in_its_worker)
{
	struct bytes bytes = {0};
	struct rig early, late;

	rig_open(&early, .workers = 1);
	expect(&early, see_surroundings, EDDY_RETURNED, 0);
	expect(&early, change_surroundings, EDDY_RETURNED, 7);
	expect(&early, see_surroundings, EDDY_RETURNED, 15);
	ck_assert_int_eq(see_surroundings(&bytes), 0);
	ck_assert_int_eq(change_surroundings(&bytes), 0);
	expect(&early, killed, EDDY_CRASHED, SIGKILL);
	expect(&early, see_surroundings, EDDY_RETURNED, 0);
	rig_open(&late, .workers = 1);
	expect(&late, see_surroundings, EDDY_RETURNED, 15);
	rig_close(&late);
	rig_close(&early);
}
END_TEST

static int
become_shell(void *arg)
{
	spoil(arg);
	return execl("/bin/sh", "sh", "-c", "exit 3", NULL);
}

static int
become_sleeper(void *arg)
{
	spoil(arg);
	board->pid = getpid();
	return execlp("sleep", "sleep", "60", NULL);
}

static bool
sleeper_is_here(void)
{
	char path[64], name[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", board->pid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	(void)!fgets(name, sizeof(name), file);
	fclose(file);
	return strcmp(name, "sleep\n") == 0;
}

/* It is the worker still: it ends with a cancel, or with its zygote. */
START_TEST(a_job_may_become_another_program)
{
	struct call call;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	expect(&rig, become_shell, EDDY_EXITED, 3);
	call_start(&rig, &call, become_sleeper, 0);
	rig_until(&rig, sleeper_is_here());
	if (_i == 0) {
		ck_assert_int_eq(eddy_job_cancel(&call.job), 0);
		call_expect(&rig, &call, EDDY_CANCELLED, 0);
		ck_assert(gone(board->pid));
		rig_close(&rig);
	} else {
		ck_assert_int_eq(kill(zygote_pid(), SIGKILL), 0);
		call_expect(&rig, &call, EDDY_LOST, -EPIPE);
		await_end(board->pid);
		ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
		ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	}
}
END_TEST

static int
print(void *arg)
{
	printf("job %u\n", ((struct bytes *)arg)->number);
	return count(arg);
}

static int
times(const char *text, const char *word)
{
	int n = 0;

	while ((text = strstr(text, word)) != NULL) {
		text += strlen(word);
		n++;
	}
	return n;
}

START_TEST(what_is_printed_appears_once)
{
	char text[512] = "";
	int saved = dup(1), ends[2];
	struct rig rig;

	fflush(stdout);
	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], 1);
	setvbuf(stdout, NULL, _IOFBF, 4096);
	printf("before\n");
	rig_open(&rig, .workers = 1);
	printf("after\n");
	expect(&rig, print, EDDY_RETURNED, 7);
	expect(&rig, killed, EDDY_CRASHED, SIGKILL);
	expect(&rig, leave, EDDY_EXITED, EXIT_CODE(5));
	rig_close(&rig);
	fflush(stdout);
	dup2(saved, 1);
	close(saved);
	close(ends[1]);
	ck_assert_int_gt(read(ends[0], text, sizeof(text) - 1), 0);
	close(ends[0]);
	ck_assert_int_eq(times(text, "before"), 1);
	ck_assert_int_eq(times(text, "job 0"), 1);
	ck_assert_int_eq(times(text, "after"), 1);
}
END_TEST

/* Limits of one job, and what became of its worker. */

/* A long job around the same bytes. */
struct long_call {
	struct eddy_long_job job;
	struct bytes bytes;
	struct eddy_worker_report report;
	int answers;
};

static void
on_long(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	((struct long_call *)job)->answers++;
}

static void
long_start(struct rig *rig, struct long_call *call, eddy_job_fn *fn)
{
	struct eddy_long_job job = EDDY_LONG_JOB(fn, &call->bytes, NULL);

	job.run_limit = call->job.run_limit;
	*call = (struct long_call){.job = job, .bytes = {0, 7, 0}};
	memset(&call->report, 0xff, sizeof(call->report));
	call->job.report = &call->report;
	ck_assert_int_eq(
	    eddy_submit(rig->pool, &call->job.job, rig->loop, on_long), 0);
}

/* Finish, and demand that the report says this. */
static void
long_expect(struct rig *rig, struct long_call *call, enum eddy_outcome outcome,
    int code, int status)
{
	bool ours = outcome == EDDY_EXPIRED || outcome == EDDY_CANCELLED ||
	            outcome == EDDY_PROTOCOL;

	rig_until(rig, call->answers != 0);
	ck_assert_int_eq(call->job.job.outcome, outcome);
	ck_assert_int_eq(call->report.code, code);
	ck_assert_int_eq(call->report.status, status);
	ck_assert_int_eq(call->report.why, ours ? outcome : EDDY_NONE);
	ck_assert(!call->report.stuck);
	ck_assert_int_eq(call->report.pid > 0, code != 0);
	if (code != 0)
		ck_assert_int_gt(call->report.usage.ru_maxrss, 0);
}

START_TEST(a_report_tells_how_the_worker_ended)
{
	struct long_call call = {.bytes = {0}};
	struct rlimit core = {0, 0};
	struct rig rig;

	setrlimit(RLIMIT_CORE, &core);
	rig_open(&rig, .workers = 1);
	long_start(&rig, &call, leave_at_once);
	long_expect(&rig, &call, EDDY_EXITED, CLD_EXITED, 6);
	long_start(&rig, &call, killed);
	long_expect(&rig, &call, EDDY_CRASHED, CLD_KILLED, SIGKILL);
	long_start(&rig, &call, count);
	long_expect(&rig, &call, EDDY_RETURNED, 0, 0);
	long_start(&rig, &call, hang);
	rig_until(&rig, A_LOAD(&board->here) == 1);
	ck_assert_int_eq(eddy_job_cancel(&call.job.job), 0);
	long_expect(&rig, &call, EDDY_CANCELLED, CLD_KILLED, SIGKILL);
	ck_assert_int_eq(call.report.pid, board->pid);
	rig_close(&rig);
}
END_TEST

/* A job behind one that the worker died of is no victim. */
START_TEST(a_job_that_is_run_elsewhere_has_no_report)
{
	struct long_call call = {.bytes = {0}};
	struct call first;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	rig_ready(&rig, 1);
	call_start(&rig, &first, hold, 0);
	long_start(&rig, &call, count);
	rig_until(&rig, A_LOAD(&board->here) == 1);
	ck_assert_int_eq(kill(board->pid, SIGKILL), 0);
	call_expect(&rig, &first, EDDY_CRASHED, SIGKILL);
	long_expect(&rig, &call, EDDY_RETURNED, 0, 0);
	rig_close(&rig);
}
END_TEST

static void
on_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	(void)timer;
}

/* Behind another, for longer than it may run. */
START_TEST(a_run_limit_counts_from_the_start)
{
	struct long_call call = {.job.run_limit = EDDY_MS(200)};
	struct eddy_timer timer;
	struct call first;
	struct rig rig;

	rig_open(&rig, .workers = 1, .depth = 1u << _i);
	start_here(&rig, &first, hold, 0);
	long_start(&rig, &call, count);
	eddy_timer_init(&timer, on_timer);
	ck_assert_int_eq(
	    eddy_timer_start(rig.loop, &timer, eddy_after(call.job.run_limit)),
	    0);
	rig_until(&rig, !eddy_timer_active(&timer));
	ck_assert_int_eq(call.answers, 0);
	open_gate();
	call_expect(&rig, &first, EDDY_RETURNED, 7);
	long_expect(&rig, &call, EDDY_RETURNED, 0, 0);
	rig_close(&rig);
}
END_TEST

START_TEST(a_run_limit_kills_what_runs_longer)
{
	struct long_call call = {.job.run_limit = EDDY_MS(20)};
	int64_t start = eddy_now();
	struct call other;
	struct rig rig;

	rig_open(&rig, .workers = 1, .depth = 2);
	long_start(&rig, &call, hang);
	call_start(&rig, &other, count, 0);
	long_expect(&rig, &call, EDDY_EXPIRED, CLD_KILLED, SIGKILL);
	ck_assert_int_ge(eddy_now(), start + EDDY_MS(20));
	call_expect(&rig, &other, EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

/* Until it is asked to stop. */
static int
obey(void *arg)
{
	board->pid = getpid();
	A_ADD(&board->here, 1);
	while (!eddy_job_stop_requested())
		sched_yield();
	return count(arg);
}

static int
obey_badly(void *arg)
{
	obey(arg);
	return raise(SIGKILL);
}

START_TEST(a_job_that_obeys_within_the_grace_returns)
{
	struct call call, behind;
	struct rig rig;
	int i, pid;

	rig_open(&rig, .workers = 1, .grace = EDDY_S(30));
	for (i = 0; i < 3; i++) {
		start_here(&rig, &call, obey, 0);
		pid = board->pid;
		call_start(&rig, &behind, count, 0);
		ck_assert_int_eq(eddy_job_cancel(&call.job), 0);
		eddy_job_cancel(&call.job); /* once more is nothing new */
		call_expect(&rig, &call, EDDY_RETURNED, 7);
		call_expect(&rig, &behind, EDDY_RETURNED, 7);
		ck_assert(!gone(pid));
	}
	start_here(&rig, &call, obey_badly, 0);
	ck_assert_int_eq(board->pid, pid);
	ck_assert_int_eq(eddy_job_cancel(&call.job), 0);
	call_expect(&rig, &call, EDDY_CRASHED, SIGKILL);
	rig_close(&rig);
}
END_TEST

/* It has told of its progress, and obeys. */
static int
obey_after_progress(void *arg)
{
	return eddy_job_progress(1) < 0 ? -EIO : obey(arg);
}

static void
on_step(struct eddy_loop *loop, struct eddy_long_job *job)
{
	(void)loop;
	ck_assert_int_eq(((struct long_call *)job)->answers, 0);
}

/* Its bell has come in the turn in which this task cancels it. */
struct canceller {
	struct eddy_task task;
	struct long_call *call;
};

static eddy_step
canceller(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct canceller, f);
	while (A_LOAD(&board->here) == 0)
		sched_yield();
	EDDY_TRY(eddy_yield(self));
	eddy_job_cancel(&f->call->job.job);
	while (A_LOAD(&board->ran[0]) == 0)
		sched_yield();
	poll(NULL, 0, 100); /* it has returned, too */
	EDDY_END;
}

START_TEST(progress_comes_before_the_outcome_of_a_job_that_obeys)
{
	struct long_call call = {.bytes = {0}};
	struct eddy_long_job job = EDDY_LONG_JOB(
	    obey_after_progress, &call.bytes, on_step);
	struct canceller frame;
	struct rig rig;

	call.job = job;
	rig_open(&rig, .workers = 1, .grace = EDDY_S(30));
	rig_ready(&rig, 1);
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &call.job.job, rig.loop, on_long), 0);
	EDDY_INIT(&frame, canceller, .call = &call);
	ck_assert_int_eq(eddy_loop_spawn(rig.loop, &frame.task, NULL), 0);
	long_expect(&rig, &call, EDDY_RETURNED, 0, 0);
	rig_step(&rig);
	ck_assert_int_eq(call.job.progress, 1);
	rig_close(&rig);
}
END_TEST

START_TEST(a_job_that_does_not_obey_is_killed_after_the_grace)
{
	struct long_call call = {.job.run_limit = EDDY_MS(10)};
	int64_t start;
	struct rig rig;

	rig_open(&rig, .workers = 1, .grace = EDDY_MS(20));
	rig_ready(&rig, 1);
	start = eddy_now();
	long_start(&rig, &call, hang);
	long_expect(&rig, &call, EDDY_EXPIRED, CLD_KILLED, SIGKILL);
	ck_assert_int_ge(eddy_now(), start + EDDY_MS(30));
	rig_close(&rig);
}
END_TEST

static pid_t inner_zygote_pid(void);

/* As far as the host can see: nobody reports the death. */
START_TEST(a_worker_that_does_not_die_is_put_aside)
{
	struct long_call call = {.bytes = {0}};
	struct call behind;
	int64_t start;
	struct rig rig;

	rig_open(&rig, .workers = 2);
	long_start(&rig, &call, hang);
	rig_until(&rig, A_LOAD(&board->here) == 1);
	rig_ready(&rig, 2);
	ck_assert_int_eq(kill(inner_zygote_pid(), SIGSTOP), 0);
	start = eddy_now();
	ck_assert_int_eq(eddy_job_cancel(&call.job.job), 0);
	rig_until(&rig, call.answers != 0);
	ck_assert_int_ge(eddy_now(), start + EDDY_S(5));
	ck_assert_int_eq(call.job.job.outcome, EDDY_CANCELLED);
	ck_assert(call.report.stuck);
	ck_assert_int_eq(call.report.pid, board->pid);
	ck_assert_int_eq(call.report.why, EDDY_CANCELLED);
	call_start(&rig, &behind, count, 0);
	call_expect(&rig, &behind, EDDY_RETURNED, 7);
	ck_assert_int_eq(kill(inner_zygote_pid(), SIGCONT), 0);
	rig_ready(&rig, 2);
	rig_close(&rig);
}
END_TEST

/* It was given up before it was born, and there is no descriptor to have it. */
START_TEST(a_worker_that_is_late_and_cannot_be_had_is_left_alone)
{
	struct eddy_process_pool_options options = {
	    .workers = 1, .boot_limit = EDDY_MS(1)};
	struct eddy_executor_stats stats = {.workers = 0};
	struct rlimit old, none;
	int64_t until;
	pid_t zygote;
	struct rig rig;

	ck_assert_int_eq(eddy_zygote_open(&options.zygote, 0), 0);
	zygote = child_of(getpid());
	ck_assert_int_eq(kill(zygote, SIGSTOP), 0);
	rig_open_with(&rig, &options);
	until = eddy_after(EDDY_S(5) + EDDY_MS(200));
	rig_until(&rig, eddy_now() > until);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){0, old.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(kill(zygote, SIGCONT), 0);
	for (; stats.workers == 0; rig_step(&rig))
		eddy_executor_stats(rig.pool, &stats);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	ck_assert_int_eq(eddy_zygote_close(options.zygote), 0);
}
END_TEST

START_TEST(a_function_that_no_worker_has_is_refused)
{
	struct eddy_process_pool_options options = {.workers = 1};
	eddy_job_fn *late = NULL;
	struct call call;
	struct rig rig;
	void *page;

	ck_assert_int_eq(eddy_zygote_open(&options.zygote, 0), 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(page, MAP_FAILED);
	memcpy(&late, &page, sizeof(late));
	rig_open_with(&rig, &options);
	call_init(&call, late, 0);
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &call.job, rig.loop, on_call), -EFAULT);
	rig_close(&rig);
	rig.loop = census_loop();
	memcpy(&options.worker_close, &page, sizeof(page));
	ck_assert_int_eq(
	    eddy_process_pool_open(&rig.pool, rig.loop, &options), -EFAULT);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	ck_assert_int_eq(eddy_zygote_close(options.zygote), 0);
	munmap(page, 4096);
}
END_TEST

/* What travels. */

struct parcel {
	char request[8], both[8], answer[8];
};

static int
open_parcel(void *arg)
{
	struct parcel *parcel = arg;
	bool same = memcmp(parcel->request, "request", 8) == 0 &&
	            memcmp(parcel->both, "both", 5) == 0;

	memcpy(parcel->request, "spoilt", 7);
	memcpy(parcel->both, "changed", 8);
	memcpy(parcel->answer, "answer", 7);
	return same;
}

START_TEST(bytes_may_travel_one_way_only)
{
	struct parcel parcel = {"request", "both", "old"};
	struct eddy_long_job job = EDDY_LONG_JOB(open_parcel, &parcel, NULL);
	struct rig rig;

	rig_open(&rig, .workers = 1);
	job.in_only = sizeof(parcel.request);
	job.out_only = sizeof(parcel.answer);
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &job.job, rig.loop, on_other), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(eddy_job_rc(&job.job), 1);
	ck_assert_str_eq(parcel.request, "request");
	ck_assert_str_eq(parcel.both, "changed");
	ck_assert_str_eq(parcel.answer, "answer");
	job.in_only = sizeof(parcel) + 1;
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &job.job, rig.loop, on_other), -EINVAL);
	rig_close(&rig);
}
END_TEST

START_TEST(the_memory_of_a_large_job_is_given_back)
{
	enum { SIZE = 4 << 20 };
	char *bytes = calloc(1, SIZE);
	unsigned char *last, there = 0;
	struct eddy_job job = {.fn = no_bytes, .arg = bytes, .size = SIZE};
	struct rig rig;

	rig_open(&rig, .workers = 1, .depth = 1, .slot_size = SIZE);
	rig_ready(&rig, 1);
	last = (unsigned char *)find_channel() + CHANNEL_HEADER + SIZE - 4096;
	ck_assert_int_eq(eddy_submit(rig.pool, &job, rig.loop, on_other), 0);
	ck_assert_int_eq(mincore(last, 4096, &there), 0);
	ck_assert_int_eq(there & 1, 1);
	rig_until(&rig, mincore(last, 4096, &there) == 0 && (there & 1) == 0);
	ck_assert_int_eq(job.result, 3);
	rig_close(&rig);
	free(bytes);
}
END_TEST

/* Its memory is looked at before it is time, and while a job has it. */
START_TEST(the_memory_of_a_large_job_waits_for_the_next)
{
	enum { SIZE = 512 << 10 };
	char *bytes = calloc(1, SIZE);
	struct eddy_job job = {.fn = no_bytes, .arg = bytes, .size = SIZE};
	struct call call, late;
	struct rig rig;
	int64_t until;

	rig_open(&rig, .workers = 1, .depth = 1, .slot_size = SIZE);
	rig_ready(&rig, 1);
	ck_assert_int_eq(eddy_submit(rig.pool, &job, rig.loop, on_other), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	until = eddy_after(EDDY_MS(1100));
	call_start(&rig, &call, hold, 0);
	call_init(&late, count, 1);
	late.job.deadline = eddy_after(EDDY_MS(5));
	call_submit(&rig, &late);
	call_expect(&rig, &late, EDDY_EXPIRED, 0);
	rig_until(&rig, eddy_now() >= until);
	open_gate();
	call_expect(&rig, &call, EDDY_RETURNED, 7);
	rig_close(&rig);
	free(bytes);
}
END_TEST

static void *
reserve_elsewhere(void *arg)
{
	struct eddy_job job = {.fn = count};
	struct rig *rig = arg;

	ck_assert_int_eq(eddy_job_reserve(rig->pool, &job, 8), -EPERM);
	return NULL;
}

START_TEST(what_cannot_be_reserved_is_refused)
{
	struct eddy_transform transform;
	struct eddy_job job = {.fn = count};
	struct eddy_executor copies;
	pthread_t thread;
	struct call call;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	rig_ready(&rig, 1);
	eddy_copy_executor(&copies);
	call_init(&call, count, 0);
	ck_assert_int_eq(
	    eddy_submit(&copies, &call.job, rig.loop, on_other), 0);
	ck_assert_int_eq(eddy_job_reserve(rig.pool, &call.job, 8), -EBUSY);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0); /* heard of only now */
	eddy_executor_fini(&copies);
	eddy_transform_init(&transform, NULL, NULL, 0);
	ck_assert_int_eq(
	    eddy_job_reserve(rig.pool, &transform.long_job.job, 0), -EINVAL);
	ck_assert_int_eq(
	    pthread_create(&thread, NULL, reserve_elsewhere, &rig), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(eddy_job_reserve(rig.pool, &job, 8), 0);
	ck_assert_int_eq(eddy_job_reserve(rig.pool, &job, 8), -EBUSY);
	eddy_job_release(&job);
	eddy_job_release(&job); /* a second time is nothing */
	rig_close(&rig);
}
END_TEST

START_TEST(a_reserved_worker_takes_bytes_in_place)
{
	struct eddy_job job = {.fn = count};
	struct bytes *bytes;
	struct call other;
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 2, .depth = 2);
	rig_ready(&rig, 2);
	ck_assert_int_eq(eddy_job_reserve(rig.pool, &job, 1 << 20), -EMSGSIZE);
	ck_assert_int_eq(eddy_job_reserve(rig.pool, &job, sizeof(*bytes)), 0);
	bytes = job.arg;
	for (i = 0; i < 5; i++) {
		*bytes = (struct bytes){1, 7, 0};
		ck_assert_int_eq(
		    eddy_submit(rig.pool, &job, rig.loop, on_other), 0);
		ck_assert_int_eq(eddy_job_reserve(rig.pool, &job, 1), -EBUSY);
		call_start(&rig, &other, count, 0);
		call_expect(&rig, &other, EDDY_RETURNED, 7);
		ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
		ck_assert_int_eq(job.outcome, EDDY_RETURNED);
		ck_assert_ptr_eq(job.arg, bytes);
		ck_assert_int_eq(bytes->out, 15);
	}
	ck_assert_uint_eq(board->ran[1], 5);
	eddy_job_release(&job);
	ck_assert_ptr_null(job.arg);
	rig_close(&rig);
}
END_TEST

START_TEST(a_reserved_worker_may_have_its_job_from_a_strand)
{
	struct eddy_job job = {.fn = count};
	struct eddy_executor *strand;
	struct call other;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	rig_ready(&rig, 1);
	ck_assert_int_eq(eddy_strand_open(&strand, rig.pool, 0), 0);
	ck_assert_int_eq(
	    eddy_job_reserve(rig.pool, &job, sizeof(struct bytes)), 0);
	*(struct bytes *)job.arg = (struct bytes){1, 7, 0};
	ck_assert_int_eq(eddy_submit(strand, &job, rig.loop, on_other), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(((struct bytes *)job.arg)->out, 15);
	eddy_job_release(&job);
	call_start(&rig, &other, count, 0); /* its worker is free */
	call_expect(&rig, &other, EDDY_RETURNED, 7);
	ck_assert_int_eq(eddy_executor_close(strand, EDDY_S(30)), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(the_memory_of_a_large_reserved_job_is_given_back)
{
	enum { SIZE = 4 << 20 };
	struct eddy_job job = {.fn = no_bytes};
	unsigned char *last, there = 0;
	struct rig rig;

	rig_open(&rig, .workers = 1, .depth = 1, .slot_size = SIZE);
	rig_ready(&rig, 1);
	ck_assert_int_eq(eddy_job_reserve(rig.pool, &job, SIZE), 0);
	memset(job.arg, 1, SIZE);
	last = (unsigned char *)job.arg + SIZE - 4096;
	ck_assert_int_eq(mincore(last, 4096, &there), 0);
	ck_assert_int_eq(there & 1, 1);
	eddy_job_release(&job); /* never submitted */
	rig_until(&rig, mincore(last, 4096, &there) == 0 && (there & 1) == 0);
	rig_close(&rig);
}
END_TEST

START_TEST(a_reserved_worker_is_nobody_elses)
{
	struct eddy_job jobs[3] = {{.fn = count}, {.fn = count}, {.fn = count}};
	struct call call;
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 2);
	rig_ready(&rig, 2);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(eddy_job_reserve(rig.pool, &jobs[i], 64), 0);
	ck_assert_int_eq(eddy_job_reserve(rig.pool, &jobs[2], 64), -EAGAIN);
	call_start(&rig, &call, count, 0);
	rig_step(&rig);
	ck_assert_int_eq(call.answers, 0);
	eddy_job_release(&jobs[1]);
	call_expect(&rig, &call, EDDY_RETURNED, 7);
	eddy_job_release(&jobs[0]);
	rig_close(&rig);
}
END_TEST

/* It dies before or after the submit; the memory stays until the release. */
START_TEST(reserved_memory_outlives_its_worker)
{
	struct eddy_job job = {.fn = _i == 0 ? count : killed};
	struct bytes *bytes;
	struct rig rig;
	int pid;

	rig_open(&rig, .workers = 1);
	rig_ready(&rig, 1);
	ck_assert_int_eq(eddy_job_reserve(rig.pool, &job, sizeof(*bytes)), 0);
	bytes = job.arg;
	*bytes = (struct bytes){1, 7, 0};
	if (_i == 0) {
		ck_assert_int_eq(eddy_process_pool_pids(rig.pool, &pid, 1), 1);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		rig_until(&rig, eddy_process_pool_pids(rig.pool, NULL, 0) == 0);
	}
	ck_assert_int_eq(eddy_submit(rig.pool, &job, rig.loop, on_other), 0);
	if (_i == 0) {
		rig_step(&rig);
		ck_assert_int_eq(job.outcome, EDDY_NONE);
		ck_assert_int_eq(eddy_job_cancel(&job), 0);
	}
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(job.outcome, _i == 0 ? EDDY_CANCELLED : EDDY_CRASHED);
	ck_assert_int_eq(bytes->in, 7);
	eddy_job_release(&job);
	rig_close(&rig);
}
END_TEST

START_TEST(a_pool_closes_with_workers_reserved)
{
	struct eddy_job job = {.fn = count};
	struct rig rig;

	rig_open(&rig, .workers = 1);
	rig_ready(&rig, 1);
	ck_assert_int_eq(eddy_job_reserve(rig.pool, &job, 8), 0);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

/* Replacing workers. */

static int
tell_pid(void *arg)
{
	((struct bytes *)arg)->out = 15;
	return getpid();
}

/* n jobs, one by one or all at once: by how many workers in a row. */
static int
shifts(struct rig *rig, int n, bool at_once)
{
	static struct call calls[100];
	int i, changes = 1;

	for (i = 0; i < n; i++) {
		call_start(rig, &calls[i], tell_pid, 0);
		if (!at_once)
			call_finish(rig, &calls[i]);
	}
	for (i = 0; i < n; i++) {
		rig_until(rig, calls[i].answers != 0);
		ck_assert_int_eq(calls[i].job.outcome, EDDY_RETURNED);
		changes += i > 0 &&
		           calls[i].job.result != calls[i - 1].job.result;
	}
	return changes;
}

START_TEST(a_worker_does_max_jobs_and_no_more)
{
	struct rig rig;

	rig_open(&rig, .workers = 1, .depth = 2, .max_jobs = 1);
	ck_assert_int_eq(shifts(&rig, 20, true), 20);
	rig_close(&rig);
	rig_open(&rig, .workers = 1, .depth = 4, .max_jobs = 10);
	ck_assert_int_eq(shifts(&rig, 100, true), 10);
	rig_close(&rig);
}
END_TEST

static int
grow(void *arg)
{
	char *p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	munmap(p, 64 << 20);
	return count(arg);
}

START_TEST(a_worker_that_grew_is_replaced)
{
	struct rig rig;

	rig_open(&rig, .workers = 1, .max_rss = SLOW ? SIZE_MAX : 60 << 20);
	ck_assert_int_eq(shifts(&rig, 10, true), 1);
	expect(&rig, grow, EDDY_RETURNED, 7);
	ck_assert_int_eq(shifts(&rig, 10, true), 1);
	rig_close(&rig);
	rig_open(&rig, .workers = 1, .max_rss = 1);
	ck_assert_int_eq(shifts(&rig, 10, false), 10);
	rig_close(&rig);
}
END_TEST

START_TEST(a_worker_is_replaced_after_its_lifetime)
{
	struct rig rig;

	rig_open(&rig, .workers = 1, .lifetime = 1);
	ck_assert_int_eq(shifts(&rig, 10, false), 10);
	rig_close(&rig);
	rig_open(&rig, .workers = 1, .lifetime = EDDY_S(3600));
	ck_assert_int_eq(shifts(&rig, 10, false), 1);
	rig_close(&rig);
}
END_TEST

/* Want of descriptors. */

static struct rlimit
limit_descriptors(rlim_t soft)
{
	struct rlimit old, now;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	now = old;
	now.rlim_cur = soft;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
	return old;
}

START_TEST(a_pool_recovers_from_want_of_descriptors)
{
	struct call call;
	struct rlimit old;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	rig_ready(&rig, 1);
	old = limit_descriptors(3);
	expect(&rig, killed, EDDY_CRASHED, SIGKILL);
	expect(&rig, count, EDDY_LOST, -EMFILE);
	call_start(&rig, &call, count, 0);
	rig_step(&rig);
	setrlimit(RLIMIT_NOFILE, &old);
	call_expect(&rig, &call, EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

/* Who has nothing in the queue waits for one, too. */
START_TEST(a_worker_to_be_reserved_is_had_after_all)
{
	struct eddy_job job = {.fn = count};
	struct rlimit old;
	struct rig rig;
	int pid;

	rig_open(&rig, .workers = 1);
	rig_ready(&rig, 1);
	ck_assert_int_eq(eddy_process_pool_pids(rig.pool, &pid, 1), 1);
	old = limit_descriptors(3);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	rig_ready(&rig, 0);
	setrlimit(RLIMIT_NOFILE, &old);
	rig_until(&rig, eddy_job_reserve(rig.pool, &job, 8) == 0);
	eddy_job_release(&job);
	rig_close(&rig);
}
END_TEST

/* The least limit of descriptors with which a pool opens. */
static rlim_t
least_to_open(struct eddy_loop *loop, unsigned workers)
{
	struct eddy_process_pool_options options = {.workers = workers};
	struct eddy_executor *pool;
	rlim_t limit = 3;
	int r;

	do {
		struct rlimit old = limit_descriptors(limit++);

		r = eddy_process_pool_open(&pool, loop, &options);
		setrlimit(RLIMIT_NOFILE, &old);
	} while (r == -EMFILE);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(30)), 0);
	return limit;
}

START_TEST(a_pool_opens_if_there_is_room_for_one_worker)
{
	struct eddy_loop *loop = census_loop();

	ck_assert_uint_eq(least_to_open(loop, 1), least_to_open(loop, 9));
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* The message with the new worker's pidfd comes while there is no room. */
START_TEST(a_worker_whose_handle_was_lost_obeys_deadlines)
{
	struct call call;
	struct rlimit old;
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 1);
	old = limit_descriptors(3);
	for (i = 0; i < 100; i++)
		rig_step(&rig);
	setrlimit(RLIMIT_NOFILE, &old);
	start_limited(&rig, &call, hang);
	call_finish(&rig, &call);
	ck_assert_int_eq(call.job.outcome, EDDY_EXPIRED);
	rig_close(&rig);
}
END_TEST

/* The one of the pool; the other only forks those. */
static pid_t
inner_zygote_pid(void)
{
	char path[64];
	int outer = zygote_pid(), inner = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", outer, outer);
	file = fopen(path, "re");
	if (file != NULL) {
		if (fscanf(file, "%d", &inner) != 1)
			inner = 0;
		fclose(file);
	}
	return inner != 0 ? inner : outer;
}

START_TEST(a_pool_recovers_from_want_in_the_zygote)
{
	struct rlimit old, none;
	struct call call;
	struct rig rig;
	pid_t zygote;

	rig_open(&rig, .workers = 1);
	rig_ready(&rig, 1);
	zygote = inner_zygote_pid();
	ck_assert_int_eq(prlimit(zygote, RLIMIT_NOFILE, NULL, &old), 0);
	none = old;
	none.rlim_cur = 3;
	ck_assert_int_eq(prlimit(zygote, RLIMIT_NOFILE, &none, NULL), 0);
	expect(&rig, killed, EDDY_CRASHED, SIGKILL);
	expect(&rig, count, EDDY_LOST, -EMFILE);
	call_start(&rig, &call, count, 0);
	rig_step(&rig);
	ck_assert_int_eq(prlimit(zygote, RLIMIT_NOFILE, &old, NULL), 0);
	call_expect(&rig, &call, EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

/* Cost.  The binary itself, traced: with 300 lone jobs and with 100. */

static int
lone(int n)
{
	struct rig rig;
	int i;

	rig_open(&rig, .workers = 1);
	rig_ready(&rig, 1);
	for (i = 0; i < n; i++)
		expect(&rig, count, EDDY_RETURNED, 7);
	rig_close(&rig);
	return 0;
}

/* Calls of all processes, or -1 where nothing can be traced. */
static long
trace(const char *n)
{
	char command[256], line[256], *total, *end;
	long calls = -1;
	FILE *file;

	snprintf(command, sizeof(command),
	    "strace -f -c -U calls,name /proc/%d/exe --lone %s 2>&1 "
	    "</dev/null",
	    getpid(), n);
	file = popen(command, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		total = strstr(line, "total");
		if (total != NULL)
			calls = strtol(line, &end, 10);
	}
	return file != NULL && pclose(file) == 0 ? calls : -1;
}

START_TEST(a_lone_round_trip_takes_six_system_calls)
{
	long few = trace("100"), many = trace("300");

	if (few <= 0 || many <= 0)
		return; /* no strace here */
	ck_assert_msg(many - few <= 200 * 6 + 50, "%.2f system calls a job",
	    (double)(many - few) / 200);
}
END_TEST

static TCase *
pool_case(Suite *suite, const char *name, double timeout)
{
	TCase *tcase = census_case(suite, name, timeout);

	tcase_add_checked_fixture(tcase, board_open, NULL);
	return tcase;
}

int
main(int argc, char **argv)
{
	Suite *suite = suite_create("process_pool");
	TCase *tcase;

	if (argc == 3 && strcmp(argv[1], "--lone") == 0)
		return lone(atoi(argv[2]));
	census_add(pool_case(suite, "bytes", 10),
	    one_line_gives_the_same_bytes_on_threads_and_processes,
	    bytes_come_back_whatever_the_function_returned,
	    a_result_below_the_errors_is_refused,
	    any_size_up_to_the_slot_travels_both_ways, a_job_needs_no_bytes,
	    wrong_options_are_refused, too_many_workers_are_refused,
	    a_limit_on_files_is_one_on_slots);
	tcase = pool_case(suite, "crashes", 20);
	census_add(tcase, each_way_to_die_is_told_and_spoils_no_bytes,
	    a_worker_killed_from_outside_is_a_crash,
	    an_idle_worker_that_dies_is_replaced,
	    handlers_of_the_host_do_not_run_in_workers);
	tcase_add_loop_test(tcase, a_crash_costs_one_job, 0, 4);
	tcase = pool_case(suite, "limits", 20);
	tcase_add_loop_test(tcase, a_past_deadline_never_runs, 0, 2);
	census_add(tcase, a_deadline_kills_what_runs,
	    a_deadline_holds_in_the_queue,
	    a_deadline_of_a_finished_job_does_not_keep_the_loop,
	    a_timeout_kills_what_runs, a_cancelled_task_takes_its_job_along,
	    a_cancel_kills_what_runs,
	    a_job_behind_a_cancelled_one_can_be_cancelled,
	    a_job_behind_an_expired_one_expires,
	    a_deadline_at_the_end_of_a_job_hits_nobody_else);
	tcase_add_loop_test(tcase, a_cancelled_job_that_waits_never_runs, 0, 4);
	tcase = pool_case(suite, "queue", 10);
	census_add(tcase, one_worker_keeps_the_order, a_full_queue_refuses,
	    tasks_wait_for_room_in_turn,
	    a_deadline_holds_while_waiting_for_room,
	    all_that_wait_for_room_hear_of_the_end_of_the_zygote,
	    all_that_wait_for_room_hear_of_the_close,
	    who_hears_of_the_close_may_cancel_what_runs, stats_add_up);
	tcase_add_loop_test(tcase, any_depth_runs_each_job_once, 0, 4);
	tcase_add_loop_test(
	    tcase, jobs_behind_a_long_one_go_to_an_idle_worker, 0, 3);
	census_add(pool_case(suite, "threads", 10),
	    another_thread_hears_on_its_own_loop,
	    another_thread_waits_without_a_loop,
	    another_thread_cancels_what_runs,
	    a_submit_during_the_close_is_refused_or_answered);
	census_add(pool_case(suite, "home", 10),
	    a_pool_without_a_home_serves_the_thread_that_opened_it,
	    a_pool_without_a_home_serves_loops,
	    any_thread_closes_a_pool_without_a_home,
	    bytes_that_are_dropped_at_home_may_look_at_their_pool,
	    a_cancel_may_come_while_another_thread_closes,
	    a_forked_child_may_close_a_pool_without_a_home,
	    a_home_thread_that_would_wait_for_itself_is_told);
	census_add(pool_case(suite, "init", 10),
	    bytes_for_init_reach_each_worker,
	    an_error_of_init_is_the_error_of_the_jobs,
	    jobs_wait_for_the_last_worker_there_is,
	    a_crash_of_init_loses_the_jobs,
	    a_boot_limit_ends_an_init_that_hangs,
	    a_sandbox_holds_and_lets_jobs_run,
	    a_pool_recovers_from_a_failed_init,
	    a_worker_killed_in_init_is_replaced,
	    a_worker_without_privileges_still_dies_with_its_zygote);
	tcase = pool_case(suite, "worker", 10);
	census_add(tcase, a_worker_has_four_descriptors, a_worker_reads_nothing,
	    a_job_may_close_all_descriptors, a_job_may_replace_all_descriptors,
	    a_child_of_a_job_may_return_or_exit,
	    a_child_left_behind_ends_with_the_worker,
	    what_jobs_left_behind_ends_with_the_pool, a_job_may_use_the_shell,
	    each_job_starts_with_its_signals_in_order,
	    what_a_job_changes_around_it_stays_in_its_worker,
	    what_is_printed_appears_once);
	tcase_add_loop_test(tcase, a_job_may_become_another_program, 0, 2);
	tcase_add_loop_test(tcase,
	    a_host_without_standard_descriptors_makes_clean_workers, 0, 8);
	tcase_add_loop_test(tcase, few_descriptors_will_do, 0, 2);
	tcase = pool_case(suite, "reports", 20);
	census_add(tcase, a_report_tells_how_the_worker_ended,
	    a_job_that_is_run_elsewhere_has_no_report,
	    a_run_limit_kills_what_runs_longer,
	    a_job_that_obeys_within_the_grace_returns,
	    progress_comes_before_the_outcome_of_a_job_that_obeys,
	    a_job_that_does_not_obey_is_killed_after_the_grace,
	    a_worker_that_does_not_die_is_put_aside,
	    a_worker_that_is_late_and_cannot_be_had_is_left_alone,
	    a_function_that_no_worker_has_is_refused,
	    a_worker_does_max_jobs_and_no_more, a_worker_that_grew_is_replaced,
	    a_worker_is_replaced_after_its_lifetime);
	tcase_add_loop_test(tcase, a_run_limit_counts_from_the_start, 0, 2);
	tcase = pool_case(suite, "travel", 20);
	census_add(tcase, bytes_may_travel_one_way_only,
	    the_memory_of_a_large_job_is_given_back,
	    the_memory_of_a_large_job_waits_for_the_next,
	    what_cannot_be_reserved_is_refused,
	    a_reserved_worker_takes_bytes_in_place,
	    a_reserved_worker_may_have_its_job_from_a_strand,
	    the_memory_of_a_large_reserved_job_is_given_back,
	    a_reserved_worker_is_nobody_elses,
	    a_pool_closes_with_workers_reserved);
	tcase_add_loop_test(tcase, reserved_memory_outlives_its_worker, 0, 2);
	census_add(pool_case(suite, "want", 10),
	    a_pool_recovers_from_want_of_descriptors,
	    a_worker_to_be_reserved_is_had_after_all,
	    a_pool_opens_if_there_is_room_for_one_worker,
	    a_worker_whose_handle_was_lost_obeys_deadlines,
	    a_pool_recovers_from_want_in_the_zygote);
	census_add(pool_case(suite, "cost", 60),
	    a_lone_round_trip_takes_six_system_calls);
	return suite_main(suite);
}
