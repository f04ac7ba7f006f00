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

/* clang-format off */
#define CALL(name, parameters, call)                                           \
	int eddy__##name parameters { int saved = errno;                       \
		return eddy__result(call, saved); }
#define QUIET(name, parameters, call)                                          \
	void eddy__##name parameters                                           \
	{ int saved = errno; call; errno = saved; }
#define MAP(name, parameters, call)                                            \
	int eddy__##name parameters { int saved = errno; void *map = call;     \
		if (map != MAP_FAILED) *ret_p = map;                           \
		return eddy__result(map == MAP_FAILED ? -1 : 0, saved); }

/* Only bytes; C libraries disagree on the type of the length. */
#define MESSAGE(iov, n) &(struct msghdr){                                      \
	.msg_iov = (struct iovec *)(uintptr_t)(iov),                           \
	.msg_iovlen = (__typeof__(((struct msghdr *)0)->msg_iovlen))(n)}

CALL(open, (const char *path, int flags, mode_t mode),
    RETRY(open(path, flags | O_CLOEXEC, mode)))
CALL(readlink, (const char *path, char *to, size_t size),
    readlink(path, to, size))
CALL(peek, (const void *from, void *to, size_t size),
    process_vm_readv(getpid(), &(struct iovec){to, size}, 1,
        &(struct iovec){(void *)(uintptr_t)from, size}, 1, 0))
CALL(gettid, (void), syscall(SYS_gettid))
CALL(tgkill, (pid_t tid, int signal),
    syscall(SYS_tgkill, getpid(), tid, signal))
CALL(close, (int fd), fd < 0 ? (errno = EBADF, -1) : close(fd))
CALL(pread, (int fd, void *data, size_t size, off_t offset),
    RETRY(pread(fd, data, size < INT_MAX ? size : INT_MAX, offset)))
CALL(pwrite, (int fd, const void *data, size_t size, off_t offset),
    RETRY(pwrite(fd, data, size < INT_MAX ? size : INT_MAX, offset)))
CALL(fsync, (int fd), RETRY(fsync(fd)))
CALL(stat, (const char *path, struct stat *ret_stat), stat(path, ret_stat))
CALL(rename, (const char *from, const char *to), rename(from, to))
CALL(unlink, (const char *path), unlink(path))
CALL(dup, (int fd, int above), fcntl(fd, F_DUPFD_CLOEXEC, above))
CALL(cpu, (void), sched_getcpu())
CALL(yield, (void), sched_yield())
CALL(close_range, (unsigned first, unsigned last),
    syscall(SYS_close_range, first, last, 0))
CALL(epoll_open, (void), epoll_create1(EPOLL_CLOEXEC))
CALL(eventfd, (void), eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
CALL(timerfd, (void),
    timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK))
CALL(socketpair, (int ret_fds[2]),
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds))
CALL(socket, (int family, int protocol),
    socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol))
CALL(stream_pair, (int ret_fds[2]), socketpair(AF_UNIX,
    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds))
CALL(fork, (void), fork())
CALL(fork_bare, (void), _Fork != NULL ? _Fork() : fork())
CALL(kill, (pid_t pid, int signal), kill(pid, signal))
CALL(pidfd_open, (pid_t pid), syscall(SYS_pidfd_open, pid, 0))
CALL(pidfd_kill, (int pidfd, int signal),
    syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0))
/* 4: PIDFD_SIGNAL_PROCESS_GROUP */
CALL(pidfd_kill_group, (int pidfd, int signal),
    syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 4))
CALL(wait4, (pid_t pid, struct rusage *ret_usage),
    RETRY(wait4(pid, NULL, 0, ret_usage)))
CALL(set_affinity, (const void *cpus, size_t size),
    sched_setaffinity(0, size, cpus))
CALL(ticker_close, (int ticker), syscall(SYS_timer_delete, ticker))
CALL(recvfrom, (int fd, void *data, size_t size, int flags,
    struct sockaddr *ret_from, unsigned *ret_size),
    RETRY(recvfrom(fd, data, size, flags | MSG_DONTWAIT, ret_from, ret_size)))
CALL(sendto, (int fd, const void *data, size_t size, int flags,
    const struct sockaddr *to, unsigned to_size),
    RETRY(sendto(fd, data, size, flags | MSG_DONTWAIT | MSG_NOSIGNAL, to,
        to_size)))
CALL(recvmsg, (int fd, const struct iovec *iov, int n),
    RETRY(recvmsg(fd, MESSAGE(iov, n), MSG_DONTWAIT)))
CALL(sendmsg, (int fd, const struct iovec *iov, int n),
    RETRY(sendmsg(fd, MESSAGE(iov, n), MSG_DONTWAIT | MSG_NOSIGNAL)))
CALL(readv, (int fd, const struct iovec *iov, int n),
    RETRY(readv(fd, iov, n)))
