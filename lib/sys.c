/* SPDX-License-Identifier: ISC */
#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <eddy/base.h>

/* Calls that the C library or its headers may not know yet; all architectures
 * but alpha share these numbers. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif
/* 32-bit architectures: the call that takes 64-bit times. */
#ifdef SYS_futex_time64
#define FUTEX_CALL SYS_futex_time64
#else
#define FUTEX_CALL SYS_futex
#endif

/* What the kernel calls __kernel_timespec. */
struct kernel_time {
	int64_t s, ns;
};

static struct kernel_time
kernel_time(int64_t duration)
{
	return (
	    struct kernel_time){ duration / EDDY_S(1), duration % EDDY_S(1) };
}

/* The result of a call as 0, a count or -errno, with the caller's errno back. */
static int
result(long r, int saved)
{
	int error = errno;

	errno = saved;
	return r < 0 ? -error : (int)r;
}

void *
eddy__alloc(size_t size)
{
	int saved = errno;
	void *p = calloc(1, size);

	errno = saved;
	return p;
}

void *
eddy__realloc(void *p, size_t size)
{
	int saved = errno;

	p = realloc(p, size);
	errno = saved;
	return p;
}

void
eddy__free(void *p)
{
	int saved = errno;

	free(p);
	errno = saved;
}

int
eddy__map(void **ret_p, int fd, size_t size)
{
	int saved = errno;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return result(-1, saved);
	*ret_p = p;
	return 0;
}

void
eddy__unmap(void *p, size_t size)
{
	int saved = errno;

	munmap(p, size);
	errno = saved;
}

int
eddy__memfd(const char *name, size_t size)
{
	int saved = errno;
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return result(-1, saved);
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
		0) {
		int error = errno;

		close(fd);
		errno = error;
		return result(-1, saved);
	}
	return result(fd, saved);
}

int
eddy__close(int fd)
{
	int saved = errno;

	return result(close(fd), saved);
}

int
eddy__epoll_open(void)
{
	int saved = errno;

	return result(epoll_create1(EPOLL_CLOEXEC), saved);
}

int
eddy__epoll_ctl(int epoll, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };
	int saved = errno;

	return result(epoll_ctl(epoll, op, fd, &event), saved);
}

static int
epoll_wait_ms(int epoll, struct epoll_event *events, int n, int64_t duration)
{
	int64_t ms = duration / EDDY_MS(1) + (duration % EDDY_MS(1) != 0);

	if (duration == EDDY_FOREVER)
		ms = -1;
	else if (ms > INT_MAX)
		ms = INT_MAX; /* 24.8 days; the loop looks again then */
	return epoll_wait(epoll, events, n, (int)ms);
}

int
eddy__epoll_wait(int epoll, struct epoll_event *events, int n, int64_t duration,
    bool *coarse)
{
	struct kernel_time time = kernel_time(duration);
	int saved = errno;
	long r = -1;

	if (!*coarse && duration != 0 && duration != EDDY_FOREVER) {
		r = syscall(SYS_epoll_pwait2, epoll, events, n, &time, NULL, 0);
		if (r >= 0 || (errno != ENOSYS && errno != EPERM))
			return result(r, saved);
		*coarse = true; /* before 5.11, or a container's filter */
	}
	return result(epoll_wait_ms(epoll, events, n, duration), saved);
}

int
eddy__eventfd(void)
{
	int saved = errno;

	return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), saved);
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
	return result(n, saved);
}

int
eddy__socketpair(int ret_fds[2])
{
	int saved = errno;

	return result(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds),
	    saved);
}

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(4 * sizeof(int))];
};

int
eddy__send(int fd, const void *data, size_t size, const int *fds, int n)
{
	union control control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data,
		.iov_len = size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t bytes = (size_t)n * sizeof(int);
	int saved = errno;
	ssize_t r;

	if (n > 0) {
		struct cmsghdr *header = &control.header;

		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(bytes);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(header), fds, bytes);
	}
	do
		r = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return result(r, saved);
}

