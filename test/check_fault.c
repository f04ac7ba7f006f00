/* SPDX-License-Identifier: ISC */
/*
 * check_fault: every scenario, with each of its system calls and allocations
 * failing in turn.
 *
 * The linker puts the functions below between the library and lib/sys.c.  They
 * count the calls of this process and make the k-th fail, or the k-th and all
 * later.  Whatever fails, a scenario must end, answer each job it accepted
 * once, leave nothing behind and succeed the next time.
 */
/* link: -Wl,--wrap=eddy__alloc,--wrap=eddy__realloc,--wrap=eddy__free */
/* link: -Wl,--wrap=eddy__map,--wrap=eddy__unmap,--wrap=eddy__memfd */
/* link: -Wl,--wrap=eddy__mark */
/* link: -Wl,--wrap=eddy__open,--wrap=eddy__close,--wrap=eddy__eventfd */
/* link: -Wl,--wrap=eddy__epoll_open,--wrap=eddy__epoll_ctl */
/* link: -Wl,--wrap=eddy__epoll_wait,--wrap=eddy__poll */
/* link: -Wl,--wrap=eddy__socketpair,--wrap=eddy__send,--wrap=eddy__recv */
/* link: -Wl,--wrap=eddy__futex_wait,--wrap=eddy__fork,--wrap=eddy__waitid */
/* link: -Wl,--wrap=eddy__thread_create,--wrap=eddy__thread_count */
/* link: -Wl,--wrap=eddy__view */
/* link: -Wl,--wrap=eddy__pidfd_kill,--wrap=eddy__ticker_open */
/* link: -Wl,--wrap=eddy__timerfd,--wrap=eddy__signalfd,--wrap=eddy__dup */
/* link: -Wl,--wrap=eddy__pipe,--wrap=eddy__spawn,--wrap=eddy__reap */
/* link: -Wl,--wrap=eddy__pidfd_open,--wrap=eddy__accept,--wrap=eddy__connect */
/* link: -Wl,--wrap=eddy__recvfrom,--wrap=eddy__sendto,--wrap=eddy__writev */
/* link: -Wl,--wrap=eddy__sendfile,--wrap=eddy__splice */
/* link: -Wl,--wrap=eddy__readv,--wrap=eddy__blocks,--wrap=eddy__is_stream */
/* link: -Wl,--wrap=eddy__create,--wrap=eddy__pread,--wrap=eddy__pwrite */
/* link: -Wl,--wrap=eddy__fsync,--wrap=eddy__stat,--wrap=eddy__rename */
/* link: -Wl,--wrap=eddy__unlink,--wrap=eddy__names,--wrap=eddy__socket */
/* link: -Wl,--wrap=eddy__getaddrinfo,--wrap=eddy__getnameinfo */
/* link: -Wl,--wrap=eddy__listen,--wrap=eddy__stream_pair */
#include <eddy/blocking.h>
#include <eddy/child.h>
#include <eddy/io.h>
#include <eddy/net.h>
#include <eddy/offload.h>
#include <eddy/post.h>
#include <eddy/process_pool.h>
#include <eddy/signal.h>
#include <eddy/stall.h>
#include <eddy/strand.h>
#include <eddy/thread_pool.h>
#include <eddy/timer.h>
#include <eddy/transform.h>
#include <eddy/watch.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "atomics.h"
#include "census.h"
#include "sys.h"

enum {
	SLOW = CENSUS_TSAN || CENSUS_ASAN,
	BURST = 20, /* interrupted calls in a row; no kernel goes on */
	SLACK = 3,  /* calls that a run may have more than another */
	HANG = SLOW ? 30 : 15, /* s */
	PATIENT = 50,          /* ms that a second job may take to start */
};

/* What fails, and what the run has done so far. */
static struct plan {
	pid_t pid;         /* only here */
	uint32_t k;        /* the first call that fails; 0: none does */
	bool later;        /* and all that follow */
	int choice;        /* of two errors */
	uint32_t calls;    /* any thread, from here on */
	uint32_t fired;    /* calls that failed */
	uint32_t bursts;   /* of EINTR among them */
	int64_t allocated; /* blocks, and mappings */
	const char *name;  /* one that failed, and how */
	int error;
} plan;

static const char *scenario; /* its name */

/* Called at moments that only luck would hit otherwise; NULL: not. */
static void (*before_kill)(void);
static void (*before_poll)(void);
static void (*before_sleep)(void); /* of a worker */

/* How to replay it. */
static const char *
replay(void)
{
	static char text[160];

	snprintf(text, sizeof(text), "%s, %s call %u, choice %d: %s, errno %d",
	    scenario, plan.later ? "from" : "only", plan.k, plan.choice,
	    plan.fired != 0 ? plan.name : "nothing failed", plan.error);
	return text;
}

#define must(condition) ck_assert_msg(condition, "%s; %s", #condition, replay())

static bool
ours(void)
{
	return getpid() == plan.pid;
}

/* The error of this call, or 0. */
static int
strike(const char *name, int error, int other)
{
	uint32_t n;

	if (!ours())
		return 0;
	n = A_ADD(&plan.calls, 1) + 1;
	if (plan.k == 0 || n < plan.k || (n > plan.k && !plan.later))
		return 0;
	error = plan.choice != 0 ? other : error;
	if (error == EINTR && A_ADD(&plan.bursts, 1) >= BURST)
		return 0;
	A_ADD(&plan.fired, 1);
	A_STORE(&plan.name, name);
	A_STORE(&plan.error, error);
	return error;
}

static void
account(int n)
{
	if (ours())
		A_ADD(&plan.allocated, n);
}

/* clang-format off */

/* A function of sys.h that answers -errno: its declaration, the arguments, two
 * errors, and when it can fail at all. */
