/* SPDX-License-Identifier: ISC */
/*
 * cancel: jobs are cancelled while they are submitted, taken, stolen and run.
 *
 * eddy__job_give_up, eddy_job_end (lib/executor.c); cancel, unqueue, put, cork,
 * draw, take, next_slot, steal, run (lib/thread_pool.c).
 *
 * QUEUED -> LISTED -> HELD -> RUNNING -> DONE; CORKED before LISTED for a job of
 * the loop's turn.  A loop submits jobs 0 and 1 and cancels one, in its turn or
 * after it; a thread puts job 2 and another cancels it.  An owner frees its job
 * as soon as it has heard of it, that of job 2 once its canceller is back too.
 *
 * Properties: one outcome for each job; its function runs at most once, and not
 * when the outcome is CANCELLED, nor when the cancel came before the job was
 * listed; the outcome RETURNED means that it ran; nobody touches a freed job.
 */
#define NJ 3
#define NW 2
#define SLOTS 2
#define NONE 255
#define SLOT(w, i) slots[(w) * SLOTS + (i)]

mtype = { QUEUED, CORKED, LISTED, HELD, RUNNING, DONE };
mtype = { UNKNOWN, RETURNED, CANCELLED };

bit lock;
mtype state[NJ];
bit stop[NJ];
bit listed[NJ];        /* in the pool's queue */
byte slots[NW * SLOTS];
bit ran[NJ];
mtype outcome[NJ] = UNKNOWN;
bit barred[NJ];         /* cancelled before it was listed: it must not run */
bit posted[NJ];        /* its outcome, at the door of the loop */
bit freed[NJ];
bit back;              /* the canceller of job 2 */
byte over;             /* outcomes */

#define LOCK atomic { lock == 0 -> lock = 1 }
#define UNLOCK lock = 0
#define TOUCH(j) assert(!freed[j])
#define WORK (listed[0] || listed[1] || listed[2] || \
    SLOT(1 - w, 0) != NONE || SLOT(1 - w, 1) != NONE)

inline end_job(j, what)
{
	d_step {
		TOUCH(j);
		assert(outcome[j] == UNKNOWN);
		assert(ran[j] == (what == RETURNED));
		outcome[j] = what
	};
	if
	:: j == 2 -> d_step { state[j] = DONE; over++ } /* a futex: an address */
	:: else ->
	   state[j] = DONE;
	   d_step { TOUCH(j); posted[j] = 1; over++ }
	fi;
#ifdef BUG_TOUCH_AFTER_END
	TOUCH(j)
#endif
}

/* With the lock: listed, or in a slot that its owner may be emptying. */
inline unqueue(j)
{
	if
	:: state[j] == LISTED ->
	   d_step { assert(listed[j]); listed[j] = 0; ours = 1 }
	:: else ->
	   i = 0;
	   do
	   :: i < NW * SLOTS && !ours ->
#ifdef BUG_CHECK_THEN_CLEAR
	      if
	      :: slots[i] == j -> slots[i] = NONE; ours = 1
	      :: else
	      fi;
#else
	      d_step {
		if
		:: slots[i] == j -> slots[i] = NONE; ours = 1
		:: else
		fi
	      };
#endif
	      i++
	   :: else -> i = 0; break
	   od
	fi
}

