/* SPDX-License-Identifier: ISC */
/*
 * blocking: calls of the C library that wait where no loop can see it.
 *
 * Files go to the loop's executor (eddy_loop_executor), which must run jobs in
 * this process; names to a few threads of their own.  Results are those of the
 * calls, or -errno.  Paths and buffers outlive the await.
 */
#ifndef EDDY_BLOCKING_H
#define EDDY_BLOCKING_H

#include <sys/types.h>

#include <eddy/io.h>

EDDY_HEADER_BEGIN_

struct addrinfo;
struct stat;

/* Files.  A cancelled await ends when its thread has left the call, and a call
 * that was made has its own result: a descriptor is never lost. */

/* O_CLOEXEC is added. */
EDDY_ASYNC eddy_open(
    struct eddy_task *self, const char *path, int flags, mode_t mode);
/* size counts as INT_MAX at most. */
EDDY_ASYNC eddy_pread(
    struct eddy_task *self, int fd, void *data, size_t size, int64_t offset);
EDDY_ASYNC eddy_pwrite(struct eddy_task *self, int fd, const void *data,
    size_t size, int64_t offset);
EDDY_ASYNC eddy_fsync(struct eddy_task *self, int fd);
EDDY_ASYNC eddy_stat(
    struct eddy_task *self, const char *path, struct stat *ret_stat);
EDDY_ASYNC eddy_rename(
    struct eddy_task *self, const char *from, const char *to);
EDDY_ASYNC eddy_unlink(struct eddy_task *self, const char *path);
/* How many names a directory has, without "." and "..".  They are in
 * *ret_names, one behind the other, each with its '\0'; free(3) that. */
EDDY_ASYNC eddy_readdir(
    struct eddy_task *self, const char *path, char **ret_names);

/* Names.  A cancelled await ends at once. */

struct eddy_name {
	char host[1025], service[32]; /* NI_MAXHOST, NI_MAXSERV */
};

/* As getaddrinfo(3); host, service and hints may be NULL, and freeaddrinfo(3)
 * takes the list.  -ENOENT: no such name or service; -EAGAIN: no server has
 * answered; -EIO: one has failed. */
EDDY_ASYNC eddy_getaddrinfo(struct eddy_task *self, const char *host,
    const char *service, const struct addrinfo *hints,
    struct addrinfo **ret_list);
/* As getnameinfo(3), with its NI_* flags. */
EDDY_ASYNC eddy_getnameinfo(struct eddy_task *self,
    const struct eddy_address *address, int flags, struct eddy_name *ret_name);

EDDY_HEADER_END_

#endif
