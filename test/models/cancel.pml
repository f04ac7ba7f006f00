/* SPDX-License-Identifier: ISC */
/*
 * cancel: jobs are cancelled while they are submitted, claimed, stolen, run,
 * or fail with the whole queue.
 *
 * eddy__job_give_up, eddy_job_end (lib/job.c); cancel, put, cork, draw,
 * eddy__pool_fail_queue (lib/thread_pool.c); claim, next_slot,
 * eddy__pool_steal, run (lib/thread_worker.c); lane_put, lane_take,
 * lane_take_job (lib/lane.h).
 *
 * QUEUED -> LISTED -> RUNNING -> DONE; CORKED before LISTED for a job of the
 * loop's turn.  A loop submits jobs 0 and 1 and cancels one, in its turn or
 * after it; a thread puts job 2 and another cancels it.  An owner frees its
 * job as soon as it has heard of it, that of job 2 once its canceller is back
 * too.  The ring has room for all, so it is never squeezed.  What a lock
 * guards is one step, unless slots are changed without it meanwhile.
 *
 * Properties: one outcome for each job; its function runs at most once, not
 * when the outcome is CANCELLED or LOST, nor when the cancel came before the
 * job was listed; the outcome RETURNED means that it ran; nobody touches a
 * freed job.
 */
#define NJ 3
#ifndef NW
#define NW 2 /* workers */
#endif
#ifndef THREAD
#define THREAD 1 /* job 2 too */
#endif
#ifndef FAILS
#define FAILS 0 /* the queue, once */
#endif
#define SLOTS 4
#define NONE 255

mtype = { QUEUED, CORKED, LISTED, RUNNING, DONE };
mtype = { UNKNOWN, RETURNED, CANCELLED, LOST };

bit lock;
mtype state[NJ] = QUEUED;
bit stop[NJ];
byte where[NJ];        /* the slot that it remembers */
byte slots[SLOTS] = NONE;
byte head, tail;
byte from[NW], end[NW];
bit ran[NJ];
mtype outcome[NJ] = UNKNOWN;
bit barred[NJ];        /* cancelled before it was listed: it must not run */
bit posted[NJ];        /* its outcome, at the door of the loop */
bit freed[NJ];
bit back;              /* the canceller of job 2 */
byte over;             /* outcomes */

#define LOCK atomic { lock == 0 -> lock = 1 }
#define UNLOCK lock = 0
#define TOUCH(j) assert(!freed[j])

inline end_job(j, what)
{
	d_step {
		TOUCH(j);
		assert(outcome[j] == UNKNOWN);
		assert(ran[j] == (what == RETURNED));
		outcome[j] = what;
		state[j] = DONE;
		over++
	};
	if
	:: j == 2 /* a futex: only an address */
	:: else -> d_step { TOUCH(j); posted[j] = 1 }
	fi;
#ifdef BUG_TOUCH_AFTER_END
	TOUCH(j)
#endif
}

/* With the lock. */
inline lane_put(j)
{
	if
	:: head == tail -> head = 0; tail = 0
	:: else
	fi;
	do /* over none that a slow worker has claimed */
	:: slots[tail] != NONE -> tail++
	:: else -> break
	od;
	where[j] = tail;
	slots[tail] = j;
	tail++
}

inline list(j)
{
	TOUCH(j);
#ifndef BUG_LISTED_AFTER_UNLOCK
	state[j] = LISTED;
#endif
	lane_put(j)
}

/* The turn is over, or a cancel cannot wait for that. */
inline draw(k)
{
	if
	:: state[k] == CORKED -> TOUCH(k); state[k] = LISTED; lane_put(k)
	:: else
	fi
}

inline give_up(j)
{
	atomic {
		TOUCH(j);
		was = state[j];
#ifndef BUG_STOP_AFTER_LOOK
		stop[j] = stop[j] || was != DONE
#endif
	};
	if
	:: was == DONE
	:: else ->
	   atomic {
		lock == 0 ->
		if
		:: j != 2 && state[j] == CORKED -> draw(0); draw(1)
		:: else
		fi;
		was = state[j];
		lock = 1
	   };
	   if
	   :: was == QUEUED && outcome[j] == UNKNOWN -> barred[j] = 1
	   :: was == LISTED ->
#ifdef BUG_CHECK_THEN_CLEAR
	      if
	      :: slots[where[j]] == j -> slots[where[j]] = NONE; ours = 1
	      :: else
	      fi
#else
	      d_step {
		assert(where[j] != NONE);
		if
		:: slots[where[j]] == j -> slots[where[j]] = NONE; ours = 1
		:: else
		fi
	      }
#endif
#ifdef BUG_RUNNING_IS_OURS
	   :: was == RUNNING -> ours = 1
#endif
	   :: else
	   fi;
	   UNLOCK;
#ifdef BUG_STOP_AFTER_LOOK
	   stop[j] = 1;
#endif
	   if
	   :: ours -> end_job(j, CANCELLED)
	   :: else
	   fi
	fi;
	was = QUEUED;
	ours = 0
}

