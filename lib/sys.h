/* SPDX-License-Identifier: ISC */
/*
 * sys: every system call and allocation of the library, one function each.
 *
 * They answer -errno, leave errno alone and hide what differs between kernels
 * and C libraries.  Each is a call from one object to another, so the linker's
 * --wrap can replace it: that is how test/check_fault.c makes them fail.
 */
#ifndef EDDY_SYS_H
#define EDDY_SYS_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct addrinfo;
struct epoll_event;
struct iovec;
struct rusage;
struct sockaddr;
struct stat;

/* 0 or a count, or -errno of the call that failed; errno is as saved. */
int eddy__result(long r, int saved);

/* Memory.  alloc zeroes; what is some whole cache lines long begins one. */
enum { CACHE_LINE = 64, LINES_MAX = 4096 };
void *eddy__alloc(size_t size);
void *eddy__realloc(void *p, size_t size);
void eddy__free(void *p);
int eddy__map(void **ret_p, int fd, size_t size); /* shared, read and write */
/* A word that reads 1 here and 0 in forked children; getpid costs 220 ns. */
int eddy__mark(const uint32_t **ret_mark);
void eddy__unmap(const void *p, size_t size);
void eddy__trim(void *p, size_t size); /* shared pages back to the system */

/* Bytes of memory that may be gone, as a debugger would read it. */
int eddy__peek(const void *from, void *to, size_t size);

/* Descriptors, all close-on-exec. */
int eddy__open(const char *path, int flags, mode_t mode);
int eddy__read(int fd, void *data, size_t size);
int eddy__readlink(const char *path, char *to, size_t size);
int eddy__close(int fd); /* < 0: nothing is done, as by free(NULL) */
/* Files; size is INT_MAX at most. */
int eddy__pread(int fd, void *data, size_t size, off_t offset);
int eddy__pwrite(int fd, const void *data, size_t size, off_t offset);
int eddy__fsync(int fd);
int eddy__stat(const char *path, struct stat *ret_stat);
int eddy__rename(const char *from, const char *to);
int eddy__unlink(const char *path);
/* sys_name.c: see eddy_readdir, eddy_getaddrinfo, eddy_getnameinfo. */
int eddy__names(const char *path, char **ret_names);
int eddy__getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **ret_list);
int eddy__getnameinfo(const struct sockaddr *address, unsigned size, char *host,
    char *service, int flags);
int eddy__dup(int fd, int above); /* at above or higher */
/* ours: which end does not block. */
int eddy__pipe(int ret_fds[2], int ours);
int eddy__close_range(unsigned first, unsigned last);
int eddy__epoll_open(void);
int eddy__epoll_ctl(int epoll, int op, int fd, uint32_t events, uint64_t data);
/* Waits at most duration ns; *coarse: no epoll_pwait2, learnt once. */
int eddy__epoll_wait(int epoll, struct epoll_event *events, int n,
    int64_t duration, bool *coarse);
int eddy__poll(struct pollfd *fds, int n, int64_t duration);
int eddy__eventfd(void);
int eddy__ring(int eventfd); /* add one; saturated is rung */
int eddy__timerfd(void);
int eddy__timerfd_set(int timerfd, int64_t when); /* absolute; FOREVER: never */
int eddy__socketpair(int ret_fds[2]);             /* SOCK_SEQPACKET */
/* One message with n descriptors, at most FDS_MAX; -EAGAIN: not now.  recv:
 * bytes, 0 at the end; descriptors that are missing are -1, or -EMFILE. */
enum { FDS_MAX = 17 };
int eddy__send(int fd, const void *data, size_t size, const int *fds, int n);
int eddy__recv(int fd, void *data, size_t size, int *ret_fds, int n);
/* Memory that grows; then sealed at size, and if final as it is, for ever.
 * check: it is, and has so much?  view: to be read only. */
int eddy__memfd_open(const char *name);
int eddy__memfd_grow(int fd, void **ret_p, size_t old_size, size_t size);
int eddy__memfd_seal(int fd, size_t size, bool final);
int eddy__memfd_check(int fd, size_t size);
int eddy__view(void **ret_p, int fd, size_t size);

/* Never block on a socket; and all of these never raise SIGPIPE. */
int eddy__recvfrom(int fd, void *data, size_t size, int flags,
    struct sockaddr *ret_from, unsigned *ret_size);
int eddy__sendto(int fd, const void *data, size_t size, int flags,
    const struct sockaddr *to, unsigned to_size);
