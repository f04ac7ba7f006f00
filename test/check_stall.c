/* SPDX-License-Identifier: ISC */
/* link: -Wl,--wrap=eddy__peek,--wrap=eddy__open,--wrap=eddy__readlink */
#include <eddy/executor.h>
#include <eddy/post.h>
#include <eddy/stall.h>
#include <eddy/task.h>
#include <eddy/timer.h>
#include <eddy/watch.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "census.h"
#include "sys.h"

/* What lib/stall_report.c asks, and answers that it may get. */

static int fault; /* -errno; 0: the truth */

int __real_eddy__peek(const void *from, void *to, size_t size);
int __wrap_eddy__peek(const void *from, void *to, size_t size);
int __real_eddy__open(const char *path, int flags, mode_t mode);
int __wrap_eddy__open(const char *path, int flags, mode_t mode);
int __real_eddy__readlink(const char *path, char *to, size_t size);
int __wrap_eddy__readlink(const char *path, char *to, size_t size);

int
__wrap_eddy__peek(const void *from, void *to, size_t size)
{
	return fault != 0 ? fault : __real_eddy__peek(from, to, size);
}

int
__wrap_eddy__open(const char *path, int flags, mode_t mode)
{
	return fault != 0 ? fault : __real_eddy__open(path, flags, mode);
}

int
__wrap_eddy__readlink(const char *path, char *to, size_t size)
{
	return fault != 0 ? fault : __real_eddy__readlink(path, to, size);
}

/* A watch whose hook keeps what it is told and then lets go of whoever waits
 * in block(). */
static struct pit {
	struct eddy_stall_watch watch;
	int ends[2];
	/* Read when the watch is stopped: reports, and stalls without. */
	int begun, ended;
	unsigned unreported;
	struct eddy_stall first, last;
	char name[32], file[64], operation[64], line[512], path[64];
} pit;

static void
keep(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from != NULL ? from : "(none)");
}

static void
print_line(const struct eddy_stall *stall)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	eddy_stall_print(stall, fd);
	census_read(fd, pit.line, sizeof(pit.line));
}

static void
on_stall(const struct eddy_stall *stall)
{
	struct pit *self = (struct pit *)stall->watch;

	if (self->begun + self->ended == 0) {
		self->first = *stall;
		keep(self->name, sizeof(self->name), stall->name);
		keep(self->file, sizeof(self->file), stall->file);
		keep(
		    self->operation, sizeof(self->operation), stall->operation);
		keep(self->path, sizeof(self->path), stall->path);
		print_line(stall);
	}
	self->last = *stall;
	self->begun += !stall->over;
	self->unreported += stall->over ? 0 : stall->unreported;
	self->ended += stall->over;
	if (!stall->over && write(self->ends[1], "x", 1) != 1)
		abort();
}

/* Until a stall is told: nothing else writes. */
static void
block(void)
{
	char c;

	ck_assert_int_eq(read(pit.ends[0], &c, 1), 1);
}

static void
open_pit(int64_t threshold)
{
	pit = (struct pit){.watch = {.threshold = threshold, .fn = on_stall}};
	ck_assert_int_eq(pipe2(pit.ends, O_CLOEXEC), 0);
}

static struct eddy_loop *
watched(int64_t threshold)
{
	struct eddy_loop *loop = census_loop();

	open_pit(threshold);
	ck_assert_int_eq(eddy_stall_start(loop, &pit.watch), 0);
	return loop;
}

/* Each stall that was told of has ended, once. */
static void
finish(struct eddy_loop *loop)
{
	ck_assert_int_eq(eddy_stall_stop(loop, &pit.watch), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(pit.begun, pit.ended);
	close(pit.ends[0]);
	close(pit.ends[1]);
}

/* Time for the watch to see that all is well again. */
static void
rest(struct eddy_loop *loop, int64_t duration)
{
	struct eddy_timer timer;

	eddy_timer_init(&timer, NULL);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, EDDY_FOREVER), 0);
	ck_assert_int_ge(eddy_loop_step(loop, duration), 0);
	ck_assert_int_eq(eddy_timer_stop(loop, &timer), 0);
}