#define FAULT_IF(when, fn, params, args, error, other) \
	int __real_eddy__##fn params; \
	int __wrap_eddy__##fn params; \
	int \
	__wrap_eddy__##fn params \
	{ \
		int e_ = (when) ? strike(#fn, error, other) : 0; \
		return e_ != 0 ? -e_ : __real_eddy__##fn args; \
	}
#define FAULT(...) FAULT_IF(true, __VA_ARGS__)

FAULT(memfd, (const char *name, size_t size), (name, size), EMFILE, ENOMEM)
FAULT(open, (const char *path, int flags), (path, flags), EMFILE, ENOENT)
FAULT(eventfd, (void), (), EMFILE, ENFILE)
FAULT(timerfd, (void), (), EMFILE, ENFILE)
FAULT(epoll_open, (void), (), EMFILE, ENOMEM)
FAULT_IF(op != EPOLL_CTL_DEL, epoll_ctl,
    (int epoll, int op, int fd, uint32_t events, uint64_t data),
    (epoll, op, fd, events, data), ENOMEM, ENOSPC)
FAULT(epoll_wait, (int epoll, struct epoll_event *events, int n,
    int64_t duration, bool *coarse),
    (epoll, events, n, duration, coarse), EINTR, EINTR)
FAULT(socketpair, (int ret_fds[2]), (ret_fds), EMFILE, ENOMEM)
FAULT(send, (int fd, const void *data, size_t size, const int *fds, int n),
    (fd, data, size, fds, n), ENOMEM, ENOBUFS)
FAULT(recv, (int fd, void *data, size_t size, int *ret_fds, int n),
    (fd, data, size, ret_fds, n), ENOMEM, ENOMEM)
FAULT(fork, (void), (), EAGAIN, ENOMEM)
FAULT(signalfd, (int fd, const sigset_t *set), (fd, set), EMFILE, ENOMEM)
FAULT(dup, (int fd, int above), (fd, above), EMFILE, EINVAL)
FAULT(pipe, (int ret_fds[2], int ours), (ret_fds, ours), EMFILE, ENFILE)
FAULT(pidfd_open, (pid_t pid), (pid), EMFILE, ENOMEM)
FAULT(spawn, (pid_t *ret_pid, const struct spawn *how), (ret_pid, how), EAGAIN,
    ENOMEM)
FAULT(recvfrom, (int fd, void *data, size_t size, int flags,
    struct sockaddr *ret_from, unsigned *ret_size),
    (fd, data, size, flags, ret_from, ret_size), ENOMEM, ECONNRESET)
FAULT(sendto, (int fd, const void *data, size_t size, int flags,
    const struct sockaddr *to, unsigned to_size),
    (fd, data, size, flags, to, to_size), ENOBUFS, EPIPE)
FAULT(readv, (int fd, const struct iovec *iov, int n), (fd, iov, n), EIO, EIO)
FAULT(writev, (int fd, const struct iovec *iov, int n), (fd, iov, n), EIO,
    EPIPE)
FAULT(sendfile, (int to, int from, size_t size), (to, from, size), EIO, EPIPE)
FAULT(splice, (int to, int from, size_t size), (to, from, size), ENOMEM, EPIPE)
FAULT(accept, (int fd, struct sockaddr *ret_from, unsigned *ret_size),
    (fd, ret_from, ret_size), EMFILE, ECONNABORTED)
FAULT(connect, (int fd, const struct sockaddr *to, unsigned size),
    (fd, to, size), ECONNREFUSED, EAGAIN)
FAULT(create, (const char *path, int flags, mode_t mode), (path, flags, mode),
    EMFILE, ENOSPC)
FAULT(pread, (int fd, void *data, size_t size, off_t offset),
    (fd, data, size, offset), EIO, EIO)
FAULT(pwrite, (int fd, const void *data, size_t size, off_t offset),
    (fd, data, size, offset), ENOSPC, EIO)
FAULT(fsync, (int fd), (fd), EIO, ENOSPC)
FAULT(stat, (const char *path, struct stat *ret_stat), (path, ret_stat), ENOMEM,
    ENOENT)
FAULT(rename, (const char *from, const char *to), (from, to), ENOSPC, EROFS)
FAULT(unlink, (const char *path), (path), EIO, EROFS)
FAULT(names, (const char *path, char **ret_names), (path, ret_names), EMFILE,
    ENOMEM)
FAULT(getaddrinfo, (const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **ret_list),
    (host, service, hints, ret_list), EAGAIN, ENOMEM)
FAULT(getnameinfo, (const struct sockaddr *address, unsigned size, char *host,
    char *service, int flags), (address, size, host, service, flags), EAGAIN,
    ENOMEM)
FAULT(socket, (int family, int protocol), (family, protocol), EMFILE, ENOBUFS)
FAULT(listen, (int fd, const struct sockaddr *at, unsigned size, int backlog),
    (fd, at, size, backlog), EADDRINUSE, ENOBUFS)
FAULT(stream_pair, (int ret_fds[2]), (ret_fds), EMFILE, ENOMEM)
FAULT(blocks, (int fd), (fd), EINVAL, EINVAL)
FAULT(is_stream, (int fd), (fd), ENOBUFS, ENOBUFS)
FAULT(thread_create, (pthread_t *ret_thread, size_t stack, void *(*fn)(void *),
    void *arg), (ret_thread, stack, fn, arg), EAGAIN, ENOMEM)
FAULT(thread_count, (void), (), ENOENT, EMFILE)

/* clang-format on */

/* Those that must act all the same, and those that are counted. */

void *__real_eddy__alloc(size_t size);
void *__wrap_eddy__alloc(size_t size);
void *__real_eddy__realloc(void *p, size_t size);
void *__wrap_eddy__realloc(void *p, size_t size);
void __real_eddy__free(void *p);
void __wrap_eddy__free(void *p);
int __real_eddy__map(void **ret_p, int fd, size_t size);
int __wrap_eddy__map(void **ret_p, int fd, size_t size);
int __real_eddy__view(void **ret_p, int fd, size_t size);
int __wrap_eddy__view(void **ret_p, int fd, size_t size);
int __real_eddy__mark(const uint32_t **ret_mark);
int __wrap_eddy__mark(const uint32_t **ret_mark);
void __real_eddy__unmap(const void *p, size_t size);
void __wrap_eddy__unmap(const void *p, size_t size);
int __real_eddy__close(int fd);
int __wrap_eddy__close(int fd);
int __real_eddy__waitid(int type, int id, siginfo_t *info, int options);
int __wrap_eddy__waitid(int type, int id, siginfo_t *info, int options);
int __real_eddy__reap(int pidfd, siginfo_t *info, struct rusage *usage);
int __wrap_eddy__reap(int pidfd, siginfo_t *info, struct rusage *usage);
int __real_eddy__poll(struct pollfd *fds, int n, int64_t duration);
int __wrap_eddy__poll(struct pollfd *fds, int n, int64_t duration);
int __real_eddy__futex_wait(
    uint32_t *word, uint32_t value, int64_t duration, bool shared);
int __wrap_eddy__futex_wait(
    uint32_t *word, uint32_t value, int64_t duration, bool shared);
int __real_eddy__ticker_open(int *ret_ticker, int signal);
int __wrap_eddy__ticker_open(int *ret_ticker, int signal);
int __real_eddy__pidfd_kill(int pidfd, int signal);
int __wrap_eddy__pidfd_kill(int pidfd, int signal);

int
__wrap_eddy__ticker_open(int *ret_ticker, int signal)
{
	int r = strike("ticker_open", EAGAIN, ENOMEM);

	return r < 0 ? r : __real_eddy__ticker_open(ret_ticker, signal);
}

void *
__wrap_eddy__alloc(size_t size)
{
	void *p = NULL;

	if (strike("alloc", ENOMEM, ENOMEM) == 0)
		p = __real_eddy__alloc(size);
	account(p != NULL);
	return p;
}

void *
__wrap_eddy__realloc(void *old, size_t size)
{
	bool fresh = old == NULL;
	void *p = NULL;

	if (strike("realloc", ENOMEM, ENOMEM) == 0)
		p = __real_eddy__realloc(old, size);
	account(p != NULL && fresh);
	return p;
}

void
__wrap_eddy__free(void *p)
{
	account(-(p != NULL));
	__real_eddy__free(p);
}

int
__wrap_eddy__map(void **ret_p, int fd, size_t size)
{
	int error = strike("map", ENOMEM, ENFILE);

	if (error == 0)
		error = -__real_eddy__map(ret_p, fd, size);
	account(error == 0);
	return -error;
}

int
__wrap_eddy__view(void **ret_p, int fd, size_t size)
{
	int error = strike("view", ENOMEM, ENFILE);

	if (error == 0)
		error = -__real_eddy__view(ret_p, fd, size);
	account(error == 0);
	return -error;
}

int
__wrap_eddy__mark(const uint32_t **ret_mark)
{
	int error = strike("mark", ENOMEM, EAGAIN);

	if (error == 0)
		error = -__real_eddy__mark(ret_mark);
	account(error == 0);
	return -error;
}

void
__wrap_eddy__unmap(const void *p, size_t size)
{
	account(-1);
	__real_eddy__unmap(p, size);
}

/* The descriptor is gone whatever close(2) says. */
int
__wrap_eddy__close(int fd)
{
	int error = strike("close", EINTR, EIO);
	int r = __real_eddy__close(fd);

	return error != 0 ? -error : r;
}

/* ECHILD: the host reaps all its children; here just after it has. */
int
__wrap_eddy__waitid(int type, int id, siginfo_t *info, int options)
{
	int error = strike("waitid", ECHILD, ECHILD);
	int r = __real_eddy__waitid(type, id, info, options);

	return error != 0 ? -error : r;
}

/* The same for that of a program, once it has ended. */
int
__wrap_eddy__reap(int pidfd, siginfo_t *info, struct rusage *usage)
{
	int error = strike("reap", ECHILD, ECHILD);

	if (error == 0)
		return __real_eddy__reap(pidfd, info, usage);
	while (__real_eddy__reap(pidfd, info, usage) == 0 && info->si_pid == 0)
		usleep(1000);
	return -error;
}

int
__wrap_eddy__poll(struct pollfd *fds, int n, int64_t duration)
{
	int error = strike("poll", EINTR, ENOMEM);

	if (before_poll != NULL && ours())
		before_poll();
	return error != 0 ? -error : __real_eddy__poll(fds, n, duration);
}

int
__wrap_eddy__futex_wait(
    uint32_t *word, uint32_t value, int64_t duration, bool shared)
{
	int error = strike("futex_wait", EINTR, EINTR);

	if (before_sleep != NULL && !ours())
		before_sleep();
	return error != 0
	           ? -error
	           : __real_eddy__futex_wait(word, value, duration, shared);
}

/* It cannot fail on a process of one's own; but it may come late. */
int
__wrap_eddy__pidfd_kill(int pidfd, int signal)
{
	if (before_kill != NULL && ours())
		before_kill();
	return __real_eddy__pidfd_kill(pidfd, signal);
}

/* Runs. */

static int
entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	must(dir != NULL);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void
hung(int number)
{
	static const char end[] = "\nhangs\n";
	const char *text = replay();

	(void)number;
	(void)!write(STDERR_FILENO, text, strlen(text));
	(void)!write(STDERR_FILENO, end, sizeof(end) - 1);
	_exit(1);
}

/* A joined thread stays in procfs a moment. */
static bool
threads_are(int n)
{
	int i;

	for (i = 0; i < 1000 && entries("/proc/self/task") > n; i++)
		usleep(1000);
	return entries("/proc/self/task") <= n;
}

/* One run: nothing of it stays. */
static int
attempt(int (*run)(void), uint32_t k, bool later, int choice)
{
	int fds = entries("/proc/self/fd"), r;
	int threads = entries("/proc/self/task") + CENSUS_TSAN;

	plan = (struct plan){
	    .pid = getpid(), .k = k, .later = later, .choice = choice};
	alarm(HANG);
	r = run();
	alarm(0);
	must(r <= 0);
	must(A_LOAD(&plan.allocated) == 0);
	must(entries("/proc/self/fd") == fds);
	must(threads_are(threads));
	must(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	return r;
}

/* A run in which nothing fails. */
static void
succeed(int (*run)(void))
{
	int r = attempt(run, 0, false, 0);

	ck_assert_msg(r == 0, "%s: %d after a fault", scenario, r);
}

/* Each k until the run has no more calls. */
static void
sweep_mode(int (*run)(void), bool later, int choice)
{
	uint32_t k;
	int quiet = 0;

	for (k = 1; quiet < SLACK; k++) {
		attempt(run, k, later, choice);
		quiet = plan.fired != 0 ? 0 : quiet + 1;
		succeed(run);
	}
}

static void
sweep(const char *name, int (*run)(void))
{
	int choice;

	scenario = name;
	signal(SIGALRM, hung);
	succeed(run);
	must(plan.calls > 0);
	for (choice = 0; choice < 2; choice++) {
		sweep_mode(run, false, choice);
		sweep_mode(run, true, choice);
	}
}

/* The first error of a run. */
static void
note(int *first, int r)
{
	if (r < 0 && *first == 0)
		*first = r;
}

/* The loop. */

enum { TIMERS = 70, WATCHES = 20 }; /* more than the first tables hold */

static struct alarm {
	struct eddy_timer timer;
	int calls;
} alarms[TIMERS];

static struct tap {
	struct eddy_watch watch;
	int ends[2], calls;
} taps[WATCHES];

static struct parcel {
	struct eddy_post post;
	int calls;
} parcel;

static void
on_alarm(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	((struct alarm *)timer)->calls++;
}

static void
on_tap(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)events;
	((struct tap *)watch)->calls++;
	eddy_watch_stop(loop, watch);
}

static void
on_parcel(struct eddy_loop *loop, struct eddy_post *post)
{
	((struct parcel *)post)->calls++;
	eddy_loop_release(loop);
}

static void *
send_parcel(void *loop)
{
	eddy_post(loop, &parcel.post);
	return NULL;
}

static int
start_all(struct eddy_loop *loop, int *started)
{
	int64_t now = eddy_now();
	int i, r, first = 0;

	for (i = 0; i < TIMERS; i++) {
		alarms[i] = (struct alarm){.calls = 0};
		eddy_timer_init(&alarms[i].timer, on_alarm);
		r = eddy_timer_start(loop, &alarms[i].timer, now + i);
		note(&first, r);
		*started += r == 0;
		must(eddy_timer_active(&alarms[i].timer) == (r == 0));
	}
	for (i = 0; i < WATCHES; i++) {
		taps[i].calls = 0;
		eddy_watch_init(&taps[i].watch, taps[i].ends[0], on_tap, 0);
		r = eddy_watch_start(loop, &taps[i].watch, EPOLLIN);
		note(&first, r);
		*started += r == 0;
	}
	return first;
}

static int
run_loop(void)
{
	int i, first, fired = 0, started = 0;
	struct eddy_stall_watch stalls = {.threshold = EDDY_S(1)};
	struct eddy_loop *loop;
	pthread_t thread;

	first = eddy_loop_open(&loop, NULL);
	if (first < 0)
		return first;
	note(&first, eddy_loop_fd(loop)); /* it can be run all the same */
	note(&first, eddy_stall_start(loop, &stalls));
	note(&first, start_all(loop, &started));
	parcel.calls = 0;
	eddy_post_init(&parcel.post, on_parcel);
	must(eddy_loop_hold(loop) == 0);
	must(pthread_create(&thread, NULL, send_parcel, loop) == 0);
	must(eddy_loop_run(loop) == 0);
	must(pthread_join(thread, NULL) == 0);
	for (i = 0; i < TIMERS; i++)
		fired += alarms[i].calls;
	for (i = 0; i < WATCHES; i++)
		fired += taps[i].calls;
	must(fired == started);
	must(parcel.calls == 1);
	must(eddy_loop_close(loop) == 0);
	return first;
}

START_TEST(a_loop_survives_each_fault)
{
	int i;

	for (i = 0; i < WATCHES; i++) {
		ck_assert_int_eq(pipe(taps[i].ends), 0);
		ck_assert_int_eq(write(taps[i].ends[1], "x", 1), 1);
	}
	sweep("loop", run_loop);
	for (i = 0; i < WATCHES; i++) {
		close(taps[i].ends[0]);
		close(taps[i].ends[1]);
	}
}
END_TEST

/* Tasks.  What has begun has been left in order. */

static int begun, left;

struct nap {
	struct eddy_task task;
	int64_t duration;
};

static eddy_step
nap(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct nap, f);
	begun++;
	EDDY_TRY(eddy_sleep(self, f->duration));
	EDDY_FINALLY;
	left++;
	EDDY_END;
}

