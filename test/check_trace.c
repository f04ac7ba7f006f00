/* SPDX-License-Identifier: ISC */
/* link: -Wl,--wrap=eddy__alloc,--wrap=eddy__realloc,--wrap=eddy__free */
#include <eddy/offload.h>
#include <eddy/process_pool.h>
#include <eddy/stall.h>
#include <eddy/strand.h>
#include <eddy/thread_pool.h>
#include <eddy/trace.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counted.h"

static char text[4 << 20]; /* what was written */

/* Enough of JSON to say whether text is some. */

static const char *value(const char *s);

static const char *
blank(const char *s)
{
	return s + strspn(s, " \t\n");
}

static const char *
string(const char *s)
{
	ck_assert_int_eq(*s, '"');
	for (s++; *s != '"'; s++) {
		ck_assert_int_ge((unsigned char)*s, ' ');
		if (*s == '\\')
			ck_assert_ptr_nonnull(strchr("\"\\/bfnrt", *++s));
	}
	return blank(s + 1);
}

static const char *
list(const char *s, char end)
{
	s = blank(s + 1);
	while (*s != end) {
		if (end == '}') {
			s = string(s);
			ck_assert_int_eq(*s, ':');
			s = blank(s + 1);
		}
		s = value(s);
		ck_assert(*s == end || *s == ',');
		if (*s == ',')
			s = blank(s + 1);
	}
	return blank(s + 1);
}

static const char *
value(const char *s)
{
	char *end;

	if (*s == '{' || *s == '[')
		return list(s, *s == '{' ? '}' : ']');
	if (*s == '"')
		return string(s);
	strtod(s, &end);
	ck_assert_ptr_ne(end, s);
	return blank(end);
}

/* Write the trace, and see that it is JSON; python3 knows better. */
static void
write_trace(struct eddy_loop *loop)
{
	char path[64], command[192];
	int fd = memfd_create("trace", MFD_CLOEXEC), status;
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(eddy_trace_write(loop, fd), 0);
	n = pread(fd, text, sizeof(text) - 1, 0);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_str_eq(value(text), "");
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	snprintf(command, sizeof(command),
	    "command -v python3 >/dev/null || exit 0; "
	    "python3 -c 'import json, sys; json.load(open(sys.argv[1]))' %s",
	    path);
	status = system(command);
	ck_assert_int_eq(status, 0);
	close(fd);
}

static int
count(const char *what)
{
	const char *s = text;
	int n = 0;

	for (; (s = strstr(s, what)) != NULL; s++)
		n++;
	return n;
}

static void
start(struct eddy_loop *loop, unsigned n)
{
	ck_assert_int_eq(eddy_trace_start(loop, n), 0);
}

/* Something of everything. */

static int
job(void *arg)
{
	(void)arg;
	return 0;
}

struct app {
	struct eddy_task task;
	struct eddy_executor *executor;
	char arg;
	int i, rc;
};

static eddy_step
app(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct app, f);
	self->name = "a \"quoted\" \\ \001 name";
	EDDY_TRY(eddy_sleep(self, 1));
	for (f->i = 0; f->i < 3; f->i++)
		EDDY_AWAIT(
		    f->rc, eddy_offload(self, f->executor, job, &f->arg));
	EDDY_END;
}

static void
run_app(struct eddy_loop *loop, struct eddy_executor *executor)
{
	struct app frame;

	EDDY_INIT(&frame, app, .executor = executor);
	ck_assert_int_eq(eddy_loop_spawn(loop, &frame.task, NULL), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(frame.rc, 0);
}

static void
on_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	(void)timer;
}

START_TEST(turns_callbacks_and_tasks_are_slices)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_timer timer;

	eddy_timer_init(&timer, on_timer);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	start(loop, 0);
	run_app(loop, NULL);
	write_trace(loop);
	ck_assert_int_ge(count("\"cat\":\"loop\",\"name\":\"turn\""), 4);
	ck_assert_int_eq(count("\"name\":\"timer\""), 1);
	/* At first by what it was called, then by what it calls itself. */
	ck_assert_int_eq(count("\"cat\":\"task\",\"name\":\"app\""), 1);
	ck_assert_int_ge(count("\"name\":\"a \\\"quoted\\\" \\\\   name\""), 4);
	ck_assert_int_eq(count("\"after\":\"eddy_sleep(self, 1)\""), 1);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

struct nap {
	struct eddy_task task;
};

static eddy_step
nap(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct nap, f);
	EDDY_TRY(eddy_sleep(self, 1));
	EDDY_END;
}