#define THRESHOLD EDDY_MS(20)

/* What a stall may happen in. */

static void
on_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	(void)timer;
	block();
}

static void
on_post(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)loop;
	(void)post;
	block();
}

static void
on_watch(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)events;
	block();
	ck_assert_int_eq(eddy_watch_stop(loop, watch), 0);
}

static void
on_done(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	(void)job;
	block();
}

static int
nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void
stall_in_timer(struct eddy_loop *loop)
{
	static struct eddy_timer timer;

	eddy_timer_init(&timer, on_timer);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
}

static void
stall_in_post(struct eddy_loop *loop)
{
	static struct eddy_post post;

	eddy_post_init(&post, on_post);
	ck_assert_int_eq(eddy_post(loop, &post), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
}

static void
stall_in_watch(struct eddy_loop *loop)
{
	struct eddy_watch watch;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	eddy_watch_init(&watch, ends[1], on_watch, 0);
	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLOUT), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	close(ends[0]);
	close(ends[1]);
}

static void
stall_in_job(struct eddy_loop *loop)
{
	struct eddy_executor executor;
	char arg = 0;
	struct eddy_job job = EDDY_JOB(nothing, &arg);

	eddy_copy_executor(&executor);
	ck_assert_int_eq(eddy_submit(&executor, &job, loop, on_done), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	eddy_executor_fini(&executor);
}

static const struct {
	const char *kind;
	void (*stall)(struct eddy_loop *);
	uintptr_t fn;
} kinds[] = {
    {"timer", stall_in_timer, (uintptr_t)on_timer},
    {"post", stall_in_post, (uintptr_t)on_post},
    {"watch", stall_in_watch, (uintptr_t)on_watch},
    {"job", stall_in_job, (uintptr_t)on_done},
};

/* block() returns only because the stall was told before it ended. */
START_TEST(a_stall_is_told_while_it_lasts_and_when_it_is_over)
{
	struct eddy_loop *loop = watched(THRESHOLD);

	kinds[_i].stall(loop);
	rest(loop, THRESHOLD);
	finish(loop);
	ck_assert_int_eq(pit.begun, 1);
	ck_assert(!pit.first.over);
	ck_assert_int_ge(pit.first.duration, THRESHOLD);
	ck_assert_int_ge(pit.last.duration, pit.first.duration);
	ck_assert_str_eq(pit.first.kind, kinds[_i].kind);
	ck_assert_uint_eq(pit.first.fn, kinds[_i].fn);
	ck_assert_ptr_null(pit.first.file);
}
END_TEST

START_TEST(what_the_thread_waits_in_is_told)
{
	struct eddy_loop *loop = watched(THRESHOLD);
	char call[32];

	stall_in_timer(loop);
	finish(loop);
	ck_assert_int_eq(pit.first.thread, (int)syscall(SYS_gettid));
	/* Not where procfs lacks it, as on some emulated machines. */
	if (access("/proc/self/syscall", R_OK) != 0)
		return;
	ck_assert_int_eq(pit.first.syscall, SYS_read);
	ck_assert_str_eq(pit.first.syscall_name, "read");
	ck_assert_ptr_nonnull(strstr(pit.path, "pipe:["));
	ck_assert_ptr_nonnull(strstr(pit.line, "timer, "));
	snprintf(call, sizeof(call), "in read (%d) of pipe:[", (int)SYS_read);
	ck_assert_ptr_nonnull(strstr(pit.line, call));
	ck_assert_int_eq(strchr(pit.line, '\n')[1], '\0');
}
END_TEST

static void
on_splice(struct eddy_loop *loop, struct eddy_timer *timer)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)loop;
	(void)timer;
	ck_assert_int_eq(splice(pit.ends[0], NULL, fd, NULL, 1, 0), 1);
	close(fd);
}

