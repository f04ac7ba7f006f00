/* SPDX-License-Identifier: ISC */
/*
 * process_zygote: the fork server.
 *
 * Forked once, early and single-threaded; everything stays blocked in it but
 * what its signalfd reads.  It forks workers when a pool asks, reports each
 * death with its status before anybody else can reap it, and takes all workers
 * with it when the host dies (pidfd) or hangs up.  It never runs user code.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process_channel.h"
#include "sys.h"

/* The host's side. */

struct eddy_zygote {
	int master;
	pid_t pid, host;
	uid_t uid;
	gid_t gid;
	uint32_t pools; /* any thread */
};

#define READY_DURATION EDDY_S(5) /* an idle machine takes 1 ms */

static int
wait_until_ready(int master)
{
	struct pollfd fd = { .fd = master, .events = POLLIN };
	struct zygote_message message;
	int r = eddy__poll(&fd, 1, READY_DURATION);

	if (r > 0)
		r = eddy__recv(master, &message, sizeof(message), NULL, 0, 0);
	if (r < 0)
		return r;
	return r == sizeof(message) ? 0 : -ECHILD;
}

/* With all signals blocked: no handler of the host may run in the child. */
static pid_t
fork_zygote(int host_end, int zygote_end)
{
	pid_t host = eddy__getpid(), pid;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = eddy__fork();
	if (pid == 0) {
		eddy__close(host_end);
		eddy__zygote_main(zygote_end, host);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

int
eddy_zygote_open(struct eddy_zygote **ret_zygote, unsigned flags)
{
	bool threaded = eddy__thread_count() > 1;
	struct eddy_zygote *zygote;
	int ends[2], r;

	if (threaded && (flags & EDDY_FORK_THREADED) == 0)
		return -EDEADLK;
	zygote = eddy__alloc(sizeof(*zygote));
	if (zygote == NULL)
		return -ENOMEM;
	r = eddy__socketpair(ends);
	if (r < 0)
		goto fail_pair;
	if (!threaded)
		fflush(stdout); /* with threads, one may hold its lock */
	*zygote = (struct eddy_zygote){ .master = ends[0],
		.host = eddy__getpid(),
		.uid = geteuid(),
		.gid = getegid() };
	r = zygote->pid = fork_zygote(ends[0], ends[1]);
	eddy__close(ends[1]);
	if (r < 0)
		goto fail_fork;
	r = wait_until_ready(zygote->master);
	if (r < 0) {
		eddy_zygote_close(zygote);
		return r;
	}
	*ret_zygote = zygote;
	return 0;

fail_fork:
	eddy__close(ends[0]);
fail_pair:
	eddy__free(zygote);
	return r;
}

int
eddy_zygote_close(struct eddy_zygote *zygote)
{
	bool ours = zygote->host == eddy__getpid();
	siginfo_t info;

	if (ours && A_LOAD(&zygote->pools) != 0)
		return -EBUSY;
	if (ours)
		shutdown(zygote->master, SHUT_RDWR);
	eddy__close(zygote->master);
	if (ours) /* ECHILD: the host reaps all its children */
		eddy__waitid(P_PID, zygote->pid, &info, WEXITED);
	eddy__free(zygote);
	return 0;
}

int
eddy__zygote_link(struct eddy_zygote *zygote)
{
	struct zygote_message message = { .op = Z_POOL };
	int ends[2], r;

	if (zygote->host != eddy__getpid())
		return -ECHILD;
	if (zygote->uid != geteuid() || zygote->gid != getegid())
		return -EPERM;
	r = eddy__socketpair(ends);
	if (r < 0)
		return r;
	r = eddy__send(zygote->master, &message, sizeof(message), &ends[1], 1);
	eddy__close(ends[1]);
	if (r < 0) {
		eddy__close(ends[0]);
		return r;
	}
	A_ADD(&zygote->pools, 1);
	return ends[0];
}

void
eddy__zygote_unlink(struct eddy_zygote *zygote, int link)
{
	eddy__close(link);
	A_SUB(&zygote->pools, 1);
}

/* The zygote's side: a process of its own, so its state is its main's. */

enum { MASTER, HOST, SIGNALS, FIRST_LINK, FDS_MAX = 64, STRAY_ROUNDS = 100 };

struct child {
	pid_t pid;
	int link;
	uint32_t index;
	uint64_t generation;
};

struct server {
	pid_t self;
	struct pollfd fds[FDS_MAX]; /* the links are pools */
	int fd_count;
	struct child *children;
	size_t child_count;
};

static void
kill_child(const struct child *child)
{
	kill(-child->pid, SIGKILL); /* its group, once it has made one */
	kill(child->pid, SIGKILL);
}

static void
tell(int link, const struct zygote_message *message, int fd)
{
	eddy__send(link, message, sizeof(*message), &fd, fd >= 0);
}

/* A dead child still pins its ids: kill its group, then reap and report. */
static void
bury(struct server *server, const siginfo_t *dead)
{
	struct zygote_message message = { .op = Z_EXITED,
		.pid = dead->si_pid,
		.code = dead->si_code,
		.status = dead->si_status };
	struct child *child = server->children;
	struct child *end = child + server->child_count;
	siginfo_t info;

	while (child < end && child->pid != dead->si_pid)
		child++;
	if (child < end)
		kill(-child->pid, SIGKILL);
	eddy__waitid(P_PID, dead->si_pid, &info, WEXITED);
	if (child == end)
		return; /* a stray of some job, ours as its subreaper */
	message.index = child->index;
	message.generation = child->generation;
	tell(child->link, &message, -1);
	*child = end[-1];
	server->child_count--;
}

static void
reap(struct server *server)
{
	char drop[2048];
	siginfo_t dead;

	while (eddy__read(server->fds[SIGNALS].fd, drop, sizeof(drop)) > 0)
		;
	while (
	    eddy__waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	    dead.si_pid != 0)
		bury(server, &dead);
}

static int
fork_worker(struct server *server, const struct zygote_message *order,
    const int *fds, int link)
{
	size_t bytes = (server->child_count + 1) * sizeof(struct child);
	struct child *children = eddy__realloc(server->children, bytes);
	pid_t pid;

	if (children == NULL)
		return -ENOMEM;
	server->children = children;
	if (fds[0] < 0 || fds[1] < 0)
		return -EMFILE; /* lost on the way: our limit */
	pid = eddy__fork();
	if (pid == 0)
		eddy__worker_main(fds[0], fds[1], server->self, order->size);
	if (pid < 0)
		return pid;
	setpgid(pid, pid); /* it does too; whoever comes first */
	children[server->child_count++] =
	    (struct child){ pid, link, order->index, order->generation };
	return pid;
}

static void
spawn(struct server *server, struct zygote_message *message, const int *fds,
    int link)
{
	int pid = fork_worker(server, message, fds, link);
	int pidfd = pid > 0 ? eddy__pidfd_open(pid) : -1;

	message->op = pid > 0 ? Z_SPAWNED : Z_FAILED;
	message->pid = pid;
	message->error = pid;
	tell(link, message, pidfd);
	if (pidfd >= 0)
		eddy__close(pidfd);
}

static void
drop_link(struct server *server, int i)
{
	int link = server->fds[i].fd;
	size_t k;

	for (k = 0; k < server->child_count; k++)
		if (server->children[k].link == link) {
			server->children[k].link = -1;
			kill_child(&server->children[k]);
		}
	eddy__close(link);
	server->fds[i] = server->fds[--server->fd_count];
}

/* An order on fds[i].  False: its other end has hung up. */
static bool
obey(struct server *server, int i)
{
	struct zygote_message message;
	int fds[2], k, link = server->fds[i].fd;
	int r = eddy__recv(link, &message, sizeof(message), fds, 2, 0);

	if (r != (int)sizeof(message))
		return false;
	if (message.op == Z_SPAWN) {
		spawn(server, &message, fds, link);
	} else if (fds[0] >= 0 && server->fd_count < FDS_MAX) {
		server->fds[server->fd_count++] =
		    (struct pollfd){ .fd = fds[0], .events = POLLIN };
		fds[0] = -1; /* a pool's link; beyond the limit it is closed */
	}
	for (k = 0; k < 2; k++)
		if (fds[k] >= 0)
			eddy__close(fds[k]);
	return true;
}

/* What left its worker's group by setsid and fork twice is our child now. */
static void
kill_strays(void)
{
	char pids[4096], *next, *end;
	siginfo_t info;
	int fd, n;
	long pid;

	fd = eddy__open("/proc/thread-self/children", O_RDONLY);
	n = fd < 0 ? 0 : eddy__read(fd, pids, sizeof(pids) - 1);
	if (fd >= 0)
		eddy__close(fd);
	pids[n > 0 ? n : 0] = '\0';
	for (next = pids; (pid = strtol(next, &end, 10)) > 0; next = end)
		kill((pid_t)pid, SIGKILL);
	while (eddy__waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 &&
	       info.si_pid != 0)
		;
}

static _Noreturn void
finish(struct server *server)
{
	siginfo_t info;
	size_t k;
	int round;

	for (k = 0; k < server->child_count; k++)
		kill_child(&server->children[k]);
	for (round = 0; round < STRAY_ROUNDS; round++) {
		kill_strays();
		if (eddy__waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) <
		    0)
			break; /* ECHILD: none are left */
		eddy__poll(NULL, 0, EDDY_MS(1));
	}
	_exit(0);
}

/* Handlers of the host must not run here; ignored signals stay ignored. */
static void
reset_handlers(void)
{
	struct sigaction action;
	int number;

	for (number = 1; number < NSIG; number++)
		if (sigaction(number, NULL, &action) == 0 &&
		    (action.sa_handler != SIG_IGN || number == SIGCHLD))
			signal(number, SIG_DFL);
}

/* Nothing of the host stays open but 1, 2 and the master. */
static int
leave_host(int master)
{
	int null;

	setpgid(0, 0); /* a terminal's Ctrl-C is the host's affair */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_NAME, "eddy-zygote");
	reset_handlers();
	__fpurge(stdout);
	if (dup2(master, STDERR_FILENO + 1) >= 0)
		master = STDERR_FILENO + 1;
	eddy__close_range((unsigned)master + 1, ~0u);
	null = eddy__open("/dev/null", O_RDONLY);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		eddy__close(null);
	}
	return master;
}

_Noreturn void
eddy__zygote_main(int master, pid_t host)
{
	struct zygote_message ready = { .op = Z_READY };
	struct server server = { .self = getpid(), .fd_count = FIRST_LINK };
	sigset_t child;
	int i;

	master = leave_host(master);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (i = 0; i < FIRST_LINK; i++)
		server.fds[i].events = POLLIN;
	server.fds[MASTER].fd = master;
	server.fds[HOST].fd = eddy__pidfd_open(host);
	server.fds[SIGNALS].fd = eddy__signalfd(&child);
	if (getppid() != host || server.fds[SIGNALS].fd < 0)
		_exit(0);
	tell(master, &ready, -1);
	for (;;) {
		if (eddy__poll(server.fds, server.fd_count, EDDY_FOREVER) < 0)
			continue;
		if (server.fds[SIGNALS].revents != 0)
			reap(&server);
		if (server.fds[HOST].revents != 0 ||
		    (server.fds[MASTER].revents != 0 && !obey(&server, MASTER)))
			finish(&server);
		for (i = server.fd_count - 1; i >= FIRST_LINK; i--)
			if (server.fds[i].revents != 0 && !obey(&server, i))
				drop_link(&server, i);
	}
}
