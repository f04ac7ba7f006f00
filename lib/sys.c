/* SPDX-License-Identifier: ISC */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <eddy/base.h>

#include "debug.h"

/* Calls the C library may not know; all architectures but alpha agree. */
#ifndef SYS_epoll_pwait2
#define SYS_pidfd_send_signal 424
#define SYS_pidfd_open        434
#define SYS_close_range       436
#define SYS_epoll_pwait2      441
#endif
#ifdef SYS_futex_time64 /* 32-bit architectures: the one with 64-bit times */
#define FUTEX SYS_futex_time64
#else
#define FUTEX SYS_futex
#endif
enum { FUTEX_WAIT, FUTEX_WAKE, FUTEX_PRIVATE_FLAG = 128 }; /* futex(2) */
#define HUGETLBFS UINT32_C(0x958458f6)                     /* statfs(2) */

/* glibc 2.34, musl 1.2.2. */
extern pid_t _Fork(void) __attribute__((weak));

enum {
	SHARED = PROT_READ | PROT_WRITE,
	SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
	FINAL = SEALS | F_SEAL_WRITE,
};

/* What the kernel calls __kernel_timespec. */
struct kernel_time {
	int64_t s, ns;
};

int
eddy__result(long r, int saved)
{
	int error = errno;

	errno = saved;
	return r < 0 ? -error : (int)r;
}

#define RETRY(call)                                         \
	__extension__({                                     \
		long r_;                                    \
		while ((r_ = (call)) < 0 && errno == EINTR) \
			;                                   \
		r_;                                         \
	})

/* SIGPIPE is for the thread that writes: block it and take it back, but for one
 * that waited before. */
struct hush {
	sigset_t pipe, before, waiting;
};

static void
hush(struct hush *hush)
{
	sigemptyset(&hush->pipe);
	sigaddset(&hush->pipe, SIGPIPE);
	sigpending(&hush->waiting);
	pthread_sigmask(SIG_BLOCK, &hush->pipe, &hush->before);
}

static void
unhush(const struct hush *hush, bool raised)
{
	static const struct timespec now;

	if (raised && !sigismember(&hush->waiting, SIGPIPE))
		(void)RETRY(sigtimedwait(&hush->pipe, NULL, &now));
	pthread_sigmask(SIG_SETMASK, &hush->before, NULL);
}

/* Of size, what a file has: asked for more, TCP keeps its last bytes for 200 ms
 * before Linux 6.5. */
static size_t
clip(int fd, size_t size)
{
	off_t at = lseek(fd, 0, SEEK_CUR);
	struct stat stat;

	if (at < 0 || fstat(fd, &stat) < 0 || stat.st_size <= at)
		return size;
	at = stat.st_size - at;
	return (uint64_t)at < size ? (size_t)at : size;
}

#define DEFINE_CALLS
#include "sys_calls.h"

