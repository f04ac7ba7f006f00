/* SPDX-License-Identifier: ISC */
/*
 * io: a system call, tried again whenever its descriptor is ready.
 *
 * What an operation needs is in the task's use.io and in a static record with
 * the one function that tries it: the result, or EDDY_PENDING to wait for
 * another event.  The loop tries again as it collects, so a result is there
 * before any deadline of that turn.
 */
#include <eddy/io.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>

#include "io_impl.h"
#include "sys.h"

enum { TRIES = 16 }; /* in a row; then it is others' turn */

static int
written(const struct eddy_task *task, const struct io_op *op)
{
	return op->how == COPY ? (int)task->use.io.more : task->use.io.fd;
}

int
eddy__io_leave(struct eddy_task *task, int rc)
{
	const struct io_op *op = CONTAINER_OF(task->op, const struct io_op, op);

	if ((op->sides & READS) != 0)
		eddy__watch_leave(task->loop, task->use.io.fd, 0);
	if ((op->sides & WRITES) != 0)
		eddy__watch_leave(task->loop, written(task, op), 1);
	return task_unpark(task, rc);
}

static void
wake(struct eddy_ready *waiter, int rc)
{
	struct eddy_task *task = task_of_waiter(waiter);
	const struct io_op *op = CONTAINER_OF(task->op, const struct io_op, op);

	if (rc == 0)
		rc = op->attempt(task, op);
	if (rc != EDDY_PENDING)
		eddy__io_leave(task, rc);
}

EDDY_ASYNC
eddy__io_park(struct eddy_task *self, const struct io_op *op)
{
	struct eddy_ready *waiter = waiter_of_task(self);
	struct eddy_loop *loop = self->loop;
	int r = 0;

	if ((op->sides & READS) != 0)
		r = eddy__watch_wait(loop, waiter, self->use.io.fd, 0);
	if (r == 0 && (op->sides & WRITES) != 0) {
		r = eddy__watch_wait(loop, waiter, written(self, op), 1);
		if (r < 0 && (op->sides & READS) != 0)
			eddy__watch_leave(loop, self->use.io.fd, 0);
	}
	if (r < 0)
		return eddy_complete(self, r);
	loop->wake = wake;
	return eddy__park(self, &op->op);
}

/* Is it a read that takes all it can? */
static bool
drains(const struct eddy_task *task, const struct io_op *op)
{
	return op->sides == READS && task->use.io.size != 0 &&
	       (op->how == FULL ||
		   (op->how == FLAGS && task->use.io.more == 0));
}

static eddy_async
begin(struct eddy_task *self, const struct io_op *op, int fd, const void *data,
    size_t size, uintptr_t more)
{
	int r = -ECANCELED;

	self->use.io.fd = fd;
	self->use.io.data = (void *)(uintptr_t)data;
	self->use.io.size = size < INT_MAX ? (unsigned)size : INT_MAX;
	self->use.io.more = op->how == FULL ? self->use.io.size : more;
	if (!task_cancelled(self))
		r = eddy__watch_dry(self->loop, fd) && drains(self, op)
		        ? EDDY_PENDING
		        : op->attempt(self, op);
	return r == EDDY_PENDING ? eddy__io_park(self, op)
	                         : eddy_complete(self, r);
}

/* 1 when nothing is, else those events that are there; or -errno. */
static int
look(int fd, short events)
{
	struct pollfd poll = {fd, events, 0};
	int r = eddy__poll(&poll, 1, 0);

	if (r <= 0)
		return r < 0 ? r : EDDY_PENDING;
	return (poll.revents & POLLNVAL) != 0 ? -EBADF : poll.revents;
}

/* Bytes. */

static struct sockaddr *
name_of(const struct eddy_address *address)
{
	return address != NULL ? (struct sockaddr *)(uintptr_t)&address->name
	                       : NULL;
}