START_TEST(a_call_without_a_name_has_its_number)
{
	struct eddy_loop *loop = watched(THRESHOLD);
	struct eddy_timer timer;

	eddy_timer_init(&timer, on_splice);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	finish(loop);
	if (access("/proc/self/syscall", R_OK) != 0)
		return;
	ck_assert_int_eq(pit.first.syscall, SYS_splice);
	ck_assert_ptr_null(pit.first.syscall_name);
	ck_assert_ptr_nonnull(strstr(pit.line, "in system call ("));
}
END_TEST

START_TEST(without_a_hook_standard_error_is_told)
{
	struct eddy_stall_watch watch = {.threshold = THRESHOLD};
	struct eddy_loop *loop = census_loop();
	char text[1024] = "";
	int saved = dup(2);

	open_pit(0);
	ck_assert_int_eq(eddy_stall_start(loop, &watch), 0);
	dup2(pit.ends[1], 2);
	stall_in_timer(loop); /* until the first byte */
	dup2(saved, 2);
	close(saved);
	ck_assert_int_eq(eddy_stall_stop(loop, &watch), 0);
	ck_assert_int_gt(read(pit.ends[0], text, sizeof(text) - 1), 0);
	ck_assert_int_eq(strncmp(text, "ddy: stalled for ", 17), 0);
	close(pit.ends[0]);
	close(pit.ends[1]);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* A task. */

struct sleeper {
	struct eddy_task task;
	int line;
};

static eddy_step
sleeper(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct sleeper, f);
	f->line = __LINE__ + 1;
	EDDY_TRY(eddy_sleep(self, 1));
	block();
	EDDY_END;
}

struct caller {
	struct eddy_task task;
	struct sleeper callee;
};

static eddy_step
caller(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct caller, f);
	EDDY_TRY(eddy_call(self, EDDY_INIT(&f->callee, sleeper)));
	EDDY_END;
}

START_TEST(a_task_is_told_by_name_and_place)
{
	struct eddy_loop *loop = watched(THRESHOLD);
	struct caller frame;

	ck_assert_int_eq(
	    eddy_loop_spawn(loop, EDDY_INIT(&frame, caller), NULL), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	finish(loop);
	ck_assert_int_eq(pit.begun, 1);
	ck_assert_str_eq(pit.first.kind, "task");
	ck_assert_str_eq(pit.name, "sleeper");
	ck_assert_uint_eq(pit.first.fn, (uintptr_t)sleeper);
	ck_assert_str_eq(pit.file, __FILE__);
	ck_assert_int_eq(pit.first.line, frame.callee.line);
	ck_assert_str_eq(pit.operation, "eddy_sleep(self, 1)");
	ck_assert_ptr_nonnull(strstr(pit.line, "task sleeper, "));
	ck_assert_ptr_nonnull(
	    strstr(pit.line, " sleeper: eddy_sleep(self, 1)"));
}
END_TEST

/* The frame is gone when its end blocks. */

struct brief {
	struct eddy_task task;
};

static eddy_step
brief(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct brief, f);
	EDDY_END;
}

static void
on_end(struct eddy_loop *loop, struct eddy_task *task)
{
	(void)loop;
	memset(task, 0xff, sizeof(*task));
	free(task);
	block();
}