struct family {
	struct eddy_task task;
	struct nap embedded;
	int rc;
};

static eddy_step
family(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct family, f);
	begun++;
	EDDY_TRY(eddy_call(self, EDDY_INIT(&f->embedded, nap, .duration = 1)));
	for (f->rc = 0; f->rc < 70; f->rc++)
		(void)eddy_spawn(self, EDDY_NEW(nap, .duration = f->rc));
	EDDY_TRY(eddy_throttle(self, 3));
	EDDY_TRY(eddy_join_all(self));
	EDDY_AWAIT(
	    f->rc, eddy_timeout(self, 1, eddy_sleep(self, EDDY_S(3600))));
	if (f->rc != -ETIME)
		EDDY_RETURN(f->rc);
	f->rc = eddy_spawn(self, EDDY_NEW(nap, .duration = EDDY_S(3600)));
	if (f->rc == 0)
		f->rc = eddy_spawn(self, EDDY_NEW(nap, .duration = 1));
	if (f->rc < 0)
		EDDY_RETURN(f->rc);
	EDDY_TRY(eddy_race(self, NULL));
	EDDY_FINALLY;
	left++;
	EDDY_END;
}

static int
run_tasks(void)
{
	struct family frame;
	int r;

	begun = left = 0;
	r = eddy_run(EDDY_INIT(&frame, family));
	must(begun == left);
	must(begun == 74 || r < 0 || plan.fired != 0);
	return r;
}

