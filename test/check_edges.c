/* SPDX-License-Identifier: ISC */
/* The edges of a process pool: each point where a worker can die, and what runs
 * short. */
#include "procs.h"

#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct board {
	uint32_t ran, gate, steps, stop, here;
	bool stops;
} * board;

/* Death at each point of a job's way. */

enum point { ORDERED, QUEUED, STARTED, WRITTEN, DONE, COUNTED, RUNG, POINTS };

/* Each goes further than the one before, by hand. */
static int
die(void *arg)
{
	enum point point = (enum point)((struct bytes *)arg)->number;
	struct channel *channel = find_channel();
	struct slot *slot = &channel->slots[0];

	if (A_ADD(&board->ran, 1) != 0 || point < STARTED)
		return twice(arg); /* on the second worker */
	if (point >= WRITTEN)
		slot->result = twice(arg);
	if (point >= DONE)
		A_RELEASE(&slot->state, SLOT_DONE);
	if (point >= COUNTED)
		A_RELEASE(&channel->head, channel->head + 1);
	if (point >= RUNG)
		ring(bell());
	return raise(SIGKILL);
}

/* Of the only worker; before the host has heard of it. */
static pid_t
find_worker(void)
{
	pid_t zygote, pid = 0;

	while (pid == 0) {
		usleep(100);
		zygote = child_of(getpid());
		zygote = zygote != 0 ? child_of(zygote) : 0;
		pid = zygote != 0 ? child_of(zygote) : 0;
	}
	return pid;
}

static void
stop(pid_t pid)
{
	char path[64], state = 0;
	FILE *file;

	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	while (state != 'T') {
		file = fopen(path, "re");
		ck_assert_ptr_nonnull(file);
		ck_assert_int_eq(fscanf(file, "%*d %*s %c", &state), 1);
		fclose(file);
	}
}

START_TEST(death_at_each_point_has_its_outcome)
{
	bool crashes = _i == STARTED || _i == WRITTEN;
	struct call call;
	struct rig rig;

	board = census_share(sizeof(*board));
	rig_open(&rig, .workers = 1, .depth = 1);
	if (_i == ORDERED)
		ck_assert_int_eq(kill(find_worker(), SIGKILL), 0);
	else
		rig_ready(&rig, 1);
	if (_i == QUEUED)
		stop(find_worker());
	call_start(&rig, &call, die, (uint32_t)_i);
	if (_i == QUEUED)
		ck_assert_int_eq(kill(find_worker(), SIGKILL), 0);
	call_expect(&rig, &call, crashes ? EDDY_CRASHED : EDDY_RETURNED,
	    crashes ? SIGKILL : 7);
	if (!crashes)
		ck_assert_int_eq(call.bytes.out, _i * 2 + 1);
	ck_assert_uint_eq(board->ran, 1);
	rig_close(&rig);
}
END_TEST

/* Death of a host at each point where what it started begins. */

enum step { ZYGOTE, POOL_BORN, POOL, WORKER_BORN, WORKER, STEPS };

/* In front of the library: whoever comes to step board->stop stays there.  Who
 * is born is bound to nobody yet. */
int
prctl(int op, ...)
{
	unsigned long arguments[4];
	va_list list;
	int i;

	va_start(list, op);
	for (i = 0; i < 4; i++)
		arguments[i] = va_arg(list, unsigned long);
	va_end(list);
	if (board != NULL && board->stops &&
	    (op == PR_SET_PDEATHSIG || op == PR_SET_CHILD_SUBREAPER) &&
	    A_ADD(&board->steps, 1) == board->stop) {
		A_RELEASE(&board->here, (uint32_t)getpid());
		while (A_ACQUIRE(&board->gate) == 0)
			usleep(100);
	}
	return (int)syscall(SYS_prctl, op, arguments[0], arguments[1],
	    arguments[2], arguments[3]);
}

static _Noreturn void
be_host(void)
{
	struct rig rig;

	rig_open(&rig, .workers = 1);
	for (;;)
		rig_step(&rig);
}