inline give_up(j)
{
	ours = 0;
	TOUCH(j);
	if
	:: state[j] == DONE
	:: else ->
#ifndef BUG_STOP_AFTER_LOOK
	   stop[j] = 1;
#endif
	   LOCK;
	   if
	   :: j != 2 && state[j] == CORKED -> UNLOCK; flush(); LOCK
	   :: else
	   fi;
	   was = state[j];
	   if
	   :: was == QUEUED -> barred[j] = 1
	   :: was == LISTED || was == HELD -> unqueue(j)
#ifdef BUG_RUNNING_IS_OURS
	   :: was == RUNNING -> ours = 1
	   :: was == DONE
#else
	   :: was == RUNNING || was == DONE
#endif
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

/* The turn is over, or a cancel cannot wait for that. */
inline flush()
{
	LOCK;
	d_step {
		i = 0;
		do
		:: i < 2 ->
		   if
		   :: state[i] == CORKED -> state[i] = LISTED; listed[i] = 1
		   :: else
		   fi;
		   i++
		:: else -> i = 0; break
		od
	};
	UNLOCK
}

proctype loop()
{
	byte victim, i;
	mtype was = QUEUED;
	bit ours;

	if
	:: victim = 0
	:: victim = 1
	fi;
	d_step { TOUCH(0); TOUCH(1); state[0] = CORKED; state[1] = CORKED };
	if
	:: give_up(victim); victim = NONE
	:: true
	fi;
	flush();
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
	:: atomic { victim != NONE -> i = 0 };
	   give_up(victim);
	   victim = NONE
	:: freed[0] && freed[1] -> break
	od
}

proctype submitter()
{
#ifdef BUG_LISTED_AFTER_UNLOCK
	LOCK;
	listed[2] = 1;
	UNLOCK;
	state[2] = LISTED;
#else
	LOCK;
	state[2] = LISTED;
	listed[2] = 1;
	UNLOCK;
#endif
	state[2] == DONE;
	atomic { back -> freed[2] = 1 }
}

proctype canceller()
{
	byte i;
	mtype was = QUEUED;
	bit ours;

	give_up(2);
	back = 1
}

inline take()
{
	i = 0;
	n = 0;
	do
	:: i < NJ && n < SLOTS ->
	   if
	   :: listed[i] ->
	      TOUCH(i);
	      listed[i] = 0;
#ifndef BUG_TAKEN_AS_LISTED
	      state[i] = HELD;
#endif
	      SLOT(w, n) = i;
	      n++
	   :: listed[i] && n != 0 -> i = NJ - 1 /* its share is smaller */
	   :: !listed[i]
	   fi;
	   i++
	:: else -> i = 0; left = n; n = 0; break
	od
}

inline next_slot()
{
	do
	:: left != 0 && job == NONE ->
#ifdef BUG_SLOT_WITHOUT_EXCHANGE
	   job = SLOT(w, filled - left);
	   SLOT(w, filled - left) = NONE;
#else
	   d_step {
		job = SLOT(w, filled - left);
		SLOT(w, filled - left) = NONE
	   };
#endif
	   left--
	:: else -> break
	od
}

inline steal()
{
	i = SLOTS;
	do
	:: i > 0 && job == NONE ->
	   i--;
	   d_step { job = SLOT(1 - w, i); SLOT(1 - w, i) = NONE }
	:: else -> i = 0; break
	od
}

inline execute(j)
{
	d_step { TOUCH(j); state[j] = RUNNING };
#ifndef BUG_RUN_WITHOUT_LOOK
	token = stop[j];
#endif
	if
	:: token -> end_job(j, CANCELLED)
	:: else ->
	   d_step {
		TOUCH(j);
		assert(!ran[j] && !barred[j] && outcome[j] == UNKNOWN);
		ran[j] = 1
	   };
	   end_job(j, RETURNED)
	fi;
	token = 0
}

proctype worker(byte w)
{
	byte i, n, left, filled, job = NONE;
	bit token;

	do
	:: atomic {
		lock == 0 && WORK -> lock = 1;
		take();
		filled = left
	   };
	   next_slot();
	   if
	   :: job == NONE -> steal()
	   :: else
	   fi;
	   UNLOCK;
	   do
	   :: job != NONE ->
	      execute(job);
	      job = NONE;
	      next_slot()
	   :: else -> break
	   od;
	   filled = 0
	:: over == NJ -> break
	od
}

init
{
	atomic {
		slots[0] = NONE;
		slots[1] = NONE;
		slots[2] = NONE;
		slots[3] = NONE;
		state[0] = QUEUED;
		state[1] = QUEUED;
		state[2] = QUEUED;
		run loop();
		run submitter();
		run canceller();
		run worker(0);
		run worker(1)
	}
}
