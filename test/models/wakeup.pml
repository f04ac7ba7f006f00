/* SPDX-License-Identifier: ISC */
/*
 * wakeup: a loop falls asleep while threads post to it and a job is refused.
 *
 * door_push, door_park, door_unpark, door_collect (lib/door.h); collect, spin,
 * eddy__loop_alive (lib/loop.c); eddy_post, fire (lib/post.c);
 * eddy__job_withdraw (lib/executor.c).
 *
 * Memory: the loop's stores to parked sit in a store buffer that a fence
 * drains.  A compare-and-swap is no fence: without one the load behind it may
 * come before its store.
 *
 * Properties: the loop never sleeps for ever with something to do (end state);
 * what was written before a post, also one that said -EALREADY, is seen; no node
 * is run twice; one ring for each sleep at most.
 */
#ifndef NP
#define NP 2 /* threads, with one post each */
#endif
#ifndef K
#define K 2 /* posts of a thread */
#endif

mtype = { NOT, A_WHILE, FOREVER };

byte stack;               /* a node is its thread's number and 1; 0: none */
byte next[NP + 1];
bit parked;
bit buffered, store;      /* what the loop stored to parked, not yet in memory */
bit edge;                 /* of the eventfd, not yet reported */
byte accepted;            /* jobs of other threads */
bit state[NP];            /* of the posts */
byte data[NP], seen[NP];
bit owed;                 /* one ring, for the last park */

#define STORE(v) atomic { !buffered -> store = v; buffered = 1 }
#define FENCE (!buffered)

inline push(node)
{
#ifdef BUG_LINK_AFTER_PUSH
	d_step { top = stack; stack = node };
	next[node] = top;
#else
	top = stack;
	do
	:: next[node] = top;
#ifdef BUG_PUSH_WITHOUT_FENCE
	   asleep = parked;
#endif
	   if
	   :: atomic { stack == top -> stack = node }; break
	   :: atomic { stack != top -> top = stack }
	   fi
	od;
#endif
#ifndef BUG_PUSH_WITHOUT_FENCE
	asleep = parked;
#endif
	if
	:: asleep ->
#ifdef BUG_RING_UNCLAIMED
	   assert(owed);
	   owed = 0;
	   edge = 1
#else
	   d_step {
		asleep = parked;
		parked = 0;
		if
		:: asleep -> assert(owed); owed = 0
		:: else
		fi
	   };
	   if
	   :: asleep -> edge = 1
	   :: else
	   fi
#endif
	:: else
	fi
}

proctype thread(byte i)
{
	byte top, n;
	bit pending, asleep;

	do
	:: n < K ->
	   n++;
	   data[i] = n;
	   d_step { pending = state[i]; state[i] = 1 };
	   if
	   :: !pending -> push(i + 1)
	   :: else
	   fi
	:: else -> break
	od
}

/* A submit from another thread that the executor does not take. */
proctype refused()
{
	bit asleep;

	accepted++;
#ifdef BUG_WITHDRAW_WITHOUT_FENCE
	asleep = parked;
	accepted--;
#else
	accepted--;
	asleep = parked;
#endif
#ifndef BUG_WITHDRAW_WITHOUT_RING
	if
	:: asleep -> edge = 1
	:: else
	fi
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
	   node = next[node]
#else
	   assert(!got[node]);
	   got[node] = 1;
	   node = next[node]
#endif
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

#if NP > 2
#define HELD (seen[0] != K || seen[1] != K || seen[2] != K)
#else
#define HELD (seen[0] != K || seen[1] != K)
#endif
#define ALIVE (HELD || accepted != 0)

active proctype loop()
{
	mtype wait;
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
	od
}

active proctype memory()
{
end:	do
	:: atomic { buffered -> parked = store; owed = owed | store; buffered = 0 }
	od
}

init
{
	atomic {
		run thread(0);
		run thread(1);
#if NP > 2
		run thread(2);
#endif
		run refused()
	}
}
