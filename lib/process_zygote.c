/* SPDX-License-Identifier: ISC */
/*
 * process_zygote: the fork server as its host has it.
 *
 * Forked once, early and single-threaded.  Code that is mapped later does not
 * exist in its workers, where calling it would be a crash that tells nobody
 * why; so it is remembered what of this process is executable.
 */
#include <eddy/process_pool.h>

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process_channel.h"
#include "sys.h"

struct range {
	uintptr_t from, to;
};

struct eddy_zygote {
	int socket;
	pid_t pid, host;
	uid_t uid;
	gid_t gid;
	struct stat root;
	uint32_t pools;       /* any thread */
	struct range *ranges; /* that are executable, in order; constant */
	int count;            /* of them; 0: not known, as without procfs */
};

enum { LOOKS = 20 };       /* a millisecond each, for threads to be gone */
#define DURATION EDDY_S(5) /* to be ready, or to end; an idle machine: 1 ms */

/* With all signals blocked: no handler of the host may run in the child. */
static pid_t
fork_zygote(const int *ends, pid_t host)
{
	sigset_t all, old;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = eddy__fork();
	if (pid == 0)
		eddy__zygote_main(ends[1], host);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	eddy__close(ends[1]);
	return pid;
}

/* Until it has closed what is ours. */
static int
wait_until_ready(int socket)
{
	struct pollfd fd = {.fd = socket, .events = POLLIN};
	struct zygote_message ready;
	int r = eddy__poll(&fd, 1, DURATION);

	if (r > 0)
		r = eddy__recv(socket, &ready, sizeof(ready), NULL, 0);
	return r > 0 ? ready.error : r < 0 ? r : -ECHILD;
}

/* One that was joined may be listed for a moment yet. */
static bool
has_threads(int looks)
{
	while (eddy__thread_count() > 1) {
		if (--looks <= 0)
			return true;
		eddy__poll(NULL, 0, EDDY_MS(1));
	}
	return false;
}

static int
find_executable(struct range **ret_ranges)
{
	int n = 0, saved = errno;
	FILE *maps = fopen("/proc/self/maps", "re");
	struct range *ranges = NULL, *more = NULL;
	unsigned long from, to;
	char line[256], execute;

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx %*2c%c", &from, &to, &execute) != 3 ||
		    execute != 'x')
			continue; /* the rest of a long line, too */
		more = eddy__realloc(ranges, (size_t)(n + 1) * sizeof(*ranges));
		if (more == NULL)
			break;
		ranges = more;
		ranges[n++] = (struct range){from, to};
	}
	if (maps != NULL)
		fclose(maps);
	errno = saved;
	*ret_ranges = ranges;
	return more != NULL ? n : 0; /* half of them would be a lie */
}

int
eddy_zygote_open(struct eddy_zygote **ret_zygote, unsigned flags)
{
	bool insists = (flags & EDDY_FORK_THREADED) != 0;
	bool threaded = has_threads(insists ? 1 : LOOKS);
	int ends[2], saved = errno, r;
	struct eddy_zygote *z;

	if (threaded && !insists)
		return -EDEADLK;
	z = eddy__alloc(sizeof(*z));
	if (z == NULL)
		return -ENOMEM;
	r = eddy__stat("/", &z->root);
	if (r >= 0)
		r = eddy__socketpair(ends);
	if (r < 0)
		goto fail_pair;
	if (!threaded)
		fflush(stdout); /* else a thread may hold its lock for long */
	errno = saved;
	z->socket = ends[0];
	z->host = eddy__getpid();
	z->uid = geteuid();
	z->gid = getegid();
	z->count = find_executable(&z->ranges);
	r = z->pid = fork_zygote(ends, z->host);
	if (r < 0)
		goto fail_fork;
	r = wait_until_ready(z->socket);
	if (r < 0) {
		eddy_zygote_close(z);
		return r;
	}
	*ret_zygote = z;
	return 0;

fail_fork:
	eddy__free(z->ranges);
	eddy__close(ends[0]);
fail_pair:
	eddy__free(z);
	return r;
}

int
eddy_zygote_close(struct eddy_zygote *z)
{
	struct pollfd fd = {.fd = z->socket, .events = POLLIN};
	bool ours = z->host == eddy__getpid();
	int saved = errno;
	siginfo_t info;

	if (ours && A_LOAD(&z->pools) != 0)
		return -EBUSY;
	if (ours)
		eddy__hang_up(z->socket);
	/* While it has its end of the socket, the id is its own. */
	if (ours && eddy__poll(&fd, 1, DURATION) == 0)
		kill(z->pid, SIGKILL); /* somebody has stopped it */
	errno = saved;
	eddy__close(z->socket);
	if (ours) /* ECHILD: the host reaps all its children. */
		eddy__waitid(P_PID, z->pid, &info, WEXITED);
	eddy__free(z->ranges);
	eddy__free(z);
	return 0;
}

bool
eddy__zygote_has(const struct eddy_zygote *z, uintptr_t fn)
{
	int i = 0;

	while (i < z->count && z->ranges[i].to <= fn)
		i++;
	return fn == 0 || z->count == 0 ||
	       (i < z->count && z->ranges[i].from <= fn);
}

int
eddy__zygote_link(struct eddy_zygote *z)
{
	struct zygote_message message = {.op = Z_POOL};
	struct stat root;
	int ends[2], r;

	if (z->host != eddy__getpid())
		return -ECHILD;
	r = eddy__stat("/", &root);
	if (r < 0)
		return r;
	if (z->uid != geteuid() || z->gid != getegid() ||
	    z->root.st_dev != root.st_dev || z->root.st_ino != root.st_ino)
		return -EPERM;
	r = eddy__socketpair(ends);
	if (r < 0)
		return r;
	r = eddy__send(z->socket, &message, sizeof(message), &ends[1], 1);
	eddy__close(ends[1]);
	if (r < 0) {
		eddy__close(ends[0]);
		return r;
	}
	A_ADD(&z->pools, 1);
	return ends[0];
}

void
eddy__zygote_unlink(struct eddy_zygote *z, int link)
{
	/* Forked children of the host may have copies of it. */
	if (z->host == eddy__getpid())
		eddy__hang_up(link);
	eddy__close(link);
	A_SUB(&z->pools, 1);
}
