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

#include "sys.h"
#include "task_impl.h"

enum { READS = 1, WRITES = 2 }; /* sides, as eddy__watch_wait has them */

struct io_op {
	struct eddy_op op;
	int (*attempt)(struct eddy_task *task, const struct io_op *op);
	unsigned sides;
	enum { FLAGS, VECTOR, ADDRESS, FULL } how; /* what more is */
};

enum { FULL_TRIES = 16 }; /* system calls in a row, then others' turn */

static int
leave(struct eddy_task *task, int rc)
{
	eddy__watch_leave(task->loop, &task->alarm.ready, task->use.io.fd);
	return eddy_unpark(task, rc);
}

static void
wake(struct eddy_ready *ready, int rc)
{
	struct eddy_task *task = CONTAINER_OF(
	    ready, struct eddy_task, alarm.ready);
	const struct io_op *op = CONTAINER_OF(task->op, const struct io_op, op);

	if (rc == 0)
		rc = op->attempt(task, op);
	if (rc != EDDY_PENDING)
		leave(task, rc);
}

static eddy_async
begin(struct eddy_task *self, const struct io_op *op, int fd, const void *data,
    size_t size, uintptr_t more)
{
	unsigned sides = op->sides != 0 ? op->sides : (unsigned)more;
	int r = -ECANCELED;

	self->use.io.fd = fd;
	self->use.io.data = (void *)(uintptr_t)data;
	self->use.io.size = size < INT_MAX ? (unsigned)size : INT_MAX;
	self->use.io.more = more;
	if (!eddy_cancelled(self))
		r = sides == READS && eddy__watch_dry(self->loop, fd)
		        ? EDDY_PENDING
		        : op->attempt(self, op);
	if (r != EDDY_PENDING)
		return eddy_complete(self, r);
	r = eddy__watch_wait(self->loop, &self->alarm.ready, fd, sides);
	if (r < 0)
		return eddy_complete(self, r);
	self->loop->wake = wake;
	return eddy__park(self, &op->op);
}

static int
later(int r)
{
	return r == -EAGAIN ? EDDY_PENDING : r;
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

static int
receive(struct eddy_task *task, const struct io_op *op)
{
	void *data = task->use.io.data;
	size_t size = task->use.io.size;
	uintptr_t more = task->use.io.more;
	struct eddy_address *from = (void *)more;

	if (op->how == VECTOR)
		return eddy__recvmsg(task->use.io.fd, data, (int)size);
	if (op->how != ADDRESS)
		return eddy__recvfrom(task->use.io.fd, data, size,
		    op->how == FLAGS ? (int)more : 0, NULL, NULL);
	from->size = sizeof(from->name);
	return eddy__recvfrom(task->use.io.fd, data, size, 0,
	    (struct sockaddr *)&from->name, &from->size);
}

static int
transmit(struct eddy_task *task, const struct io_op *op)
{
	void *data = task->use.io.data;
	size_t size = task->use.io.size;
	uintptr_t more = task->use.io.more;
	const struct eddy_address *to = (void *)more;

	if (op->how == VECTOR)
		return eddy__sendmsg(task->use.io.fd, data, (int)size);
	if (op->how != ADDRESS)
		return eddy__sendto(task->use.io.fd, data, size,
		    op->how == FLAGS ? (int)more : 0, NULL, 0);
	return eddy__sendto(task->use.io.fd, data, size, 0,
	    (const struct sockaddr *)&to->name, to->size);
}

/* What is no socket.  Armed first, which fails for a regular file; and if its
 * mode would let it block, only when it is ready, and no more than a pipe that is
 * ready must take. */
static int
plain(struct eddy_task *task, const struct io_op *op)
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
		one = *iov;
		if (one.iov_len > PIPE_BUF)
			one.iov_len = PIPE_BUF;
		iov = &one;
		n = 1;
	}
	return writes ? eddy__writev(fd, iov, n) : eddy__readv(fd, iov, n);
}

/* Is it a read that takes all it can? */
static bool
drains(const struct eddy_task *task, const struct io_op *op)
{
	return op->sides == READS &&
	       (op->how == FULL ||
		   (op->how == FLAGS && task->use.io.more == 0));
}

static int
try_bytes(struct eddy_task *task, const struct io_op *op)
{
	int r = op->sides == WRITES ? transmit(task, op) : receive(task, op);

	if (r == -ENOTSOCK && op->how != ADDRESS)
		r = plain(task, op);
	else if (r > 0 && (unsigned)r < task->use.io.size && drains(task, op))
		eddy__watch_drained(task->loop, task->use.io.fd);
	return later(r);
}

static int
try_full(struct eddy_task *task, const struct io_op *op)
{
	int tries, r;

	for (tries = 0; tries < FULL_TRIES; tries++) {
		r = try_bytes(task, op);
		if (r < 0)
			return r;
		task->use.io.data = (char *)task->use.io.data + r;
		task->use.io.size -= (unsigned)r;
		if (task->use.io.size == 0)
			return (int)task->use.io.more;
		if (r == 0)
			return task->use.io.size == task->use.io.more ? 0
			                                              : -EPIPE;
	}
	r = eddy__watch_arm(task->loop, task->use.io.fd,
	    op->sides == WRITES ? EPOLLOUT : EPOLLIN | EPOLLRDHUP, true);
	return r < 0 ? r : EDDY_PENDING;
}

