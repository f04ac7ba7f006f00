/* SPDX-License-Identifier: ISC */
#include "census.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	SLOWER = CENSUS_TSAN || CENSUS_ASAN ? 5 : 1,
	PATIENCE = 1000, /* ms; a joined thread stays in procfs a moment */
};

static struct census {
	int fds, threads, children;
} before;

static int
entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Zombies count.  -1: this kernel does not list them. */
static int
children_of(const char *task)
{
	char path[64];
	FILE *file;
	int n = 0, pid;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/children", task);
	file = fopen(path, "re");
	if (file == NULL)
		return -1;
	while (fscanf(file, "%d", &pid) == 1)
		n++;
	fclose(file);
	return n;
}

static int
children(void)
{
	DIR *dir = opendir("/proc/self/task");
	siginfo_t info;
	struct dirent *entry;
	int n = 0, some = -1;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		some = children_of(entry->d_name);
		n += some > 0 ? some : 0;
	}
	closedir(dir);
	if (n == 0 && some < 0) /* any at all, then */
		n = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
	return n;
}

static struct census
take(void)
{
	struct census now = {.fds = entries("/proc/self/fd")};

	now.threads = entries("/proc/self/task");
	now.children = children();
	return now;
}

static bool
same(struct census now)
{
	/* TSan starts one of its own with the first; it reports leaks itself. */
	int own = CENSUS_TSAN && now.threads == before.threads + 1;

	return now.fds == before.fds && now.threads - own == before.threads &&
	       now.children == before.children;
}

static void
list_descriptors(void)
{
	char path[32], target[256];
	ssize_t n;
	int fd;

	for (fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target));
		if (n >= 0)
			fprintf(stderr, "  %d -> %.*s\n", fd, (int)n, target);
	}
}

void
census_begin(void)
{
	before = take();
}

void
census_end(void)
{
	struct timespec ms = {.tv_nsec = 1000000};
	struct census now = take();
	int i;

	for (i = 0; i < PATIENCE && !same(now); i++) {
		nanosleep(&ms, NULL);
		now = take();
	}
	if (same(now))
		return;
	list_descriptors();
	ck_abort_msg("left behind: descriptors %+d, threads %+d, children %+d",
	    now.fds - before.fds, now.threads - before.threads,
	    now.children - before.children);
}

TCase *
census_case(Suite *suite, const char *name, double timeout)
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, timeout * SLOWER);
	tcase_add_checked_fixture(tcase, census_begin, census_end);
	suite_add_tcase(suite, tcase);
	return tcase;
}

void
census_add_list(TCase *tcase, const TTest *const *tests)
{
	for (; *tests != NULL; tests++)
		tcase_add_test(tcase, *tests);
}

int
census_child(int (*fn)(void *), void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(-fn(arg) & 0xff);
	ck_assert_int_gt(pid, 0);
	while (waitpid(pid, &status, 0) < 0)
		ck_assert_int_eq(errno, EINTR);
	if (WIFSIGNALED(status))
		return 1000 + WTERMSIG(status);
	return -WEXITSTATUS(status);
}

void
census_read(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	close(fd);
}

void *
census_share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

struct eddy_loop *
census_loop(void)
{
	struct eddy_loop *loop;

	ck_assert_int_eq(eddy_loop_open(&loop, NULL), 0);
	return loop;
}

int
suite_main(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
