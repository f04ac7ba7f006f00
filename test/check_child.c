/* SPDX-License-Identifier: ISC */
/* link: -Wl,--wrap=eddy__pidfd_open */
#include <eddy/child.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "census.h"
#include "sys.h"

static bool await_end; /* of the child, before its handle is had */

int __real_eddy__pidfd_open(pid_t pid);
int __wrap_eddy__pidfd_open(pid_t pid);

int
__wrap_eddy__pidfd_open(pid_t pid)
{
	while (await_end && kill(pid, 0) == 0)
		poll(NULL, 0, 1);
	return __real_eddy__pidfd_open(pid);
}

/* `sh -c script`. */
static struct eddy_child_options
shell(const char *script)
{
	static char sh[] = "sh", c[] = "-c", *argv[] = {sh, c, NULL, NULL};

	argv[2] = (char *)(uintptr_t)script;
	return (struct eddy_child_options){.argv = argv};
}

static struct eddy_child_options
until_input_ends(void)
{
	struct eddy_child_options options = shell("cat; exit 7");

	options.in = EDDY_CHILD_PIPE;
	return options;
}

static void
spawn(struct eddy_child *child, const struct eddy_child_options *options)
{
	ck_assert_int_eq(eddy_child_spawn(child, options), 0);
}

static void
spawn_shell(struct eddy_child *child, const char *script)
{
	struct eddy_child_options options = shell(script);

	spawn(child, &options);
}

/* Without a loop, which pidfds allow. */
static int
end_of(struct eddy_child *child)
{
	struct pollfd ready = {.fd = child->pidfd, .events = POLLIN};
	int r;

	ck_assert_int_eq(poll(&ready, 1, 20000), 1);
	r = eddy_child_reap(child);
	ck_assert_int_eq(eddy_child_reap(child), r); /* it is remembered */
	ck_assert_int_eq(eddy_child_close(child), 0);
	ck_assert_int_eq(eddy_child_reap(child), r);
	return r;
}

/* All that comes until the end of a pipe, which is closed. */
static const char *
contents(int fd)
{
	static char text[1024];
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	size_t size = 0;
	ssize_t n;

	do {
		ck_assert_int_eq(poll(&ready, 1, 20000), 1);
		n = read(fd, text + size, sizeof(text) - 1 - size);
		ck_assert_int_ge(n, 0);
		size += (size_t)n;
	} while (n > 0);
	close(fd);
	text[size] = '\0';
	return text;
}

/* What a child writes to 1; it succeeds. */
static const char *
output_of(struct eddy_child_options options)
{
	struct eddy_child child;
	const char *text;

	options.out = EDDY_CHILD_PIPE;
	spawn(&child, &options);
	ck_assert_int_eq(child.in, -1);
	text = contents(child.out);
	ck_assert_int_eq(end_of(&child), 0);
	return text;
}

/* Ends. */

START_TEST(the_result_is_the_exit_code)
{
	static const char *const scripts[] = {
	    "exit 0", "exit 3", "exit 255", "kill -9 $$"};
	static const int results[] = {0, 3, 255, -EOWNERDEAD};
	struct eddy_child child;
	size_t i;

	for (i = 0; i < COUNT_OF(scripts); i++) {
		spawn_shell(&child, scripts[i]);
		ck_assert_int_eq(end_of(&child), results[i]);
		ck_assert_int_eq(child.signal, i == 3 ? SIGKILL : 0);
	}
}
END_TEST