int
eddy__listen(int fd, const struct sockaddr *at, unsigned size, int backlog)
{
	int saved = errno, on = 1, off = 0;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (at->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	return eddy__result(
	    bind(fd, at, size) == 0 ? listen(fd, backlog) : -1, saved);
}

void *
eddy__realloc(void *p, size_t size)
{
	int saved = errno;

	p = realloc(p, size);
	errno = saved;
	return p;
}

void *
eddy__alloc(size_t size)
{
	bool lines = size % CACHE_LINE == 0 && size != 0 && size <= LINES_MAX;
	int saved = errno;
	void *p = NULL;

	if (!lines)
		p = calloc(1, size != 0 ? size : 1);
	else if (posix_memalign(&p, CACHE_LINE, size) == 0)
		memset(p, 0, size);
	errno = saved;
	return p;
}

int
eddy__mark(const uint32_t **ret_mark)
{
	size_t size = sizeof(**ret_mark); /* a page, that is */
	int saved = errno;
	uint32_t *mark = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r = mark == MAP_FAILED ? -1 : madvise(mark, size, MADV_WIPEONFORK);

	if (r == 0)
		*mark = 1;
	r = eddy__result(r, saved);
	if (r < 0 && mark != MAP_FAILED)
		eddy__unmap(mark, size);
	*ret_mark = mark;
	return r;
}

int
eddy__memfd_check(int fd, size_t size)
{
	int saved = errno, seals = fcntl(fd, F_GET_SEALS);
	struct statfs files;
	struct stat stat;
	/* Huge pages are not unmapped by the byte. */
	bool good = seals >= 0 && (seals & FINAL) == FINAL &&
	            fstat(fd, &stat) == 0 && size <= (size_t)stat.st_size &&
	            (fstatfs(fd, &files) < 0 ||
			(uint32_t)files.f_type != HUGETLBFS);

	errno = saved;
	return good ? 0 : -EPROTO;
}

/* Rounded up; at most 24.8 days, after which callers look again. */
static int
milliseconds(int64_t duration)
{
	int64_t ms = duration / EDDY_MS(1) + (duration % EDDY_MS(1) != 0);

	return duration == EDDY_FOREVER ? -1 : ms > INT_MAX ? INT_MAX : (int)ms;
}

int
eddy__epoll_wait(int epoll, struct epoll_event *events, int n, int64_t duration,
    bool *coarse)
{
	struct kernel_time time = {duration / EDDY_S(1), duration % EDDY_S(1)};
	int saved = errno;
	long r;

	if (!*coarse && duration != 0 && duration != EDDY_FOREVER) {
		r = syscall(SYS_epoll_pwait2, epoll, events, n, &time, NULL, 0);
		if (r >= 0 || (errno != ENOSYS && errno != EPERM))
			return eddy__result(r, saved);
		*coarse = true; /* before 5.11, or a container's filter */
	}
	/* Not epoll_wait: a cancellation point costs when there are threads. */
	return eddy__result(syscall(SYS_epoll_pwait, epoll, events, n,
				milliseconds(duration), NULL, 0),
	    saved);
}

int
eddy__poll(struct pollfd *fds, int n, int64_t duration)
{
	int64_t deadline = eddy_after(duration);
	int saved = errno;
	long r = RETRY(
	    poll(fds, (nfds_t)n, milliseconds(eddy__left(deadline))));

	return eddy__result(r, saved);
}

int
eddy__ring(int eventfd)
{
	uint64_t one = 1, count;
	int saved = errno;
	ssize_t n;

	/* Saturated after 2^64-2 rings, it would make no edge: start again. */
	while ((n = write(eventfd, &one, sizeof(one))) < 0)
		if (errno == EAGAIN)
			(void)!read(eventfd, &count, sizeof(count));
		else if (errno != EINTR)
			break;
	return eddy__result(n, saved);
}

struct timespec
eddy__timespec(int64_t when)
{
	if (sizeof(time_t) < sizeof(when) && when > EDDY_S(INT32_MAX))
		when = EDDY_S(INT32_MAX);
	return (struct timespec){.tv_sec = (time_t)(when / EDDY_S(1)),
	    .tv_nsec = (long)(when % EDDY_S(1))};
}

int
eddy__timerfd_set(int timerfd, int64_t when)
{
	struct itimerspec at = {.it_value = eddy__timespec(when)};
	int saved = errno;

	if (when == EDDY_FOREVER)
		at.it_value = (struct timespec){0, 0};
	else if (when <= 0) /* long ago; 0 would be never, < 0 an error */
		at.it_value = (struct timespec){0, 1};
	return eddy__result(
	    timerfd_settime(timerfd, TFD_TIMER_ABSTIME, &at, NULL), saved);
}

int
eddy__blocks(int fd)
{
	int saved = errno, r = fcntl(fd, F_GETFL);

	return eddy__result(r < 0 ? r : (r & O_NONBLOCK) == 0, saved);
}

int
eddy__is_file(int fd)
{
	int saved = errno;
	struct stat stat;
	int r = fstat(fd, &stat);

	return eddy__result(r < 0 ? r : S_ISREG(stat.st_mode), saved);
}

int
eddy__is_stream(int fd)
{
	int kind = 0, saved = errno;
	socklen_t size = sizeof(kind);
	int r = getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &kind, &size);

	if (r < 0 || kind != 0) /* there is SCTP, too */
		return eddy__result(r < 0 ? r : kind == IPPROTO_TCP, saved);
	/* Of Hyper-V's vsock and of IUCV a read gets one packet. */
	r = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &kind, &size);
	if (r < 0 || kind != AF_UNIX)
		return eddy__result(r < 0 ? r : 0, saved);
	r = getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size);
	return eddy__result(r < 0 ? r : kind == SOCK_STREAM, saved);
}

/* As if O_NONBLOCK were set: EINPROGRESS. */
int
eddy__connect(int fd, const struct sockaddr *to, unsigned size)
{
	int saved = errno, flags = fcntl(fd, F_GETFL), r;

	if (flags >= 0 && (flags & O_NONBLOCK) == 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	r = eddy__result(RETRY(connect(fd, to, size)), saved);
	if (flags >= 0 && (flags & O_NONBLOCK) == 0)
		fcntl(fd, F_SETFL, flags);
	errno = saved;
	return r;
}

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int
eddy__send(int fd, const void *data, size_t size, const int *fds, int n)
{
	union control control = {0};
	struct iovec iov = {(void *)(uintptr_t)data, size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	size_t bytes = (size_t)n * sizeof(int);
	int saved = errno;

	if (n > 0) {
		message.msg_control = &control;
		message.msg_controllen = (socklen_t)CMSG_SPACE(bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = (socklen_t)CMSG_LEN(bytes);
		memcpy(CMSG_DATA(&control.header), fds, bytes);
	}
	return eddy__result(
	    RETRY(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)), saved);
}

int
eddy__recv(int fd, void *data, size_t size, int *ret_fds, int n)
{
	union control control;
	struct iovec iov = {data, size};
	struct msghdr message = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = CMSG_LEN(FDS_MAX * sizeof(int))}; /* no padding */
	struct cmsghdr *header;
	int saved = errno, got[FDS_MAX], i, count = 0;
	ssize_t r = RETRY(
	    recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));

	header = r >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header != NULL && header->cmsg_type == SCM_RIGHTS) {
		count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(got, CMSG_DATA(header), (size_t)count * sizeof(int));
	}
	for (i = 0; i < n; i++)
		ret_fds[i] = i < count ? got[i]
		             : r > 0 && (message.msg_flags & MSG_CTRUNC) != 0
		                 ? -EMFILE
		                 : -1;
	for (; i < count; i++)
		close(got[i]);
	return eddy__result(r, saved);
}

int
eddy__cpus(void)
{
	int saved = errno;
	cpu_set_t set;
	bool known = sched_getaffinity(0, sizeof(set), &set) == 0;

	errno = saved;
	return known ? CPU_COUNT(&set) : 1;
}
