/* SPDX-License-Identifier: ISC */
/*
 * process_server: the fork server, a process of its own.
 *
 * It forks one more of itself for each pool; that one forks the pool's workers,
 * reports each death with its status before anybody else can reap it, and takes
 * its workers along when the host dies (pidfd) or hangs up.  It never runs user
 * code, nor handlers of pthread_atfork(3), which close descriptors by numbers
 * that are ours by now; all signals stay blocked in it, and a signalfd reads
 * SIGCHLD.
 */
#include <eddy/signal.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process_channel.h"
#include "sys.h"
#include "text.h"

enum { ORDERS, HOST, SIGNALS, FDS, STRAY_ROUNDS = 100 };

struct child {
	pid_t pid;
	uint32_t index;
};

struct server {
	pid_t self;
	struct pollfd fds[FDS];
	struct child *children;
	size_t count;
};

static _Noreturn void finish(struct server *server);

static void
tell(struct server *server, const struct zygote_message *message, int fd)
{
	struct pollfd host = {.fd = server->fds[ORDERS].fd};
	int r;

	/* Also when memory is short: the host would wait for ever.  As it would
	 * for who goes on after another error. */
	while ((r = eddy__send(
		    host.fd, message, sizeof(*message), &fd, fd >= 0)) < 0) {
		if ((host.revents & POLLHUP) != 0 ||
		    (r != -EAGAIN && r != -ENOMEM && r != -ENOBUFS &&
			r != -ETOOMANYREFS))
			finish(server);
		host.events = r == -EAGAIN ? POLLOUT : 0;
		eddy__poll(&host, 1, r == -EAGAIN ? EDDY_FOREVER : EDDY_MS(1));
	}
}

/* A dead child still pins its ids: kill its group, then reap and report.
 * Others than workers are strays of jobs, ours as their subreaper. */
static void
bury(struct server *server, const siginfo_t *dead)
{
	struct zygote_message message = {.op = Z_EXITED,
	    .pid = dead->si_pid,
	    .code = dead->si_code,
	    .status = dead->si_status};
	size_t i = 0;

	while (i < server->count && server->children[i].pid != dead->si_pid)
		i++;
	if (i < server->count)
		kill(-dead->si_pid, SIGKILL);
	eddy__wait4(dead->si_pid, &message.usage);
	if (i == server->count)
		return;
	message.index = server->children[i].index;
	tell(server, &message, -1);
	server->children[i] = server->children[--server->count];
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

static void
spawn(struct server *server, struct zygote_message *order, const int *fds)
{
	size_t size = (server->count + 1) * sizeof(struct child);
	struct child *children = eddy__realloc(server->children, size);
	int pidfd = -1, pid = -ENOMEM;

	if (children != NULL) {
		server->children = children;
		/* Lost on the way: our limit. */
		pid = fds[order->fds - 1] < 0 ? -EMFILE : eddy__fork_bare();
	}
	if (pid == 0)
		eddy__worker_main(fds, server->self, order->size);
	if (pid > 0) {
		setpgid(pid, pid); /* it does too; whoever comes first */
		pidfd = eddy__pidfd_open(pid);
		children[server->count++] = (struct child){pid, order->index};
	}
	order->op = pid > 0 ? Z_SPAWNED : Z_FAILED;
	order->pid = order->error = pid;
	tell(server, order, pidfd);
	eddy__close(pidfd);
}

/* What makes a zygote of a fresh child. */
static void
become_server(struct server *server, int orders)
{
	server->self = getpid();
	server->fds[ORDERS].fd = orders;
	setpgid(0, 0); /* a terminal's Ctrl-C is the host's affair */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_NAME, "eddy-zygote");
}

/* False: the host has hung up. */
static bool
obey(struct server *server)
{
	int orders = server->fds[ORDERS].fd, fds[FD_COUNT], i;
	struct zygote_message order;

	if (eddy__recv(orders, &order, sizeof(order), fds, FD_COUNT) !=
	    (int)sizeof(order))
		return false;
	if (order.op == Z_SPAWN) {
		spawn(server, &order, fds);
	} else if (fds[0] >= 0 && eddy__fork_bare() == 0) {
		eddy__die_with(server->self);
		eddy__close(orders);
		become_server(server, fds[0]);
		return true;
	}
	for (i = 0; i < FD_COUNT; i++)
		eddy__close(fds[i]);
	return true;
}

