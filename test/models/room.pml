/* SPDX-License-Identifier: ISC */
/*
 * room: jobs wait for room in a queue that holds LIMIT, and one of them is
 * cancelled; meanwhile the executor is told to drain.
 *
 * eddy__job_submit, queue_up, admit, eddy_executor_room,
 * eddy__executor_unwait, eddy_executor_drain_then (lib/executor.c);
 * eddy__job_give_up (lib/job.c); queued, put, cancel (lib/thread_pool.c); run
 * (lib/thread_worker.c).
 *
 * Job 0 is in the queue.  Jobs 1 and 2 are submitted by threads that wait for
 * room, job 2 is cancelled by another; job 3 is refused when it finds no room.
 * Once a submit fails for another reason.  What a lock guards is one step.
 *
 * Memory: a worker's store to begun sits in a store buffer; a fence or a lock
 * drains it.
 *
 * Properties: nobody waits while there is room (quiet); each job that was
 * taken has one outcome; who waits is handed on in order; drain is called
 * once, when nobody waits any more.
 */
#ifndef LIMIT
#define LIMIT 1
#endif
#ifndef NW
#define NW 1 /* workers */
#endif
#ifndef CANCEL
#define CANCEL 1
#endif
#ifndef PLAIN
#define PLAIN 0
#endif
#define NJ 4
#define NONE 255

mtype = { IDLE, WAITING, QUEUED, LISTED, RUNNING, DONE };
mtype = { TAKEN, FULL, FAILED };

mtype state[NJ] = IDLE;
bit stop[NJ];
bit refused[NJ];        /* by submit */

/* Of the executor. */
byte line[NJ];          /* jobs that wait, the oldest first */
byte in_line;           /* how many are in it */
byte waiting;           /* or are on their way */
byte room;
byte admitting = NONE;
bit closing, draining;
bit drained;
byte turn[NJ], turns, last_turn; /* in which order they came to wait */

/* Of the pool. */
byte submitted, taken;
byte begun[NW];         /* in memory */
bit buffered[NW];       /* one more, not yet in memory */
bit failures = 1;       /* how many more */

#if NW > 1
#define USED (submitted - taken - begun[0] - begun[1])
#else
#define USED (submitted - taken - begun[0])
#endif
#define END(j) assert(state[j] != DONE); state[j] = DONE

/* With the lock.  The last one that waits lets the drain begin. */
inline unwait()
{
	waiting--;
	if
	:: waiting == 0 && draining -> assert(!drained); drained = 1
	:: else
	fi
}

inline put(j)
{
	atomic { /* the pool closes when it is drained */
		if
		:: drained -> assert(admitting != j); r = FAILED
		:: !drained && USED >= LIMIT -> r = FULL
		:: !drained && USED < LIMIT -> r = TAKEN; submitted++; state[j] = LISTED
		:: !drained && USED < LIMIT && failures != 0 -> failures--; r = FAILED
		fi
	}
}

/* With the lock: the oldest, for the one thread that hands out. */
inline pop()
{
	if
	:: mine && room != 0 && in_line != 0 ->
	   job = line[0];
	   line[0] = line[1];
	   line[1] = NONE;
	   in_line--;
	   state[job] = QUEUED;
	   admitting = job;
#ifdef BUG_UNWAIT_EARLY
	   unwait();
#endif
	   before = room
	:: else ->
	   room = (mine -> 0 : room);
	   mine = 0;
	   before = 0;
	   job = NONE
	fi
}

/* With the lock: what became of the submit. */
inline admitted()
{
	admitting = NONE;
	if
	:: r == FULL && !stop[job] ->
	   state[job] = WAITING;
#ifdef BUG_PUT_BACK_LAST
	   line[in_line] = job;
#else
	   line[1] = line[0];
	   line[0] = job;
#endif
	   in_line++;
#ifdef BUG_FORGET_MEANWHILE
	   room = 0
#else
	   room = room - before
#endif
	:: else ->
#ifndef BUG_UNWAIT_EARLY
	   unwait();
#endif
	   if
	   :: r == TAKEN ->
	      assert(turn[job] > last_turn);
	      last_turn = turn[job];
	      room--
	   :: else ->
	      END(job);
#ifdef BUG_FAILURE_TAKES_ROOM
	      room--
#endif
	   fi
	fi;
	r = FULL
}