proctype loop()
{
	byte victim;
	mtype was = QUEUED;
	bit ours;

	if
#if !THREAD
	:: victim = 0
#endif
	:: victim = 1 /* it may be the second of a range */
	fi;
	d_step { TOUCH(0); TOUCH(1); state[0] = CORKED; state[1] = CORKED };
	if
	:: give_up(victim); victim = NONE
	:: true
	fi;
	atomic { lock == 0 -> draw(0); draw(1) };
	do
	:: atomic { posted[0] && !freed[0] -> freed[0] = 1 };
	   if
	   :: victim == 0 -> victim = NONE
	   :: else
	   fi
	:: atomic { posted[1] && !freed[1] -> freed[1] = 1 };
	   if
	   :: victim == 1 -> victim = NONE
	   :: else
	   fi
	:: victim != NONE -> give_up(victim); victim = NONE
	:: freed[0] && freed[1] -> break
	od
}

proctype submitter()
{
	atomic { lock == 0 -> list(2) };
#ifdef BUG_LISTED_AFTER_UNLOCK
	state[2] = LISTED;
#endif
	state[2] == DONE;
	atomic { back -> freed[2] = 1 }
}

proctype canceller()
{
	mtype was = QUEUED;
	bit ours;

	give_up(2);
	back = 1
}

/* With the lock. */
inline claim()
{
	from[w] = head;
	if
	:: head < tail -> head++
	:: head + 1 < tail -> head = head + 2
	:: head == tail
	fi;
	end[w] = head
}

inline next_slot()
{
	do
	:: from[w] != end[w] && job == NONE ->
#ifdef BUG_SLOT_WITHOUT_EXCHANGE
	   job = slots[from[w]];
	   slots[from[w]] = NONE;
#else
	   d_step { job = slots[from[w]]; slots[from[w]] = NONE };
#endif
	   from[w]++
	:: else -> break
	od;
	atomic {
		if
		:: from[w] == end[w] -> from[w] = 0; end[w] = 0
		:: else
		fi;
		if
		:: job != NONE -> where[job] = 0
		:: else
		fi
	}
}

/* With the lock: what v has claimed and not begun. */
inline steal(v)
{
	i = end[v];
	do
	:: i > from[v] && job == NONE ->
	   i--;
	   d_step { job = slots[i]; slots[i] = NONE }
	:: else -> i = 0; break
	od
}

inline execute(j)
{
	d_step { TOUCH(j); state[j] = RUNNING };
	atomic {
#ifndef BUG_RUN_WITHOUT_LOOK
		token = stop[j];
#endif
		if
		:: token
		:: else ->
		   assert(!ran[j] && !barred[j] && outcome[j] == UNKNOWN);
		   ran[j] = 1
		fi
	};
	if
	:: token -> token = 0; end_job(j, CANCELLED)
	:: else -> end_job(j, RETURNED)
	fi
}

#if NW > 1
#define WORK (head != tail || (from[1 - w] != end[1 - w] && \
    slots[end[1 - w] - 1] != NONE))
#else
#define WORK (head != tail)
#endif

proctype worker(byte w)
{
	byte i, job = NONE;
	bit token;

	do
	:: atomic {
		lock == 0 && WORK -> lock = 1;
		claim();
		if /* the first one, which nobody has seen in the range yet */
		:: from[w] != end[w] ->
		   job = slots[from[w]];
		   slots[from[w]] = NONE;
		   from[w]++
		:: else
		fi
	   };
	   next_slot();
#if NW > 1
	   if
	   :: job == NONE -> steal(1 - w)
	   :: else
	   fi;
#endif
	   UNLOCK;
	   do
	   :: job != NONE ->
	      execute(job);
	      job = NONE;
	      next_slot()
	   :: else -> break
	   od
	:: over == NJ - !THREAD -> break
	od
}

/* All that is not begun ends: a worker could not start, or the pool closes. */
proctype failer()
{
	byte i, v, job = NONE;
	bit all[NJ];

	LOCK;
	do
	:: head != tail || job != NONE ->
	   if
	   :: job != NONE -> all[job] = 1; where[job] = NONE; job = NONE
	   :: else ->
	      d_step { job = slots[head]; slots[head] = NONE; head++ }
	   fi
	:: else -> break
	od;
	do
	:: v < NW ->
	   steal(v);
	   if
	   :: job != NONE -> all[job] = 1; where[job] = NONE; job = NONE
	   :: else -> v++
	   fi
	:: else -> v = 0; break
	od;
#ifndef BUG_FAILED_STAYS_LISTED
	atomic {
		do
		:: i < NJ ->
		   if
		   :: all[i] -> TOUCH(i); state[i] = QUEUED
		   :: else
		   fi;
		   i++
		:: else -> i = 0; break
		od
	};
#endif
	UNLOCK;
	do
	:: i < NJ ->
	   if
	   :: all[i] -> all[i] = 0; end_job(i, LOST)
	   :: else
	   fi;
	   i++
	:: else -> break
	od
}

init
{
	atomic {
		run loop();
#if THREAD
		run submitter();
		run canceller();
#endif
		run worker(0);
#if NW > 1
		run worker(1);
#endif
#if FAILS
		run failer()
#endif
	}
}