START_TEST(tasks_survive_each_fault)
{
	sweep("tasks", run_tasks);
}
END_TEST

/* Descriptors: a connection, and a pipe that does not block. */

enum { WORDS = 1 << 16 }; /* bytes, more than a pipe takes at once */

struct talk {
	struct eddy_task task;
	enum { LISTEN, TALK, POUR, DRINK } role;
	struct eddy_address address;
	int fd, conn, rc;
	char bytes[1000];
};

static char said[WORDS], heard[WORDS];

static eddy_step
talk(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct talk, f);
	begun++;
	if (f->role == LISTEN) {
		EDDY_TRY(f->conn, eddy_accept(self, f->fd, &f->address));
		EDDY_TRY(eddy_read_full(self, f->conn, heard, WORDS));
		EDDY_TRY(eddy_write(self, f->conn, "!", 1));
	} else if (f->role == TALK) {
		EDDY_TRY(eddy_connect(self, f->fd, &f->address));
		EDDY_TRY(eddy_write_full(self, f->fd, said, WORDS));
		EDDY_TRY(eddy_read(self, f->fd, f->bytes, 1000));
	} else if (f->role == POUR) {
		EDDY_TRY(eddy_write_full(self, f->fd, said, WORDS));
		EDDY_TRY(eddy_write_full(self, f->fd, said, WORDS));
	} else {
		do
			EDDY_TRY(
			    f->rc, eddy_timeout(self, EDDY_S(10),
				       eddy_read(self, f->fd, f->bytes, 1000)));
		while (f->rc > 0);
	}
	EDDY_FINALLY;
	if (f->role == LISTEN && f->conn > 0)
		eddy_close(self->loop, f->conn);
	if (f->role == POUR)
		eddy_close(self->loop, f->fd);
	left++;
	EDDY_END;
}

