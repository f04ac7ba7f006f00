/* SPDX-License-Identifier: ISC */
/*
 * misuse: what the compilers must say to slips with coroutines.
 *
 * Each file of test/misuse holds one slip and says what it must draw:
 *   expect: error [text] | warning END-OF-FLAG | nothing
 * for every compiler, or "gcc ...; clang ..." where they differ.  With RIGHT
 * defined the slip is mended, and the file must compile in silence: so nothing
 * else in it draws the diagnostic.  Runs in the root of the repository.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "census.h"

extern char **environ;

enum { TEXT = 32768, MODES = 6 };

/* A compiler at work. */
struct run {
	pid_t pid;
	int pipe, status;
	char text[TEXT]; /* what it said */
};

struct mode {
	const char *compiler, *language, *standard;
	bool missing;
};

static struct mode modes[MODES] = {
    {"gcc", "c", "-std=c99", false},
    {"gcc", "c", "-std=c11", false},
    {"clang", "c", "-std=c99", false},
    {"clang", "c", "-std=c11", false},
    {"g++", "c++", "-std=c++17", false},
    {"clang++", "c++", "-std=c++17", false},
};

static struct dirent **slips, **headers;
static int slip_count, header_count;

/* 0, or -errno when there is no such compiler. */
static int
start(struct run *run, const char *const *args)
{
	posix_spawn_file_actions_t actions;
	int r, fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 2);
	r = posix_spawnp(&run->pid, args[0], &actions, NULL,
	    (char *const *)(uintptr_t)args, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	run->pipe = fds[0];
	if (r != 0)
		close(fds[0]);
	return -r;
}

/* Take in all it says, and its status. */
static void
finish(struct run *run)
{
	char rest[4096];
	size_t n = 0;
	ssize_t got;

	do {
		bool full = n == TEXT - 1;

		got = full ? read(run->pipe, rest, sizeof(rest))
		           : read(run->pipe, run->text + n, TEXT - 1 - n);
		if (got > 0 && !full)
			n += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	run->text[n] = '\0';
	close(run->pipe);
	while (waitpid(run->pid, &run->status, 0) < 0)
		ck_assert_int_eq(errno, EINTR);
	ck_assert_msg(WIFEXITED(run->status), "a compiler died");
}

static void
probe(struct mode *mode)
{
	char command[64];

	snprintf(command, sizeof(command), "command -v %s >/dev/null",
	    mode->compiler);
	mode->missing = system(command) != 0;
	if (mode->missing)
		fprintf(stderr, "%s %s: not installed, skipped\n",
		    mode->compiler, mode->standard);
}

/* Slips. */

/* What the file expects of the compiler, as in "warning unused-result". */
static void
read_expectation(const char *path, const char *compiler, char *ret, size_t room)
{
	static const char intro[] = "/* expect: ";
	char line[256] = "", *clause = NULL, *end;
	FILE *file = fopen(path, "re");
	size_t n = strlen(compiler);

	ck_assert_msg(file != NULL, "%s: cannot open", path);
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, intro, sizeof(intro) - 1) == 0)
			break;
	fclose(file);
	end = strstr(line, " */");
	ck_assert_msg(end != NULL, "%s: expects nothing", path);
	*end = '\0';
	for (clause = strtok(line + sizeof(intro) - 1, ";"); clause != NULL;
	     clause = strtok(NULL, ";")) {
		clause += strspn(clause, " ");
		if (strncmp(clause, compiler, n) == 0 && clause[n] == ' ')
			clause += n + 1;
		else if (strncmp(clause, "gcc ", 4) == 0 ||
			 strncmp(clause, "clang ", 6) == 0)
			continue;
		break;
	}
	ck_assert_msg(clause != NULL, "%s: nothing for %s", path, compiler);
	snprintf(ret, room, "%s", clause);
}

/* maybe-uninitialized needs the optimiser, hence -c. */
static int
start_slip(struct run *run, const char *path, const char *compiler, bool right)
{
	const char *extra = strcmp(compiler, "clang") == 0
	                        ? "-Wconditional-uninitialized"
	                        : "-Wmaybe-uninitialized";
	const char *args[] = {compiler, "-std=c11", "-Wall", "-Wextra", "-O2",
	    extra, "-Iinclude", "-c", "-o", "/dev/null", path,
	    right ? "-DRIGHT" : NULL, NULL};

	return start(run, args);
}

static void
expect_silence(const struct run *run, const char *path, const char *compiler)
{
	ck_assert_msg(run->status == 0 && run->text[0] == '\0',
	    "%s, %s: should compile in silence:\n%s", path, compiler,
	    run->text);
}