int
eddy__recv(int fd, void *data, size_t size, int *ret_fds, int n, int flags)
{
	union control control;
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct msghdr message = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *header;
	int saved = errno, i;
	ssize_t r;

	for (i = 0; i < n; i++)
		ret_fds[i] = -1;
	do
		r = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | flags);
	while (r < 0 && errno == EINTR);
	header = r > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header != NULL && header->cmsg_type == SCM_RIGHTS) {
		int got[4];
		int count =
		    (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		memcpy(got, CMSG_DATA(header), (size_t)count * sizeof(int));
		for (i = 0; i < count; i++)
			if (i < n)
				ret_fds[i] = got[i];
			else
				close(got[i]);
	}
	return result(r, saved);
}

int
eddy__poll(struct pollfd *fds, int n, int64_t duration)
{
	int64_t ms = duration / EDDY_MS(1) + (duration % EDDY_MS(1) != 0);
	int saved = errno;

	if (duration == EDDY_FOREVER)
		ms = -1;
	else if (ms > INT_MAX)
		ms = INT_MAX;
	return result(poll(fds, (nfds_t)n, (int)ms), saved);
}

int
eddy__read(int fd, void *data, size_t size)
{
	int saved = errno;
	ssize_t r;

	do
		r = read(fd, data, size);
	while (r < 0 && errno == EINTR);
	return result(r, saved);
}

int
eddy__open(const char *path, int flags)
{
	int saved = errno;

	return result(open(path, flags | O_CLOEXEC), saved);
}

int
eddy__futex_wait(uint32_t *word, uint32_t value, int64_t duration, bool shared)
{
	struct kernel_time time = kernel_time(duration);
	int op = FUTEX_WAIT | (shared ? 0 : FUTEX_PRIVATE_FLAG);
	int saved = errno;

	return result(syscall(FUTEX_CALL, word, op, value,
			  duration == EDDY_FOREVER ? NULL : &time, NULL, 0),
	    saved);
}

void
eddy__futex_wake(uint32_t *word, int n, bool shared)
{
	int op = FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG);
	int saved = errno;

	syscall(FUTEX_CALL, word, op, n, NULL, NULL, 0);
	errno = saved;
}

pid_t
eddy__getpid(void)
{
	return getpid();
}

pid_t
eddy__fork(void)
{
	int saved = errno;

	return result(fork(), saved);
}

int
eddy__pidfd_open(pid_t pid)
{
	int saved = errno;

	return result(syscall(SYS_pidfd_open, pid, 0), saved);
}

int
eddy__pidfd_kill(int pidfd, int signal)
{
	int saved = errno;

	return result(
	    syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0), saved);
}

int
eddy__waitid(int type, int id, siginfo_t *ret_info, int options)
{
	int saved = errno, r;

	memset(ret_info, 0, sizeof(*ret_info));
	do
		r = waitid((idtype_t)type, (id_t)id, ret_info, options);
	while (r < 0 && errno == EINTR);
	return result(r, saved);
}

int
eddy__signalfd(const sigset_t *set)
{
	int saved = errno;

	return result(signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK), saved);
}

int
eddy__close_range(unsigned first, unsigned last)
{
	int saved = errno;
	unsigned fd;

	if (syscall(SYS_close_range, first, last, 0) == 0) {
		errno = saved;
		return 0;
	}
	/* A filter without the call: as far as the limit allows descriptors. */
	if (last > (unsigned)sysconf(_SC_OPEN_MAX))
		last = (unsigned)sysconf(_SC_OPEN_MAX);
	for (fd = first; fd <= last; fd++)
		close((int)fd);
	errno = saved;
	return 0;
}

/* The new thread starts with every signal blocked but those a fault raises. */
int
eddy__thread_create(
    pthread_t *ret_thread, size_t stack, void *(*fn)(void *), void *arg)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
		SIGSYS, SIGABRT };
	pthread_attr_t attr;
	sigset_t set, old;
	size_t i;
	int r;

	sigfillset(&set);
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&set, faults[i]);
	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	if (stack != 0)
		r = pthread_attr_setstacksize(&attr, stack);
	if (r == 0) {
		pthread_sigmask(SIG_SETMASK, &set, &old);
		r = pthread_create(ret_thread, &attr, fn, arg);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	pthread_attr_destroy(&attr);
	return -r;
}

int
eddy__thread_count(void)
{
	int saved = errno, count = 0;
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;

	if (dir == NULL)
		return result(-1, saved);
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(dir);
	errno = saved;
	return count;
}

int
eddy__cpus(void)
{
	cpu_set_t set;
	int saved = errno, count = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		count = CPU_COUNT(&set);
	errno = saved;
	return count;
}