static int
try_socket(struct eddy_task *task, const struct io_op *op)
{
	int fd = task->use.io.fd;
	void *data = task->use.io.data;
	size_t size = task->use.io.size;
	uintptr_t more = task->use.io.more;
	struct eddy_address *peer = op->how == ADDRESS ? (void *)more : NULL;
	int flags = op->how == FLAGS ? (int)more : 0;

	if (op->how == VECTOR && size > IOV_MAX)
		return -EINVAL; /* as readv(2), of any descriptor */
	if (op->how == VECTOR)
		return op->sides == WRITES ? eddy__sendmsg(fd, data, (int)size)
		                           : eddy__recvmsg(fd, data, (int)size);
	if (op->sides == WRITES)
		return eddy__sendto(fd, data, size, flags, name_of(peer),
		    peer != NULL ? peer->size : 0);
	if (peer == NULL)
		return eddy__recvfrom(fd, data, size, flags, NULL, NULL);
	peer->size = sizeof(peer->name);
	return eddy__recvfrom(fd, data, size, 0, name_of(peer), &peer->size);
}

/* What is no socket.  Armed first, which fails for a regular file; and if its
 * mode would let it block, only when it is ready, and no more than a pipe that
 * is ready must take.  Not inlined, so that a socket's way saves no registers. */
__attribute__((noinline)) static int
try_other(struct eddy_task *task, const struct io_op *op)
{
	bool vector = op->how == VECTOR, writes = op->sides == WRITES;
	struct iovec one = {task->use.io.data, task->use.io.size};
	struct iovec *iov = vector ? task->use.io.data : &one;
	int n = vector ? (int)task->use.io.size : 1;
	int fd = task->use.io.fd, r;

	r = eddy__watch_arm(task->loop, fd, 0, false);
	if (r < 0)
		return r;
	if (eddy__blocks(fd) != 0) {
		r = look(fd, writes ? POLLOUT : POLLIN);
		if (r < 0)
			return r;
		for (; n > 1 && iov->iov_len == 0; n--)
			iov++;
		one = n != 0 ? *iov : (struct iovec){NULL, 0};
		if (one.iov_len > PIPE_BUF)
			one.iov_len = PIPE_BUF;
		iov = &one;
		n = 1;
	}
	return writes ? eddy__writev(fd, iov, n) : eddy__readv(fd, iov, n);
}

/* Is it for the queue of a Unix socket?  Nothing tells when that has room, and
 * each attempt would be an event. */
static bool
is_for_queue(const struct eddy_task *task, const struct io_op *op)
{
	const struct eddy_address *to = (void *)task->use.io.more;

	return op->how == ADDRESS && op->sides == WRITES && to != NULL &&
	       to->name.ss_family == AF_UNIX;
}

static int
try_bytes(struct eddy_task *task, const struct io_op *op)
{
	int r = try_socket(task, op);

	if (r == -ENOTSOCK && op->how != ADDRESS)
		r = try_other(task, op);
	else if (r > 0 && (unsigned)r < task->use.io.size && drains(task, op))
		eddy__watch_drained(task->loop, task->use.io.fd);
	return r == -EAGAIN && !is_for_queue(task, op) ? EDDY_PENDING : r;
}

static int
try_full(struct eddy_task *task, const struct io_op *op)
{
	int tries, r;

	for (tries = 0; tries < TRIES && task->use.io.size != 0; tries++) {
		r = try_bytes(task, op);
		if (r < 0)
			return r;
		task->use.io.data = (char *)task->use.io.data + r;
		task->use.io.size -= (unsigned)r;
		if (r == 0)
			return task->use.io.size == task->use.io.more ? 0
			                                              : -EPIPE;
	}
	if (task->use.io.size == 0)
		return (int)task->use.io.more;
	r = eddy__watch_arm(task->loop, task->use.io.fd,
	    op->sides == WRITES ? EPOLLOUT : EPOLLIN | EPOLLRDHUP, true);
	return r < 0 ? r : EDDY_PENDING;
}

/* Connections. */

static int
try_accept(struct eddy_task *task, const struct io_op *op)
{
	struct eddy_address *peer = task->use.io.data;
	int fd = task->use.io.fd, r = 0, tries = 0;

	(void)op;
	if (eddy__blocks(fd) != 0)
		r = look(fd, POLLIN);
	if (r < 0)
		return r;
	if (peer != NULL)
		peer->size = sizeof(peer->name);
	do
		r = eddy__accept(
		    fd, name_of(peer), peer != NULL ? &peer->size : NULL);
	while (r == -ECONNABORTED && tries++ < TRIES);
	if (r >= 0)
		eddy_forget(task->loop, r); /* the last one of this number */
	return r == -EAGAIN ? EDDY_PENDING : r;
}

