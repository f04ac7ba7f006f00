/* SPDX-License-Identifier: ISC */
/*
 * process_worker: the life of a worker process.
 *
 * Forked by the zygote, it keeps descriptors 0, 1, 2 and its bell, makes itself
 * die with the zygote, and runs slots in order until told to quit.  Death is
 * its only other answer.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "process_channel.h"
#include "sys.h"

enum { HIGH = 4096 }; /* beyond what jobs count through to close and dup2 */

static bool forked; /* in a process that a job forked */

typedef int open_fn(void *init, void **ret_state);
typedef int sandbox_fn(void *init);
typedef void close_fn(void *state);

static void
on_fork(void)
{
	forked = true;
}

/* exit() in a job: leave before handlers inherited from the host run. */
#ifdef __GLIBC__
static void
on_leave(int status, void *arg)
{
	(void)arg;
	_exit(status);
}
#define GUARD_EXIT() on_exit(on_leave, NULL)
#else
static void
on_leave(void)
{
	_exit(EXIT_CALLED);
}
#define GUARD_EXIT() atexit(on_leave)
#endif

void
eddy__die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0); /* it died before */
}

/* Only the bell stays, as a number that the limit keeps out of a job's reach
 * where the hard limit allows it. */
static int
keep_only(int bell)
{
	struct rlimit limit, more;
	int high;

	getrlimit(RLIMIT_NOFILE, &limit);
	more = limit;
	more.rlim_cur = limit.rlim_cur < HIGH ? limit.rlim_cur + 1 : HIGH + 1;
	if (more.rlim_cur > limit.rlim_cur)
		setrlimit(RLIMIT_NOFILE, &more);
	high = fcntl(bell, F_DUPFD_CLOEXEC, (int)more.rlim_cur - 1);
	setrlimit(RLIMIT_NOFILE, &limit);
	if (high < 0)
		high = fcntl(bell, F_DUPFD_CLOEXEC, (int)limit.rlim_cur - 1);
	if (high < 0)
		high = bell;
	if (high > STDERR_FILENO + 1)
		eddy__close_range(STDERR_FILENO + 1, (unsigned)high - 1);
	eddy__close_range((unsigned)high + 1, ~0u);
	return high;
}

static void
unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
run(struct slot *slot, void *area, int bell)
{
	uint32_t queued = SLOT_QUEUED;
	int r;

	if (!A_CAS(&slot->state, &queued, SLOT_RUNNING))
		return; /* taken back */
	eddy__worker_enter(eddy_worker_state(), &slot->report, bell);
	r = ((eddy_job_fn *)(uintptr_t)slot->fn)(area);
	if (forked)
		_exit(0); /* a child of the job fell through: not its channel */
	unblock_signals();
	fflush(stdout); /* or it is lost when the next job crashes */
	slot->result = r;
	A_RELEASE(&slot->state, SLOT_DONE);
}

static void
tell_rss(struct channel *channel)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	A_STORE(&channel->rss, (uint64_t)usage.ru_maxrss);
}

static _Noreturn void
leave(const struct channel *channel)
{
	close_fn *worker_close = (close_fn *)(uintptr_t)channel->close;

	if (worker_close != NULL)
		worker_close(eddy_worker_state());
	_exit(0);
}

static void
wait_for_tail(struct channel *channel, uint32_t head)
{
	uint32_t wakes;

	while (A_ACQUIRE(&channel->tail) == head) {
		A_STORE(&channel->asleep, 1);
		/* Pairs with the fence in wake(): look again, then sleep. */
		A_FENCE(&channel->asleep);
		wakes = A_ACQUIRE(&channel->wakes);
		if (A_ACQUIRE(&channel->tail) == head) {
			if (A_LOAD(&channel->quit) != 0)
				leave(channel);
			eddy__futex_wait(
			    &channel->wakes, wakes, EDDY_FOREVER, true);
		}
		A_STORE(&channel->asleep, 0);
	}
}

static void
initialise(struct channel *channel, int bell, pid_t zygote)
{
	open_fn *worker_open = (open_fn *)(uintptr_t)channel->open;
	sandbox_fn *sandbox = (sandbox_fn *)(uintptr_t)channel->sandbox;
	void *state = NULL, *init = NULL;
	int r = 0;

	if (channel->has_init)
		init = channel_area(channel, 0, channel->slot_size);
	if (worker_open != NULL)
		r = worker_open(init, &state);
	eddy__worker_enter(state, NULL, bell);
	eddy__die_with(zygote); /* again: setresuid(2) has cleared it */
	if (r >= 0 && sandbox != NULL)
		r = sandbox(init);
	channel->error = r < 0 ? r : 0;
	A_RELEASE(&channel->ready, r >= 0);
	eddy__ring(bell);
	if (r < 0)
		_exit(EXIT_INIT);
}

_Noreturn void
eddy__worker_main(int memfd, int bell, pid_t zygote, size_t size)
{
	struct channel *channel;
	void *memory;
	uint32_t head, depth;
	size_t slot_size;

	eddy__die_with(zygote);
	setpgid(0, 0); /* a job's children die with it, as a group */
	prctl(PR_SET_NAME, "eddy-worker");
	if (eddy__map(&memory, memfd, size) < 0)
		_exit(EXIT_NO_CHANNEL);
	channel = memory;
	depth = channel->depth;
	slot_size = channel->slot_size;
	bell = keep_only(bell);
	unblock_signals();
	GUARD_EXIT();
	pthread_atfork(NULL, NULL, on_fork);
	initialise(channel, bell, zygote);
	for (head = 0;; head++) {
		uint32_t i = head % depth;

		wait_for_tail(channel, head);
		run(&channel->slots[i],
		    channel_area(channel, channel->slots[i].area, slot_size),
		    bell);
		if (channel->tells_rss)
			tell_rss(channel);
		A_RELEASE(&channel->head, head + 1);
		/* Always: one that is stopped here must not freeze others. */
		if (eddy__ring(bell) < 0)
			_exit(EXIT_NO_BELL);
	}
}
