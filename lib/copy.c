/* SPDX-License-Identifier: ISC */
/*
 * copy: from one descriptor to another inside the kernel.
 *
 * What was taken from one side has been given to the other, so a wait that is
 * given up loses nothing.  EAGAIN does not tell which side it meant: the task
 * waits for both.  use.io: fd is from, more is to, size is left, data is moved.
 */
#include <eddy/io.h>

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>

#include "io_impl.h"
#include "sys.h"

enum {
	CHUNK = 1 << 18, /* bytes at a time, */
	CHUNKS = 4,      /* in a row; then it is others' turn */
};

static int
attempt(struct eddy_task *task, const struct io_op *op)
{
	int from = task->use.io.fd, to = (int)task->use.io.more, i, r = 0;
	uintptr_t moved = (uintptr_t)task->use.io.data;
	unsigned left = task->use.io.size;

	for (i = 0; i < CHUNKS && left > 0; i++) {
		size_t size = left < CHUNK ? left : CHUNK;

		r = (op->sides & READS) == 0 ? eddy__sendfile(to, from, size)
		                             : eddy__splice(to, from, size);
		if (r <= 0)
			break;
		moved += (unsigned)r;
		left -= (unsigned)r;
	}
	if (left == 0 || r == 0)
		return (int)moved;
	task->use.io.data = (void *)moved;
	task->use.io.size = left;
	if (r > 0) /* others first */
		r = eddy__watch_arm(task->loop, to, EPOLLOUT, true);
	return r == 0 || r == -EAGAIN ? EDDY_PENDING : r;
}

/* One for a regular file, whose side is always ready. */
static const struct io_op file_op = {
    {"copy", eddy__io_leave}, attempt, WRITES, COPY};
static const struct io_op stream_op = {
    {"copy", eddy__io_leave}, attempt, READS | WRITES, COPY};

/* Fit for epoll and never blocking: 0.  -EPERM: always ready. */
static int
check(struct eddy_loop *loop, int fd)
{
	int r = eddy__watch_arm(loop, fd, 0, false);

	if (r == 0)
		r = eddy__blocks(fd);
	return r > 0 ? -EINVAL : r;
}

EDDY_ASYNC
eddy_copy(struct eddy_task *self, int from, int to, size_t size)
{
	const struct io_op *op = &stream_op;
	int r = eddy_cancelled(self) ? -ECANCELED : check(self->loop, to);

	if (r < 0)
		return eddy_complete(self, r);
	/* Those of procfs and sysfs are fit for epoll. */
	r = eddy__is_file(from) > 0 ? -EPERM : check(self->loop, from);
	if (r == -EPERM)
		op = &file_op;
	else if (r < 0)
		return eddy_complete(self, r);
	self->use.io.fd = from;
	self->use.io.more = (uintptr_t)to;
	self->use.io.data = NULL;
	self->use.io.size = size < INT_MAX ? (unsigned)size : INT_MAX;
	r = attempt(self, op);
	return r == EDDY_PENDING ? eddy__io_park(self, op)
	                         : eddy_complete(self, r);
}
