/* SPDX-License-Identifier: ISC */
/*
 * sys_calls: the calls of sys.h that are one expression each.  sys.h declares
 * what is listed here, and sys.c defines it.
 */
/* clang-format off */
#ifdef DEFINE_CALLS
/* Only bytes; C libraries disagree on the type of the length. */
#define MESSAGE(iov, n) &(struct msghdr){                                      \
	.msg_iov = (struct iovec *)(uintptr_t)(iov),                           \
	.msg_iovlen = (__typeof__(((struct msghdr *)0)->msg_iovlen))(n)}
/* An off_t of 32 bits would be another place of the file. */
#define FAR(offset) (off_t)(offset) != (offset) ? (errno = EOVERFLOW, -1) :
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
#define HUSHED(name, parameters, call, raised)                                 \
	int eddy__##name parameters { int saved = errno, r; struct hush was;   \
		hush(&was);                                                    \
		r = eddy__result(RETRY(call), saved);                          \
		unhush(&was, raised); errno = saved; return r; }
#else
#define CALL(name, parameters, call)   int eddy__##name parameters;
#define QUIET(name, parameters, call)  void eddy__##name parameters;
#define MAP(name, parameters, call)    int eddy__##name parameters;
#define HUSHED(name, parameters, call, raised) int eddy__##name parameters;
#endif

/* Memory.  trim: shared pages back to the system.  peek: bytes of memory that
 * may be gone, as a debugger would read it. */
QUIET(free, (void *p), HOOK(poison(p)); free(p))
QUIET(unmap, (const void *p, size_t size), munmap((void *)(uintptr_t)p, size))
QUIET(trim, (void *p, size_t size), madvise(p, size, MADV_REMOVE))
MAP(map, (void **ret_p, int fd, size_t size),
    mmap(NULL, size, SHARED, MAP_SHARED, fd, 0))
CALL(peek, (const void *from, void *to, size_t size),
    process_vm_readv(getpid(), &(struct iovec){to, size}, 1,
        &(struct iovec){(void *)(uintptr_t)from, size}, 1, 0))

/* Memory that grows; then sealed at size, and if final as it is, for ever.
 * view: to be read only. */
CALL(memfd_open, (const char *name),
    memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING))
MAP(memfd_grow, (int fd, void **ret_p, size_t old_size, size_t size),
    ftruncate(fd, (off_t)size) < 0 ? MAP_FAILED
    : old_size == 0 ? mmap(NULL, size, SHARED, MAP_SHARED, fd, 0)
    : mremap(*ret_p, old_size, size, MREMAP_MAYMOVE))
CALL(memfd_seal, (int fd, size_t size, bool final),
    ftruncate(fd, (off_t)size) < 0
    ? -1 : fcntl(fd, F_ADD_SEALS, final ? FINAL : SEALS))
MAP(view, (void **ret_p, int fd, size_t size),
    mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0))

/* Files.  Descriptors are all close-on-exec; close: of one < 0 nothing is done,
 * as by free(NULL); dup: to above or higher. */
CALL(open, (const char *path, int flags, mode_t mode),
    RETRY(open(path, flags | O_CLOEXEC, mode)))
CALL(close, (int fd), fd < 0 ? (errno = EBADF, -1) : close(fd))
CALL(close_range, (unsigned first, unsigned last),
    syscall(SYS_close_range, first, last, 0))
CALL(dup, (int fd, int above), fcntl(fd, F_DUPFD_CLOEXEC, above))
CALL(read, (int fd, void *data, size_t size), RETRY(read(fd, data, size)))
CALL(readv, (int fd, const struct iovec *iov, int n),
    RETRY(readv(fd, iov, n)))
CALL(pread, (int fd, void *data, size_t size, int64_t offset),
    FAR(offset) RETRY(pread(fd, data, size < INT_MAX ? size : INT_MAX,
        (off_t)offset)))
CALL(pwrite, (int fd, const void *data, size_t size, int64_t offset),
    FAR(offset) RETRY(pwrite(fd, data, size < INT_MAX ? size : INT_MAX,
        (off_t)offset)))
CALL(fsync, (int fd), RETRY(fsync(fd)))
CALL(stat, (const char *path, struct stat *ret_stat), stat(path, ret_stat))
CALL(rename, (const char *from, const char *to), rename(from, to))
CALL(unlink, (const char *path), unlink(path))
CALL(readlink, (const char *path, char *to, size_t size),
    readlink(path, to, size))