START_TEST(a_character_is_written_whole_or_not)
{
	static const char *const characters[] = {
	    "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9d\x84\x9e"};
	const char *character = characters[_i / 2];
	struct eddy_loop *loop = census_loop();
	size_t room = 31 - strlen(character);
	char name[64], wanted[64];
	struct nap frame;

	/* It fits, or is one byte too long. */
	memset(name, 'a', sizeof(name));
	strcpy(name + room + _i % 2, character);
	strcpy(name + strlen(name), _i % 2 == 0 ? "" : "more");
	snprintf(wanted, sizeof(wanted), "\"name\":\"%.*s\"",
	    _i % 2 == 0 ? 31 : (int)room + 1, name);
	EDDY_INIT(&frame, nap);
	frame.task.name = name;
	start(loop, 0);
	ck_assert_int_eq(eddy_loop_spawn(loop, &frame.task, NULL), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	write_trace(loop);
	ck_assert_int_ge(count(wanted), 1);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void *
run_here(void *loop)
{
	char slice[64];

	ck_assert_int_eq(eddy_loop_run(loop), 0);
	write_trace(loop);
	snprintf(slice, sizeof(slice), "{\"ph\":\"X\",\"pid\":%d,\"tid\":%d,",
	    getpid(), (int)syscall(SYS_gettid));
	ck_assert_int_eq(count(slice), 2); /* the turn and the timer */
	ck_assert_int_eq(count("\"ph\":\"X\""), 2);
	return NULL;
}

START_TEST(slices_are_on_the_lane_of_the_thread_that_runs_the_loop)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_timer timer;
	pthread_t thread;

	eddy_timer_init(&timer, on_timer);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	start(loop, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_here, loop), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_job_on_a_thread_is_a_span_a_slice_and_a_flow)
{
	static const char *const phases = "bsBtEef";
	struct eddy_executor *pool;
	struct eddy_loop *loop = census_loop();
	char phase[16];
	int i;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, NULL), 0);
	start(loop, 0);
	run_app(loop, pool);
	write_trace(loop);
	for (i = 0; phases[i] != '\0'; i++) {
		snprintf(phase, sizeof(phase), "\"ph\":\"%c\"", phases[i]);
		ck_assert_int_eq(count(phase), 3);
	}
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(5)), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* An owned job may outlive its loop: it is not looked at. */
struct owner {
	struct eddy_task task;
	char *bytes;
	int rc;
};

static eddy_step
owner(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct owner, f);
	EDDY_AWAIT(f->rc, eddy_offload_owned(self, NULL, job, &f->bytes, free));
	free(f->bytes);
	EDDY_END;
}

START_TEST(a_job_on_a_strand_is_traced_and_an_owned_one_is_not)
{
	struct eddy_executor *pool, *strand;
	struct eddy_loop *loop = census_loop();
	struct owner frame;

	ck_assert_int_eq(eddy_thread_pool_open(&pool, NULL), 0);
	ck_assert_int_eq(eddy_strand_open(&strand, pool, 0), 0);
	start(loop, 0);
	run_app(loop, strand);
	EDDY_INIT(&frame, owner, .bytes = malloc(1), .rc = 1);
	ck_assert_int_eq(eddy_loop_spawn(loop, &frame.task, NULL), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(frame.rc, 0);
	write_trace(loop);
	ck_assert_int_eq(count("\"ph\":\"b\""), 3);
	ck_assert_int_eq(count("\"ph\":\"B\""), 3);
	ck_assert_int_eq(eddy_executor_close(strand, EDDY_S(5)), 0);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(5)), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static uint32_t begun; /* any thread */

static int
stuck(void *arg)
{
	(void)arg;
	A_STORE(&begun, 1);
	for (;;)
		pause();
	return 0;
}

static eddy_step
wait_for_ever(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct app, f);
	EDDY_TRY(eddy_offload(self, NULL, stuck, &f->arg));
	EDDY_END;
}

static eddy_step
traced(struct eddy_task *self)
{
	static struct app other;

	EDDY_BEGIN(self, struct app, f);
	ck_assert_int_eq(eddy_trace_start(self->loop, 0), 0);
	eddy_prepare(&other.task, wait_for_ever, "other");
	ck_assert_int_eq(eddy_loop_spawn(self->loop, &other.task, NULL), 0);
	while (A_LOAD(&begun) == 0)
		EDDY_TRY(eddy_sleep(self, EDDY_MS(1)));
	EDDY_END;
}

static int
end_with_a_stuck_job(void *arg)
{
	struct eddy_loop_options options = {.close_duration = EDDY_MS(1)};
	struct app frame;

	(void)arg;
	eddy_prepare(&frame.task, traced, "main");
	return eddy_run_with(&options, &frame.task);
}

/* Its worker may write yet; in a process of its own, as nothing ends it. */
START_TEST(a_loop_that_is_given_up_keeps_its_record)
{
	ck_assert_int_eq(census_child(end_with_a_stuck_job, NULL), -ETIME);
}
END_TEST

