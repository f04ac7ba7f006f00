/* SPDX-License-Identifier: ISC */
/*
 * wakeup: a loop falls asleep while threads post to it and a job is refused;
 * the callback of the last post closes the loop.
 *
 * door_post, door_park, door_unpark, door_collect (lib/door.h); collect, spin,
 * eddy__loop_alive, eddy__door_drop (lib/loop.c); eddy_post, fire (lib/post.c);
 * eddy__job_withdraw (lib/executor.c).
 *
 * Memory: the loop's stores to parked sit in a store buffer that a fence
 * drains.  A compare-and-swap is no fence: without one the load behind it may
 * come before its store.
 *
 * Properties: the loop never sleeps for ever with something to do (end state);
 * what was written before a post, also one that said -EALREADY, is seen; no node
 * is run twice; one ring for each sleep at most; the door is freed, and nobody
 * touches it afterwards.
 */
#ifndef NP
#define NP 2 /* threads, with one post each */
#endif
#ifndef K
#define K 1 /* posts of a thread */
#endif
#ifndef REFUSED
#define REFUSED 1 /* jobs */
#endif

mtype = { NOT, A_WHILE, FOREVER };

byte stack;               /* a node is its thread's number and 1; 0: none */
byte next[NP + 1];
bit parked;
bit buffered, store;      /* what the loop stored to parked, not yet in memory */
bit edge;                 /* of the eventfd, not yet reported */
bit accepted = REFUSED;   /* the job that will be refused */
byte refs = 1;
bit gone;                 /* the door's memory is freed */
bit state[NP];            /* of the posts */
byte data[NP], seen[NP];
bit posted[NP];           /* the last one is in, or is heard with another */
bit owed;                 /* one ring, for the last park */

#define DOOR assert(!gone) /* it is touched */
#define STORE(v) atomic { !buffered -> store = v; buffered = 1 }
#define FENCE (!buffered)
#define DROP d_step { DOOR; refs--; gone = (refs == 0) }

/* True: asleep, and this caller has claimed the ring. */
inline claim_ring()
{
#ifndef BUG_PUSH_WITHOUT_FENCE
	d_step { DOOR; asleep = parked };
#endif
	if
	:: asleep ->
#ifdef BUG_RING_UNCLAIMED
	   d_step { assert(owed); owed = 0 }
#else
	   d_step {
		DOOR;
		asleep = parked;
		parked = 0;
		if
		:: asleep -> assert(owed); owed = 0
		:: else
		fi
	   }
#endif
	:: else
	fi
}

inline post(node)
{
#ifdef BUG_LINK_AFTER_PUSH
	d_step { refs++; held = 1; top = stack; stack = node };
	next[node] = top;
#else
	d_step { DOOR; top = stack };
	do
	:: true ->
#ifndef BUG_HOLD_AFTER_PUSH
	   if
	   :: top == 0 && !held -> d_step { DOOR; refs++; held = 1 }
	   :: else
	   fi;
#endif
	   next[node] = top;
#ifdef BUG_PUSH_WITHOUT_FENCE
	   asleep = parked;
#endif
	   if
	   :: atomic { stack == top -> DOOR; stack = node }; break
	   :: atomic { stack != top -> DOOR; top = stack }
	   fi
	od;
#ifdef BUG_HOLD_AFTER_PUSH
	if
	:: top == 0 -> d_step { DOOR; refs++; held = 1 }
	:: else
	fi;
#endif
#endif
	if
#ifdef BUG_ALL_RING
	:: true -> claim_ring()
#else
	:: top == 0 -> claim_ring()
	:: else -> asleep = 0
#endif
	fi;
	if
	:: asleep -> d_step { DOOR; edge = 1; asleep = 0 }
	:: else
	fi;
	if
	:: held -> DROP; held = 0
	:: else
	fi
}

proctype thread(byte i)
{
	byte top, n;
	bit pending, asleep, held;

	do
	:: n < K ->
	   n++;
	   data[i] = n;
	   d_step {
		DOOR;
		pending = state[i];
		state[i] = 1;
		posted[i] = (n == K)
	   };
	   if
	   :: !pending -> post(i + 1)
	   :: else
	   fi
	:: else -> break
	od
}

/* A submit from another thread that the executor does not take. */
proctype refused()
{
	bit asleep;

#ifndef BUG_WITHDRAW_WITHOUT_HOLD
	d_step { DOOR; refs++ };
#endif
#ifdef BUG_WITHDRAW_WITHOUT_FENCE
	asleep = parked;
	accepted = 0;
#else
	accepted = 0;
	d_step { DOOR; asleep = parked };
#endif
#ifndef BUG_WITHDRAW_WITHOUT_RING
	if
	:: asleep -> d_step { DOOR; edge = 1 }
	:: else
	fi;
#endif
#ifndef BUG_WITHDRAW_WITHOUT_HOLD
	DROP
#endif
}

inline fire(i)
{
#ifdef BUG_STATE_AFTER_CALLBACK
	seen[i] = data[i];
	state[i] = 0
#else
	state[i] = 0;
	seen[i] = data[i]
#endif
}

/* All that was pushed leaves the stack before any of it runs: from then on its
 * thread may push it again. */
inline run_all()
{
	d_step { node = stack; stack = 0 };
	do
	:: node != 0 ->
#ifdef BUG_RUN_WHILE_WALKING
	   fire(node - 1);
#else
	   assert(!got[node]);
	   got[node] = 1;
#endif
	   node = next[node]
	:: else -> break
	od;
	do
	:: node < NP ->
	   if
	   :: got[node + 1] -> got[node + 1] = 0; fire(node)
	   :: else
	   fi;
	   node++
	:: else -> node = 0; break
	od
}

/* Until the last posts were heard. */
#define HEARD(i) (posted[i] && !state[i] && seen[i] == K)
#if NP > 2
#define ALIVE (!HEARD(0) || !HEARD(1) || !HEARD(2) || accepted)
#else
#define ALIVE (!HEARD(0) || !HEARD(1) || accepted)
#endif

proctype loop()
{
	mtype wait = NOT;
	byte node;
	bit got[NP + 1];

	do
	:: ALIVE ->
	   if /* what spin says: there is something, or sleep */
	   :: stack != 0 -> wait = NOT
	   :: wait = A_WHILE /* until a timer is due */
	   :: wait = FOREVER
	   fi;
	   if
	   :: wait != NOT ->
	      STORE(1);
#ifndef BUG_PARK_WITHOUT_FENCE
	      FENCE;
#endif
#ifndef BUG_NO_SECOND_LOOK
	      if
	      :: stack != 0 -> STORE(0); wait = NOT
	      :: else
	      fi;
#endif
#ifndef BUG_PARK_WITHOUT_COUNT
	      if
	      :: wait == FOREVER && !ALIVE -> wait = NOT
	      :: else
	      fi
#endif
	   :: else
	   fi;
	   if
	   :: wait == FOREVER -> atomic { edge -> edge = 0 }
	   :: else -> edge = 0
	   fi;
	   STORE(0);
	   if
	   :: stack != 0 -> run_all()
	   :: else
	   fi
	:: else -> break
	od;
	FENCE;
	DROP
}

proctype memory()
{
end:	do
	:: atomic { buffered -> parked = store; owed = owed | store; buffered = 0 }
	od
}

/* When nothing moves any more. */
proctype quiet()
{
	timeout;
	assert(gone)
}

init
{
	atomic {
		run thread(0);
		run thread(1);
#if NP > 2
		run thread(2);
#endif
#if REFUSED
		run refused();
#endif
		run loop();
		run memory();
		run quiet()
	}
}