/* All of them are ours when they have lost their parents. */
static void
kill_and_wait(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* It alone, or with the zygotes that have come by then. */
START_TEST(nothing_is_left_of_a_host_that_dies_at_a_step)
{
	bool alone = _i % 2 == 0;
	pid_t pid, parents[3];
	int i, n = 0;

	board = census_share(sizeof(*board));
	board->stop = (uint32_t)_i / 2;
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	board->stops = true;
	pid = fork();
	if (pid == 0)
		be_host();
	while (A_ACQUIRE(&board->here) == 0)
		usleep(100);
	for (; pid != (pid_t)board->here; pid = child_of(pid)) {
		if (!alone)
			stop(pid); /* none outlives another */
		parents[n++] = pid;
	}
	for (i = 0; i < (alone ? 1 : n); i++)
		kill_and_wait(parents[i]);
	if (i == n) /* nobody is there to kill it */
		A_RELEASE(&board->gate, 1);
	while (waitpid(-1, NULL, 0) > 0)
		;
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

/* A loop that was blocked. */

static int
obey(void *arg)
{
	A_ADD(&board->ran, 1);
	while (!eddy_job_stop_requested() && A_LOAD(&board->gate) == 0)
		usleep(100);
	return twice(arg);
}

static void
block_loop(int64_t duration)
{
	int64_t until = eddy_now() + duration;

	while (eddy_now() < until)
		usleep(1000);
}

/* A worker has a second to pass by what was taken back, and takes less; the loop
 * hears first that a deadline was over, and by then that second is, too. */
START_TEST(what_was_passed_by_is_heard_by_a_late_loop)
{
	struct call taken, call, other;
	struct rig rig;
	pid_t pid;

	board = census_share(sizeof(*board));
	rig_open(&rig, .workers = 1, .depth = 2);
	rig_ready(&rig, 1);
	ck_assert_int_eq(eddy_process_pool_pids(rig.pool, &pid, 1), 1);
	stop(pid);
	call_start(&rig, &taken, obey, 0);
	ck_assert_int_eq(eddy_job_cancel(&taken.job), 0);
	call_start(&rig, &call, obey, 1);
	ck_assert_int_eq(call_try(&rig, &other, twice, 0, EDDY_MS(1)), 0);
	block_loop(EDDY_MS(5));
	kill(pid, SIGCONT);
	while (A_LOAD(&board->ran) == 0)
		usleep(100);
	block_loop(EDDY_MS(1100));
	rig_step(&rig);
	A_STORE(&board->gate, 1);
	call_expect(&rig, &taken, EDDY_CANCELLED, 0);
	call_expect(&rig, &other, EDDY_EXPIRED, 0);
	call_expect(&rig, &call, EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

/* What runs short. */

static int
burn(void *arg)
{
	struct rlimit second = {1, 2};

	setrlimit(RLIMIT_CPU, &second);
	while (arg != NULL)
		;
	return 0;
}

START_TEST(a_limit_of_cpu_time_is_a_crash)
{
	struct call call;
	struct rig rig;

	rig_open(&rig, .workers = 1);
	call_start(&rig, &call, burn, 0);
	call_expect(&rig, &call, EDDY_CRASHED, SIGXCPU);
	rig_close(&rig);
}
END_TEST

static int
crash(void *arg)
{
	(void)arg;
	return raise(SIGKILL);
}

/* Root has no such limit; nobody has no other processes. */
START_TEST(a_pool_recovers_from_want_of_processes)
{
	struct rlimit old, none;
	struct call call;
	struct rig rig;
	pid_t zygote;

	if (geteuid() == 0)
		ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	prctl(PR_SET_DUMPABLE, 1); /* /proc/self stays ours */
	rig_open(&rig, .workers = 1);
	rig_ready(&rig, 1);
	zygote = child_of(child_of(getpid()));
	ck_assert_int_eq(prlimit(zygote, RLIMIT_NPROC, NULL, &old), 0);
	none = old;
	none.rlim_cur = 1;
	ck_assert_int_eq(prlimit(zygote, RLIMIT_NPROC, &none, NULL), 0);
	call_start(&rig, &call, crash, 0);
	call_expect(&rig, &call, EDDY_CRASHED, SIGKILL);
	call_start(&rig, &call, twice, 0);
	call_expect(&rig, &call, EDDY_LOST, -EAGAIN);
	call_start(&rig, &call, twice, 3);
	rig_step(&rig);
	ck_assert_int_eq(prlimit(zygote, RLIMIT_NPROC, &old, NULL), 0);
	call_expect(&rig, &call, EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

static int
complement(void *arg)
{
	uint64_t *words = arg;
	size_t i;

	for (i = 0; i < (64 << 20) / sizeof(*words); i++)
		words[i] = ~words[i];
	return 0;
}

START_TEST(a_slot_may_have_64_mib)
{
	uint64_t i, n = (64 << 20) / sizeof(uint64_t);
	uint64_t *words = malloc(64 << 20);
	struct call call = {.job = {.fn = complement, .size = 64 << 20}};
	struct rig rig;

	ck_assert_ptr_nonnull(words);
	for (i = 0; i < n; i++)
		words[i] = i;
	call.job.arg = words;
	rig_open(&rig, .workers = 1, .depth = 1, .slot_size = 64 << 20);
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &call.job, rig.loop, on_call), 0);
	call_expect(&rig, &call, EDDY_RETURNED, 0);
	for (i = 0; i < n && words[i] == ~i; i++)
		;
	ck_assert_uint_eq(i, n);
	free(words);
	rig_close(&rig);
}
END_TEST

static int
fill(void *arg)
{
	memset(arg, 7, 8 << 20);
	return 0;
}

/* And between them nothing can take it back: no cancel (1), no death (2), and no
 * cancel when the worker says it was never started (3). */
START_TEST(a_large_result_comes_in_slices_between_turns)
{
	char *bytes = calloc(1, 8 << 20);
	struct call call = {.job = {.fn = fill, .arg = bytes, .size = 8 << 20}};
	int pid, turns = 0;
	struct rig rig;

	ck_assert_ptr_nonnull(bytes);
	rig_open(&rig, .workers = 1, .slot_size = 8 << 20);
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &call.job, rig.loop, on_call), 0);
	rig_until(&rig, A_LOAD(&bytes[0]) == 7);
	ck_assert_int_eq(call.answers, 0);
	ck_assert_int_eq(bytes[(8 << 20) - 1], 0);
	if (_i == 3)
		A_STORE(&find_channel()->slots[0].state, SLOT_QUEUED);
	if (_i % 2 == 1)
		ck_assert_int_eq(eddy_job_cancel(&call.job), -EALREADY);
	ck_assert_int_eq(eddy_process_pool_pids(rig.pool, &pid, 1), 1);
	if (_i == 2)
		kill(pid, SIGKILL);
	for (; call.answers == 0; turns++)
		rig_step(&rig);
	ck_assert(_i == 2 || turns > 8);
	ck_assert_int_eq(call.job.outcome, EDDY_RETURNED);
	ck_assert_mem_eq(bytes, bytes + 1, (8 << 20) - 1);
	free(bytes);
	rig_close(&rig);
}
END_TEST

static int
fill_when_asked(void *arg)
{
	A_STORE(&board->ran, 1);
	while (!eddy_job_stop_requested())
		sched_yield();
	return fill(arg);
}

START_TEST(a_job_that_obeys_may_have_a_result_that_outlasts_the_grace)
{
	int64_t over, grace = EDDY_S(1) * SLOW;
	char *bytes = calloc(1, 8 << 20);
	struct call call = {
	    .job = {.fn = fill_when_asked, .arg = bytes, .size = 8 << 20}};
	int before, after;
	struct rig rig;

	ck_assert_ptr_nonnull(bytes);
	board = census_share(sizeof(*board));
	rig_open(&rig, .workers = 1, .slot_size = 8 << 20, .grace = grace);
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &call.job, rig.loop, on_call), 0);
	rig_until(&rig, A_LOAD(&board->ran) != 0);
	ck_assert_int_eq(eddy_process_pool_pids(rig.pool, &before, 1), 1);
	ck_assert_int_eq(eddy_job_cancel(&call.job), 0);
	over = eddy_after(grace);
	rig_until(&rig, A_LOAD(&bytes[0]) == 7);
	ck_assert_int_eq(call.answers, 0);
	while (eddy_now() <= over)
		poll(NULL, 0, 1);
	rig_until(&rig, call.answers != 0);
	ck_assert_int_eq(call.job.outcome, EDDY_RETURNED);
	ck_assert_int_eq(eddy_process_pool_pids(rig.pool, &after, 1), 1);
	ck_assert_int_eq(after, before);
	free(bytes);
	rig_close(&rig);
}
END_TEST

