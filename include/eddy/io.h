/* SPDX-License-Identifier: ISC */
/*
 * io: tasks wait for descriptors.
 *
 * Each operation takes a plain descriptor, which stays the caller's; it tries
 * the system call and waits only when that would block.  A socket never blocks
 * the loop, whatever its mode, but for a listener that others accept from; give
 * that and other descriptors O_NONBLOCK.  No SIGPIPE is raised.  -EPERM: a
 * regular file, which is a matter for jobs (but it is ready, says eddy_poll, and
 * fit for eddy_copy); -EEXIST: another waits for the same descriptor and
 * direction; -ECANCELED: cancelled, or eddy_close.  Sizes beyond INT_MAX count as
 * that.
 */
#ifndef EDDY_IO_H
#define EDDY_IO_H

#include <sys/socket.h>
#include <sys/uio.h>

#include <eddy/task.h>
#include <eddy/watch.h>

EDDY_HEADER_BEGIN_

/* Of a socket, of any family. */
struct eddy_address {
	struct sockaddr_storage name;
	socklen_t size; /* of name, in bytes */
};

/* The bytes read, at least one; 0 at the end. */
EDDY_ASYNC eddy_read(struct eddy_task *self, int fd, void *data, size_t size);
EDDY_ASYNC eddy_readv(
    struct eddy_task *self, int fd, const struct iovec *iov, int n);
/* The bytes written, at least one; possibly fewer than asked for. */
EDDY_ASYNC eddy_write(
    struct eddy_task *self, int fd, const void *data, size_t size);
EDDY_ASYNC eddy_writev(
    struct eddy_task *self, int fd, const struct iovec *iov, int n);

/* All of it: size, or an error, after which nobody knows how much it was: close
 * the descriptor.  read_full: 0 when the end comes first, -EPIPE when it comes
 * in between. */
EDDY_ASYNC eddy_read_full(
    struct eddy_task *self, int fd, void *data, size_t size);
EDDY_ASYNC eddy_write_full(
    struct eddy_task *self, int fd, const void *data, size_t size);

/* Sockets: as recv and send with MSG_* flags; and datagrams with the address of
 * their other end; -EAGAIN: a Unix socket whose queue is full. */
EDDY_ASYNC eddy_recv(
    struct eddy_task *self, int fd, void *data, size_t size, int flags);
EDDY_ASYNC eddy_send(
    struct eddy_task *self, int fd, const void *data, size_t size, int flags);
EDDY_ASYNC eddy_recvfrom(struct eddy_task *self, int fd, void *data,
    size_t size, struct eddy_address *ret_from);
EDDY_ASYNC eddy_sendto(struct eddy_task *self, int fd, const void *data,
    size_t size, const struct eddy_address *to);

/* A new descriptor, O_CLOEXEC and O_NONBLOCK, which is the caller's; ret_peer
 * may be NULL.  -EMFILE: who calls stays in the queue. */
EDDY_ASYNC eddy_accept(
    struct eddy_task *self, int fd, struct eddy_address *ret_peer);
/* 0 when connected; after an error close fd.  -EAGAIN: a Unix socket whose
 * queue is full. */
EDDY_ASYNC eddy_connect(
    struct eddy_task *self, int fd, const struct eddy_address *to);

/* From one descriptor to another inside the kernel, until size bytes or the end
 * have come: how many.  from: a regular file, whose position moves; else one of
 * both is a pipe.  After an error nobody knows how many, but for that position;
 * none is lost between the two.  -EINVAL: two sockets, or no O_NONBLOCK. */
EDDY_ASYNC eddy_copy(struct eddy_task *self, int from, int to, size_t size);

/* Until one of events (POLLIN, POLLOUT, POLLRDHUP) or POLLERR or POLLHUP is
 * there: which are. */
EDDY_ASYNC eddy_poll(struct eddy_task *self, int fd, short events);

/* op, but given up with -ECANCELED when the other end of fd is gone or will
 * send no more.  This is fd's reader meanwhile: op is given up with -EEXIST
 * when there is one, as when op itself reads fd; with -EINVAL inside such. */
EDDY_ASYNC eddy_until_hangup(struct eddy_task *self, int fd, eddy_async op);

EDDY_HEADER_END_

#endif
