/* SPDX-License-Identifier: ISC */
/* What the same echo program is made of in every library: all but the loop. */
#ifndef SIZE_H
#define SIZE_H

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int
listener(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET,
	    .sin_port = htons(7007),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 ||
	    listen(fd, 128) < 0)
		exit(1);
	return fd;
}

/* False: the connection is over. */
static int
echo(int fd)
{
	char bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	return n > 0 && send(fd, bytes, (size_t)n, MSG_NOSIGNAL) == n;
}

#endif