struct talks {
	struct eddy_task task;
	struct talk all[DRINK + 1];
	int i;
};

static eddy_step
talks(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct talks, f);
	for (f->i = LISTEN; f->i <= DRINK; f->i++)
		eddy_spawn(self, EDDY_INIT(&f->all[f->i], talk, .role = f->i,
				     .fd = f->all[f->i].fd,
				     .address = f->all[LISTEN].address));
	EDDY_FINALLY;
	eddy_close(self->loop, f->all[LISTEN].fd);
	eddy_close(self->loop, f->all[TALK].fd);
	eddy_close(self->loop, f->all[DRINK].fd);
	EDDY_END;
}

static int
run_talks(void)
{
	struct talks frame = {.i = 0};
	struct talk *listener = &frame.all[LISTEN];
	struct sockaddr_in *in = (struct sockaddr_in *)&listener->address.name;
	int fds[2], r;

	listener->fd = socket(AF_INET, SOCK_STREAM, 0);
	frame.all[TALK].fd = socket(AF_INET, SOCK_STREAM, 0);
	must(pipe2(fds, O_NONBLOCK) == 0);
	frame.all[DRINK].fd = fds[0];
	frame.all[POUR].fd = fds[1];
	listener->address.size = sizeof(*in);
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(listener->fd, (struct sockaddr *)in, sizeof(*in)) == 0);
	must(getsockname(listener->fd, (struct sockaddr *)in,
		 &listener->address.size) == 0);
	must(listen(listener->fd, 1) == 0);
	eddy_prepare(&frame.task, talks, "talks");
	begun = left = 0;
	r = eddy_run(&frame.task);
	must(begun == left);
	if (begun == 0) { /* not even a loop */
		close(listener->fd);
		close(frame.all[TALK].fd);
		close(fds[0]);
		close(fds[1]);
	}
	return r;
}

START_TEST(io_survives_each_fault)
{
	memset(said, 'x', WORDS);
	sweep("io", run_talks);
}
END_TEST

/* A file through a pipe into a socket. */

struct move {
	struct eddy_task task;
	int from, to, rc;
};

static eddy_step
move(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct move, f);
	begun++;
	EDDY_TRY(f->rc, eddy_copy(self, f->from, f->to, SIZE_MAX));
	EDDY_FINALLY;
	eddy_close(self->loop, f->to);
	left++;
	EDDY_END;
}

struct moves {
	struct eddy_task task;
	struct move in, out;
	int file, pipe[2], pair[2];
};

static eddy_step
moves(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct moves, f);
	eddy_spawn(
	    self, EDDY_INIT(&f->in, move, .from = f->file, .to = f->pipe[1]));
	eddy_spawn(self,
	    EDDY_INIT(&f->out, move, .from = f->pipe[0], .to = f->pair[0]));
	EDDY_TRY(eddy_until_hangup(
	    self, f->pipe[1], eddy_read_full(self, f->pair[1], heard, WORDS)));
	EDDY_FINALLY;
	eddy_close(self->loop, f->pipe[0]);
	eddy_close(self->loop, f->pair[1]);
	EDDY_END;
}

static int
run_moves(void)
{
	struct moves f = {.file = memfd_create("fault", MFD_CLOEXEC)};
	int r;

	must(pwrite(f.file, said, WORDS, 0) == WORDS);
	must(pipe2(f.pipe, O_NONBLOCK) == 0);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f.pair) == 0);
	eddy_prepare(&f.task, moves, "moves");
	begun = left = 0;
	r = eddy_run(&f.task);
	must(begun == left);
	close(f.file);
	if (begun == 0) { /* not even a loop */
		for (int i = 0; i < 2; i++) {
			close(f.pipe[i]);
			close(f.pair[i]);
		}
	}
	return r;
}

START_TEST(copies_survive_each_fault)
{
	sweep("copies", run_moves);
}
END_TEST

/* Jobs. */

enum { JOBS = 8 };

struct call {
	struct eddy_job job;
	int in, answers;
	bool accepted;
};

static int
give(void *arg)
{
	int *in = arg;

	*in += 1;
	return 0;
}

static int
crash(void *arg)
{
	(void)arg;
	return raise(SIGKILL);
}

static void
on_call(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	((struct call *)job)->answers++;
}

static int
submit(struct eddy_executor *pool, struct eddy_loop *loop, struct call *call,
    eddy_job_fn *fn)
{
	int r;

	*call = (struct call){.in = 7};
	call->job = (struct eddy_job)EDDY_JOB(fn, &call->in);
	if (plan.later) /* else nobody but the fault may keep it from running */
		call->job.deadline = eddy_after(EDDY_MS(40 * (1 + SLOW * 4)));
	r = eddy_submit(pool, &call->job, loop, on_call);
	call->accepted = r == 0;
	return r;
}

/* Jobs that had their time: one outcome each. */
static int
answered(const struct call *calls, int n, eddy_job_fn *fn)
{
	int i, first = 0;

	for (i = 0; i < n; i++) {
		const struct call *call = &calls[i];

		must(call->answers == call->accepted);
		if (!call->accepted || call->job.fn != fn)
			continue;
		must(call->job.outcome != EDDY_NONE);
		must(call->in == 7 + (call->job.outcome == EDDY_RETURNED));
		note(&first, eddy_job_rc(&call->job));
	}
	return first;
}