START_TEST(what_it_used_is_known)
{
	struct eddy_child child;

	spawn_shell(&child, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
	ck_assert_int_eq(end_of(&child), 0);
	ck_assert_int_gt(child.usage.ru_utime.tv_usec +
			     child.usage.ru_utime.tv_sec +
			     child.usage.ru_stime.tv_usec,
	    0);
	ck_assert_int_gt(child.usage.ru_maxrss, 100); /* KiB */
	ck_assert_int_gt(child.usage.ru_minflt, 0);
}
END_TEST

START_TEST(a_kill_hits_it_or_nobody)
{
	struct eddy_child child;

	spawn_shell(&child, "exec sleep 1000");
	ck_assert_int_eq(eddy_child_reap(&child), -EBUSY);
	ck_assert_int_eq(eddy_child_close(&child), -EBUSY);
	ck_assert_int_eq(eddy_child_kill(&child, 1000), -EINVAL);
	ck_assert_int_eq(eddy_child_kill(&child, SIGTERM), 0);
	while (eddy_child_reap(&child) == -EBUSY)
		poll(NULL, 0, 1);
	ck_assert_int_eq(child.signal, SIGTERM);
	ck_assert_int_eq(eddy_child_kill(&child, SIGTERM), -ESRCH);
	ck_assert_int_eq(eddy_child_close(&child), 0);
	ck_assert_int_eq(eddy_child_kill(&child, SIGTERM), -ESRCH);
}
END_TEST

/* What it starts with. */

START_TEST(pipes_are_ours_at_the_other_end)
{
	struct eddy_child_options options = shell("cat; echo done >&2");
	struct eddy_child child;
	char c;

	options.in = options.out = options.err = EDDY_CHILD_PIPE;
	spawn(&child, &options);
	ck_assert_int_lt(read(child.out, &c, 1), 0);
	ck_assert_int_eq(errno, EAGAIN); /* ours do not block */
	ck_assert_int_eq(write(child.in, "hello", 5), 5);
	close(child.in);
	ck_assert_str_eq(contents(child.out), "hello");
	ck_assert_str_eq(contents(child.err), "done\n");
	ck_assert_int_eq(end_of(&child), 0);
}
END_TEST

START_TEST(descriptors_may_be_null_or_given)
{
	struct eddy_child_options options = shell("cat; echo 1; echo 2 >&2");
	int ends[2], saved = fcntl(1, F_DUPFD_CLOEXEC, 10);
	struct eddy_child child;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	options.in = EDDY_CHILD_NULL;
	options.err = ends[1];
	options.out = ends[1];
	spawn(&child, &options);
	ck_assert_int_eq(end_of(&child), 0);
	/* Our 1 as its 2, while its own 1 is another. */
	ck_assert_int_eq(dup2(ends[1], 1), 1);
	options.err = 1;
	options.out = EDDY_CHILD_NULL;
	spawn(&child, &options);
	ck_assert_int_eq(end_of(&child), 0);
	dup2(saved, 1);
	close(saved);
	close(ends[1]);
	ck_assert_str_eq(contents(ends[0]), "1\n2\n2\n");
}
END_TEST

START_TEST(nothing_of_ours_goes_with_it)
{
	const char *list = "ls /proc/self/fd | wc -l";
	struct eddy_child_options options;
	struct eddy_child other;
	char before[64];

	snprintf(before, sizeof(before), "%s", output_of(shell(list)));
	options = until_input_ends();
	spawn(&other, &options);
	ck_assert_str_eq(output_of(shell(list)), before);
	close(other.in);
	ck_assert_int_eq(end_of(&other), 7);
}
END_TEST

static int
spawn_with_closed_descriptors(void *arg)
{
	struct eddy_child_options options = shell("cat; echo 2 >&2");
	struct eddy_child child;
	int i;

	(void)arg;
	for (i = 0; i < 3; i++)
		close(i);
	options.in = EDDY_CHILD_NULL;
	options.out = options.err = EDDY_CHILD_PIPE;
	spawn(&child, &options);
	i = strcmp(contents(child.err), "2\n");
	close(child.out);
	return end_of(&child) == 0 && i == 0 ? 0 : -EPROTO;
}

START_TEST(a_host_without_standard_descriptors_has_pipes)
{
	ck_assert_int_eq(census_child(spawn_with_closed_descriptors, NULL), 0);
}
END_TEST

/* Descriptor 0 is the next one that is free. */
START_TEST(a_handle_may_be_descriptor_0)
{
	struct eddy_child_options options = shell("exit 3");
	int saved = dup(STDIN_FILENO);
	struct eddy_child child;

	options.in = EDDY_CHILD_NULL;
	close(STDIN_FILENO);
	spawn(&child, &options);
	ck_assert_int_eq(child.pidfd, STDIN_FILENO);
	ck_assert_int_eq(end_of(&child), 3);
	ck_assert_int_eq(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	close(saved);
}
END_TEST

START_TEST(environment_and_directory_are_given)
{
	static char path[] = "PATH=/bin:/usr/bin", word[] = "WORD=word";
	static char *env[] = {path, word, NULL};
	struct eddy_child_options options = shell("pwd; echo $WORD");

	options.env = env;
	options.directory = "/proc";
	ck_assert_str_eq(output_of(options), "/proc\nword\n");
	setenv("WORD", "ours", 1);
	options = shell("echo $WORD");
	ck_assert_str_eq(output_of(options), "ours\n");
}
END_TEST

START_TEST(it_may_lead_a_group)
{
	struct eddy_child_options options = shell("exec sleep 1000");
	struct eddy_child child;

	options.flags = EDDY_CHILD_GROUP;
	spawn(&child, &options);
	ck_assert_int_eq(getpgid(child.pid), child.pid);
	ck_assert_int_eq(kill(-child.pid, SIGTERM), 0);
	ck_assert_int_eq(end_of(&child), -EOWNERDEAD);
	spawn_shell(&child, "exec sleep 1000");
	ck_assert_int_eq(getpgid(child.pid), getpgid(0));
	ck_assert_int_eq(eddy_child_kill(&child, SIGTERM), 0);
	ck_assert_int_eq(end_of(&child), -EOWNERDEAD);
}
END_TEST

/* Those of glibc itself, which its posix_spawn ignores. */
#define RESERVED (UINT64_C(3) << 31)

START_TEST(no_signal_is_blocked_or_ignored)
{
	uint64_t blocked = 1, ignored = 1;
	const char *text;
	sigset_t all, old;

	sigfillset(&all);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_SETMASK, &all, &old);
	text = output_of(shell("exec grep Sig[BI] /proc/self/status"));
	sigprocmask(SIG_SETMASK, &old, NULL);
	ck_assert_int_eq(sscanf(text, "SigBlk: %" SCNx64 " SigIgn: %" SCNx64,
			     &blocked, &ignored),
	    2);
	ck_assert_uint_eq(blocked, 0);
	ck_assert_uint_eq(ignored & ~RESERVED, 0);
}
END_TEST

START_TEST(what_cannot_start_leaves_nothing)
{
	char path[] = "/nonexistent/program";
	char *nobody[] = {path, NULL}, *nothing[] = {NULL};
	struct eddy_child_options options = {.argv = nobody,
	    .in = EDDY_CHILD_PIPE,
	    .out = EDDY_CHILD_PIPE,
	    .err = EDDY_CHILD_NULL};
	struct eddy_child child;

	ck_assert_int_eq(eddy_child_spawn(&child, &options), -ENOENT);
	ck_assert_int_eq(child.in, -1);
	ck_assert_int_eq(eddy_child_reap(&child), -ENOENT);
	ck_assert_int_eq(eddy_child_close(&child), 0);
	options = shell("exit 0");
	options.directory = "/nonexistent";
	ck_assert_int_eq(eddy_child_spawn(&child, &options), -ENOENT);
	options.directory = NULL;
	options.err = 1000000;
	ck_assert_int_eq(eddy_child_spawn(&child, &options), -EBADF);
	options.err = -5;
	ck_assert_int_eq(eddy_child_spawn(&child, &options), -EINVAL);
	options.argv = nothing;
	ck_assert_int_eq(eddy_child_spawn(&child, &options), -EINVAL);
	options.argv = NULL;
	ck_assert_int_eq(eddy_child_spawn(&child, &options), -EINVAL);
}
END_TEST

/* Tasks. */

struct nurse {
	struct eddy_task task;
	struct eddy_child *child;
	int64_t patience;
	int rc;
};

static eddy_step
nurse(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct nurse, f);
	EDDY_AWAIT(f->rc,
	    eddy_timeout(self, f->patience, eddy_child_wait(self, f->child)));
	EDDY_END;
}