/* Kill all children: workers, pools' zygotes, and what left a worker's group by
 * setsid and forking twice.  False: there are none. */
static bool
kill_children(void)
{
	char pids[4096], *next = pids, *end;
	siginfo_t info;
	long pid;
	int n;

	eddy__slurp("/proc/thread-self/children", pids, sizeof(pids));
	/* In a namespace with the procfs of another, numbers are not ours. */
	for (; (pid = strtol(next, &end, 10)) > 0; next = end)
		if (eddy__waitid(P_PID, (pid_t)pid, &info,
			WEXITED | WNOHANG | WNOWAIT) == 0)
			kill((pid_t)pid, SIGKILL);
	while ((n = eddy__waitid(P_ALL, 0, &info, WEXITED | WNOHANG)) == 0 &&
	       info.si_pid != 0)
		;
	return n == 0;
}

static _Noreturn void
finish(struct server *server)
{
	int round;

	while (server->count > 0)
		kill(-server->children[--server->count].pid, SIGKILL);
	for (round = 0; kill_children() && round < STRAY_ROUNDS; round++)
		eddy__poll(NULL, 0, EDDY_MS(1));
	_exit(0);
}

/* Keep nothing of the host but 1, 2 and the orders: no descriptor, no handler
 * (ignored signals stay ignored), nothing read ahead or unwritten. */
static int
leave_host(struct server *server)
{
	int number, null, r, orders = eddy__dup(server->fds[ORDERS].fd, 3);
	struct sigaction action;

	if (orders < 0)
		return orders;
	for (number = 1; number < NSIG; number++)
		if (sigaction(number, NULL, &action) == 0 &&
		    (action.sa_handler != SIG_IGN || number == SIGCHLD))
			signal(number, SIG_DFL);
	__fpurge(stdin);
	__fpurge(stdout);
	r = eddy__close_range((unsigned)orders + 1, ~0u);
	eddy__close_range(3, (unsigned)orders - 1); /* 3 is orders: none */
	server->fds[ORDERS].fd = orders;
	null = eddy__open("/dev/null", O_RDWR, 0);
	if (null < 0) { /* an empty root: as little to read, and no room */
		null = eddy__memfd_open("eddy-null");
		eddy__memfd_seal(null, 0, true);
	}
	dup2(null, STDIN_FILENO);
	/* Not the host's output, but what it opened without having any. */
	for (number = STDOUT_FILENO; number <= STDERR_FILENO; number++)
		if (fcntl(number, F_GETFD) != 0)
			dup2(null, number);
	if (null > STDERR_FILENO)
		eddy__close(null);
	else /* it is one of them, also of what a job executes */
		fcntl(null, F_SETFD, 0);
	return r;
}

_Noreturn void
eddy__zygote_main(int orders, pid_t host)
{
	struct zygote_message ready = {.op = Z_READY};
	struct server server = {.fds = {{.events = POLLIN}, {.events = POLLIN},
				    {.events = POLLIN}}};
	int r;

	become_server(&server, orders);
	r = leave_host(&server);
	/* Do this kernel and this container's filter let us do all we must? */
	if (r >= 0)
		r = server.fds[HOST].fd = eddy__pidfd_open(host);
	if (r >= 0)
		r = eddy__pidfd_kill(server.fds[HOST].fd, 0);
	if (r >= 0)
		r = server.fds[SIGNALS].fd = eddy__signalfd(
		    -1, EDDY_SIGNAL(SIGCHLD));
	ready.error = r < 0 ? r : 0;
	tell(&server, &ready, -1);
	if (r < 0 || getppid() != host)
		_exit(0);
	for (;;) {
		r = eddy__poll(server.fds, FDS, EDDY_FOREVER);
		if (r < 0) /* RLIMIT_NOFILE is below what we have */
			finish(&server);
		if (server.fds[SIGNALS].revents != 0)
			reap(&server);
		if (server.fds[HOST].revents != 0 ||
		    (server.fds[ORDERS].revents != 0 && !obey(&server)))
			finish(&server);
	}
}
