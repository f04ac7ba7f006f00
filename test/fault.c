/* SPDX-License-Identifier: ISC */
/*
 * The functions of the C library that libeddy.a calls and that can fail, each
 * with the errors that Linux gives it.  test/calls.sh reads the names from here.
 *
 * An error below 0 does not last: it comes at most BURST times a run.  After a
 * success errno is junk.
 */
#include "fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "atomics.h"

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#endif
#ifdef SYS_futex_time64
#define FUTEX SYS_futex_time64
#else
#define FUTEX SYS_futex
#endif

enum {
	BURST = 20,
	BLOCKS = 1 << 13, /* more than a scenario has */
	JUNK = ELIBBAD,
};

struct fault *fault;
void (*fault_before_kill)(void);
void (*fault_before_poll)(void);
void (*fault_before_sleep)(void);

/* What the host has allocated and mapped. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const void *blocks[BLOCKS];
static int live;

void
fault_open(void)
{
	fault = mmap(NULL, sizeof(*fault), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fault == MAP_FAILED)
		abort();
}

void
fault_begin(enum fault_place place, uint32_t k, bool later, int choice)
{
	fault->host = getpid();
	fault->place = place;
	fault->later = later;
	fault->choice = choice;
	fault->fired = fault->bursts = 0;
	fault->choices = fault->error = 0;
	fault->name = NULL;
	memset(fault->errors, 0, sizeof(fault->errors));
	memset(blocks, 0, sizeof(blocks));
	live = 0;
	A_STORE(&fault->calls, 0);
	A_STORE(&fault->k, k);
}

bool
fault_answered(int error)
{
	return error > 0 && error < 192 &&
	       (A_LOAD(&fault->errors[error / 64]) >> error % 64 & 1) != 0;
}

int
fault_live(void)
{
	int n;

	pthread_mutex_lock(&lock);
	n = live;
	pthread_mutex_unlock(&lock);
	return n;
}

int
fault_functions(void)
{
	int i = 0;

	while (fault->names[i] != NULL)
		i++;
	return i;
}

static bool
hosts(void)
{
	return fault != NULL && getpid() == fault->host;
}

static void
record(const char *name, int error)
{
	int i;

	if (fault->fired++ == 0) {
		A_STORE(&fault->name, name);
		A_STORE(&fault->error, error);
	}
	__atomic_fetch_or(&fault->errors[error / 64], UINT64_C(1) << error % 64,
	    __ATOMIC_RELAXED);
	for (i = 0; A_LOAD(&fault->names[i]) != NULL &&
		    A_LOAD(&fault->names[i]) != name;
	     i++)
		;
	A_STORE(&fault->names[i], name);
}

/* The error of this call, or 0; < 0: one that does not last. */
static int
strike(const char *name, const int *errors)
{
	uint32_t k, n;
	int choices = 0, error;

	if (fault == NULL || hosts() != (fault->place == HOST))
		return 0;
	n = A_ADD(&fault->calls, 1) + 1;
	k = A_LOAD(&fault->k);
	if (k == 0 || n < k || (n > k && !fault->later))
		return 0;
	while (errors[choices] != 0)
		choices++;
	if (n == k)
		A_STORE(&fault->choices, choices);
	error = errors[fault->choice % choices];
	if (error < 0 && A_ADD(&fault->bursts, 1) >= BURST)
		return 0;
	record(name, abs(error));
	return error;
}

static void
junk(void)
{
	if (fault != NULL)
		errno = JUNK;
}

/* Keeps the place of what is gone: what was put behind it must be found. */
static const char grave;

/* Where p or q is, or p would be; lock held. */
static const void **
place_of(const void *p, const void *q)
{
	size_t i = (size_t)((uintptr_t)p >> 4) % BLOCKS;

	while (blocks[i] != NULL && blocks[i] != p && blocks[i] != q)
		i = (i + 1) % BLOCKS;
	return &blocks[i];
}

static void
born(const void *p)
{
	if (!hosts())
		return;
	pthread_mutex_lock(&lock);
	*place_of(p, &grave) = p;
	live++;
	pthread_mutex_unlock(&lock);
	junk();
}

