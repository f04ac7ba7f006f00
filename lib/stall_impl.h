/* SPDX-License-Identifier: ISC */
/*
 * stall_impl: of stall.c, which notices, and stall_report.c, which finds out.
 */
#ifndef EDDY_STALL_IMPL_H
#define EDDY_STALL_IMPL_H

#include <eddy/stall.h>

#include "loop_impl.h"
#include "text.h"

enum { STALL_FRAMES = 64 };

struct watcher {
	struct observer observer;
	struct eddy_loop *loop;
	struct eddy_stall_watch *watch; /* borrowed */
	int64_t threshold, pause;       /* ns; between two looks */
	pthread_t thread;
	uint32_t parked;   /* any thread: who begins or wakes up rings */
	uint32_t bell;     /* any thread: futex */
	uint32_t stopping; /* any thread */
	uint32_t tid;      /* any thread: of the loop's */
	uintptr_t owner;   /* loop thread: whose id that is */

	/* The watching thread from here on. */
	uint32_t turn;          /* at the last look, */
	bool busy;              /* and whether the loop was in it; */
	int64_t looked, lasted; /* when that was, and for how long it is so */
	bool noticed, told;     /* that is a stall; the hook was called */
	unsigned unreported;
	int64_t told_until; /* the time that the reports so far are worth */
	struct eddy_stall stall; /* the last */
	int64_t user, system;    /* of its thread when the stall was seen */
	uint32_t answer;         /* any thread: frames and 1; futex */
	void *frames[STALL_FRAMES];
	char name[64], func[64], file[192], operation[192];
	char path[192], wchan[64];
};

/* To w->stall: CPU times from eddy__stall_begins on; those and what else the
 * loop thread does; what it runs.  Its state as in proc(5); 0: unknown. */
void eddy__stall_begins(struct watcher *w);
int eddy__stall_times(struct watcher *w);
int eddy__stall_inspect(struct watcher *w);
void eddy__stall_identify(struct watcher *w);

/* For people: what ran; an address. */
void eddy__stall_who(struct text *text, const struct eddy_stall *stall);
void eddy__stall_locate(struct text *text, uintptr_t address);

/* The frames, if the watch wants them. */
int eddy__stall_prepare(struct watcher *w);
void eddy__stall_ask(struct watcher *w);

#endif