START_TEST(a_job_in_a_process_is_a_span_and_a_flow)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct eddy_executor *pool;
	struct eddy_loop *loop = census_loop();

	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), 0);
	start(loop, 0);
	run_app(loop, pool);
	write_trace(loop);
	ck_assert_int_eq(count("\"ph\":\"b\""), 3);
	ck_assert_int_eq(count("\"ph\":\"e\""), 3);
	ck_assert_int_eq(count("\"ph\":\"s\""), 3);
	ck_assert_int_eq(count("\"ph\":\"f\""), 3);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(5)), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static int told[2];

static void
on_stall(const struct eddy_stall *stall)
{
	if (!stall->over && write(told[1], "x", 1) != 1)
		abort();
}

static void
on_long(struct eddy_loop *loop, struct eddy_timer *timer)
{
	char c;

	(void)loop;
	(void)timer;
	ck_assert_int_eq(read(told[0], &c, 1), 1);
}

START_TEST(a_stall_is_an_instant)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_stall_watch watch = {
	    .threshold = EDDY_MS(10), .fn = on_stall};
	struct eddy_timer timer;

	ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
	eddy_timer_init(&timer, on_long);
	ck_assert_int_eq(eddy_timer_start(loop, &timer, 0), 0);
	ck_assert_int_eq(eddy_stall_start(loop, &watch), 0);
	start(loop, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(eddy_stall_stop(loop, &watch), 0);
	write_trace(loop);
	ck_assert_int_eq(count("\"name\":\"stall\""), 1);
	close(told[0]);
	close(told[1]);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Life. */

START_TEST(the_oldest_events_are_lost)
{
	struct eddy_loop *loop = census_loop();

	start(loop, 4);
	run_app(loop, NULL);
	write_trace(loop);
	ck_assert_int_eq(count("\"ts\":"), 4 + count("\"ph\":\"s\"") +
					       count("\"ph\":\"f\"") +
					       count("\"ph\":\"t\""));
	ck_assert_int_eq(count("\"lost\":0"), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_trace_can_stop_and_start_anew)
{
	struct eddy_loop *loop = census_loop();
	int before;

	ck_assert_int_eq(eddy_trace_stop(loop), 0);
	ck_assert_int_eq(eddy_trace_write(loop, 1), -ENOENT);
	start(loop, 0);
	ck_assert_int_eq(eddy_trace_start(loop, 0), -EBUSY);
	run_app(loop, NULL);
	ck_assert_int_eq(eddy_trace_stop(loop), 0);
	write_trace(loop);
	before = count("\"ts\":");
	ck_assert_int_gt(before, 0);
	run_app(loop, NULL);
	write_trace(loop);
	ck_assert_int_eq(count("\"ts\":"), before);
	start(loop, 16);
	write_trace(loop);
	ck_assert_int_eq(count("\"ts\":"), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_write_that_fails_says_so)
{
	struct eddy_loop *loop = census_loop();
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	start(loop, 0);
	errno = EXDEV;
	ck_assert_int_eq(eddy_trace_write(loop, -1), -EBADF);
	if (fd >= 0)
		ck_assert_int_eq(eddy_trace_write(loop, fd), -ENOSPC);
	ck_assert_int_eq(errno, EXDEV);
	close(fd);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void *
trace_elsewhere(void *loop)
{
	ck_assert_int_eq(eddy_trace_start(loop, 0), -EPERM);
	ck_assert_int_eq(eddy_trace_stop(loop), -EPERM);
	ck_assert_int_eq(eddy_trace_write(loop, 1), -EPERM);
	return NULL;
}

START_TEST(another_thread_is_refused)
{
	struct eddy_loop *loop = census_loop();
	pthread_t thread;

	ck_assert_int_eq(
	    pthread_create(&thread, NULL, trace_elsewhere, loop), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static int
close_loop(void *loop)
{
	return eddy_loop_close(loop);
}

START_TEST(a_forked_child_can_close_a_traced_loop)
{
	struct eddy_loop *loop = census_loop();

	start(loop, 0);
	ck_assert_int_eq(census_child(close_loop, loop), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("trace");
	TCase *tcase;

	tcase = counted(suite, "events", 10);
	census_add(tcase, turns_callbacks_and_tasks_are_slices,
	    slices_are_on_the_lane_of_the_thread_that_runs_the_loop,
	    a_job_on_a_thread_is_a_span_a_slice_and_a_flow,
	    a_job_on_a_strand_is_traced_and_an_owned_one_is_not,
	    a_job_in_a_process_is_a_span_and_a_flow, a_stall_is_an_instant);
	tcase_add_loop_test(tcase, a_character_is_written_whole_or_not, 0, 6);
	census_add(counted(suite, "life", 10), the_oldest_events_are_lost,
	    a_trace_can_stop_and_start_anew, a_write_that_fails_says_so,
	    another_thread_is_refused, a_loop_that_is_given_up_keeps_its_record,
	    a_forked_child_can_close_a_traced_loop);
	return suite_main(suite);
}
