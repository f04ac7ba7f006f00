/* SPDX-License-Identifier: ISC */
/*
 * process_worker: the life of a worker process.
 *
 * Forked by the zygote, it keeps descriptors 0, 1, 2 and its bell, makes itself
 * die with the zygote, and runs slots in order until told to quit, or dies.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "process_channel.h"
#include "sys.h"

enum {
	HIGH = 4096, /* beyond what jobs count through to close and dup2 */
	NO_MEMFD = -1,
	NO_MAIL = -2,
};

struct self {
	struct channel *channel;
	struct inside *inside;
	size_t slot_size;
	int fds[FD_COUNT];              /* FD_MAIL: perhaps -1 */
	struct eddy_descriptors passed; /* with the job that runs */
};

static bool forked; /* in a process that a job forked */

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

/* Only these stay, as numbers that the limit keeps out of a job's reach where
 * the hard limit allows it. */
static void
keep_only(int *fds, unsigned n)
{
	struct rlimit limit, more;
	int high, low, top;
	unsigned i;

	getrlimit(RLIMIT_NOFILE, &limit);
	more = limit;
	more.rlim_cur = (limit.rlim_cur < HIGH ? limit.rlim_cur : HIGH) + n;
	if (more.rlim_cur > limit.rlim_cur)
		setrlimit(RLIMIT_NOFILE, &more);
	for (i = 0; i < n; i++) {
		high = eddy__dup(fds[i], (int)(more.rlim_cur - n));
		if (high < 0)
			high = eddy__dup(fds[i], (int)(limit.rlim_cur - n));
		fds[i] = high >= 0 ? high : fds[i];
	}
	setrlimit(RLIMIT_NOFILE, &limit);
	low = fds[0] < fds[n - 1] ? fds[0] : fds[n - 1];
	top = fds[0] < fds[n - 1] ? fds[n - 1] : fds[0];
	/* Where the first is beyond the last, it does nothing. */
	eddy__close_range(STDERR_FILENO + 1, (unsigned)low - 1);
	eddy__close_range((unsigned)low + 1, (unsigned)top - 1);
	eddy__close_range((unsigned)top + 1, ~0u);
}

static void
unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
close_all(const int *fds, unsigned n)
{
	while (n-- > 0)
		eddy__close(fds[n]);
}

/* Beyond the slot: memory that the host will map. */
static int
grow(struct eddy_output *output, size_t room)
{
	bool first = output->fd == NO_MEMFD;
	void *data = output->data;
	int fd, r;

	if (output->fd == NO_MAIL)
		return -EMSGSIZE;
	fd = first ? eddy__memfd_open("eddy-output") : output->fd;
	r = fd < 0
	        ? fd
	        : eddy__memfd_grow(fd, &data, first ? 0 : output->room, room);
	if (r < 0) {
		if (first)
			eddy__close(fd);
		return r;
	}
	if (first && output->size != 0)
		memcpy(data, output->data, output->size);
	output->fd = fd;
	output->data = data;
	output->room = room;
	return 0;
}

/* In the slot, the output is behind the input. */
static int
transform(struct self *self, struct slot *slot, char *area, int *ret_memfd)
{
	eddy_transform_fn *fn = (eddy_transform_fn *)(uintptr_t)slot->fn;
	size_t in = (size_t)slot->in_size, offset = transform_offset(in);
	struct eddy_output output = {.data = area + offset,
	    .room = self->slot_size > offset ? self->slot_size - offset : 0,
	    .grow = grow,
	    .fd = self->fds[FD_MAIL] >= 0 ? NO_MEMFD : NO_MAIL};
	int r = fn((struct eddy_span){area, in}, &output), sealed;

	slot->out_size = output.size;
	if (output.fd < 0 || forked)
		return r;
	eddy__unmap(output.data, output.room);
	sealed = eddy__memfd_seal(output.fd, output.size, true);
	if (sealed < 0) { /* the host would not take it */
		eddy__close(output.fd);
		slot->out_size = 0;
		return sealed;
	}
	*ret_memfd = output.fd;
	return r;
}

