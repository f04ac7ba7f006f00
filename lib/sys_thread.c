/* SPDX-License-Identifier: ISC */
/*
 * sys_thread: the calls of sys.h that make threads and look after them.  A
 * program without a pool does not link them.
 */
#include "sys.h"

#include <errno.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <eddy/base.h>

#include "atomics.h"

int
eddy__thread_create(
    pthread_t *ret_thread, size_t stack, void *(*fn)(void *), void *arg)
{
	static const int faults[] = {
	    SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
	int saved = errno, r; /* pthread_create maps a stack */
	pthread_attr_t attr;
	sigset_t set, old;
	size_t i;

	sigfillset(&set);
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&set, faults[i]);
	pthread_attr_init(&attr);
	r = stack != 0 ? pthread_attr_setstacksize(&attr, stack) : 0;
	if (r == 0) {
		pthread_sigmask(SIG_SETMASK, &set, &old);
		r = pthread_create(ret_thread, &attr, fn, arg);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	pthread_attr_destroy(&attr);
	errno = saved;
	return -r;
}

void
eddy__lock(pthread_mutex_t *mutex)
{
	enum { LOOKS = 32, PAUSES = 8 };
	int look, i;

	for (look = 0; look < LOOKS; look++) {
		if (pthread_mutex_trylock(mutex) == 0)
			return;
		for (i = 0; i <= look && i < PAUSES; i++)
			cpu_relax();
	}
	pthread_mutex_lock(mutex);
}

void
eddy__cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

int
eddy__cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline)
{
	struct timespec until = eddy__timespec(deadline);

	return deadline == EDDY_FOREVER
	           ? -pthread_cond_wait(cond, lock)
	           : -pthread_cond_timedwait(cond, lock, &until);
}

static void
on_signal(int signal)
{
	(void)signal;
}

int
eddy__catch_signal(int signal, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = on_signal};
	int saved = errno;

	if (signal < SIGRTMIN || signal > SIGRTMAX)
		return -EINVAL;
	if (handler != NULL)
		action = (struct sigaction){
		    .sa_handler = handler, .sa_flags = SA_RESTART};
	return eddy__result(sigaction(signal, &action, NULL), saved);
}

int
eddy__ticker_open(int *ret_ticker, int signal)
{
	/* As the kernel has it: C libraries hide the thread's field. */
	struct {
		void *value;
		int signal, notify, thread, rest[11];
	} event = {
	    NULL, signal, SIGEV_THREAD_ID, (int)syscall(SYS_gettid), {0}};
	int saved = errno;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return eddy__result(
	    syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, ret_ticker),
	    saved);
}

int
eddy__ticker_set(int ticker, int64_t interval)
{
	long ns = (long)interval; /* below a second */
	struct {
		long interval[2], first[2];
	} when = {{0, ns}, {0, ns != 0 ? 1 : 0}};
	int saved = errno;

	return eddy__result(
	    syscall(SYS_timer_settime, ticker, 0, &when, NULL), saved);
}

int
eddy__thread_count(void)
{
	int saved = errno;
	struct stat task;
	long n = stat("/proc/self/task", &task);

	/* A directory has a link from itself, its parent and each child; and
	 * ThreadSanitizer has a thread of its own. */
	return eddy__result(
	    n < 0 ? n : (long)task.st_nlink - 2 - EDDY_TSAN, saved);
}

int
eddy__leave_cpu(int cpu)
{
	cpu_set_t all, others;
	int saved = errno, r;

	r = sched_getaffinity(0, sizeof(all), &all);
	others = all;
	CPU_CLR((size_t)cpu, &others);
	if (r == 0)
		r = sched_setaffinity(0, sizeof(others), &others);
	if (r == 0)
		r = sched_setaffinity(0, sizeof(all), &all);
	return eddy__result(r, saved);
}
