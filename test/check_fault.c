/* SPDX-License-Identifier: ISC */
/*
 * check_fault: every scenario, with each of its system calls and allocations
 * failing in turn (fault.h).
 *
 * Whatever fails, a scenario must end, tell an error that it was given, answer
 * each job it accepted once, leave nothing behind and succeed the next time.
 * make check has one error of each call, make torture all of them.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault/scenario.h"

enum {
	SKIP = CENSUS_TSAN   ? 6
	       : CENSUS_ASAN ? 3
	                     : 1,
	SLACK = 3,             /* calls that a run may have more than another */
	HANG = SLOW ? 30 : 15, /* s */
	MANY = 20,             /* failures of a scenario are enough */
};

static const struct scenario *scenario;
static uint32_t failures; /* before it */
static bool all_errors;

/* How to replay it. */
static const char *
replay(void)
{
	static char text[200];

	snprintf(text, sizeof(text),
	    "--replay '%s' %s %s %u %d (%s: errno %d, %u fired)",
	    scenario->name, fault->place == HOST ? "host" : "children",
	    fault->later ? "from" : "only", fault->k, fault->choice,
	    fault->fired != 0 ? fault->name : "nothing failed", fault->error,
	    fault->fired);
	return text;
}

_Noreturn void
broken(const char *what)
{
	fprintf(stderr, "%s; %s\n", what, replay());
	_exit(1);
}

/* Runs. */

static int
entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void
hung(int number)
{
	(void)number;
	broken("it hangs");
}

/* A joined thread stays in procfs a moment. */
static bool
threads_are(int n)
{
	int i;

	for (i = 0; i < 1000 && entries("/proc/self/task") > n; i++)
		usleep(1000);
	return entries("/proc/self/task") <= n;
}

/* What stands for the error of a call; errno 0: any of them. */
static const struct told {
	const char *name;
	int error, told;
} tells[] = {
    {"pthread_create", EAGAIN, ENOMEM}, /* the queue is not full */
    {"recvmsg", 0, EPIPE},              /* no zygote any more */
    {"recvmsg", 0, EPROTO},             /* no output from a worker */
    {"fstat", 0, EPROTO},
};

static bool
stands_for(int error)
{
	const struct told *it;

	if (error == ETIME && fault->later) /* a deadline */
		return true;
	/* The host hears only of their ends; or a job has missed a descriptor. */
	if (fault->place == CHILDREN)
		return error == ECHILD || error == EPIPE || error == EBADF;
	for (it = tells; it < tells + COUNT_OF(tells); it++)
		if (it->told == error &&
		    (fault->later ||
			(strcmp(it->name, fault->name) == 0 &&
			    (it->error == 0 || it->error == fault->error))))
			return true;
	return false;
}

static int
run(void)
{
	const struct eddy_thread_pool_options threads = {
	    .workers_max = 2, .interrupt_signal = SIGRTMAX - 1};
	static const struct eddy_process_pool_options processes = {
	    .workers = 2, .flags = EDDY_PASS_DESCRIPTORS};

	if (scenario->run != NULL)
		return scenario->run();
	if (scenario->on_threads != NULL)
		return with_pool(&threads, NULL, scenario->on_threads);
	return with_pool(NULL, &processes, scenario->on_processes);
}

