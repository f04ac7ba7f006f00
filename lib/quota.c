/* SPDX-License-Identifier: ISC */
/*
 * quota: how many CPUs the control groups of this process leave it.
 *
 * Version 2 has "quota period" (or "max") in cpu.max, version 1 a file for
 * each; a group also has no more than those above it.  What is not there, or
 * not seen from this container, limits nothing.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "sys.h"
#include "text.h"

enum { LIST = 4096 }; /* bytes of /proc/self/cgroup that are looked at */

/* "dir/name" as text; empty when it cannot be had. */
static void
slurp(const char *dir, const char *name, char *text, int size)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	eddy__slurp(path, text, (size_t)size);
}

/* Of one group, rounded up. */
static unsigned
limit_of(const char *dir)
{
	char text[64];
	long quota = 0, period = 0;

	slurp(dir, "cpu.max", text, sizeof(text));
	if (sscanf(text, "%ld %ld", &quota, &period) != 2) {
		slurp(dir, "cpu.cfs_quota_us", text, sizeof(text));
		sscanf(text, "%ld", &quota);
		slurp(dir, "cpu.cfs_period_us", text, sizeof(text));
		sscanf(text, "%ld", &period);
	}
	if (quota <= 0 || period <= 0)
		return UINT_MAX;
	quota = quota / period + (quota % period != 0);
	return quota < INT_MAX ? (unsigned)quota : UINT_MAX;
}

/* Of the group at root/path and those above it. */
static unsigned
limit_above(const char *root, const char *path, unsigned limit)
{
	char dir[PATH_MAX], *slash;
	size_t base = strlen(root);
	unsigned own;

	if (snprintf(dir, sizeof(dir), "%s%s", root, path) >= PATH_MAX)
		return limit;
	for (;;) {
		own = limit_of(dir);
		limit = own < limit ? own : limit;
		slash = strrchr(dir + base, '/');
		if (slash == NULL)
			return limit;
		*slash = '\0';
	}
}

/* Is it one of those in "cpu,cpuacct"? */
static bool
has_cpu(char *controllers)
{
	char *name;

	while ((name = strsep(&controllers, ",")) != NULL)
		if (strcmp(name, "cpu") == 0)
			return true;
	return false;
}

unsigned
eddy__quota(unsigned cpus)
{
	char list[LIST], *line, *rest = list, *controllers;
	int saved = errno; /* sscanf sets it */

	slurp("/proc/self", "cgroup", list, LIST);
	while ((line = strsep(&rest, "\n")) != NULL) {
		strsep(&line, ":"); /* the hierarchy's number */
		controllers = strsep(&line, ":");
		if (line == NULL)
			continue;
		if (*controllers == '\0')
			cpus = limit_above("/sys/fs/cgroup", line, cpus);
		else if (has_cpu(controllers))
			cpus = limit_above("/sys/fs/cgroup/cpu", line, cpus);
	}
	errno = saved;
	return cpus;
}