/* A worker without its end of the mail, which lives on. */
static int
close_mail(void *arg)
{
	struct stat stat;
	int fd = 3;

	(void)arg;
	while (fstat(fd, &stat) != 0 || !S_ISSOCK(stat.st_mode))
		fd++;
	return close(fd);
}

static void
on_long(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)job;
	eddy_loop_stop(loop);
}

START_TEST(a_reserved_job_goes_to_another_worker_when_its_own_takes_no_mail)
{
	struct eddy_descriptors fds = {.in_count = 1, .in = {0}};
	struct eddy_long_job part = {
	    .job = {.fn = close_mail, .flags = EDDY_JOB_LONG}};
	struct bytes *bytes;
	struct rig rig;

	rig_open(&rig, .workers = 2, .flags = EDDY_PASS_DESCRIPTORS);
	rig_ready(&rig, 2);
	ck_assert_int_eq(
	    eddy_job_reserve(rig.pool, &part.job, sizeof(*bytes)), 0);
	bytes = part.job.arg;
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &part.job, rig.loop, on_long), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(eddy_job_rc(&part.job), 0);
	*bytes = (struct bytes){.in = 3};
	part.job.fn = twice;
	part.fds = &fds;
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &part.job, rig.loop, on_long), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(eddy_job_rc(&part.job), 7);
	ck_assert_int_eq(bytes->out, 7);
	eddy_job_release(&part.job);
	rig_close(&rig);
}
END_TEST

