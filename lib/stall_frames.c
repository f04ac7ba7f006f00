/* SPDX-License-Identifier: ISC */
/*
 * stall_frames: where a blocked loop thread is, asked by a signal.
 *
 * The one who asks is a global: the handler has no other way to find it, and
 * finds nobody when it comes too late.
 */
#include "stall_impl.h"

#include <errno.h>

#include "sys.h"

#define PATIENCE EDDY_MS(20) /* the thread may have blocked the signal */

static struct watcher *asking; /* any thread */

static void
on_signal(int signal)
{
	struct watcher *w = A_XCHG(&asking, NULL);
	int saved = errno, n = 0;

	(void)signal;
	if (w == NULL)
		return;
	if ((int)A_LOAD(&w->tid) == eddy__gettid())
		n = w->watch->backtrace(w->frames, STALL_FRAMES);
	A_RELEASE(&w->answer, (uint32_t)(n > 0 ? n : 0) + 1);
	eddy__futex_wake(&w->answer, 1, false);
	errno = saved;
}

int
eddy__stall_prepare(struct watcher *w)
{
	if (w->watch->backtrace == NULL)
		return 0;
	w->watch->backtrace(w->frames, 1); /* it may load a library at first */
	return eddy__catch_signal(w->watch->signal, on_signal);
}

void
eddy__stall_ask(struct watcher *w)
{
	struct watcher *self = w, *nobody = NULL;

	if (w->watch->backtrace == NULL || !A_CAS(&asking, &nobody, w))
		return;
	A_STORE(&w->answer, 0);
	if (eddy__tgkill((int)A_LOAD(&w->tid), w->watch->signal) == 0)
		eddy__futex_wait(&w->answer, 0, PATIENCE, false);
	if (A_CAS(&asking, &self, NULL))
		return; /* it did not come */
	while (A_ACQUIRE(&w->answer) == 0)
		eddy__futex_wait(&w->answer, 0, EDDY_FOREVER, false);
	w->stall.frames = w->frames;
	w->stall.frame_count = (int)A_LOAD(&w->answer) - 1;
}
