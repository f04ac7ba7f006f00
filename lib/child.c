/* SPDX-License-Identifier: ISC */
/*
 * child: a pidfd, watched while somebody waits.
 *
 * result is -EBUSY until waitid tells the status, or that another has taken it.
 * Until then the pid is nobody else's.
 */
#include <eddy/child.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring.h"
#include "sys.h"

#define P_PIDFD 3 /* waitid(2); in glibc since 2.36, an enumerator */

/* What the child has as number: ret_fd is above 2, so that no dup2 in the child
 * hits one that is yet to be copied. */
static int
source(int from, int number, int *ret_fd, int *ret_ours)
{
	int theirs = number == STDIN_FILENO ? 0 : 1, ends[2], fd = from;

	if (from == EDDY_CHILD_INHERIT)
		return 0;
	if (from == EDDY_CHILD_PIPE) {
		fd = eddy__pipe(ends, !theirs);
		if (fd < 0)
			return fd;
		*ret_ours = ends[!theirs];
		fd = ends[theirs];
	} else if (from == EDDY_CHILD_NULL) {
		fd = eddy__open("/dev/null", O_RDWR, 0);
	}
	if (fd < 0)
		return from < EDDY_CHILD_PIPE ? -EINVAL : fd;
	*ret_fd = eddy__dup(fd, STDERR_FILENO + 1);
	if (fd != from)
		eddy__close(fd);
	return *ret_fd < 0 ? *ret_fd : 0;
}

/* It runs: never without a pidfd. */
static int
follow(struct eddy_child *child)
{
	int r = eddy__pidfd_open(child->pid);
	siginfo_t info;

	if (r >= 0) {
		child->pidfd = r;
		return 0;
	}
	if (r == -ESRCH) { /* the host reaps whatever ends */
		child->result = -ECHILD;
		return 0;
	}
	eddy__kill(child->pid, SIGKILL);
	eddy__waitid(P_PID, child->pid, &info, WEXITED);
	return r;
}

int
eddy_child_spawn(
    struct eddy_child *child, const struct eddy_child_options *options)
{
	struct spawn how = {options->argv, options->env, options->directory,
	    {-1, -1, -1}, (options->flags & EDDY_CHILD_GROUP) != 0};
	const int from[3] = {options->in, options->out, options->err};
	int ours[3] = {-1, -1, -1}, i, r = 0;

	*child = (struct eddy_child){
	    .pidfd = -1, .in = -1, .out = -1, .err = -1, .result = -EBUSY};
	list_init(&child->waiters);
	if (how.argv == NULL || how.argv[0] == NULL)
		r = -EINVAL;
	for (i = 0; i < 3 && r == 0; i++)
		r = source(from[i], i, &how.fds[i], &ours[i]);
	if (r == 0)
		r = eddy__spawn(&child->pid, &how);
	if (r == 0)
		r = follow(child);
	for (i = 0; i < 3; i++) {
		eddy__close(how.fds[i]);
		if (r < 0)
			eddy__close(ours[i]);
	}
	if (r < 0) {
		child->result = r;
		return r;
	}
	child->in = ours[0];
	child->out = ours[1];
	child->err = ours[2];
	return 0;
}

int
eddy_child_reap(struct eddy_child *child)
{
	siginfo_t info;
	int r;

	if (child->result != -EBUSY)
		return child->result;
	r = eddy__waitid(
	    P_PIDFD, child->pidfd, &info, WEXITED | WNOHANG | WNOWAIT);
	if (r == 0 && info.si_pid != 0) /* waitid(2) gives no usage */
		eddy__wait4(info.si_pid, &child->usage);
	if (r < 0) {
		child->result = r;
	} else if (info.si_pid != 0 && info.si_code == CLD_EXITED) {
		child->result = info.si_status & 0xff;
	} else if (info.si_pid != 0) {
		child->result = -EOWNERDEAD;
		child->signal = info.si_status;
	}
	return child->result;
}

/* Nobody waits any more.  While somebody does, a virtual clock stands still. */
static void
unwatch(struct eddy_child *child)
{
	eddy_watch_stop(child->loop, &child->watch);
	child->loop->holds--;
}

static void
on_end(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	struct eddy_child *child = CONTAINER_OF(
	    watch, struct eddy_child, watch);
	int r = eddy_child_reap(child);

	(void)loop;
	(void)events;
	if (r == -EBUSY)
		return;
	unwatch(child);
	waiters_wake(&child->waiters, r);
}

static int
leave(struct eddy_task *task, int rc)
{
	struct eddy_child *child = task->use.user[2];

	list_remove(&task->use.ready);
	if (list_empty(&child->waiters))
		unwatch(child);
	return eddy_unpark(task, rc);
}

static const struct eddy_op child_op = {"child", leave};

EDDY_ASYNC
eddy_child_wait(struct eddy_task *self, struct eddy_child *child)
{
	int r = eddy_cancelled(self) ? -ECANCELED : eddy_child_reap(child);

	if (r != -EBUSY)
		return eddy_complete(self, r);
	if (list_empty(&child->waiters)) {
		child->loop = self->loop;
		eddy_watch_init(&child->watch, child->pidfd, on_end, 0);
		r = eddy_watch_start(self->loop, &child->watch, EPOLLIN);
		self->loop->holds += r == 0;
	} else {
		r = child->loop == self->loop ? 0 : -EPERM;
	}
	if (r < 0)
		return eddy_complete(self, r);
	return waiter_park(self, &child->waiters, &child_op, child);
}

int
eddy_child_kill(struct eddy_child *child, int signal)
{
	return child->pidfd < 0 ? -ESRCH
	                        : eddy__pidfd_kill(child->pidfd, signal);
}

int
eddy_child_close(struct eddy_child *child)
{
	if (eddy_child_reap(child) == -EBUSY || !list_empty(&child->waiters))
		return -EBUSY;
	eddy__close(child->pidfd);
	child->pidfd = -1;
	return 0;
}