/* n jobs on pool, on either kind; it is closed when this returns. */
static int
use_pool(struct eddy_loop *loop, struct eddy_executor *pool, int n)
{
	struct call calls[JOBS], closed[JOBS];
	int i, first = 0;

	for (i = 0; i < n; i++)
		note(&first, submit(pool, loop, &calls[i], give));
	must(eddy_loop_run(loop) == 0);
	note(&first, answered(calls, n, give));
	for (i = 0; i < n; i++)
		note(&first, submit(pool, loop, &closed[i], give));
	note(&first, eddy_executor_close(pool, EDDY_S(10)));
	must(eddy_loop_run(loop) == 0);
	answered(closed, n, give);
	return first;
}

static int threads_jobs;

static int
run_threads(void)
{
	struct eddy_thread_pool_options options = {.workers_max = 2};
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	int first = eddy_loop_open(&loop, NULL);

	if (first < 0)
		return first;
	note(&first, eddy_thread_pool_open(&pool, &options));
	if (first == 0)
		note(&first, use_pool(loop, pool, threads_jobs));
	must(eddy_loop_close(loop) == 0);
	return first;
}

START_TEST(a_thread_pool_survives_each_fault)
{
	threads_jobs = 1; /* else another wake-up may hide a lost one */
	sweep("one job on threads", run_threads);
	threads_jobs = JOBS;
	sweep("jobs on threads", run_threads);
}
END_TEST

/* Through a strand, on workers that need a timer each. */
static int
run_strand(void)
{
	struct eddy_thread_pool_options options = {
	    .workers_max = 2, .interrupt_signal = SIGRTMIN + 1};
	struct eddy_executor *pool, *strand;
	struct eddy_loop *loop;
	int first = eddy_loop_open(&loop, NULL);

	if (first < 0)
		return first;
	note(&first, eddy_thread_pool_open(&pool, &options));
	if (first == 0) {
		note(&first, eddy_strand_open(&strand, pool, 0));
		if (first == 0)
			note(&first, use_pool(loop, strand, JOBS));
		must(eddy_executor_close(pool, EDDY_S(10)) == 0);
	}
	must(eddy_loop_close(loop) == 0);
	return first;
}

START_TEST(a_strand_survives_each_fault)
{
	sweep("jobs on a strand", run_strand);
}
END_TEST

struct mix {
	struct eddy_task task;
	struct eddy_executor *pool;
	int array[4], *bytes;
	int rc, first;
};

static eddy_step
mix(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct mix, f);
	EDDY_AWAIT(f->rc,
	    eddy_map(self, NULL, give, f->array, 4, sizeof(f->array[0]), 2));
	note(&f->first, f->rc);
	EDDY_AWAIT(
	    f->rc, eddy_timeout(self, EDDY_S(5),
		       eddy_offload_owned(self, NULL, give, &f->bytes, free)));
	note(&f->first, f->rc);
	f->rc = eddy_loop_executor(self->loop, &f->pool);
	if (f->rc == 0)
		EDDY_AWAIT(
		    f->rc, eddy_executor_drain(self, f->pool, EDDY_S(5)));
	note(&f->first, f->rc);
	EDDY_RETURN(f->first);
	EDDY_END;
}

static int
run_mix(void)
{
	struct mix frame;
	int i, r;

	EDDY_INIT(&frame, mix, .bytes = calloc(1, sizeof(int)));
	r = eddy_run(&frame.task);
	for (i = 0; i < 4; i++)
		must(frame.array[i] == 1 || (r < 0 && frame.array[i] == 0));
	must(r < 0 || *frame.bytes == 1);
	free(frame.bytes);
	return r;
}

START_TEST(a_map_and_a_drain_survive_each_fault)
{
	sweep("map, owned, drain", run_mix);
}
END_TEST

struct offload {
	struct eddy_task task;
	struct offload_kid {
		struct eddy_task task;
		int in;
	} kids[3];
	int i;
};

static eddy_step
offload_kid(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct offload_kid, f);
	EDDY_TRY(eddy_offload(self, NULL, give, &f->in));
	EDDY_END;
}

static eddy_step
offload(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct offload, f);
	for (f->i = 0; f->i < 3; f->i++)
		(void)eddy_spawn(
		    self, EDDY_INIT(&f->kids[f->i], offload_kid, .in = 7));
	EDDY_TRY(eddy_join_all(self));
	for (f->i = 0; f->i < 3; f->i++)
		if (f->kids[f->i].in != 8)
			EDDY_RETURN(-EBADMSG);
	EDDY_END;
}

static int
run_offload(void)
{
	struct offload frame;
	int r = eddy_run(EDDY_INIT(&frame, offload));

	must(r != -EBADMSG);
	return r;
}

START_TEST(offload_survives_each_fault)
{
	sweep("offload", run_offload);
}
END_TEST

static struct eddy_process_pool_options process_options;
static int process_jobs;

static int
use_processes(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct call calls[2];
	int first = 0;

	note(&first, submit(pool, loop, &calls[0], crash));
	note(&first, submit(pool, loop, &calls[1], give));
	must(eddy_loop_run(loop) == 0);
	note(&first, answered(calls, 2, give));
	note(&first, use_pool(loop, pool, process_jobs));
	return first;
}

static int
run_processes(void)
{
	struct eddy_process_pool_options options = process_options;
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	int first, zygote;

	zygote = eddy_zygote_open(&options.zygote, 0);
	if (zygote < 0)
		return zygote;
	first = eddy_loop_open(&loop, NULL);
	if (first == 0) {
		note(&first, eddy_process_pool_open(&pool, loop, &options));
		if (first == 0)
			note(&first, use_processes(loop, pool));
		must(eddy_loop_close(loop) == 0);
	}
	must(eddy_zygote_close(options.zygote) == 0);
	return first;
}

START_TEST(a_process_pool_survives_each_fault)
{
	process_options = (struct eddy_process_pool_options){
	    .workers = 1, .depth = 1, .slot_size = 64};
	process_jobs = 1;
	sweep("one job on processes", run_processes);
}
END_TEST