static int
try_connect(struct eddy_task *task, const struct io_op *op)
{
	const struct eddy_address *to = task->use.io.data;
	int fd = task->use.io.fd, error = 0, r;
	bool begun = task->op == &op->op;

	/* Not all families tell by connect(2) what has become of the first:
	 * one that failed may begin anew, or be under way for ever. */
	if (begun)
		eddy__socket_error(fd, &error);
	r = error != 0 ? -error : eddy__connect(fd, name_of(to), to->size);
	if (r == -EISCONN && begun)
		return 0;
	if (r != -EINPROGRESS && r != -EALREADY)
		return r;
	/* The number may be that of one which was closed untold. */
	r = begun ? 0 : eddy__watch_arm(task->loop, fd, EPOLLOUT, true);
	return r < 0 ? r : EDDY_PENDING;
}

static int
try_poll(struct eddy_task *task, const struct io_op *op)
{
	(void)op;
	return look(task->use.io.fd, (short)task->use.io.size);
}

/* The operations: parameters, and what of them is data, size and more. */

/* clang-format off */
#define IO(name, attempt, sides, how, parameters, data, size, more)            \
	static const struct io_op name##_op =                                  \
	    {{#name, eddy__io_leave}, attempt, sides, how};                \
	EDDY_ASYNC eddy_##name parameters                                      \
	{ return begin(self, &name##_op, fd, data, size, more); }
#define FD  struct eddy_task *self, int fd
#define IN  FD, void *data, size_t size
#define OUT FD, const void *data, size_t size
#define IOV FD, const struct iovec *iov, int n

IO(read, try_bytes, READS, FLAGS, (IN), data, size, 0)
IO(write, try_bytes, WRITES, FLAGS, (OUT), data, size, 0)
IO(readv, try_bytes, READS, VECTOR, (IOV), iov, (size_t)n, 0)
IO(writev, try_bytes, WRITES, VECTOR, (IOV), iov, (size_t)n, 0)
IO(read_full, try_full, READS, FULL, (IN), data, size, 0)
IO(write_full, try_full, WRITES, FULL, (OUT), data, size, 0)
IO(recv, try_bytes, READS, FLAGS, (IN, int flags), data, size, (unsigned)flags)
IO(send, try_bytes, WRITES, FLAGS, (OUT, int flags), data, size,
    (unsigned)flags)
IO(recvfrom, try_bytes, READS, ADDRESS, (IN, struct eddy_address *ret_from),
    data, size, (uintptr_t)ret_from)
IO(sendto, try_bytes, WRITES, ADDRESS, (OUT, const struct eddy_address *to),
    data, size, (uintptr_t)to)
IO(accept, try_accept, READS, FLAGS, (FD, struct eddy_address *ret_peer),
    ret_peer, 0, 0)
IO(connect, try_connect, WRITES, FLAGS, (FD, const struct eddy_address *to),
    to, 0, 0)
/* clang-format on */

#define POLL(sides)                                              \
	{                                                        \
		{"poll", eddy__io_leave}, try_poll, sides, FLAGS \
	}
static const struct io_op poll_ops[] = {
    POLL(0), POLL(READS), POLL(WRITES), POLL(READS | WRITES)};

EDDY_ASYNC
eddy_poll(struct eddy_task *self, int fd, short events)
{
	unsigned sides = (events & POLLOUT) != 0 ? WRITES : READS;

	if ((events & ~(POLLIN | POLLOUT | POLLRDHUP)) != 0)
		return eddy_complete(self, -EINVAL);
	if ((events & ~POLLOUT) != 0)
		sides |= READS;
	return begin(self, &poll_ops[sides], fd, NULL, (size_t)events, sides);
}

EDDY_ASYNC
eddy_until_hangup(struct eddy_task *self, int fd, eddy_async op)
{
	int r;

	if (op.rc != EDDY_PENDING || self->op == NULL)
		return op; /* complete, or about to be */
	r = eddy__task_watch(self, fd, EPOLLRDHUP | EPOLLET);
	if (r < 0)
		eddy__task_interrupt(self, r);
	return op;
}