START_TEST(a_task_that_is_gone_does_no_harm)
{
	struct eddy_loop *loop = watched(THRESHOLD);
	struct brief *frame = malloc(sizeof(*frame));

	ck_assert_ptr_nonnull(frame);
	EDDY_INIT(frame, brief);
	ck_assert_int_eq(eddy_loop_spawn(loop, &frame->task, on_end), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	finish(loop);
	ck_assert_int_eq(pit.begun, 1);
	ck_assert_str_eq(pit.last.kind, "task");
}
END_TEST

START_TEST(what_cannot_be_learnt_is_left_out)
{
	struct eddy_loop *loop;

	fault = -EPERM;
	loop = watched(THRESHOLD);
	stall_in_timer(loop);
	finish(loop);
	ck_assert_int_eq(pit.begun, 1);
	ck_assert_str_eq(pit.first.kind, "callback");
	ck_assert_uint_eq(pit.first.fn, 0);
	ck_assert_int_eq(pit.first.syscall, -1);
	ck_assert_ptr_null(pit.first.wchan);
	ck_assert_ptr_nonnull(strstr(pit.line, "callback, (unknown); "));
}
END_TEST

/* Frames. */

static int asked_in; /* thread */

static int
backtrace_of_one(void **frames, int n)
{
	asked_in = (int)syscall(SYS_gettid);
	frames[0] = (void *)(uintptr_t)on_timer;
	errno = EXDEV;
	return n > 0;
}

static void
on_sleepy_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	struct pollfd told = {pit.ends[0], POLLIN, 0};

	(void)loop;
	(void)timer;
	while (poll(&told, 1, 1) == 0)
		errno = 0;
	ck_assert_int_ne(errno, EXDEV);
	block();
}

START_TEST(frames_are_asked_in_the_loop_thread)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_timer timer;

	open_pit(THRESHOLD);
	pit.watch.backtrace = backtrace_of_one;
	pit.watch.signal = SIGUSR1;
	ck_assert_int_eq(eddy_stall_start(loop, &pit.watch), -EINVAL);
	pit.watch.signal = SIGRTMIN + 1;
	ck_assert_int_eq(eddy_stall_start(loop, &pit.watch), 0);
	asked_in = 0;
	eddy_timer_init(&timer, on_sleepy_timer);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	finish(loop);
	ck_assert_int_eq(asked_in, pit.first.thread);
	ck_assert_int_eq(pit.first.frame_count, 1);
	ck_assert_ptr_nonnull(strstr(pit.line, "\n  "));
	raise(SIGRTMIN + 1); /* one that comes late meets nobody */
}
END_TEST

static void
on_deaf_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	sigset_t set, old;

	sigfillset(&set);
	pthread_sigmask(SIG_SETMASK, &set, &old);
	on_timer(loop, timer);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

START_TEST(a_thread_that_blocks_the_signal_shows_no_frames)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_timer timer;

	open_pit(THRESHOLD);
	pit.watch.backtrace = backtrace_of_one;
	pit.watch.signal = SIGRTMIN + 1;
	ck_assert_int_eq(eddy_stall_start(loop, &pit.watch), 0);
	eddy_timer_init(&timer, on_deaf_timer);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	finish(loop);
	ck_assert_int_eq(pit.begun, 1);
	ck_assert_int_eq(pit.first.frame_count, 0);
}
END_TEST

/* CPU time. */

static int64_t
cpu_time(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return EDDY_S(time.tv_sec) + time.tv_nsec;
}

static void
on_busy_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	int64_t until = cpu_time() + EDDY_MS(200);

	(void)loop;
	(void)timer;
	while (cpu_time() < until)
		;
	block();
}

START_TEST(cpu_time_is_told)
{
	struct eddy_loop *loop = watched(EDDY_MS(50));
	struct eddy_timer timer;

	eddy_timer_init(&timer, on_busy_timer);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	rest(loop, EDDY_MS(20));
	finish(loop);
	ck_assert_int_eq(pit.begun, 1);
	ck_assert_int_ge(pit.last.user + pit.last.system, EDDY_MS(100));
	ck_assert_int_eq(pit.first.syscall, -1);
}
END_TEST

/* What is no stall. */

/* The threshold is more than a busy machine keeps a callback from its CPU. */
START_TEST(an_idle_loop_is_no_stall)
{
	struct eddy_loop *loop = watched(EDDY_MS(250));
	int i;

	for (i = 0; i < 2; i++)
		rest(loop, EDDY_MS(400));
	finish(loop);
	ck_assert_int_eq(pit.begun, 0);
}
END_TEST

static void
on_stop_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	(void)timer;
	raise(SIGSTOP);
}