/* What the C library allocated for itself is not known. */
static void
died(const void *p)
{
	const void **place;

	if (p == NULL || !hosts())
		return;
	pthread_mutex_lock(&lock);
	place = place_of(p, p);
	if (*place == p) {
		*place = &grave;
		live--;
	}
	pthread_mutex_unlock(&lock);
}

/* clang-format off */

#define ERRORS(...) (const int[]){__VA_ARGS__, 0}

/* One that answers bad, with errno. */
#define CALL(name, type, bad, params, args, ...) \
	type __wrap_##name params; \
	type \
	__wrap_##name params \
	{ \
		int e_ = strike(#name, ERRORS(__VA_ARGS__)); \
		type r_; \
		if (e_ != 0) { \
			errno = abs(e_); \
			return bad; \
		} \
		r_ = name args; \
		if (r_ != bad) \
			junk(); \
		return r_; \
	}
/* One that acts all the same, if its error lasts. */
#define DONE(name, type, bad, params, args, ...) \
	type __wrap_##name params; \
	type \
	__wrap_##name params \
	{ \
		int e_ = strike(#name, ERRORS(__VA_ARGS__)); \
		type r_ = e_ < 0 ? bad : name args; \
		if (e_ != 0) { \
			errno = abs(e_); \
			return bad; \
		} \
		if (r_ != bad) \
			junk(); \
		return r_; \
	}
/* One that answers the error. */
#define CODE(name, params, args, ...) \
	int __wrap_##name params; \
	int \
	__wrap_##name params \
	{ \
		int e_ = strike(#name, ERRORS(__VA_ARGS__)); \
		if (e_ == 0) \
			e_ = name args; \
		junk(); \
		return abs(e_); \
	}

/* Descriptors. */
CALL(epoll_create1, int, -1, (int flags), (flags), EMFILE, ENFILE, ENOMEM)
CALL(eventfd, int, -1, (unsigned n, int flags), (n, flags), EMFILE, ENFILE,
    ENOMEM, ENODEV)
CALL(timerfd_create, int, -1, (int clock, int flags), (clock, flags), EMFILE,
    ENFILE, ENOMEM, ENODEV)
CALL(signalfd, int, -1, (int fd, const sigset_t *set, int flags),
    (fd, set, flags), EMFILE, ENFILE, ENOMEM, ENODEV)
CALL(memfd_create, int, -1, (const char *name, unsigned flags), (name, flags),
    EMFILE, ENFILE, ENOMEM)
CALL(pipe2, int, -1, (int fds[2], int flags), (fds, flags), EMFILE, ENFILE)
CALL(socket, int, -1, (int family, int type, int protocol),
    (family, type, protocol), EMFILE, ENFILE, ENOBUFS, ENOMEM, EAFNOSUPPORT,
    EACCES)
CALL(socketpair, int, -1, (int family, int type, int protocol, int fds[2]),
    (family, type, protocol, fds), EMFILE, ENFILE, ENOMEM)
CALL(dup2, int, -1, (int from, int to), (from, to), -EINTR, EMFILE)
/* The descriptor is gone whatever it says; close(2). */
DONE(close, int, -1, (int fd), (fd), EINTR, EIO, ENOSPC)
CALL(ftruncate, int, -1, (int fd, off_t size), (fd, size), ENOMEM, ENOSPC,
    EFBIG)
DONE(shutdown, int, -1, (int fd, int how), (fd, how), ENOTCONN)

/* Waiting. */
CALL(sigtimedwait, int, -1, (const sigset_t *set, siginfo_t *info,
    const struct timespec *duration), (set, info, duration), -EINTR, -EAGAIN)

/* Bytes.  EAGAIN would be a lie: no edge would follow. */
CALL(read, ssize_t, -1, (int fd, void *data, size_t size), (fd, data, size),
    -EINTR, -EIO)
CALL(write, ssize_t, -1, (int fd, const void *data, size_t size),
    (fd, data, size), -EINTR, -EAGAIN)
CALL(pread, ssize_t, -1, (int fd, void *data, size_t size, off_t offset),
    (fd, data, size, offset), -EINTR, EIO)
CALL(pwrite, ssize_t, -1, (int fd, const void *data, size_t size,
    off_t offset), (fd, data, size, offset), -EINTR, EIO, ENOSPC, EDQUOT)
CALL(readv, ssize_t, -1, (int fd, const struct iovec *iov, int n),
    (fd, iov, n), -EINTR, EIO)
CALL(writev, ssize_t, -1, (int fd, const struct iovec *iov, int n),
    (fd, iov, n), -EINTR, EIO, EPIPE, ENOSPC)
CALL(recvfrom, ssize_t, -1, (int fd, void *data, size_t size, int flags,
    struct sockaddr *from, socklen_t *from_size),
    (fd, data, size, flags, from, from_size), -EINTR, ECONNRESET,
    ENOMEM)
CALL(sendto, ssize_t, -1, (int fd, const void *data, size_t size, int flags,
    const struct sockaddr *to, socklen_t to_size),
    (fd, data, size, flags, to, to_size), -EINTR, EPIPE, ECONNRESET,
    ENOBUFS, ENOMEM)
CALL(recvmsg, ssize_t, -1, (int fd, struct msghdr *message, int flags),
    (fd, message, flags), -EINTR, ENOMEM, ECONNRESET)
/* A worker or zygote says it again until it has memory. */
CALL(sendmsg, ssize_t, -1, (int fd, const struct msghdr *message, int flags),
    (fd, message, flags), -EINTR, hosts() ? ENOBUFS : -ENOBUFS,
    hosts() ? ENOMEM : -ENOMEM, hosts() ? EPIPE : 0)
CALL(sendfile, ssize_t, -1, (int to, int from, off_t *offset, size_t size),
    (to, from, offset, size), -EINTR, EIO, EPIPE, ENOMEM)
CALL(splice, ssize_t, -1, (int from, off_t *from_offset, int to,
    off_t *to_offset, size_t size, unsigned flags),
    (from, from_offset, to, to_offset, size, flags), -EINTR, EPIPE,
    ENOMEM)
CALL(process_vm_readv, ssize_t, -1, (pid_t pid, const struct iovec *to,
    unsigned long n, const struct iovec *from, unsigned long m,
    unsigned long flags), (pid, to, n, from, m, flags), EPERM, EFAULT, ESRCH)

/* Sockets. */
CALL(bind, int, -1, (int fd, const struct sockaddr *at, socklen_t size),
    (fd, at, size), EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOMEM)
CALL(listen, int, -1, (int fd, int backlog), (fd, backlog), EADDRINUSE,
    EOPNOTSUPP)
CALL(setsockopt, int, -1, (int fd, int level, int option, const void *value,
    socklen_t size), (fd, level, option, value, size), ENOPROTOOPT, ENOMEM)
CALL(getsockopt, int, -1, (int fd, int level, int option, void *value,
    socklen_t *size), (fd, level, option, value, size), ENOBUFS, ENOMEM)
CALL(accept4, int, -1, (int fd, struct sockaddr *from, socklen_t *size,
    int flags), (fd, from, size, flags), -EINTR, EMFILE, ENFILE,
    ENOBUFS, ENOMEM, ECONNABORTED, EPERM)
CALL(connect, int, -1, (int fd, const struct sockaddr *to, socklen_t size),
    (fd, to, size), ECONNREFUSED, EAGAIN, ENETUNREACH, ETIMEDOUT,
    EADDRNOTAVAIL, EPERM)

/* Files. */
CALL(fsync, int, -1, (int fd), (fd), -EINTR, EIO, ENOSPC, EROFS)
CALL(stat, int, -1, (const char *path, struct stat *stat_), (path, stat_),
    ENOENT, EACCES, ENOMEM)
CALL(fstat, int, -1, (int fd, struct stat *stat_), (fd, stat_), ENOMEM)
CALL(fstatfs, int, -1, (int fd, struct statfs *files), (fd, files), ENOSYS)
CALL(rename, int, -1, (const char *from, const char *to), (from, to), EACCES,
    EIO, ENOSPC, EROFS)
CALL(unlink, int, -1, (const char *path), (path), EACCES, EIO, EROFS)
CALL(readlink, ssize_t, -1, (const char *path, char *to, size_t size),
    (path, to, size), ENOENT, EACCES, ENOMEM)
CALL(opendir, DIR *, NULL, (const char *path), (path), EMFILE, ENFILE, ENOENT,
    ENOMEM)
CALL(fopen, FILE *, NULL, (const char *path, const char *mode), (path, mode),
    EMFILE, ENFILE, ENOENT, ENOMEM)
CALL(fgets, char *, NULL, (char *to, int size, FILE *from), (to, size, from),
    EIO)
CALL(open_memstream, FILE *, NULL, (char **text, size_t *size), (text, size),
    ENOMEM)
CALL(fwrite, size_t, 0, (const void *data, size_t size, size_t n, FILE *to),
    (data, size, n, to), ENOMEM)
DONE(fclose, int, EOF, (FILE *file), (file), ENOMEM)
DONE(fflush, int, EOF, (FILE *file), (file), EIO, ENOSPC)

/* Processes and threads. */
CALL(fork, pid_t, -1, (void), (), EAGAIN, ENOMEM)
CALL(_Fork, pid_t, -1, (void), (), EAGAIN, ENOMEM)
CALL(setpgid, int, -1, (pid_t pid, pid_t group), (pid, group), EACCES, ESRCH)
DONE(kill, int, -1, (pid_t pid, int number), (pid, number), ESRCH)
/* ECHILD: the host reaps all its children; here just after it has, once this
 * one has ended.  Nobody but the zygote reaps those of the zygote. */
DONE(waitid, int, -1, (idtype_t type, id_t id, siginfo_t *info, int options),
    (type, id, info, e_ > 0 ? options & ~(WNOHANG | WNOWAIT) : options),
    -EINTR, hosts() ? ECHILD : 0)
DONE(wait4, pid_t, -1, (pid_t pid, int *status, int options,
    struct rusage *usage), (pid, status, options, usage), -EINTR,
    hosts() ? ECHILD : 0)
CALL(sched_getaffinity, int, -1, (pid_t pid, size_t size, cpu_set_t *set),
    (pid, size, set), EINVAL)
CALL(sched_setaffinity, int, -1, (pid_t pid, size_t size,
    const cpu_set_t *set), (pid, size, set), EINVAL, EPERM)
CALL(sched_getcpu, int, -1, (void), (), ENOSYS)
CODE(pthread_create, (pthread_t *thread, const pthread_attr_t *attr,
    void *(*fn)(void *), void *arg), (thread, attr, fn, arg), EAGAIN)
CODE(pthread_atfork, (void (*prepare)(void), void (*parent)(void),
    void (*child)(void)), (prepare, parent, child), ENOMEM)
CODE(posix_spawnp, (pid_t *pid, const char *file,
    const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
    char *const *argv, char *const *env),
    (pid, file, actions, attr, argv, env), EAGAIN, ENOMEM, ENOENT, EACCES)
CODE(posix_spawn_file_actions_adddup2, (posix_spawn_file_actions_t *actions,
    int from, int to), (actions, from, to), ENOMEM)
CODE(posix_spawn_file_actions_addchdir_np, (posix_spawn_file_actions_t *actions,
    const char *path), (actions, path), ENOMEM)
CODE(pthread_setname_np, (pthread_t thread, const char *name), (thread, name),
    ENOENT)
#ifdef __GLIBC__
CALL(on_exit, int, -1, (void (*fn)(int, void *), void *arg), (fn, arg), ENOMEM)
#endif
CALL(madvise, int, -1, (void *p, size_t size, int advice), (p, size, advice),
    EINVAL, ENOMEM, EAGAIN)

/* clang-format on */

/* With variable arguments, counted, or of other manners. */

int __wrap_open(const char *path, int flags, ...);
int __wrap_fcntl(int fd, int op, ...);
long __wrap_syscall(long number, ...);
int __wrap_poll(struct pollfd *fds, nfds_t n, int ms);
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
struct dirent *__wrap_readdir(DIR *dir);
int __wrap_getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **list);
int __wrap_getnameinfo(const struct sockaddr *name, socklen_t size, char *host,
    socklen_t host_size, char *service, socklen_t service_size, int flags);
void *__wrap_calloc(size_t n, size_t size);
int __wrap_posix_memalign(void **ret_p, size_t align, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *p);
void *__wrap_mmap(
    void *at, size_t size, int access, int flags, int fd, off_t offset);
void *__wrap_mremap(void *old, size_t old_size, size_t size, int flags, ...);
int __wrap_munmap(void *p, size_t size);

int
__wrap_open(const char *path, int flags, ...)
{
	int e = strike(
	    "open", ERRORS(EMFILE, ENFILE, ENOENT, EACCES, ENOMEM, -EINTR));
	mode_t mode = 0;
	va_list args;
	int fd;

	va_start(args, flags);
	if ((flags & O_CREAT) != 0)
		mode = va_arg(args, mode_t);
	va_end(args);
	errno = abs(e);
	fd = e != 0 ? -1 : open(path, flags, mode);
	if (fd >= 0)
		junk();
	return fd;
}

/* The flags of a descriptor that is open cannot fail. */
int
__wrap_fcntl(int fd, int op, ...)
{
	va_list args;
	int e, arg, r;

	va_start(args, op);
	arg = va_arg(args, int);
	va_end(args);
	e = op == F_DUPFD_CLOEXEC ? strike("dup", ERRORS(EMFILE))
	    : op == F_ADD_SEALS   ? strike("seal", ERRORS(EPERM, EBUSY, EINVAL))
	                          : 0;
	errno = abs(e);
	r = e != 0 ? -1 : fcntl(fd, op, arg);
	if (r >= 0)
		junk();
	return r;
}

/* By number; what is not here cannot fail. */
static const struct number {
	long number;
	const char *name;
	int errors[6];
} numbers[] = {
    {FUTEX, "futex", {-EINTR, -EAGAIN}},
    {SYS_epoll_pwait, "epoll_pwait", {-EINTR}},
    {SYS_epoll_pwait2, "epoll_pwait2", {-EINTR, ENOSYS, EPERM}},
    {SYS_pidfd_open, "pidfd_open", {EMFILE, ENFILE, ENOMEM, ENODEV}},
    {SYS_pidfd_send_signal, "pidfd_send_signal", {ESRCH}},
    {SYS_close_range, "close_range", {ENOSYS, EPERM}},
    {SYS_timer_create, "timer_create", {EAGAIN, ENOMEM}},
    {SYS_tgkill, "tgkill", {ESRCH, EAGAIN}},
};

static void
hooks(long number)
{
	if (number == SYS_pidfd_send_signal && fault_before_kill != NULL &&
	    hosts())
		fault_before_kill();
	if (number == FUTEX && fault_before_sleep != NULL && fault != NULL &&
	    !hosts())
		fault_before_sleep();
}

long
__wrap_syscall(long number, ...)
{
	const struct number *it = numbers,
			    *end = numbers + sizeof(numbers) / sizeof(*numbers);
	va_list args;
	long a[6], r;
	int i, e;

	va_start(args, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	while (it < end && it->number != number)
		it++;
	if (it == end ||
	    (number == FUTEX && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAKE))
		return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	hooks(number);
	e = strike(it->name, it->errors);
	if (e != 0) {
		/* A kill may come too late. */
		if (number == SYS_pidfd_send_signal)
			syscall(number, a[0], a[1], a[2], a[3]);
		errno = abs(e);
		return -1;
	}
	r = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (r >= 0)
		junk();
	return r;
}

int
__wrap_poll(struct pollfd *fds, nfds_t n, int ms)
{
	int e = strike("poll", ERRORS(-EINTR, -ENOMEM));
	int r;

	if (fault_before_poll != NULL && hosts())
		fault_before_poll();
	errno = abs(e);
	r = e != 0 ? -1 : poll(fds, n, ms);
	if (r >= 0)
		junk();
	return r;
}

/* Taken out, it may be gone: its owner has closed it. */
int
__wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	int e = strike("epoll_ctl", op == EPOLL_CTL_DEL
					? ERRORS(ENOENT, EBADF)
					: ERRORS(ENOMEM, ENOSPC));
	int r = 0;

	if (e == 0 || op == EPOLL_CTL_DEL)
		r = epoll_ctl(epoll, op, fd, event);
	if (e != 0)
		errno = e;
	else if (r == 0)
		junk();
	return e != 0 ? -1 : r;
}

/* At the end it leaves errno alone. */
struct dirent *
__wrap_readdir(DIR *dir)
{
	int e = strike("readdir", ERRORS(EIO));
	struct dirent *entry = e == 0 ? readdir(dir) : NULL;

	if (e != 0)
		errno = e;
	else if (entry != NULL)
		junk();
	return entry;
}

/* As the resolver has it. */
static int
name_error(int e)
{
	switch (e) {
	case ENOMEM:
		return EAI_MEMORY;
	case EAGAIN:
		return EAI_AGAIN;
	case EIO:
		return EAI_FAIL;
	case ENOENT:
		return EAI_NONAME;
	default:
		errno = e;
		return EAI_SYSTEM;
	}
}

#define NAME_ERRORS ERRORS(ENOMEM, EAGAIN, EIO, ENOENT, EMFILE)

int
__wrap_getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **list)
{
	int e = strike("getaddrinfo", NAME_ERRORS);

	return e != 0 ? name_error(e) : getaddrinfo(host, service, hints, list);
}

int
__wrap_getnameinfo(const struct sockaddr *name, socklen_t size, char *host,
    socklen_t host_size, char *service, socklen_t service_size, int flags)
{
	int e = strike("getnameinfo", NAME_ERRORS);

	return e != 0 ? name_error(e)
	              : getnameinfo(name, size, host, host_size, service,
			    service_size, flags);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	void *p = NULL;

	if (strike("calloc", ERRORS(ENOMEM)) == 0)
		p = calloc(n, size);
	if (p != NULL)
		born(p);
	else
		errno = ENOMEM;
	return p;
}

int
__wrap_posix_memalign(void **ret_p, size_t align, size_t size)
{
	int e = strike("posix_memalign", ERRORS(ENOMEM));

	if (e == 0)
		e = posix_memalign(ret_p, align, size);
	if (e == 0)
		born(*ret_p);
	return e;
}

void *
__wrap_realloc(void *old, size_t size)
{
	void *p;

	if (strike("realloc", ERRORS(ENOMEM)) != 0) {
		errno = ENOMEM;
		return NULL;
	}
	died(old); /* while nobody else can have it */
	p = realloc(old, size);
	if (p != NULL || old != NULL)
		born(p != NULL ? p : old);
	return p;
}

void
__wrap_free(void *p)
{
	died(p);
	free(p);
	junk();
}

void *
__wrap_mmap(void *at, size_t size, int access, int flags, int fd, off_t offset)
{
	int e = strike("mmap", ERRORS(ENOMEM, ENFILE, EAGAIN));
	void *p;

	errno = e;
	p = e != 0 ? MAP_FAILED : mmap(at, size, access, flags, fd, offset);
	if (p != MAP_FAILED)
		born(p);
	return p;
}

void *
__wrap_mremap(void *old, size_t old_size, size_t size, int flags, ...)
{
	int e = strike("mremap", ERRORS(ENOMEM, EAGAIN));
	void *p;

	if (e != 0) {
		errno = e;
		return MAP_FAILED;
	}
	died(old);
	p = mremap(old, old_size, size, flags);
	born(p != MAP_FAILED ? p : old);
	return p;
}

int
__wrap_munmap(void *p, size_t size)
{
	died(p);
	return munmap(p, size);
}