/* When the pool is open, nobody else has what the host closes. */
START_TEST(what_the_host_closes_is_closed)
{
	struct epoll_event event = {.events = EPOLLIN};
	int ends[2], epoll = epoll_create1(EPOLL_CLOEXEC);
	struct rig rig;

	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe(ends), 0); /* not close-on-exec, either */
	ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event), 0);
	rig_open(&rig, .workers = 1);
	close(ends[0]);
	ck_assert_int_lt(write(ends[1], "x", 1), 0);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_eq(epoll_wait(epoll, &event, 1, 0), 0);
	close(ends[1]);
	close(epoll);
	rig_close(&rig);
}
END_TEST

static int
read_char(void *arg)
{
	(void)arg;
	return getchar() == EOF ? 7 : 0;
}

START_TEST(what_the_host_has_read_ahead_is_its_own)
{
	int ends[2], saved = dup(0);
	struct call call;
	struct rig rig;

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(write(ends[1], "ab", 2), 2);
	dup2(ends[0], 0);
	ck_assert_int_eq(getchar(), 'a');
	rig_open(&rig, .workers = 1);
	call_start(&rig, &call, read_char, 0);
	call_expect(&rig, &call, EDDY_RETURNED, 7);
	ck_assert_int_eq(getchar(), 'b');
	dup2(saved, 0);
	close(saved);
	close(ends[0]);
	close(ends[1]);
	rig_close(&rig);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("edges");

	tcase_add_loop_test(census_case(suite, "death", 20),
	    death_at_each_point_has_its_outcome, 0, POINTS);
	tcase_add_loop_test(census_case(suite, "host", 20),
	    nothing_is_left_of_a_host_that_dies_at_a_step, 0, 2 * STEPS);
	census_add(census_case(suite, "late", 20),
	    what_was_passed_by_is_heard_by_a_late_loop);
	census_add(census_case(suite, "want", 20),
	    a_limit_of_cpu_time_is_a_crash,
	    a_pool_recovers_from_want_of_processes, a_slot_may_have_64_mib,
	    what_the_host_closes_is_closed,
	    what_the_host_has_read_ahead_is_its_own);
	tcase_add_loop_test(census_case(suite, "slices", 20),
	    a_large_result_comes_in_slices_between_turns, 0, 4);
	census_add(census_case(suite, "workers that stay", 40),
	    a_job_that_obeys_may_have_a_result_that_outlasts_the_grace,
	    a_reserved_job_goes_to_another_worker_when_its_own_takes_no_mail);
	return suite_main(suite);
}