START_TEST(a_deep_process_pool_survives_each_fault)
{
	process_options = (struct eddy_process_pool_options){
	    .workers = 2, .depth = 4, .slot_size = 64};
	process_jobs = JOBS;
	sweep("jobs on processes", run_processes);
}
END_TEST

static int
run_own_zygote(void)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	int first = eddy_loop_open(&loop, NULL);

	if (first < 0)
		return first;
	note(&first, eddy_process_pool_open(&pool, loop, &options));
	if (first == 0)
		note(&first, eddy_executor_close(pool, EDDY_S(10)));
	must(eddy_loop_close(loop) == 0);
	return first;
}

/* With a home of its own. */
static int
run_homeless(void)
{
	/* In a forked test TSan has two threads of its own. */
	struct eddy_process_pool_options options = {
	    .workers = 1, .flags = CENSUS_TSAN ? EDDY_FORK_THREADED : 0};
	struct eddy_executor *pool;
	int first = eddy_process_pool_open(&pool, NULL, &options);

	if (first == 0)
		note(&first, eddy_executor_close(pool, EDDY_S(10)));
	return first;
}

/* An output in the slot, and one that comes as a descriptor. */
static int
write_some(struct eddy_span in, struct eddy_output *output)
{
	size_t size = *(const size_t *)in.data;
	void *data;
	int r = eddy_output_reserve(output, size, &data);

	return r < 0 ? r : eddy_output_commit(output, size);
}

static void
on_transform(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	must(job->outcome != EDDY_NONE);
}

static int
use_transforms(struct eddy_loop *loop, struct eddy_executor *pool)
{
	static const size_t sizes[] = {10, 100000};
	struct eddy_transform transform;
	int first = 0;
	size_t i;

	for (i = 0; i < COUNT_OF(sizes) && first == 0; i++) {
		eddy_transform_init(
		    &transform, write_some, &sizes[i], sizeof(sizes[i]));
		note(&first, eddy_submit(pool, &transform.long_job.job, loop,
				 on_transform));
		must(eddy_loop_run(loop) == 0);
		if (first == 0)
			note(&first, eddy_job_rc(&transform.long_job.job));
		eddy_transform_release(&transform);
	}
	return first;
}

static int
run_transforms(void)
{
	struct eddy_process_pool_options options = {
	    .workers = 1, .flags = EDDY_PASS_DESCRIPTORS};
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	int first = eddy_loop_open(&loop, NULL);

	if (first < 0)
		return first;
	note(&first, eddy_process_pool_open(&pool, loop, &options));
	if (first == 0) {
		note(&first, use_transforms(loop, pool));
		note(&first, eddy_executor_close(pool, EDDY_S(10)));
	}
	must(eddy_loop_close(loop) == 0);
	return first;
}

START_TEST(opening_a_process_pool_survives_each_fault)
{
	sweep("open and close", run_own_zygote);
	sweep("transforms", run_transforms);
}
END_TEST

START_TEST(a_process_pool_without_a_home_survives_each_fault)
{
	sweep("open and close without a home", run_homeless);
}
END_TEST

/* The system: a signal, and a program. */

struct guest {
	struct eddy_task task;
	struct eddy_signal signal;
	struct eddy_child child;
	int rc, first;
};

static int
spawn_guest(struct guest *f)
{
	static char sh[] = "sh", c[] = "-c", script[] = "exit 3";
	char *argv[] = {sh, c, script, NULL};
	struct eddy_child_options options = {.argv = argv,
	    .in = EDDY_CHILD_NULL,
	    .out = EDDY_CHILD_PIPE,
	    .err = STDERR_FILENO};
	int r = eddy_child_spawn(&f->child, &options);

	must((r == 0) == (f->child.out >= 0));
	if (r == 0)
		close(f->child.out);
	return r;
}

static eddy_step
guest(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct guest, f);
	eddy_signal_init(&f->signal, NULL);
	f->rc = eddy_signal_start(self->loop, &f->signal, EDDY_SIGNAL(SIGUSR1));
	note(&f->first, f->rc);
	if (f->rc == 0) {
		must(kill(getpid(), SIGUSR1) == 0);
		EDDY_AWAIT(f->rc, eddy_signal_wait(self, &f->signal));
		must(f->rc == SIGUSR1);
	}
	must(eddy_signal_stop(self->loop, &f->signal) <= 0);
	f->rc = spawn_guest(f);
	note(&f->first, f->rc);
	if (f->rc == 0) {
		EDDY_AWAIT(f->rc, eddy_child_wait(self, &f->child));
		must(f->rc == 3 || f->rc < 0);
		note(&f->first, f->rc);
	}
	while (eddy_child_close(&f->child) == -EBUSY)
		usleep(1000); /* the wait failed */
	EDDY_END;
}

static int
run_guest(void)
{
	struct guest f;
	int r = eddy_run(EDDY_INIT(&f, guest));
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	must(sigismember(&set, SIGUSR1) == 0);
	return r < 0 ? r : f.first;
}

START_TEST(signals_and_children_survive_each_fault)
{
	sweep("signals and children", run_guest);
}
END_TEST

/* Files and names: the first error of all, after each of them. */

struct visit {
	struct eddy_task task;
	char path[64], other[80], *names;
	struct stat stat;
	struct eddy_address address;
	struct eddy_name name;
	int fd, peer, pair[2], rc, first;
};

#define VISIT(op)                       \
	do {                            \
		EDDY_AWAIT(f->rc, op);  \
		note(&f->first, f->rc); \
	} while (0)

static eddy_step
visit_files(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct visit, f);
	VISIT(eddy_open(self, f->path, O_RDWR | O_CREAT, 0600));
	f->fd = f->rc;
	if (f->fd >= 0) {
		VISIT(eddy_pwrite(self, f->fd, "hello", 5, 0));
		VISIT(eddy_pread(self, f->fd, f->other, 5, 0));
		VISIT(eddy_fsync(self, f->fd));
		close(f->fd);
		snprintf(f->other, sizeof(f->other), "%s-2", f->path);
		VISIT(eddy_stat(self, f->path, &f->stat));
		VISIT(eddy_rename(self, f->path, f->other));
		VISIT(eddy_unlink(self, f->rc < 0 ? f->path : f->other));
	}
	VISIT(eddy_readdir(self, "/proc/self/task", &f->names));
	must((f->rc > 0) == (f->names != NULL));
	free(f->names);
	unlink(f->path); /* what a fault has left */
	unlink(f->other);
	EDDY_END;
}

