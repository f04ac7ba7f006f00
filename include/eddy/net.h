/* SPDX-License-Identifier: ISC */
/*
 * net: stream sockets by name.
 *
 * host and service are those of getaddrinfo(3) and outlive the await; a service
 * that begins with '/' is the path of a Unix socket, and host is NULL then.
 * Descriptors are O_CLOEXEC and O_NONBLOCK, and the caller's.
 */
#ifndef EDDY_NET_H
#define EDDY_NET_H

#include <eddy/io.h>

EDDY_HEADER_BEGIN_

/* A socket that listens on the first address that can be had; host NULL: on
 * all, of IPv6 and IPv4, if there are both.  Service "0": any port.
 * -EADDRINUSE also for a path that is there. */
EDDY_ASYNC eddy_net_listen(
    struct eddy_task *self, const char *host, const char *service, int backlog);

/* A socket that is connected to the first address that answers: IPv6 and IPv4
 * in turn, the next one after 250 ms or a failure (RFC 8305), 8 at most.  The
 * last error when none does.  host NULL: this machine. */
EDDY_ASYNC eddy_net_connect(
    struct eddy_task *self, const char *host, const char *service);

/* Two sockets that are connected to each other. */
int eddy_net_pair(int ret_fds[2]);

EDDY_HEADER_END_

#endif