CALL(accept, (int fd, struct sockaddr *ret_from, unsigned *ret_size),
    RETRY(accept4(fd, ret_from, ret_size, SOCK_CLOEXEC | SOCK_NONBLOCK)))
CALL(read, (int fd, void *data, size_t size),
    RETRY(read(fd, data, size)))
CALL(waitid, (int type, int id, siginfo_t *ret_info, int options),
    RETRY(waitid((idtype_t)type, (id_t)id,
        memset(ret_info, 0, sizeof(*ret_info)), options)))
CALL(getpid, (void), getpid())
CALL(epoll_ctl, (int epoll, int op, int fd, uint32_t events, uint64_t data),
    epoll_ctl(epoll, op, fd,
        &(struct epoll_event){.events = events, .data.u64 = data}))
CALL(futex_wait, (uint32_t *word, uint32_t value, int64_t duration,
    bool shared), syscall(FUTEX, word,
        FUTEX_WAIT | (shared ? 0 : FUTEX_PRIVATE_FLAG), value,
        duration == EDDY_FOREVER ? NULL : &(struct kernel_time){
            duration / EDDY_S(1), duration % EDDY_S(1)}, NULL, 0))
QUIET(futex_wake, (uint32_t *word, int n, bool shared), syscall(FUTEX, word,
    FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG), n, NULL, NULL, 0))
QUIET(free, (void *p), HOOK(poison(p)); free(p))
QUIET(unmap, (const void *p, size_t size), munmap((void *)(uintptr_t)p, size))
QUIET(trim, (void *p, size_t size), madvise(p, size, MADV_REMOVE))
MAP(map, (void **ret_p, int fd, size_t size),
    mmap(NULL, size, SHARED, MAP_SHARED, fd, 0))
MAP(view, (void **ret_p, int fd, size_t size),
    mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0))
CALL(memfd_open, (const char *name),
    memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING))
MAP(memfd_grow, (int fd, void **ret_p, size_t old_size, size_t size),
    ftruncate(fd, (off_t)size) < 0 ? MAP_FAILED
    : old_size == 0 ? mmap(NULL, size, SHARED, MAP_SHARED, fd, 0)
    : mremap(*ret_p, old_size, size, MREMAP_MAYMOVE))
CALL(memfd_seal, (int fd, size_t size, bool final),
    ftruncate(fd, (off_t)size) < 0
    ? -1 : fcntl(fd, F_ADD_SEALS, final ? FINAL : SEALS))
/* clang-format on */

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

int
eddy__pipe(int ret_fds[2], int ours)
{
	int saved = errno, r = pipe2(ret_fds, O_CLOEXEC);

	if (r == 0) /* that cannot fail */
		fcntl(ret_fds[ours], F_SETFL, O_NONBLOCK);
	return eddy__result(r, saved);
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
	struct stat stat;
	bool good = seals >= 0 && (seals & FINAL) == FINAL &&
	            fstat(fd, &stat) == 0 && size <= (size_t)stat.st_size;

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

int
eddy__timerfd_set(int timerfd, int64_t when)
{
	struct itimerspec at = {
	    .it_value = {.tv_sec = (time_t)(when / EDDY_S(1)),
		.tv_nsec = (long)(when % EDDY_S(1))}};
	int saved = errno;

	if (when == EDDY_FOREVER)
		at.it_value = (struct timespec){0, 0};
	else if (when <= 0)
		at.it_value.tv_nsec = 1; /* long ago; 0 would be never */
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
eddy__is_stream(int fd)
{
	int type = 0, saved = errno;
	socklen_t size = sizeof(type);
	int r = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);

	return eddy__result(r < 0 ? r : type == SOCK_STREAM, saved);
}

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
	struct stat stat;
	off_t n = fstat(fd, &stat) == 0 ? stat.st_size : 0;

	n -= lseek(fd, 0, SEEK_CUR);
	return n > 0 && (uint64_t)n < size ? (size_t)n : size;
}

/* clang-format off */
#define HUSHED(name, parameters, call)                                         \
	int eddy__##name parameters { int saved = errno, r; struct hush was;   \
		hush(&was);                                                    \
		r = eddy__result(RETRY(call), saved);                          \
		unhush(&was, r == -EPIPE); errno = saved; return r; }

HUSHED(writev, (int fd, const struct iovec *iov, int n), writev(fd, iov, n))
HUSHED(sendfile, (int to, int from, size_t size),
    sendfile(to, from, NULL, clip(from, size)))
HUSHED(splice, (int to, int from, size_t size),
    splice(from, NULL, to, NULL, size, SPLICE_F_NONBLOCK))
/* clang-format on */

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
	    .msg_controllen = sizeof(control)};
	struct cmsghdr *header;
	int saved = errno, got[FDS_MAX], i, count = 0;
	ssize_t r = RETRY(
	    recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));

	header = r > 0 ? CMSG_FIRSTHDR(&message) : NULL;
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
