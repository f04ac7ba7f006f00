/* SPDX-License-Identifier: ISC */
/*
 * outcome: workers tell a loop of outcomes, by the stack of its door or by a
 * box of their own there, while the loop falls asleep.
 *
 * publish, rouse, run_batch, await_job (lib/thread_worker.c); outbox_put,
 * door_rouse, door_push, door_park, door_empty, door_collect (lib/door.h);
 * collect, run_box (lib/loop.c).  A worker that once had a box keeps it, and
 * pushes only what has no room there.
 *
 * Memory: what is put into a box sits in a store buffer that a fence drains, as
 * does a read-modify-write of the stack here (not everywhere; so there is a
 * fence where it counts).
 *
 * Properties: each outcome is heard once, with its result, and after that
 * nobody touches the job; the loop does not sleep for ever before all are heard
 * (quiet); somebody rings just once for each sleep; what a worker pushed before
 * it had a box is heard no later than what it put there.
 */
#ifndef NW
#define NW 2 /* workers */
#endif
#ifndef J
#define J 2 /* outcomes of each */
#endif
#define SLOTS 2 /* of a box */
#define ASLEEP 255
#define ALL (NW * J)

byte stack; /* an outcome; 0: none; or ASLEEP */
byte next[ALL + 1];
byte box[NW * SLOTS];
byte buffered[NW], place[NW]; /* put, but not in memory yet; and where */
byte in_memory[NW];           /* of the box: how many were put */
bit edge;                     /* of the eventfd, not yet reported */
byte owed;                    /* rings: one for each ASLEEP taken out */
bit result[ALL + 1], heard[ALL + 1], pushed[ALL + 1];
byte all;                     /* heard */

#define RING d_step { assert(owed); owed--; edge = 1 }

inline push(id)
{
	top = stack;
	do
	:: true ->
	   next[id] = (top == ASLEEP -> 0 : top);
	   buffered[w] == 0;
	   if
	   :: atomic { stack == top ->
		stack = id; owed = owed + (top == ASLEEP); pushed[id] = 1; break }
	   :: atomic { stack != top -> top = stack }
	   fi
	od;
	if
	:: top == ASLEEP -> RING
	:: else
	fi;
	top = 0
}

/* After a fence. */
inline rouse()
{
	if
	:: stack == ASLEEP ->
#ifdef BUG_ROUSE_BY_STORE
	   d_step { stack = 0; owed++; won = 1 };
#else
	   d_step {
		won = (stack == ASLEEP);
		stack = (won -> 0 : stack);
		owed = owed + won
	   };
#endif
#ifndef BUG_ROUSE_WITHOUT_RING
	   if
	   :: won -> RING
	   :: else
	   fi;
#endif
	   won = 0
	:: else
	fi
}

inline put(id)
{
	if
#ifdef BUG_PUT_WITHOUT_LOOK
	:: true ->
#else
	:: box[w * SLOTS + in] == 0 ->
#endif
	   buffered[w] == 0;
	   d_step {
		buffered[w] = id;
		place[w] = w * SLOTS + in;
		in = (in + 1) % SLOTS
	   }
	:: else -> push(id)
	fi
}

proctype worker(byte w)
{
	byte n, in, id, top;
	bit boxed, won;

	do
	:: n < J ->
	   id = w * J + n + 1;
#ifndef BUG_PUBLISH_BEFORE_RESULT
	   result[id] = 1;
#endif
	   if
	   :: boxed = 1
	   :: true
	   fi;
	   if
	   :: boxed ->
	      put(id);
#ifndef BUG_ROUSE_WITHOUT_FENCE
	      buffered[w] == 0;
#endif
#ifndef BUG_NO_ROUSE
	      rouse()
#endif
	   :: else -> push(id)
	   fi;
#ifdef BUG_PUBLISH_BEFORE_RESULT
	   result[id] = 1;
#endif
#ifdef BUG_TOUCH_AFTER_PUBLISH
	   assert(!heard[id]);
#endif
	   n++
	:: else -> break
	od
}

#define FULL(v) (in_memory[v] != out[v])
#if NW > 2
#define ANY_FULL (FULL(0) || FULL(1) || FULL(2))
#else
#define ANY_FULL (FULL(0) || FULL(1))
#endif

/* True: asleep.  Not if something came in meanwhile, unless who brought it has
 * taken ASLEEP out and rings. */
inline park()
{
#ifdef BUG_PARK_LOOKS_FIRST
	found = ANY_FULL;
#endif
	d_step {
		asleep = (stack == 0);
		stack = (asleep -> ASLEEP : stack)
	};
#ifdef BUG_PARK_WITHOUT_LOOK
	found = 0;
#else
#ifndef BUG_PARK_LOOKS_FIRST
	found = ANY_FULL;
#endif
#endif
	if
	:: asleep && found ->
#ifdef BUG_WAKE_BY_STORE
	   stack = 0;
	   asleep = 0
#else
	   d_step {
		asleep = (stack != ASLEEP);
		stack = (asleep -> stack : 0)
	   }
#endif
	:: else
	fi;
	found = 0
}

inline hear(id)
{
	assert(result[id] && !heard[id]);
	heard[id] = 1;
	all++
}

inline collect_boxes()
{
	v = 0;
	do
	:: v < NW -> end[v] = in_memory[v]; v++
	:: v == NW -> v = 0; break
	od
}

/* What came meanwhile waits for the next turn. */
#ifdef BUG_RUN_WHAT_CAME
#define LEFT(v) FULL(v)
#else
#define LEFT(v) (out[v] != end[v])
#endif

inline run_boxes()
{
	v = 0;
	do
	:: v < NW && LEFT(v) ->
	   d_step {
		hear(box[v * SLOTS + out[v] % SLOTS]);
		box[v * SLOTS + out[v] % SLOTS] = 0;
		out[v]++
	   }
	:: v < NW && !LEFT(v) -> v++
	:: v == NW -> v = 0; break
	od
}

inline collect_stack()
{
	d_step {
		v = stack;
		stack = 0;
		do
		:: v != 0 && v != ASLEEP -> hear(v); v = next[v]
		:: else -> break
		od;
		v = 0
	}
}

inline check_order()
{
	d_step {
		do
		:: v + 1 < ALL ->
		   v++;
		   assert(v % J == 0 || !heard[v + 1] || pushed[v + 1] ||
		       !pushed[v] || heard[v])
		:: else -> break
		od;
		v = 0
	}
}

proctype loop()
{
	byte out[NW], end[NW], v;
	bit asleep, found;

	do
	:: all < ALL ->
	   park();
	   if
	   :: asleep -> atomic { edge -> edge = 0 }
	   :: else -> edge = 0
	   fi;
	   asleep = 0;
#ifdef BUG_STACK_FIRST
	   collect_stack();
	   collect_boxes();
#else
	   collect_boxes();
	   collect_stack();
#endif
	   run_boxes();
	   check_order()
	:: else -> break
	od
}

/* When nothing moves any more. */
proctype quiet()
{
	timeout;
	assert(all == ALL && !owed)
}

#define DRAIN(w) \
	atomic { buffered[w] != 0 -> \
		box[place[w]] = buffered[w]; buffered[w] = 0; \
		in_memory[w]++ }

active proctype memory()
{
end:	do
	:: DRAIN(0)
	:: DRAIN(1)
#if NW > 2
	:: DRAIN(2)
#endif
	od
}

init
{
	atomic {
		run worker(0);
		run worker(1);
#if NW > 2
		run worker(2);
#endif
		run loop();
		run quiet()
	}
}