static int
stop_in_callback(void *arg)
{
	struct eddy_loop *loop = watched(EDDY_MS(400));
	struct eddy_timer timer;

	(void)arg;
	eddy_timer_init(&timer, on_stop_timer);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	finish(loop);
	return -pit.begun;
}

START_TEST(a_stopped_process_is_no_stall)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(-stop_in_callback(NULL));
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert(WIFSTOPPED(status));
	usleep(1000000);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* A batch of many. */

static struct eddy_timer crowd[40];

static void
on_short(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	(void)timer;
	usleep(2000);
}

START_TEST(many_callbacks_make_a_stall_together)
{
	struct eddy_loop *loop = watched(EDDY_MS(30));
	size_t i;

	for (i = 0; i < COUNT_OF(crowd); i++) {
		eddy_timer_init(&crowd[i], on_short);
		ck_assert_int_eq(eddy_timer_start(loop, &crowd[i], 0), 0);
	}
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	finish(loop);
	ck_assert_int_eq(pit.begun, 1);
	ck_assert_uint_eq(pit.first.fn, (uintptr_t)on_short);
}
END_TEST

static void
on_long(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	(void)timer;
	usleep(15000);
}

static void
stall_once(struct eddy_loop *loop)
{
	struct eddy_timer timer;

	eddy_timer_init(&timer, on_long);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	rest(loop, EDDY_MS(3));
}

START_TEST(few_of_many_stalls_are_told)
{
	struct eddy_loop *loop = watched(EDDY_MS(1));
	int64_t began = eddy_now();
	int i, most;

	for (i = 0; i < 30; i++)
		stall_once(loop);
	most = 11 + (int)((eddy_now() - began) / EDDY_S(1));
	rest(loop, EDDY_MS(1100));
	stall_once(loop);
	finish(loop);
	ck_assert_int_ge(pit.begun, 2);
	ck_assert_int_le(pit.begun, most + 3);
	/* A machine that is not too slow to notice most of them. */
	if (most < 20 && pit.begun > 10)
		ck_assert_uint_ge(pit.unreported, 1);
}
END_TEST

/* Starting and stopping. */

START_TEST(a_loop_has_one_watch_and_a_watch_one_loop)
{
	struct eddy_loop *loop = watched(0), *other = census_loop();
	struct eddy_stall_watch second = {.threshold = 0};

	ck_assert_int_eq(eddy_stall_start(loop, &second), -EBUSY);
	ck_assert_int_eq(eddy_stall_start(other, &pit.watch), -EBUSY);
	ck_assert_int_eq(eddy_stall_start(other, &second), 0);
	ck_assert_int_eq(eddy_stall_stop(loop, &second), 0); /* not this one */
	ck_assert_ptr_nonnull(second.state);
	ck_assert_int_eq(eddy_stall_stop(other, &second), 0);
	ck_assert_int_eq(eddy_stall_stop(other, &second), 0);
	ck_assert_int_eq(eddy_stall_start(other, &second), 0);
	ck_assert_int_eq(eddy_loop_close(other), 0);
	ck_assert_ptr_null(second.state);
	finish(loop);
}
END_TEST

START_TEST(a_negative_threshold_is_refused)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_stall_watch watch = {.threshold = -1};

	ck_assert_int_eq(eddy_stall_start(loop, &watch), -EINVAL);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void *
start_elsewhere(void *loop)
{
	struct eddy_stall_watch watch = {.threshold = 0};

	ck_assert_int_eq(eddy_stall_start(loop, &watch), -EPERM);
	ck_assert_int_eq(eddy_stall_stop(loop, &pit.watch), -EPERM);
	return NULL;
}

START_TEST(another_thread_is_refused)
{
	struct eddy_loop *loop = watched(0);
	pthread_t thread;

	ck_assert_int_eq(
	    pthread_create(&thread, NULL, start_elsewhere, loop), 0);
	pthread_join(thread, NULL);
	finish(loop);
}
END_TEST