inline make_room(n)
{
	if
	:: waiting != 0 ->
	   atomic {
#ifdef BUG_ALL_HAND_OUT
		mine = 1;
#else
		mine = (room == 0);
#endif
		room = room + n;
		pop()
	   };
	   do
	   :: job != NONE ->
	      put(job);
	      atomic { admitted(); pop() }
	   :: else -> break
	   od
	:: else
	fi
}

inline queue_up(j)
{
	atomic {
		if
		:: closing -> refused[j] = 1; state[j] = IDLE
		:: !closing && stop[j] -> END(j)
		:: !closing && !stop[j] ->
		   waiting++;
		   state[j] = WAITING;
		   line[in_line] = j;
		   in_line++;
		   turns++;
		   turn[j] = turns
		fi
	};
#ifndef BUG_NO_SECOND_TRY
	make_room(1)
#endif
}

proctype submitter(byte j; bit waits)
{
	byte job = NONE, before;
	mtype r = FULL;
	bit mine;

	state[j] = QUEUED;
	if
	:: closing -> refused[j] = 1; state[j] = IDLE
	:: else ->
	   if
	   :: waiting != 0
	   :: else ->
	      put(j)
	   fi;
	   if
	   :: r == FAILED || (r == FULL && !waits) ->
	      refused[j] = 1;
	      state[j] = IDLE
	   :: r == FULL && waits -> queue_up(j)
	   :: r == TAKEN
	   fi
	fi
}

proctype canceller(byte j)
{
	byte job = NONE, before;
	mtype r = FULL, was = IDLE;
	bit mine;

end_idle:
	state[j] != IDLE;
	atomic {
		!(admitting == j && state[j] == QUEUED) ->
		if
		:: state[j] == WAITING ->
		   if
		   :: line[0] == j -> line[0] = line[1]
		   :: else
		   fi;
		   line[1] = NONE;
		   in_line--;
		   unwait();
		   END(j);
		   goto over
		:: state[j] == IDLE || state[j] == DONE -> goto over
		:: else -> stop[j] = 1
		fi
	};
	atomic { /* the pool's cancel */
		was = state[j];
		if
		:: was == LISTED -> taken++; state[j] = QUEUED
		:: else
		fi
	};
	if
	:: was == LISTED -> make_room(1); END(j)
	:: else
	fi;
over:
	skip
}

proctype worker(byte w)
{
	byte i, job = NONE, before;
	mtype r = FULL;
	bit mine;

end_asleep:
	do
	:: atomic { !buffered[w] && (state[0] == LISTED || state[1] == LISTED ||
		state[2] == LISTED || state[3] == LISTED) ->
		do
		:: state[i] != LISTED -> i++
		:: else -> break
		od;
		state[i] = RUNNING
	   };
	   buffered[w] = 1;
#ifndef BUG_ROOM_WITHOUT_FENCE
	   !buffered[w];
#endif
	   make_room(1);
	   atomic { END(i); i = 0 }
	od
}

proctype drainer()
{
	atomic {
		closing = 1;
		draining = 1;
		if
		:: waiting == 0 -> assert(!drained); drained = 1
		:: else
		fi
	}
}

proctype memory()
{
end:	do
	:: atomic { buffered[0] -> buffered[0] = 0; begun[0]++ }
#if NW > 1
	:: atomic { buffered[1] -> buffered[1] = 0; begun[1]++ }
#endif
	od
}

#define OVER(j) ((state[j] == DONE && !refused[j]) || \
    (state[j] == IDLE && refused[j]))

/* When nothing moves any more. */
proctype quiet()
{
	timeout;
	assert(waiting == 0 && in_line == 0 && room == 0 && drained);
	assert(OVER(0) && OVER(1) && OVER(2) && OVER(3))
}

init
{
	atomic {
		state[0] = LISTED;
		submitted = 1;
		run submitter(1, 1);
		run submitter(2, 1);
#if PLAIN
		run submitter(3, 0);
#else
		refused[3] = 1;
#endif
#if CANCEL
		run canceller(2);
#endif
		run worker(0);
#if NW > 1
		run worker(1);
#endif
		run drainer();
		run memory();
		run quiet()
	}
}
