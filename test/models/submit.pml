/* SPDX-License-Identifier: ISC */
/*
 * submit: jobs go to a thread pool whose workers fall asleep and leave; the
 * loop that brings them falls asleep too.
 *
 * eddy__pool_claim_sleeper, claim, next_slot, eddy__pool_steal, find, watch,
 * rest with arrive, leave (lib/thread_worker.c); grow, put, flush
 * (lib/thread_pool.c); collect (lib/loop.c).  A job ends, or never does; once
 * a sleep ends by idle_duration.  A worker that claims slots is more generous
 * than the real one: up to half of the queue.  One lane; the queue has room
 * for all.
 *
 * Memory: a worker's store of 0 to spinner sits in a store buffer that a fence
 * drains.  A read-modify-write is no fence: the load behind it may come first.
 *
 * Properties: once the loop sleeps no job waits for ever, unclaimed or in a
 * worker's range, while a worker sleeps or another may be added (quiet).
 * Whenever the lock is free: who rests is either asleep or claimed, and with
 * unclaimed jobs for eager wakes somebody who sleeps is claimed.
 */
#ifndef NW
#define NW 2 /* workers_max */
#endif
#ifndef TURN
#define TURN 3 /* jobs in a cork */
#endif
#ifndef PUTS
#define PUTS 1 /* jobs that come one by one */
#endif

bit lock;
byte wakes;
bit spinner;
byte asleep, claims, starting, workers;
byte queued;       /* unclaimed */
bit eager, linked; /* the latter: the cork */
byte held[NW];     /* jobs in its range */
bit started[NW];   /* the thread */
bit waiting[NW];   /* on the futex */
bit buffered[NW];  /* spinner = 0, not yet in memory */
byte resting;      /* workers between find and arrive */
bit timeouts = 1;  /* how many more */
byte over;         /* jobs that ended */
byte stuck;        /* jobs that never will */

#define LOCK lock == 0 -> lock = 1
#define CONSISTENT (asleep + claims == resting && \
    (queued == 0 || !eager || asleep == 0 || claims != 0))
#define UNLOCK d_step { assert(CONSISTENT); lock = 0 }

#if NW > 2
#define NOBODY (!waiting[0] && !waiting[1] && !waiting[2])
#define HELD (held[0] + held[1] + held[2])
#else
#define NOBODY (!waiting[0] && !waiting[1])
#define HELD (held[0] + held[1])
#endif

/* What only the lock guards is one step with what comes before. */
inline claim_sleeper()
{
	if
	:: asleep == 0 || claims != 0 || queued == 0 -> claimed = 0
	:: !eager && asleep != workers -> claimed = 0 /* it does not pay */
	:: asleep != 0 && claims == 0 && queued != 0 ->
	   asleep--;
	   claims++;
	   claimed = 1
	fi
}

inline count_wake()
{
	if
	:: claimed ->
#ifdef BUG_CLAIM_WITHOUT_FENCE
	   claimed = !spinner;
	   wakes++
#else
	   wakes++;
	   claimed = !spinner
#endif
	:: else
	fi
}

/* futex_wake of one: whichever the kernel likes. */
inline ring()
{
	if
	:: !claimed || NOBODY
	:: atomic { claimed && waiting[0] -> waiting[0] = 0 }
	:: atomic { claimed && waiting[1] -> waiting[1] = 0 }
#if NW > 2
	:: atomic { claimed && waiting[2] -> waiting[2] = 0 }
#endif
	fi;
	claimed = 0
}

/* With the lock: a range of slots. */
inline claim()
{
	if
	:: queued != 0 -> queued--; held[w] = 1
	:: queued >= 4 -> queued = queued - 2; held[w] = 2
#ifdef BUG_CLAIM_ALL
	:: queued >= 2 -> held[w] = queued; queued = 0
#endif
	:: queued == 0
	fi;
	eager = (queued != 0 && eager)
}

inline steal()
{
	v = 0;
	do
	:: v < NW && !job ->
	   d_step {
		if
		:: held[v] != 0 -> held[v]--; job = 1
		:: else
		fi;
		v++
	   }
	:: else -> v = 0; break
	od
}

inline next_slot()
{
	d_step {
		if
		:: held[w] != 0 -> held[w]--; job = 1
		:: else -> job = 0
		fi
	}
}

inline watch()
{
	if
	:: atomic { !spinner -> spinner = 1 };
	   if
	   :: wakes != seen
	   :: true /* it takes too long */
	   fi;
	   buffered[w] = 1;
#ifndef BUG_WATCH_WITHOUT_FENCE
	   !buffered[w]
#endif
	:: true /* it does not pay, or another looks */
	fi
}

/* With the lock: who timed out need not be who was rung. */
inline arrive()
{
	resting--;
	if
#ifdef BUG_TIMEOUT_CLAIMS_NOTHING
	:: in_vain && asleep != 0 -> asleep--
	:: !(in_vain && asleep != 0) && claims != 0 -> claims--; in_vain = 0
#else
	:: claims != 0 ->
	   claims--;
#ifndef BUG_CLAIMED_LEAVES
	   in_vain = 0
#endif
#endif
	:: else -> asleep--
	fi
}