static void
expect_diagnostic(const struct run *run, const char *path, const char *compiler)
{
	char expected[128], option[128];

	read_expectation(path, compiler, expected, sizeof(expected));
	if (strcmp(expected, "nothing") == 0) {
		expect_silence(run, path, compiler);
	} else if (strncmp(expected, "error", 5) == 0) {
		ck_assert_msg(
		    run->status != 0 && strstr(run->text, "error:") &&
			strstr(run->text, expected + 5 + (expected[5] == ' ')),
		    "%s, %s: should be an %s:\n%s", path, compiler, expected,
		    run->text);
	} else {
		ck_assert_int_eq(strncmp(expected, "warning ", 8), 0);
		snprintf(option, sizeof(option), "%s]", expected + 8);
		ck_assert_msg(
		    run->status == 0 && strstr(run->text, option) != NULL,
		    "%s, %s: should be a %s:\n%s", path, compiler, expected,
		    run->text);
	}
}

START_TEST(a_slip_draws_its_diagnostic)
{
	static const char *const compilers[] = {"gcc", "clang"};
	static struct run wrong[2], right[2];
	bool missing[2];
	char path[300];
	int i;

	snprintf(path, sizeof(path), "test/misuse/%s", slips[_i]->d_name);
	for (i = 0; i < 2; i++) {
		missing[i] = start_slip(&wrong[i], path, compilers[i], 0) < 0;
		if (!missing[i])
			start_slip(&right[i], path, compilers[i], 1);
	}
	for (i = 0; i < 2; i++) {
		if (missing[i])
			continue;
		finish(&wrong[i]);
		finish(&right[i]);
	}
	for (i = 0; i < 2; i++) {
		if (missing[i])
			continue;
		expect_diagnostic(&wrong[i], path, compilers[i]);
		expect_silence(&right[i], path, compilers[i]);
	}
}
END_TEST

START_TEST(good_code_is_silent_under_strict_warnings)
{
	static const char *const compilers[] = {"gcc", "clang"};
	static struct run run;
	const char *level[] = {"-O0", "-O1", "-O2", "-O3", "-Os"};
	const char *args[] = {compilers[_i], "-std=c11", "-Wall", "-Wextra",
	    "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-Iinclude",
	    "-c", "-o", "/dev/null", "test/misuse/good.c", NULL, NULL};
	size_t i;

	for (i = 0; i < COUNT_OF(level); i++) {
		args[COUNT_OF(args) - 2] = level[i];
		if (start(&run, args) < 0)
			return;
		finish(&run);
		expect_silence(&run, "test/misuse/good.c", compilers[_i]);
	}
}
END_TEST

/* Headers. */

static int
start_header(struct run *run, const char *header, const struct mode *mode)
{
	const char *args[] = {mode->compiler, mode->standard, "-pedantic",
	    "-Wall", "-Wextra", "-Werror", "-Iinclude", "-fsyntax-only",
	    "-include", header, "-x", mode->language, "/dev/null", NULL};

	return start(run, args);
}

START_TEST(each_header_stands_alone)
{
	static struct run runs[MODES];
	char header[300];
	int i;

	snprintf(header, sizeof(header), "eddy%s%s",
	    _i < header_count ? "/" : "",
	    _i < header_count ? headers[_i]->d_name : ".h");
	for (i = 0; i < MODES; i++)
		if (!modes[i].missing)
			start_header(&runs[i], header, &modes[i]);
	for (i = 0; i < MODES; i++)
		if (!modes[i].missing)
			finish(&runs[i]);
	for (i = 0; i < MODES; i++)
		if (!modes[i].missing)
			expect_silence(&runs[i], header, modes[i].compiler);
}
END_TEST

static int
ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

static int
is_source(const struct dirent *entry)
{
	return ends_in(entry->d_name, ".c");
}

static int
is_header(const struct dirent *entry)
{
	return ends_in(entry->d_name, ".h");
}

static void
free_list(struct dirent **list, int n)
{
	while (n > 0)
		free(list[--n]);
	free(list);
}

int
main(void)
{
	Suite *suite = suite_create("misuse");
	TCase *tcase;
	int i, failed;

	slip_count = scandir("test/misuse", &slips, is_source, alphasort);
	header_count = scandir("include/eddy", &headers, is_header, alphasort);
	if (slip_count <= 0 || header_count <= 0) {
		fputs("check_misuse: run me in the repository\n", stderr);
		return 1;
	}
	setenv("LC_ALL", "C", 1);
	for (i = 0; i < MODES; i++)
		probe(&modes[i]);
	tcase = census_case(suite, "slips", 20);
	tcase_add_loop_test(tcase, a_slip_draws_its_diagnostic, 0, slip_count);
	tcase_add_loop_test(
	    tcase, good_code_is_silent_under_strict_warnings, 0, 2);
	tcase = census_case(suite, "headers", 20);
	/* One more: eddy.h itself. */
	tcase_add_loop_test(
	    tcase, each_header_stands_alone, 0, header_count + 1);
	failed = suite_main(suite);
	free_list(slips, slip_count);
	free_list(headers, header_count);
	return failed;
}
