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

#include "sys_calls.h"

/* 0 or a count, or -errno of the call that failed; errno is as saved. */
int eddy__result(long r, int saved);

/* alloc zeroes; what is some whole cache lines long begins one. */
enum { CACHE_LINE = 64, LINES_MAX = 4096 };
void *eddy__alloc(size_t size);
void *eddy__realloc(void *p, size_t size);
/* A word that reads 1 here and 0 in forked children; getpid costs 220 ns. */
int eddy__mark(const uint32_t **ret_mark);
int eddy__memfd_check(int fd, size_t size); /* is it final, and so long? */

/* sys_name.c: see eddy_readdir, eddy_getaddrinfo, eddy_getnameinfo. */
int eddy__names(const char *path, char **ret_names);
int eddy__getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **ret_list);
int eddy__getnameinfo(const struct sockaddr *address, unsigned size, char *host,
    char *service, int flags);

/* Waits at most duration ns; *coarse: no epoll_pwait2, learnt once. */
int eddy__epoll_wait(int epoll, struct epoll_event *events, int n,
    int64_t duration, bool *coarse);
int eddy__poll(struct pollfd *fds, int n, int64_t duration);
int eddy__ring(int eventfd); /* add one; saturated is rung */
int eddy__timerfd_set(int timerfd, int64_t when); /* absolute; FOREVER: never */
struct timespec eddy__timespec(int64_t when); /* at most what that can hold */

/* One message with n descriptors, at most FDS_MAX; -EAGAIN: not now.  recv:
 * bytes, 0 at the end; descriptors that are missing are -1, or -EMFILE. */
enum { FDS_MAX = 17 };
int eddy__send(int fd, const void *data, size_t size, const int *fds, int n);
int eddy__recv(int fd, void *data, size_t size, int *ret_fds, int n);

/* Bind first; reuse the address, and of IPv6 be open to IPv4. */
int eddy__listen(int fd, const struct sockaddr *at, unsigned size, int backlog);
int eddy__connect(int fd, const struct sockaddr *to, unsigned size);
int eddy__blocks(int fd);    /* 1: O_NONBLOCK is not set */
int eddy__is_file(int fd);   /* 1: a regular file */
int eddy__is_stream(int fd); /* 1: a read of it takes all there is */

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
unsigned eddy__quota(unsigned cpus); /* quota.c: or fewer */
/* A signal that only makes system calls fail with EINTR, and a timer that sends
 * it to this thread every interval (ns; 0: stop) until told otherwise. */
int eddy__catch_signal(int signal, void (*handler)(int));
int eddy__ticker_open(int *ret_ticker, int signal);
int eddy__ticker_set(int ticker, int64_t interval);
/* Have this thread on another CPU than this one, if it may: 0, or -errno. */
int eddy__leave_cpu(int cpu);

static inline void
cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

/* One that is never held for long: look again for some 4 us, as to fall asleep
 * over it costs more, and the scheduler may bring who does to who had it. */
void eddy__lock(pthread_mutex_t *mutex);
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