int eddy__recvmsg(int fd, const struct iovec *iov, int n);
int eddy__sendmsg(int fd, const struct iovec *iov, int n);
int eddy__socket(int family, int protocol); /* a stream, O_NONBLOCK */
int eddy__stream_pair(int ret_fds[2]);
/* Bind first; reuse the address, and of IPv6 be open to IPv4. */
int eddy__listen(int fd, const struct sockaddr *at, unsigned size, int backlog);
int eddy__connect(int fd, const struct sockaddr *to, unsigned size);
int eddy__writev(int fd, const struct iovec *iov, int n);
/* Block unless O_NONBLOCK is set. */
int eddy__sendfile(int to, int from, size_t size);
int eddy__splice(int to, int from, size_t size);
int eddy__readv(int fd, const struct iovec *iov, int n);
int eddy__accept(int fd, struct sockaddr *ret_from, unsigned *ret_size);
int eddy__blocks(int fd);    /* 1: it is not set */
int eddy__is_stream(int fd); /* 1: SOCK_STREAM */

/* Sleeping on a word; shared: between processes. */
int eddy__futex_wait(
    uint32_t *word, uint32_t value, int64_t duration, bool shared);
void eddy__futex_wake(uint32_t *word, int n, bool shared);

/* Processes and threads. */
pid_t eddy__getpid(void);
pid_t eddy__gettid(void);
int eddy__tgkill(pid_t tid, int signal); /* of this process */
pid_t eddy__fork(void);
/* Where the C library can: without handlers of pthread_atfork(3). */
pid_t eddy__fork_bare(void);
int eddy__pidfd_open(pid_t pid);
int eddy__pidfd_kill(int pidfd, int signal);
/* The same to the group that pidfd leads, or led; -EINVAL before Linux 6.9. */
int eddy__pidfd_kill_group(int pidfd, int signal);
int eddy__wait4(pid_t pid, struct rusage *ret_usage); /* a dead child */
int eddy__waitid(int type, int id, siginfo_t *ret_info, int options);
/* sys_process.c.  Sets of signals, as EDDY_SIGNAL makes them.  block: of this
 * thread; ret_changed: those that were not so before.  elsewhere: does another
 * thread of this process leave one of them unblocked? */
int eddy__signals_block(uint64_t bits, bool block, uint64_t *ret_changed);
int eddy__signalfd(int fd, uint64_t bits); /* fd -1: a new one */
bool eddy__signals_elsewhere(uint64_t bits);
/* A program from PATH, with copies of fds (or -1: ours) as its 0 to 2. */
struct spawn {
	char *const *argv, *const *env; /* env NULL: ours */
	const char *directory;          /* or NULL */
	int fds[3];
	bool group;
};
int eddy__spawn(pid_t *ret_pid, const struct spawn *how);
/* The status of a child that has ended; si_pid 0: it runs. */
int eddy__reap(int pidfd, siginfo_t *ret_info, struct rusage *ret_usage);
int eddy__kill(pid_t pid, int signal);
/* sys_thread.c.  It starts with all signals blocked but those of faults. */
int eddy__thread_create(
    pthread_t *ret_thread, size_t stack, void *(*fn)(void *), void *arg);
/* Who this thread is: pthread_self(), without a call where possible. */
static inline uintptr_t
eddy__self(void)
{
#if __has_builtin(__builtin_thread_pointer)
	return (uintptr_t)__builtin_thread_pointer();
#else
	return (uintptr_t)pthread_self();
#endif
}
int eddy__thread_count(void); /* of this process; -errno without procfs */
int eddy__cpus(void);         /* that this process may use */
unsigned eddy__quota(unsigned cpus);                   /* quota.c: or fewer */
int eddy__set_affinity(const void *cpus, size_t size); /* of this thread */
/* A signal that only makes system calls fail with EINTR, and a timer that sends
 * it to this thread every interval (ns; 0: stop) until told otherwise. */
int eddy__catch_signal(int signal, void (*handler)(int));
int eddy__ticker_open(int *ret_ticker, int signal);
int eddy__ticker_set(int ticker, int64_t interval);
int eddy__ticker_close(int ticker);
int eddy__yield(void);
/* Have this thread on another CPU than this one, if it may: 0, or -errno. */
int eddy__leave_cpu(int cpu);
int eddy__cpu(void); /* that this thread is on just now */

/* One that is never held for long: who comes meanwhile looks again first. */
void eddy__mutex_init(pthread_mutex_t *mutex);
/* On the clock of eddy_now; -ETIMEDOUT. */
void eddy__cond_init(pthread_cond_t *cond);
int eddy__cond_wait(
    pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline);

/* base.c: up to 10 ms ago, for less than eddy_now. */
int64_t eddy__now_coarse(void);
/* Now + duration, saturated as eddy_after says. */
int64_t eddy__later(int64_t now, int64_t duration);
/* What is left until deadline: EDDY_FOREVER, or 0 when it has passed. */
int64_t eddy__left(int64_t deadline);

#endif
