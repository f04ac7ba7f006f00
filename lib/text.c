/* SPDX-License-Identifier: ISC */
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/uio.h>

#include "sys.h"

int
eddy__print_end(struct text *text)
{
	struct iovec left = {text->bytes, text->n};
	int n;

	while (text->error == 0 && left.iov_len != 0) {
		n = eddy__writev(text->fd, &left, 1);
		if (n < 0 && n != -EINTR)
			text->error = n;
		left.iov_base = (char *)left.iov_base + (n > 0 ? n : 0);
		left.iov_len -= n > 0 ? (size_t)n : 0;
	}
	text->n = 0;
	return text->error;
}

void
eddy__print(struct text *text, const char *format, ...)
{
	int saved = errno;
	va_list args;
	size_t room;
	int n;

	for (;;) {
		room = sizeof(text->bytes) - text->n;
		va_start(args, format);
		n = vsnprintf(text->bytes + text->n, room, format, args);
		va_end(args);
		if (n < (int)room || text->n == 0)
			break;
		eddy__print_end(text); /* it did not fit */
	}
	if (n > 0)
		text->n += (size_t)n < room ? (size_t)n : room - 1;
	errno = saved;
}

int
eddy__slurp(const char *path, char *to, size_t size)
{
	int fd = eddy__open(path, O_RDONLY, 0);
	int n = fd >= 0 ? eddy__read(fd, to, size - 1) : fd;

	eddy__close(fd);
	to[n > 0 ? n : 0] = '\0';
	return n;
}

int
eddy__path_of(unsigned fd, char *to, size_t size)
{
	char link[32];
	int n;

	snprintf(link, sizeof(link), "/proc/self/fd/%u", fd);
	n = eddy__readlink(link, to, size - 1);
	to[n > 0 ? n : 0] = '\0';
	return n;
}