proctype worker(byte w; bit idle)
{
	byte seen, v;
	bit job, claimed, in_vain;

	if
	:: idle -> goto nap
	:: else
	fi;
end_off:
	started[w];
	atomic { LOCK; starting-- };
look:	atomic { /* find; nobody steals from the range without the lock */
		claim();
		if
		:: held[w] != 0 -> held[w]--; job = 1
		:: else
		fi;
#ifdef BUG_NO_CHAIN
		claimed = 0
#else
		claim_sleeper()
#endif
	};
	count_wake();
#ifndef BUG_NO_STEAL
	if
	:: !job -> steal()
	:: else
	fi;
#endif
#ifdef BUG_COUNT_AFTER_UNLOCK
	seen = wakes;
	UNLOCK;
	if
	:: !job -> atomic { LOCK; asleep++; resting++ }; UNLOCK
	:: else
	fi;
#else
#ifdef BUG_WAKES_AFTER_UNLOCK
	atomic { asleep = asleep + !job; resting = resting + !job; UNLOCK };
	seen = wakes;
#else
	atomic { asleep = asleep + !job; resting = resting + !job;
	    seen = (job -> 0 : wakes); UNLOCK };
#endif
#endif
	ring();
	if
	:: job ->
	   do
	   :: job ->
	      if
	      :: over++
	      :: stuck++;
end_stuck:       false
	      fi;
	      next_slot()
	   :: else -> break
	   od;
	   atomic { LOCK; goto look }
	:: else
	fi;
nap:	watch();
#ifdef BUG_WAIT_FOR_NEW_WAKES
	seen = wakes;
#endif
	if
	:: wakes == seen ->
	   waiting[w] = (wakes == seen);
end_asleep:
	   if
	   :: !waiting[w]
	   :: atomic { waiting[w] && timeouts != 0 ->
		waiting[w] = 0; timeouts--; in_vain = 1 }
	   fi
	:: else
	fi;
	atomic {
		LOCK;
		arrive();
		seen = 0;
		if
#ifdef BUG_CLAIMED_LEAVES
		:: !in_vain -> goto look
#else
		:: !in_vain || queued != 0 -> in_vain = 0; goto look
#endif
		:: else -> in_vain = 0; workers--; started[w] = 0
		fi;
		UNLOCK;
		goto end_off
	}
}

/* With the lock: workers enough for what is queued and more jobs. */
inline grow(more)
{
	do
	:: v < NW && asleep + claims + starting < queued + more ->
	   if
	   :: !started[v] -> started[v] = 1; starting++; workers++
	   :: else
	   fi;
	   v++
	:: else -> v = 0; break
	od
}

proctype putter()
{
	byte n, v;
	bit claimed;

	do
	:: n < PUTS ->
	   atomic {
		LOCK;
		grow(1);
		queued++;
		n++;
		eager = 1;
		claim_sleeper()
	   };
	   count_wake();
	   UNLOCK;
	   ring()
	:: else -> break
	od
}

/* The ring waits until the cork has let go, if it does. */
inline flush()
{
	atomic {
		LOCK;
		queued = queued + count;
		count = 0;
		grow(0);
		eager = eager || last;
#ifndef BUG_FLUSH_WITHOUT_CLAIM
		claim_sleeper();
#endif
#ifdef BUG_CLAIMED_IS_ENOUGH
		last = (last || queued == 0 || claimed || asleep == 0)
#else
		last = (last || queued == 0 || (claimed && eager) || asleep == 0)
#endif
	};
	count_wake();
	UNLOCK;
	atomic { LOCK; linked = !last; UNLOCK };
	ring()
}

/* A turn that submits, and then sleep. */
proctype loop()
{
	byte v, count = TURN;
	bit claimed, last;

	flush();
#ifndef BUG_NO_NUDGE
	if
	:: linked -> last = 1; flush()
	:: else
	fi
#endif
}

/* When nothing moves any more. */
proctype quiet()
{
	timeout;
	assert(over + stuck + queued + HELD == TURN + PUTS);
	assert(queued + HELD == 0 || (resting == 0 && workers == NW))
}

active proctype memory()
{
end:	do
	:: atomic { buffered[0] -> buffered[0] = 0; spinner = 0 }
	:: atomic { buffered[1] -> buffered[1] = 0; spinner = 0 }
#if NW > 2
	:: atomic { buffered[2] -> buffered[2] = 0; spinner = 0 }
#endif
	od
}

init
{
	byte v;
	bit idle;

	atomic {
		if /* all are asleep, or not there yet */
		:: idle = 1;
		   workers = NW;
		   asleep = NW;
		   resting = NW
		:: true
		fi;
		do
		:: v < NW -> started[v] = idle; run worker(v, idle); v++
		:: else -> break
		od;
		run putter();
		run loop();
		run quiet()
	}
}