/* An operation on bytes: FLAGS, VECTOR, ADDRESS or FULL. */
#define BYTES(name, sides, how)                 \
	static const struct io_op name##_op = { \
	    {#name, leave}, how == FULL ? try_full : try_bytes, sides, how}

BYTES(recv, READS, FLAGS);
BYTES(send, WRITES, FLAGS);
BYTES(readv, READS, VECTOR);
BYTES(writev, WRITES, VECTOR);
BYTES(recvfrom, READS, ADDRESS);
BYTES(sendto, WRITES, ADDRESS);
BYTES(read_full, READS, FULL);
BYTES(write_full, WRITES, FULL);

EDDY_ASYNC
eddy_recv(struct eddy_task *self, int fd, void *data, size_t size, int flags)
{
	return begin(self, &recv_op, fd, data, size, (unsigned)flags);
}

EDDY_ASYNC
eddy_send(
    struct eddy_task *self, int fd, const void *data, size_t size, int flags)
{
	return begin(self, &send_op, fd, data, size, (unsigned)flags);
}

EDDY_ASYNC
eddy_read(struct eddy_task *self, int fd, void *data, size_t size)
{
	return begin(self, &recv_op, fd, data, size, 0);
}

EDDY_ASYNC
eddy_write(struct eddy_task *self, int fd, const void *data, size_t size)
{
	return begin(self, &send_op, fd, data, size, 0);
}

EDDY_ASYNC
eddy_readv(struct eddy_task *self, int fd, const struct iovec *iov, int n)
{
	return begin(self, &readv_op, fd, iov, (size_t)n, 0);
}

EDDY_ASYNC
eddy_writev(struct eddy_task *self, int fd, const struct iovec *iov, int n)
{
	return begin(self, &writev_op, fd, iov, (size_t)n, 0);
}

EDDY_ASYNC
eddy_recvfrom(struct eddy_task *self, int fd, void *data, size_t size,
    struct eddy_address *ret_from)
{
	return begin(self, &recvfrom_op, fd, data, size, (uintptr_t)ret_from);
}

EDDY_ASYNC
eddy_sendto(struct eddy_task *self, int fd, const void *data, size_t size,
    const struct eddy_address *to)
{
	return begin(self, &sendto_op, fd, data, size, (uintptr_t)to);
}

EDDY_ASYNC
eddy_read_full(struct eddy_task *self, int fd, void *data, size_t size)
{
	return begin(self, &read_full_op, fd, data, size, size);
}

EDDY_ASYNC
eddy_write_full(struct eddy_task *self, int fd, const void *data, size_t size)
{
	return begin(self, &write_full_op, fd, data, size, size);
}

/* Connections. */

static int
try_accept(struct eddy_task *task, const struct io_op *op)
{
	struct eddy_address *peer = task->use.io.data;
	int fd = task->use.io.fd, r = 0;

	(void)op;
	if (eddy__blocks(fd) != 0)
		r = look(fd, POLLIN);
	if (r < 0)
		return r;
	if (peer != NULL)
		peer->size = sizeof(peer->name);
	do
		r = eddy__accept(fd,
		    peer != NULL ? (struct sockaddr *)&peer->name : NULL,
		    peer != NULL ? &peer->size : NULL);
	while (r == -ECONNABORTED);
	if (r >= 0)
		eddy_forget(task->loop, r); /* the last one of this number */
	return later(r);
}

static int
try_connect(struct eddy_task *task, const struct io_op *op)
{
	const struct eddy_address *to = task->use.io.data;
	int fd = task->use.io.fd;
	int r = eddy__connect(fd, (const struct sockaddr *)&to->name, to->size);

	if (r != -EINPROGRESS && r != -EALREADY)
		return r;
	/* The number may be that of one which was closed untold. */
	r = task->op == &op->op
	        ? 0
	        : eddy__watch_arm(task->loop, fd, EPOLLOUT, true);
	return r < 0 ? r : EDDY_PENDING;
}

static int
try_poll(struct eddy_task *task, const struct io_op *op)
{
	(void)op;
	return look(task->use.io.fd, (short)task->use.io.size);
}

static const struct io_op accept_op = {
    {"accept", leave}, try_accept, READS, FLAGS};
static const struct io_op connect_op = {
    {"connect", leave}, try_connect, WRITES, FLAGS};
static const struct io_op poll_op = {{"poll", leave}, try_poll, 0, FLAGS};

EDDY_ASYNC
eddy_accept(struct eddy_task *self, int fd, struct eddy_address *ret_peer)
{
	return begin(self, &accept_op, fd, ret_peer, 0, 0);
}

EDDY_ASYNC
eddy_connect(struct eddy_task *self, int fd, const struct eddy_address *to)
{
	return begin(self, &connect_op, fd, to, 0, 0);
}

EDDY_ASYNC
eddy_poll(struct eddy_task *self, int fd, short events)
{
	unsigned writes = (events & POLLOUT) != 0 ? WRITES : 0;
	unsigned reads = writes == 0 || (events & ~POLLOUT) != 0 ? READS : 0;

	if ((events & ~(POLLIN | POLLOUT | POLLRDHUP)) != 0)
		return eddy_complete(self, -EINVAL);
	return begin(self, &poll_op, fd, NULL, (size_t)events, reads | writes);
}