/* One run: nothing of it stays. */
static void
attempt(enum fault_place place, uint32_t k, bool later, int choice)
{
	int fds = entries("/proc/self/fd"), r;
	int threads = entries("/proc/self/task") + CENSUS_TSAN;
	char text[40];

	fault_begin(place, k, later, choice);
	alarm(HANG);
	r = run();
	alarm(0);
	snprintf(text, sizeof(text), "it tells %d", r);
	if (r > 0 || (r < 0 && !fault_answered(-r) && !stands_for(-r)))
		broken(text);
	must(fault_live() == 0);
	must(entries("/proc/self/fd") == fds);
	must(threads_are(threads));
	must(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

/* In a process of its own, which may crash: did call k fail? */
static bool
try(enum fault_place place, uint32_t k, bool later, int choice)
{
	struct fault was;
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		attempt(place, k, later, choice);
		was = *fault;
		attempt(HOST, 0, false, 0); /* nothing fails */
		fault->fired = was.fired;
		fault->choices = was.choices;
		exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	fault->runs += fault->fired != 0;
	if (status == 0)
		return fault->fired != 0;
	fault->failed++;
	if (WIFSIGNALED(status))
		fprintf(stderr, "signal %d; %s\n", WTERMSIG(status), replay());
	return true;
}

/* Each error of call k, or one of them; false: the run has no call k. */
static bool
sweep_call(enum fault_place place, uint32_t k, bool later)
{
	int choice = all_errors ? 0 : (int)k + later;
	bool fired;

	do
		fired = try(place, k, later, choice);
	while (all_errors && ++choice < fault->choices);
	return fired;
}

/* Each k until the run has no more calls; make check leaves some out. */
static void
sweep_mode(enum fault_place place, bool later)
{
	uint32_t k, step = all_errors ? 1 : (later ? 3 : 1) * SKIP;
	int quiet = 0;

	for (k = 1; quiet < SLACK && fault->failed - failures < MANY; k += step)
		quiet = sweep_call(place, k, later) ? 0 : quiet + 1;
}

/* Each scenario. */

static const struct scenario scenarios[] = {
    {"loop", .run = run_loop},
    {"tasks", .run = run_tasks},
    {"io", .run = run_talks},
    {"copies", .run = run_moves},
    {"one job on threads", .run = run_one_on_threads},
    {"jobs on threads", .run = run_many_on_threads},
    {"jobs on a strand", .on_threads = use_strand},
    {"map, owned, drain", .run = run_mix},
    {"offload", .run = run_offload},
    {"one job on processes", .run = run_one_on_processes, .forks = true},
    {"jobs on processes", .run = run_many_on_processes, .forks = true},
    {"open and close", .on_processes = use_nothing, .forks = true},
    {"open and close without a home", .run = run_homeless, .forks = true},
    {"transforms", .on_processes = use_transforms, .forks = true},
    {"signals and children", .run = run_guest},
    {"a program and its pipes", .run = run_filter},
    {"transforms on threads", .on_threads = use_transforms},
    {"cancel on threads", .on_threads = use_cancels},
    {"cancel on processes", .on_processes = use_deadlines, .forks = true},
    {"interrupt", .on_threads = use_interrupt},
    {"close in callbacks", .run = run_stage},
    {"waits without a loop", .run = run_waits},
    {"workers that are replaced", .run = run_replaced, .forks = true},
    {"server", .run = run_server},
    {"dumps of threads", .on_threads = use_looks},
    {"dumps of processes", .on_processes = use_looks},
    {"trace", .on_threads = use_trace},
    {"stall", .run = run_stall},
    {"run on", .run = run_visit},
    {"mailbox and future", .run = run_mail},
    {"tasks that wait for each other", .run = run_band},
    {"loop in a loop", .run = run_embedded},
    {"files", .run = run_files},
    {"names", .run = run_names},
};

static void
begin(int i)
{
	scenario = &scenarios[i];
	failures = fault->failed;
	signal(SIGALRM, hung);
	ck_assert(!try(HOST, 0, false, 0));
	ck_assert_uint_gt(fault->calls, 0);
}

START_TEST(a_scenario_survives_each_fault)
{
	begin(_i);
	sweep_mode(HOST, false);
	sweep_mode(HOST, true);
	if (scenario->forks) {
		sweep_mode(CHILDREN, false);
		sweep_mode(CHILDREN, true);
	}
	ck_assert_msg(fault->failed == failures, "%s: %u failures",
	    scenario->name, fault->failed - failures);
}
END_TEST

/* What --replay is given. */
static struct {
	int scenario, choice;
	enum fault_place place;
	bool given, later;
	uint32_t k; /* 0: nothing fails */
} again;

START_TEST(that_fault_is_survived)
{
	begin(again.scenario);
	try(again.place, again.k, again.later, again.choice);
	ck_assert_uint_eq(fault->failed, failures);
}
END_TEST

static void
usage(void)
{
	fprintf(stderr, "usage: check_fault [--all | --replay SCENARIO "
			"host|children only|from CALL CHOICE]\n");
	exit(2);
}

static void
read_arguments(int argc, char **argv)
{
	int n = (int)COUNT_OF(scenarios);

	all_errors = argc == 2 && strcmp(argv[1], "--all") == 0;
	if (argc == 1 || all_errors)
		return;
	if (argc != 7 || strcmp(argv[1], "--replay") != 0)
		usage();
	while (again.scenario < n &&
	       strcmp(scenarios[again.scenario].name, argv[2]) != 0)
		again.scenario++;
	if (again.scenario == n)
		usage();
	again.given = true;
	again.place = strcmp(argv[3], "host") == 0 ? HOST : CHILDREN;
	again.later = strcmp(argv[4], "from") == 0;
	again.k = (uint32_t)atoi(argv[5]);
	again.choice = atoi(argv[6]);
}

static SRunner *
plan(void)
{
	Suite *suite = suite_create("fault");
	int n = (int)COUNT_OF(scenarios);

	if (again.given) {
		census_add(
		    census_case(suite, "replay", 60), that_fault_is_survived);
		return srunner_create(suite);
	}
	tcase_add_loop_test(census_case(suite, "sweep", all_errors ? 600 : 60),
	    a_scenario_survives_each_fault, 0, n);
	if (!all_errors)
		add_races(suite);
	return srunner_create(suite);
}

int
main(int argc, char **argv)
{
	SRunner *runner;
	int failed;

	fault_open();
	read_arguments(argc, argv);
	runner = plan();
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (again.k == 0)
		printf("torture: scenarios=%d calls=%d injections=%u "
		       "failed=%u\n",
		    (int)COUNT_OF(scenarios), fault_functions(), fault->runs,
		    fault->failed);
	return failed != 0;
}