static void
on_last_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)timer;
	block();
	ck_assert_int_eq(eddy_stall_stop(loop, &pit.watch), 0);
}

START_TEST(a_callback_may_stop_the_watch)
{
	struct eddy_loop *loop = watched(THRESHOLD);
	struct eddy_timer timer;

	eddy_timer_init(&timer, on_last_timer);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(pit.begun, 1);
	ck_assert_int_eq(pit.ended, 0);
	pit.ended = 1;
	/* And again, on the same loop. */
	ck_assert_int_eq(eddy_stall_start(loop, &pit.watch), 0);
	stall_in_timer(loop);
	rest(loop, THRESHOLD);
	finish(loop);
	ck_assert_int_eq(pit.begun, 2);
}
END_TEST

static int
close_in_child(void *loop)
{
	struct eddy_stall_watch watch = {.threshold = 0};
	int r = eddy_stall_start(loop, &watch);

	return r == -ECHILD ? eddy_loop_close(loop) : -EPROTO;
}

static int
stop_in_child(void *loop)
{
	int r = eddy_stall_stop(loop, &pit.watch);

	return r == 0 ? eddy_loop_close(loop) : r;
}

START_TEST(a_forked_child_can_close_a_watched_loop)
{
	struct eddy_loop *loop = watched(THRESHOLD);

	ck_assert_int_eq(census_child(close_in_child, loop), 0);
	ck_assert_int_eq(census_child(stop_in_child, loop), 0);
	stall_in_timer(loop);
	finish(loop);
	ck_assert_int_eq(pit.begun, 1);
}
END_TEST

/* It parks when the loop is idle; whatever comes then must wake it. */
START_TEST(a_stall_after_a_long_rest_is_told)
{
	struct eddy_loop *loop = watched(EDDY_MS(5));
	int i;

	for (i = 0; i < 5; i++) {
		rest(loop, EDDY_MS(30));
		stall_in_timer(loop);
	}
	rest(loop, THRESHOLD);
	finish(loop);
	ck_assert_int_eq(pit.begun, 5);
}
END_TEST

static void *
run_elsewhere(void *loop)
{
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	return (void *)syscall(SYS_gettid);
}

START_TEST(a_loop_may_change_its_thread)
{
	struct eddy_loop *loop = watched(THRESHOLD);
	struct eddy_timer timer;
	pthread_t thread;
	void *id;

	eddy_timer_init(&timer, on_timer);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_elsewhere, loop), 0);
	pthread_join(thread, &id);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(pit.begun, 1);
	ck_assert_int_eq(pit.first.thread, (int)(intptr_t)id);
	close(pit.ends[0]);
	close(pit.ends[1]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("stall");
	TCase *stalls = census_case(suite, "stalls", 10);

	tcase_add_loop_test(stalls,
	    a_stall_is_told_while_it_lasts_and_when_it_is_over, 0,
	    COUNT_OF(kinds));
	census_add(stalls, what_the_thread_waits_in_is_told,
	    a_call_without_a_name_has_its_number,
	    without_a_hook_standard_error_is_told,
	    a_task_is_told_by_name_and_place, a_task_that_is_gone_does_no_harm,
	    what_cannot_be_learnt_is_left_out,
	    frames_are_asked_in_the_loop_thread,
	    a_thread_that_blocks_the_signal_shows_no_frames, cpu_time_is_told,
	    many_callbacks_make_a_stall_together, few_of_many_stalls_are_told,
	    a_stall_after_a_long_rest_is_told);
	census_add(census_case(suite, "none", 10), an_idle_loop_is_no_stall,
	    a_stopped_process_is_no_stall);
	census_add(census_case(suite, "life", 10),
	    a_loop_has_one_watch_and_a_watch_one_loop,
	    a_negative_threshold_is_refused, another_thread_is_refused,
	    a_callback_may_stop_the_watch,
	    a_forked_child_can_close_a_watched_loop,
	    a_loop_may_change_its_thread);
	return suite_main(suite);
}
