/* SPDX-License-Identifier: ISC */
/*
 * wakeup: a loop falls asleep while threads post to it and a job is refused;
 * the callback of the last post closes the loop.
 *
 * door_post, door_park, door_empty, door_collect (lib/door.h); collect, spin,
 * eddy__loop_alive, eddy__door_drop (lib/loop.c); eddy_post, fire
 * (lib/post.c); eddy__job_withdraw (lib/job.c).
 *
 * Memory: a read-modify-write is no fence.  Without one behind it a load of
 * another word may come before its store.
 *
 * Properties: the loop never sleeps for ever with something to do (quiet);
 * what was written before a post, also one that said -EALREADY, is seen; no
 * node is run twice; a post rings just once for each sleep; the door is freed,
 * and nobody touches it afterwards.
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
#define ASLEEP 255

mtype = { NOT, A_WHILE, FOREVER };

byte stack;               /* its thread's number and 1; 0: none; or ASLEEP */
byte next[NP + 1];
bit edge;                 /* of the eventfd, not yet reported */
bit accepted = REFUSED;   /* the job that will be refused */
byte refs = 1;
bit gone;                 /* the door's memory is freed */
bit state[NP];            /* of the posts */
byte data[NP], seen[NP];
bit posted[NP];           /* the last one is in, or is heard with another */
byte owed;                /* rings: one for each push onto ASLEEP */

#define DOOR assert(!gone) /* it is touched */
#define DROP atomic { DOOR; refs--; gone = (refs == 0) }
#define HOLD d_step { DOOR; refs++; held = 1 }

inline post(node)
{
	d_step { DOOR; top = stack; first = top };
	do
	:: true ->
#ifndef BUG_HOLD_AFTER_PUSH
	   if
	   :: top == ASLEEP && !held -> HOLD
	   :: else
	   fi;
#endif
#ifndef BUG_LINK_AFTER_PUSH
	   next[node] = (top == ASLEEP -> 0 : top);
#endif
	   if
	   :: atomic { stack == top ->
		DOOR; stack = node; owed = owed + (top == ASLEEP); break }
	   :: atomic { stack != top -> DOOR; top = stack }
	   fi
	od;
#ifdef BUG_LINK_AFTER_PUSH
	next[node] = (top == ASLEEP -> 0 : top);
#endif
#ifdef BUG_RING_BY_FIRST_LOOK
	top = first;
#endif
#ifdef BUG_RING_WHEN_EMPTY
	top = (top == 0 -> ASLEEP : top);
#endif
#ifdef BUG_HOLD_AFTER_PUSH
	if
	:: top == ASLEEP && !held -> HOLD
	:: else
	fi;
#endif
	if
	:: top == ASLEEP -> d_step { DOOR; assert(owed); owed--; edge = 1 }
	:: else
	fi;
	if
	:: held -> DROP; held = 0
	:: else
	fi;
	top = 0;
	first = 0
}

proctype thread(byte i)
{
	byte top, first, n;
	bit pending, held;

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
	asleep = (stack == ASLEEP);
	accepted = 0;
#else
	accepted = 0;
	d_step { DOOR; asleep = (stack == ASLEEP) };
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

/* True: asleep.  Not if something came in meanwhile. */
inline park()
{
#ifdef BUG_PARK_WITHOUT_FENCE
	job = accepted;
#endif
#ifdef BUG_PARK_BY_STORE
	if
	:: stack == 0 -> stack = ASLEEP; asleep = 1
	:: else -> asleep = 0
	fi;
#else
	atomic {
		asleep = (stack == 0);
		stack = (asleep -> ASLEEP : stack)
#ifdef BUG_SLEEP_ANYWAY
		; asleep = 1
#endif
	};
#endif
#ifndef BUG_PARK_WITHOUT_FENCE
	job = accepted
#endif
}

/* All that was pushed leaves the stack before any of it runs: from then on its
 * thread may push it again. */
inline run_all()
{
#ifdef BUG_UNPARK_BY_STORE
	if
	:: stack == ASLEEP -> stack = 0
	:: else
	fi;
#endif
	d_step { node = stack; stack = 0 };
	do
	:: node != 0 && node != ASLEEP ->
#ifdef BUG_RUN_WHILE_WALKING
	   fire(node - 1);
#else
	   assert(!got[node]);
	   got[node] = 1;
#endif
	   node = next[node]
	:: else -> node = 0; break
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
#define HELD (!HEARD(0) || !HEARD(1) || !HEARD(2))
#else
#define HELD (!HEARD(0) || !HEARD(1))
#endif

proctype loop()
{
	mtype wait = NOT;
	byte node;
	bit got[NP + 1];
	bit asleep, job;

	do
	:: HELD || accepted ->
	   if /* what spin says: there is something, or sleep */
	   :: stack != 0 -> wait = NOT
	   :: wait = A_WHILE /* until a timer is due */
	   :: wait = FOREVER
	   fi;
	   if
	   :: wait != NOT ->
	      park();
	      if
	      :: !asleep -> wait = NOT
#ifndef BUG_PARK_WITHOUT_COUNT
	      :: asleep && wait == FOREVER && !HELD && !job -> wait = NOT
#endif
	      :: else
	      fi
	   :: else
	   fi;
	   if
	   :: wait == FOREVER -> atomic { edge -> edge = 0 }
	   :: else -> edge = 0
	   fi;
	   asleep = 0;
	   job = 0;
	   if
	   :: stack != 0 -> run_all()
	   :: else
	   fi
	:: else -> break
	od;
	DROP
}

/* When nothing moves any more. */
proctype quiet()
{
	timeout;
	assert(gone && !owed)
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
		run quiet()
	}
}