static eddy_step
visit_names(struct eddy_task *self)
{
	socklen_t size = sizeof(struct sockaddr_in);

	EDDY_BEGIN(self, struct visit, f);
	note(&f->first, eddy_net_pair(f->pair));
	if (f->first == 0) {
		close(f->pair[0]);
		close(f->pair[1]);
	}
	VISIT(eddy_net_listen(self, "127.0.0.1", "0", 4));
	f->fd = f->rc;
	if (f->fd < 0)
		EDDY_RETURN(0);
	getsockname(f->fd, (struct sockaddr *)&f->address.name, &size);
	f->address.size = size;
	VISIT(eddy_getnameinfo(
	    self, &f->address, NI_NUMERICHOST | NI_NUMERICSERV, &f->name));
	if (f->rc == 0)
		VISIT(eddy_net_connect(self, f->name.host, f->name.service));
	if (f->rc > 0)
		close(f->rc);
	close(f->fd);
	EDDY_END;
}

static int
visit(eddy_task_fn *fn)
{
	struct visit f = {.fd = -1};
	int r;

	eddy_prepare(&f.task, fn, "visit");
	snprintf(f.path, sizeof(f.path), "/tmp/eddy-fault-%d", (int)getpid());
	r = eddy_run(&f.task);
	return r < 0 ? r : f.first;
}

static int
run_files(void)
{
	return visit(visit_files);
}

static int
run_names(void)
{
	return visit(visit_names);
}

START_TEST(files_and_names_survive_each_fault)
{
	sweep("files", run_files);
	sweep("names", run_names);
}
END_TEST

/* Races, decided. */

static struct board {
	uint32_t gate;                      /* futex */
	uint32_t first, second, second_ran; /* of a_kill_that_comes_late */
	uint32_t armed, sleepy, go;         /* of a_worker_that_falls_asleep */
} * board;

/* Older than the zygote. */
static void
board_open(void)
{
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	plan = (struct plan){.pid = getpid()};
}

/* A kill that comes late: the job it is meant for has ended, and its worker has
 * begun the next one, if it was let. */

static int
first_job(void *arg)
{
	A_ADD(&board->first, 1);
	while (A_ACQUIRE(&board->gate) == 0)
		syscall(SYS_futex, &board->gate, FUTEX_WAIT, 0, NULL);
	return give(arg);
}

static int
second_job(void *arg)
{
	A_ADD(&board->second, 1);
	usleep(1000 * PATIENT);
	A_ADD(&board->second_ran, 1);
	return give(arg);
}

static void
let_go(void)
{
	int i;

	A_RELEASE(&board->gate, 1);
	syscall(SYS_futex, &board->gate, FUTEX_WAKE, INT_MAX);
	for (i = 0; i < PATIENT && A_LOAD(&board->second) == 0; i++)
		usleep(1000);
}

START_TEST(a_kill_that_comes_late_hits_nobody_else)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct call first, second;
	struct eddy_executor *pool;
	struct eddy_loop *loop;

	board_open();
	loop = census_loop();
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), 0);
	ck_assert_int_eq(submit(pool, loop, &first, first_job), 0);
	while (A_LOAD(&board->first) == 0)
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_MS(1)), 0);
	ck_assert_int_eq(submit(pool, loop, &second, second_job), 0);
	before_kill = let_go;
	ck_assert_int_eq(eddy_job_cancel(&first.job), 0);
	before_kill = NULL;
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	if (first.job.outcome != EDDY_RETURNED) /* it may have won */
		ck_assert_int_eq(first.job.outcome, EDDY_CANCELLED);
	ck_assert_int_eq(second.job.outcome, EDDY_RETURNED);
	ck_assert_uint_eq(board->second_ran, 1);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static int
arm(void *arg)
{
	A_STORE(&board->armed, 1);
	return give(arg);
}

/* In a worker that has looked for work and is about to sleep. */
static void
doze(void)
{
	if (A_LOAD(&board->armed) == 0)
		return;
	A_STORE(&board->sleepy, 1);
	while (A_LOAD(&board->go) == 0)
		usleep(1000);
}

/* The close has told the workers to quit, and waits for them. */
static void
rouse(void)
{
	A_STORE(&board->go, 1);
}

START_TEST(a_worker_that_falls_asleep_hears_of_the_close)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	struct call call;

	board_open();
	before_sleep = doze;
	loop = census_loop();
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), 0);
	while (eddy_process_pool_pids(pool, NULL, 0) == 0)
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_MS(1)), 0);
	ck_assert_int_eq(submit(pool, loop, &call, arm), 0);
	while (A_LOAD(&board->sleepy) == 0)
		usleep(1000);
	before_poll = rouse;
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(5)), 0);
	before_poll = NULL;
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(call.job.outcome, EDDY_RETURNED);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("fault");

	census_add(census_case(suite, "loop", 60), a_loop_survives_each_fault);
	census_add(census_case(suite, "tasks", 60), tasks_survive_each_fault,
	    io_survives_each_fault, copies_survive_each_fault);
	census_add(census_case(suite, "threads", 60),
	    a_thread_pool_survives_each_fault, a_strand_survives_each_fault,
	    offload_survives_each_fault, a_map_and_a_drain_survive_each_fault);
	census_add(census_case(suite, "processes", 60),
	    opening_a_process_pool_survives_each_fault,
	    a_process_pool_without_a_home_survives_each_fault,
	    a_process_pool_survives_each_fault,
	    a_kill_that_comes_late_hits_nobody_else,
	    a_worker_that_falls_asleep_hears_of_the_close);
	census_add(census_case(suite, "deep", 60),
	    a_deep_process_pool_survives_each_fault);
	census_add(census_case(suite, "system", 60),
	    signals_and_children_survive_each_fault,
	    files_and_names_survive_each_fault);
	return suite_main(suite);
}
