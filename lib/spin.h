/* SPDX-License-Identifier: ISC */
/*
 * spin: whether to wait awake for a while before falling asleep.
 *
 * Being woken on another CPU costs 25 us or more, on both sides, so a short
 * wait awake is cheaper in time and in CPU when it pays.  The score tells: it
 * rises when the wait was, or would have been, short enough.
 */
#ifndef EDDY_SPIN_H
#define EDDY_SPIN_H

#include "sys.h"

#include <eddy/base.h>

enum {
	SPIN_BEST = 8,
	SPIN_LOOKS = 32, /* a clock costs some 30 */
	SPIN_MANY = 16,  /* jobs a CPU */
};
#define SPIN_DURATION EDDY_US(20)
#define SPIN_LONGEST  EDDY_S(1)
#define SPIN_CROWDED  450 /* ns an outcome: more takes a CPU from who works */

struct spin {
	int64_t duration; /* ns; 0: never */
	int score;        /* spins while above 0 */
	int cpus;         /* of this process */
	int64_t since;    /* ns: when the wait began */
};

static inline void
spin_init(struct spin *spin, int64_t option)
{
	spin->duration = option < 0 ? 0 : option == 0 ? SPIN_DURATION : option;
	if (spin->duration > SPIN_LONGEST)
		spin->duration = SPIN_LONGEST;
	spin->cpus = eddy__cpus();
}

/* The one that is waited for last ran on cpu: there it needs ours. */
static inline bool
spin_may(struct spin *spin, int cpu)
{
	spin->since = spin->duration != 0 ? eddy_now() : 0;
	return spin->duration != 0 && spin->score > 0 && cpu != eddy__cpu();
}

static inline void
spin_note(struct spin *spin, bool hit)
{
	if (!hit)
		spin->score = spin->score > 2 ? spin->score - 2 : 0;
	else if (spin->score < SPIN_BEST)
		spin->score++;
}

/* After a sleep that was ended at rung_at, if spin_may was asked before it. */
static inline void
spin_slept(struct spin *spin, int64_t rung_at)
{
	int64_t gap = rung_at - spin->since;
	bool asked = spin->since != 0;

	spin->since = 0;
	if (!asked || gap < 0)
		return;
	if (gap < spin->duration)
		spin_note(spin, true);
	else if (spin->score > 0)
		spin->score--;
}

/* Until condition, or for the duration; what it came to. */
#define SPIN(spin, condition)                                              \
	__extension__({                                                    \
		int64_t until_ = (spin)->since + (spin)->duration;         \
		int look_ = 0;                                             \
		while (!(condition) &&                                     \
		       (++look_ % SPIN_LOOKS != 0 || eddy_now() < until_)) \
			cpu_relax();                                       \
		spin_note((spin), (condition));                            \
		(condition);                                               \
	})

#endif