/* ours: which end does not block, which cannot fail. */
CALL(pipe, (int ret_fds[2], int ours), pipe2(ret_fds, O_CLOEXEC) < 0
    ? -1 : (fcntl(ret_fds[ours], F_SETFL, O_NONBLOCK), 0))
/* Without SIGPIPE, which the last two may raise behind bytes that went through;
 * they block unless O_NONBLOCK is set. */
HUSHED(writev, (int fd, const struct iovec *iov, int n), writev(fd, iov, n),
    r == -EPIPE)
HUSHED(sendfile, (int to, int from, size_t size),
    sendfile(to, from, NULL, clip(from, size)), true)
HUSHED(splice, (int to, int from, size_t size),
    splice(from, NULL, to, NULL, size, SPLICE_F_NONBLOCK), true)

/* Sockets; these never block, nor raise SIGPIPE.  pair: SOCK_SEQPACKET, which
 * blocks, but see eddy__send; stream_pair: which does not. */
CALL(socket, (int family, int protocol),
    socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol))
CALL(socketpair, (int ret_fds[2]),
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds))
CALL(stream_pair, (int ret_fds[2]), socketpair(AF_UNIX,
    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds))
CALL(accept, (int fd, struct sockaddr *ret_from, unsigned *ret_size),
    RETRY(accept4(fd, ret_from, ret_size, SOCK_CLOEXEC | SOCK_NONBLOCK)))
QUIET(hang_up, (int fd), shutdown(fd, SHUT_WR))
CALL(socket_error, (int fd, int *ret_error), getsockopt(fd, SOL_SOCKET,
    SO_ERROR, ret_error, &(socklen_t){sizeof(*ret_error)}))
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

/* Waiting.  futex: sleeping on a word; shared: between processes. */
CALL(epoll_open, (void), epoll_create1(EPOLL_CLOEXEC))
CALL(epoll_ctl, (int epoll, int op, int fd, uint32_t events, uint64_t data),
    epoll_ctl(epoll, op, fd,
        &(struct epoll_event){.events = events, .data.u64 = data}))
CALL(eventfd, (void), eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
CALL(timerfd, (void),
    timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK))
CALL(futex_wait, (uint32_t *word, uint32_t value, int64_t duration,
    bool shared), syscall(FUTEX, word,
        FUTEX_WAIT | (shared ? 0 : FUTEX_PRIVATE_FLAG), value,
        duration == EDDY_FOREVER ? NULL : &(struct kernel_time){
            duration / EDDY_S(1), duration % EDDY_S(1)}, NULL, 0))
QUIET(futex_wake, (uint32_t *word, int n, bool shared), syscall(FUTEX, word,
    FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG), n, NULL, NULL, 0))

/* Processes and threads.  fork_bare: where the C library can without handlers
 * of pthread_atfork(3); tgkill: in this process; cpu: where this thread is just
 * now; set_affinity: of this thread. */
CALL(getpid, (void), getpid())
CALL(gettid, (void), syscall(SYS_gettid))
CALL(fork, (void), fork())
CALL(fork_bare, (void), _Fork != NULL ? _Fork() : fork())
CALL(kill, (pid_t pid, int signal), kill(pid, signal))
CALL(tgkill, (pid_t tid, int signal),
    syscall(SYS_tgkill, getpid(), tid, signal))
CALL(pidfd_open, (pid_t pid), syscall(SYS_pidfd_open, pid, 0))
CALL(pidfd_kill, (int pidfd, int signal),
    syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0))
/* The same to the group that pidfd leads, or led (4:
 * PIDFD_SIGNAL_PROCESS_GROUP); -EINVAL before Linux 6.9. */
CALL(pidfd_kill_group, (int pidfd, int signal),
    syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 4))
/* A dead child; and what waitid(2) says of one: si_pid 0: none so far. */
CALL(wait4, (pid_t pid, struct rusage *ret_usage),
    RETRY(wait4(pid, NULL, WNOHANG, ret_usage)))
CALL(waitid, (int type, int id, siginfo_t *ret_info, int options),
    RETRY(waitid((idtype_t)type, (id_t)id,
        memset(ret_info, 0, sizeof(*ret_info)), options)))
CALL(cpu, (void), sched_getcpu())
CALL(yield, (void), sched_yield())
CALL(set_affinity, (const void *cpus, size_t size),
    sched_setaffinity(0, size, cpus))
CALL(ticker_close, (int ticker), syscall(SYS_timer_delete, ticker))

#undef FAR
#undef CALL
#undef QUIET
#undef MAP
#undef HUSHED
/* clang-format on */