/* What the job returns, besides its bytes; r, or why it could not. */
static int
send_back(struct self *self, struct slot *slot, int memfd, int r)
{
	unsigned n = self->passed.out_count;
	int sent = 0, fds[FDS_MAX];

	memcpy(fds, self->passed.out, n * sizeof(*fds));
	if (memfd >= 0)
		fds[n++] = memfd;
	if (n != 0)
		sent = eddy__send(self->fds[FD_MAIL], "", 1, fds, (int)n);
	close_all(fds, n);
	if (sent < 0) /* nor is an output where the host would look */
		slot->out_size = n = 0;
	slot->fds_out = n;
	slot->big = memfd >= 0;
	return sent < 0 ? sent : r;
}

static void
run(struct self *self, struct slot *slot)
{
	char *area = channel_area(self->channel, slot->area, self->slot_size);
	struct eddy_descriptors *passed = &self->passed;
	void *arg = slot->in_size != 0 ? area : NULL;
	int r, memfd = -1;
	char byte;

	passed->out_count = 0;
	passed->in_count = A_LOAD(&slot->fds_in);
	if (passed->in_count > EDDY_DESCRIPTORS)
		_exit(EXIT_NO_CHANNEL); /* a job has spoilt it */
	if (passed->in_count != 0)      /* also of one that was taken back */
		eddy__recv(self->fds[FD_MAIL], &byte, 1, passed->in,
		    (int)passed->in_count);
	if (A_SWAP(&slot->state, SLOT_QUEUED, SLOT_RUNNING)) {
		self->inside->report = &slot->report;
		self->inside->fds = slot->passes ? passed : NULL;
		r = slot->is_transform
		        ? transform(self, slot, area, &memfd)
		        : ((eddy_job_fn *)(uintptr_t)slot->fn)(arg);
		if (forked)
			_exit(0); /* a child of the job fell through */
		unblock_signals();
		fflush(stdout); /* or it is lost when the next one crashes */
		slot->result = send_back(self, slot, memfd, r);
		A_RELEASE(&slot->state, SLOT_DONE);
	}
	close_all(passed->in, passed->in_count);
}

static _Noreturn void
leave(const struct channel *channel)
{
	if (channel->options.worker_close != NULL)
		channel->options.worker_close(eddy_worker_state());
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
initialise(struct self *self, pid_t zygote)
{
	struct channel *channel = self->channel;
	const struct eddy_process_pool_options *options = &channel->options;
	void *state = NULL, *init = NULL;
	int r = 0;

	if (options->init_size != 0)
		init = channel_area(channel, 0, self->slot_size);
	if (options->worker_open != NULL)
		r = options->worker_open(init, &state);
	self->inside = eddy__worker_enter(state);
	self->inside->bell = self->fds[FD_BELL];
	eddy__die_with(zygote); /* again: setresuid(2) has cleared it */
	if (r >= 0 && options->worker_sandbox != NULL)
		r = options->worker_sandbox(init);
	channel->error = r < 0 ? r : 0;
	A_RELEASE(&channel->ready, r >= 0);
	eddy__ring(self->fds[FD_BELL]);
	if (r < 0)
		_exit(EXIT_INIT);
}

_Noreturn void
eddy__worker_main(const int *fds, pid_t zygote, size_t size)
{
	struct self self = {.fds = {-1, fds[FD_BELL], fds[FD_MAIL]}};
	struct channel *channel;
	struct rusage usage;
	uint32_t head, depth;
	void *memory;

	eddy__die_with(zygote);
	setpgid(0, 0); /* a job's children die with it, as a group */
	prctl(PR_SET_NAME, "eddy-worker");
	if (eddy__map(&memory, fds[FD_CHANNEL], size) < 0)
		_exit(EXIT_NO_CHANNEL);
	self.channel = channel = memory;
	self.slot_size = channel->options.slot_size;
	depth = channel->options.depth;
	keep_only(&self.fds[FD_BELL], self.fds[FD_MAIL] >= 0 ? 2 : 1);
	unblock_signals();
	GUARD_EXIT();
	pthread_atfork(NULL, NULL, on_fork);
	initialise(&self, zygote);
	for (head = 0;; head++) {
		wait_for_tail(channel, head);
		run(&self, &channel->slots[head % depth]);
		if (channel->options.max_rss != 0) {
			getrusage(RUSAGE_SELF, &usage);
			A_STORE(&channel->rss, (uint64_t)usage.ru_maxrss);
		}
		A_RELEASE(&channel->head, head + 1);
		/* Always: one that is stopped here must not freeze others. */
		if (eddy__ring(self.fds[FD_BELL]) < 0)
			_exit(EXIT_NO_BELL);
	}
}
