/* SPDX-License-Identifier: ISC */
/*
 * signal: one signalfd a loop, for the union of all that is started.
 *
 * What the loop blocked itself is remembered, and unblocked when nobody wants
 * it any more; what is still in the kernel then meets what was there before.
 */
#include <eddy/signal.h>

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <eddy/watch.h>

#include "ring.h"
#include "sys.h"

struct signals {
	struct attachment attachment;
	struct eddy_watch watch;   /* of the signalfd, unless set is 0 */
	struct eddy_ready started; /* the nodes of struct eddy_signal */
	uint64_t set;              /* all of theirs */
	uint64_t blocked;          /* in the loop thread, by us */
};

void
eddy__signal_fire(struct eddy_loop *loop, struct eddy_ready *ready)
{
	struct eddy_signal *signal = CONTAINER_OF(
	    ready, struct eddy_signal, ready);
	int number = __builtin_ffsll((long long)signal->got);

	signal->got = 0; /* one a turn */
	signal->fn(loop, signal, number);
}

static void
tell(struct eddy_loop *loop, struct eddy_signal *signal, uint64_t bit)
{
	if ((signal->set & bit) != 0 && !list_empty(&signal->waiters)) {
		waiters_wake(&signal->waiters, __builtin_ffsll((long long)bit));
		return;
	}
	signal->got |= signal->set & bit;
	if (signal->got != 0 && signal->fn != NULL)
		eddy__loop_push(loop, &signal->ready);
}

static void
on_signal(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	struct signals *s = CONTAINER_OF(watch, struct signals, watch);
	struct signalfd_siginfo info;
	struct eddy_ready *node;

	(void)events;
	if (eddy__read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	for (node = s->started.next; node != &s->started; node = node->next)
		tell(loop, CONTAINER_OF(node, struct eddy_signal, node),
		    EDDY_SIGNAL(info.ssi_signo));
}

/* Have the signalfd read set, and no other. */
static int
read_from_now_on(
    struct eddy_loop *loop, struct signals *s, uint64_t set, unsigned flags)
{
	int r = eddy__signalfd(s->set != 0 ? s->watch.fd : -1, set);

	if (r < 0 || s->set != 0)
		return r;
	eddy_watch_init(&s->watch, r, on_signal, flags);
	r = eddy_watch_start(loop, &s->watch, EPOLLIN);
	if (r < 0)
		eddy__close(s->watch.fd);
	return r;
}

/* After a change of started. */
static int
update(struct eddy_loop *loop, struct signals *s)
{
	uint64_t set = 0, more, fresh = 0, gone;
	unsigned flags = EDDY_WATCH_BACKGROUND;
	struct eddy_signal *signal;
	struct eddy_ready *node;
	int r = 0;

	for (node = s->started.next; node != &s->started; node = node->next) {
		signal = CONTAINER_OF(node, struct eddy_signal, node);
		set |= signal->set;
		flags = signal->background ? flags : 0;
	}
	more = set & ~s->set;
	if (more != 0)
		r = eddy__signals_block(more, true, &fresh);
	if (r == 0 && more != 0 && eddy__signals_elsewhere(more))
		r = -EBUSY;
	if (r == 0 && set == 0 && s->set != 0) {
		eddy_watch_stop(loop, &s->watch);
		eddy__close(s->watch.fd);
	} else if (r == 0 && set != s->set) {
		r = read_from_now_on(loop, s, set, flags);
	}
	if (r >= 0 && set != 0 && flags != s->watch.flags) {
		loop->watching += flags == 0 ? 1u : -1u;
		s->watch.flags = flags;
	}
	if (r >= 0) {
		s->set = set;
		s->blocked |= fresh;
		fresh = s->blocked & ~set;
		s->blocked &= set;
	}
	if (fresh != 0 && eddy__loop_here(loop))
		eddy__signals_block(fresh, false, &gone);
	return r < 0 ? r : 0;
}

static void
quit(struct eddy_signal *signal)
{
	list_remove(&signal->node);
	list_remove(&signal->ready);
	signal->set = signal->got = 0;
	waiters_wake(&signal->waiters, -ECANCELED);
}

static int
close_signals(struct eddy_loop *loop, struct attachment *attachment)
{
	struct signals *s = CONTAINER_OF(
	    attachment, struct signals, attachment);

	while (!list_empty(&s->started))
		quit(CONTAINER_OF(s->started.next, struct eddy_signal, node));
	return update(loop, s);
}

/* Those of the loop.  -ECHILD, -EPERM. */
static int
find(struct eddy_loop *loop, struct signals **ret_signals)
{
	int r = eddy__loop_ours(loop);
	struct signals *s;

	if (r < 0)
		return r;
	s = eddy__loop_attached(loop, close_signals, sizeof(*s));
	if (s != NULL && s->started.next == NULL)
		list_init(&s->started);
	*ret_signals = s;
	return s != NULL ? 0 : -ENOMEM;
}

void
eddy_signal_init(struct eddy_signal *signal, eddy_signal_fn *fn)
{
	*signal = (struct eddy_signal){
	    .ready.run = eddy__signal_fire, .fn = fn};
	list_init(&signal->waiters);
}

int
eddy_signal_start(
    struct eddy_loop *loop, struct eddy_signal *signal, uint64_t set)
{
	uint64_t never = EDDY_SIGNAL(SIGKILL) | EDDY_SIGNAL(SIGSTOP);
	uint64_t before = signal->set;
	struct signals *s;
	int r = find(loop, &s);

	if (r == 0 && (set == 0 || (set & never) != 0))
		r = -EINVAL;
	if (r < 0)
		return r;
	signal->set = set;
	signal->loop = loop;
	if (before == 0)
		list_push(&s->started, &signal->node);
	r = update(loop, s);
	if (r < 0)
		signal->set = before;
	if (signal->set == 0)
		list_remove(&signal->node);
	signal->got &= signal->set; /* told, but not wanted any more */
	if (signal->got == 0)
		list_remove(&signal->ready);
	return r;
}

int
eddy_signal_stop(struct eddy_loop *loop, struct eddy_signal *signal)
{
	struct signals *s;
	int r = find(loop, &s);

	if (r < 0 || signal->set == 0)
		return r;
	quit(signal);
	update(loop, s); /* to want less cannot fail */
	return 0;
}

static const struct eddy_op signal_op = {"signal", waiter_leave};

EDDY_ASYNC
eddy_signal_wait(struct eddy_task *self, struct eddy_signal *signal)
{
	int number = __builtin_ffsll((long long)signal->got);

	if (eddy_cancelled(self))
		return eddy_complete(self, -ECANCELED);
	if (signal->set == 0 || signal->fn != NULL)
		return eddy_complete(self, -EINVAL);
	if (signal->loop != self->loop)
		return eddy_complete(self, -EPERM);
	signal->got &= signal->got - 1;
	if (number != 0)
		return eddy_complete(self, number);
	return waiter_park(self, &signal->waiters, &signal_op, NULL);
}