static void
nurse_start(struct eddy_loop *loop, struct nurse *f, struct eddy_child *child,
    int64_t patience)
{
	EDDY_INIT(f, nurse, .child = child, .patience = patience);
	ck_assert_int_eq(eddy_loop_spawn(loop, &f->task, NULL), 0);
}

START_TEST(all_tasks_that_wait_are_told)
{
	struct eddy_child_options options = until_input_ends();
	struct eddy_loop *loop = census_loop();
	struct eddy_child child;
	struct nurse nurses[3];
	int i;

	spawn(&child, &options);
	for (i = 0; i < 3; i++)
		nurse_start(loop, &nurses[i], &child, EDDY_FOREVER);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_int_eq(eddy_child_close(&child), -EBUSY);
	close(child.in);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(nurses[i].rc, 7);
	nurse_start(loop, &nurses[0], &child, EDDY_FOREVER);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(nurses[0].rc, 7); /* at once */
	ck_assert_int_eq(eddy_child_close(&child), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_wait_that_is_given_up_leaves_the_child)
{
	struct eddy_child_options options = until_input_ends();
	struct eddy_loop *loop = census_loop();
	struct nurse late, cancelled, good;
	struct eddy_child child;

	spawn(&child, &options);
	nurse_start(loop, &late, &child, EDDY_MS(1));
	nurse_start(loop, &cancelled, &child, EDDY_FOREVER);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_int_eq(eddy_cancel(&cancelled.task), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(late.rc, -ETIME);
	ck_assert_int_eq(cancelled.rc, -ECANCELED);
	ck_assert_int_eq(eddy_child_reap(&child), -EBUSY);
	nurse_start(loop, &good, &child, EDDY_FOREVER);
	close(child.in);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(good.rc, 7);
	ck_assert_int_eq(eddy_child_close(&child), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_virtual_clock_stands_still_for_a_child)
{
	struct eddy_clock clock = {0};
	struct eddy_loop_options options = {.clock = &clock};
	struct eddy_loop *loop;
	struct eddy_child child;
	struct nurse f;

	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	spawn_shell(&child, "sleep 0.1; exit 7");
	nurse_start(loop, &f, &child, EDDY_MS(1));
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, 7);
	ck_assert_int_eq(clock.now, 0);
	ck_assert_int_eq(eddy_child_close(&child), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(the_tasks_that_wait_are_of_one_loop)
{
	struct eddy_child_options options = until_input_ends();
	struct eddy_loop *loop = census_loop(), *other = census_loop();
	struct eddy_child child;
	struct nurse here, there;

	spawn(&child, &options);
	nurse_start(loop, &here, &child, EDDY_FOREVER);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	nurse_start(other, &there, &child, EDDY_FOREVER);
	ck_assert_int_eq(eddy_loop_run(other), 0);
	ck_assert_int_eq(there.rc, -EPERM);
	close(child.in);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(here.rc, 7);
	ck_assert_int_eq(eddy_child_close(&child), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(eddy_loop_close(other), 0);
}
END_TEST

/* Hosts with a mind of their own. */

START_TEST(a_host_that_reaps_everything_is_told)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_child child;
	struct nurse f;

	spawn_shell(&child, "exit 3");
	ck_assert_int_eq(waitpid(-1, NULL, 0), child.pid);
	nurse_start(loop, &f, &child, EDDY_FOREVER);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, -ECHILD);
	ck_assert_int_eq(eddy_child_kill(&child, SIGKILL), -ESRCH);
	ck_assert_int_eq(eddy_child_close(&child), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_host_that_ignores_sigchld_is_told)
{
	struct eddy_child_options options = until_input_ends();
	struct eddy_loop *loop = census_loop();
	struct eddy_child child, gone;
	struct nurse f;

	signal(SIGCHLD, SIG_IGN);
	spawn(&child, &options);
	nurse_start(loop, &f, &child, EDDY_FOREVER);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	close(child.in);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, -ECHILD);
	ck_assert_int_eq(eddy_child_close(&child), 0);
	spawn_shell(&gone, "exit 0"); /* perhaps before it has a pidfd */
	while (eddy_child_reap(&gone) == -EBUSY)
		poll(NULL, 0, 1);
	ck_assert_int_eq(eddy_child_reap(&gone), -ECHILD);
	ck_assert_int_eq(eddy_child_close(&gone), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

/* Before we could have a handle. */
START_TEST(a_host_that_reaps_at_once_is_told)
{
	struct eddy_child child;

	signal(SIGCHLD, SIG_IGN);
	await_end = true;
	spawn_shell(&child, "exit 3");
	ck_assert_int_eq(eddy_child_reap(&child), -ECHILD);
	ck_assert_int_eq(eddy_child_kill(&child, SIGTERM), -ESRCH);
	ck_assert_int_eq(eddy_child_close(&child), 0);
}
END_TEST

static volatile sig_atomic_t sigchlds;

static void
on_sigchld(int number)
{
	(void)number;
	sigchlds++;
}

START_TEST(children_of_others_are_left_to_them)
{
	struct eddy_loop *loop = census_loop();
	struct eddy_child child;
	struct nurse f;
	pid_t other;
	int status;

	signal(SIGCHLD, on_sigchld);
	other = fork();
	if (other == 0)
		_exit(5);
	spawn_shell(&child, "exit 3");
	nurse_start(loop, &f, &child, EDDY_FOREVER);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, 3);
	while (waitpid(other, &status, 0) < 0)
		ck_assert_int_eq(errno, EINTR);
	ck_assert_int_eq(WEXITSTATUS(status), 5);
	ck_assert_int_gt(sigchlds, 0); /* the handler is where it was */
	ck_assert_int_eq(eddy_child_close(&child), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("child");

	census_add(census_case(suite, "end", 30), the_result_is_the_exit_code,
	    what_it_used_is_known, a_kill_hits_it_or_nobody);
	census_add(census_case(suite, "start", 30),
	    pipes_are_ours_at_the_other_end, descriptors_may_be_null_or_given,
	    nothing_of_ours_goes_with_it,
	    a_host_without_standard_descriptors_has_pipes,
	    a_handle_may_be_descriptor_0, environment_and_directory_are_given,
	    it_may_lead_a_group, no_signal_is_blocked_or_ignored,
	    what_cannot_start_leaves_nothing);
	census_add(census_case(suite, "task", 30), all_tasks_that_wait_are_told,
	    a_wait_that_is_given_up_leaves_the_child,
	    a_virtual_clock_stands_still_for_a_child,
	    the_tasks_that_wait_are_of_one_loop);
	census_add(census_case(suite, "host", 30),
	    a_host_that_reaps_everything_is_told,
	    a_host_that_ignores_sigchld_is_told,
	    a_host_that_reaps_at_once_is_told,
	    children_of_others_are_left_to_them);
	return suite_main(suite);
}
