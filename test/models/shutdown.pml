/* SPDX-License-Identifier: ISC */
/*
 * shutdown: a thread pool is closed, with a time limit, while it works.
 *
 * close_pool, wait_for_leave, running, flush, unlink_cork, put, deserted,
 * eddy__pool_fail_queue, eddy__pool_destroy (lib/thread_pool.c); find, run,
 * rest, leave, eddy__worker_join (lib/thread_worker.c); admit,
 * eddy_executor_room, eddy_executor_close (lib/executor.c).
 *
 * What a lock guards is one step.  START workers are there, flush and put may
 * add one.  Job 0 is in the queue, job 1 in the cork of another thread's loop,
 * job 2 waits for room.  Job 0 may run for as long as close lasts, the turn of
 * the loop too, and its cork may stay until the loop sleeps; once a worker may
 * leave because it is idle.
 *
 * Properties: the pool is freed once, by close or by the last to leave, and
 * nobody touches it afterwards; so is each worker's memory.  The close returns
 * when its time is over, and destroys the pool itself only when all have left.
 * Each job has one outcome.
 */
#ifndef START
#define START 2
#endif
#define NJ 3
#define NW 2
#define NONE 255

bit gone_pool;         /* its memory is freed */
bit closing, eclosing; /* of the pool, of the executor */
bit abandoned;
byte wakes;
byte workers = START;
byte corks = 1;
byte gone;             /* a worker's number and 1, or 0 */
bit started[NW];       /* is or was in the list of workers */
bit busy[NW];          /* worker->name is not NULL */
bit thread_over[NW];
byte freed[NW];        /* its memory: how often */
bit detached[NW];
bit listed[NJ];        /* in the queue */
byte waiting = 1;      /* executor->waiting */
bit waiter = 1;        /* job 2 is in executor->waiters */
byte room;
bit ended[NJ];
bit idle_leaves = 1;   /* once more */
bit sleeps;            /* close, on pool->left */
bit closed;

#define POOL assert(!gone_pool) /* it is touched */
#define QUEUED (listed[0] + listed[1] + listed[2])
#define SIGNAL sleeps = 0
#define END(j) assert(!ended[j]); ended[j] = 1

inline destroy()
{
	d_step { POOL; gone_pool = 1 }
}

inline join_worker(number)
{
	if
	:: number != 0 ->
	   assert(!detached[number - 1]);
	   thread_over[number - 1];
	   d_step { freed[number - 1]++; number = 0 }
	:: else
	fi
}

/* With the lock. */
inline fail_queue()
{
	i = 0;
	do
	:: i < NJ ->
	   if
	   :: listed[i] -> listed[i] = 0; END(i)
	   :: else
	   fi;
	   i++
	:: else -> i = 0; break
	od
}

/* With the lock: another worker, if the queue is thought to need it. */
inline grow()
{
	if
	:: !started[1] && QUEUED != 0 -> started[1] = 1; workers++
	:: true
	fi
}

/* The executor's submit of the job that waits. */
inline put()
{
	atomic {
		POOL;
		if
		:: closing -> refused = 1
		:: !closing -> refused = 1; no_room = 1
		:: !closing -> listed[2] = 1; wakes++; grow()
		fi
	}
}

/* With the executor's lock: the one that waits, if this thread hands out. */
inline pop()
{
	if
	:: mine && room != 0 && waiter -> waiter = 0; out = 1; before = room
	:: else ->
	   room = (mine -> 0 : room);
	   mine = 0;
	   out = 0;
	   before = 0
	fi
}

inline admitted()
{
	if
#ifdef BUG_ADMIT_WITHOUT_CLOSING
	:: no_room ->
#else
	:: no_room && !eclosing ->
#endif
	   waiter = 1;
	   room = room - before
	:: else ->
	   waiting--;
	   if
	   :: refused -> END(2)
	   :: else -> room--
	   fi
	fi;
	refused = 0;
	no_room = 0
}

inline make_room()
{
	if
	:: waiting != 0 ->
	   atomic { POOL; mine = (room == 0); room++; pop() };
	   do
	   :: out ->
	      put();
	      atomic { POOL; admitted(); pop() }
	   :: else -> break
	   od
	:: else
	fi
}

proctype worker(byte w)
{
	byte seen, i, before, number, job = NONE;
	bit mine, out, refused, no_room, in_vain, last, by_me;

end_off:
	started[w];
look:	atomic { /* find */
		POOL;
		do
		:: i < NJ && !listed[i] -> i++
		:: else -> break
		od;
		if
		:: i < NJ ->
		   listed[i] = 0;
		   job = i;
#ifndef BUG_MARK_AFTER_UNLOCK
		   busy[w] = 1
#endif
		:: else ->
#ifdef BUG_ASLEEP_WHILE_CLOSING
		   seen = wakes
#else
		   seen = wakes - closing
#endif
		fi;
		i = 0
	};
	if
	:: job != NONE ->
	   busy[w] = 1;
	   make_room();
	   if
	   :: true
	   :: job == 0 -> closed /* it does not end before */
	   fi;
	   atomic { busy[w] = 0; END(job); job = NONE };
	   goto look
	:: else
	fi;
	if
	:: wakes != seen
	:: atomic { idle_leaves && wakes == seen ->
		idle_leaves = 0; in_vain = 1 }
	fi;
	atomic {
		POOL;
		seen = 0;
		if
		:: QUEUED != 0 || (!closing && !in_vain) ->
		   in_vain = 0;
		   goto look
		:: else
		fi;
		/* leave */
		in_vain = 0;
		number = gone;
		by_me = abandoned;
		workers--;
#ifdef BUG_LAST_WITHOUT_CORKS
		last = (workers == 0);
#else
		last = (workers == 0 && corks == 0);
#endif
#ifdef BUG_GONE_KEPT
		gone = w + 1;
#else
		gone = (abandoned -> 0 : w + 1);
#endif
		SIGNAL
	};
#ifdef BUG_ABANDONED_READ_LATE
	d_step { POOL; by_me = abandoned };
#endif
	join_worker(number);
	if
	:: by_me ->
	   d_step { detached[w] = 1; freed[w]++ };
	   if
	   :: last -> destroy()
	   :: else
	   fi
	:: else
	fi;
	thread_over[w] = 1
}

/* The end of a turn, in another thread than that of close. */
proctype turn()
{
	byte i, before;
	bit mine, out, refused, no_room, last;

	if
	:: true
	:: closed /* a long turn */
	fi;
	atomic {
		POOL;
		listed[1] = 1;
		grow();
		if
		:: closing -> fail_queue(); last = 1
		:: else -> wakes++
		fi
	};
	if
	:: !last -> make_room()
	:: else
	fi;
	if
	:: true
	:: !last -> closed /* it stays until the loop sleeps */
	fi;
	atomic {
		POOL;
		corks = 0;
		SIGNAL;
#ifdef BUG_FLUSH_NEVER_LAST
		last = 0
#else
		last = (abandoned && workers == 0)
#endif
	};
	if
	:: last -> destroy()
	:: else
	fi
}

proctype closer()
{
	byte i, number;
	bit late, left, timed_out;

	atomic { /* eddy_executor_close */
		POOL;
		eclosing = 1;
		if
		:: waiter -> waiter = 0; waiting--; END(2)
		:: else
		fi
	};
	atomic { /* close_pool */
		POOL;
		closing = 1;
		wakes++;
		fail_queue()
	};
look:	atomic { /* wait_for_leave */
		POOL;
		left = (workers == 0 && corks == 0);
		late = (busy[0] || busy[1] || corks != 0);
		if
		:: left || (late && timed_out)
		:: else -> sleeps = 1; goto sleep
		fi;
		number = gone;
		gone = 0;
#ifndef BUG_ABANDON_AFTER_UNLOCK
		abandoned = !left
#endif
	};
#ifdef BUG_ABANDON_AFTER_UNLOCK
	abandoned = !left;
#endif
#ifndef BUG_CLOSE_WITHOUT_JOIN
	join_worker(number);
#endif
	if
	:: left -> destroy()
	:: else
	fi;
	closed = 1;
	goto end_closed;
sleep:	if
	:: !sleeps
	:: d_step { late && sleeps -> sleeps = 0; timed_out = 1 }
	fi;
	goto look;
end_closed:
	skip
}

/* When nothing moves any more. */
proctype quiet()
{
	timeout;
	assert(closed && gone_pool && waiting == 0);
	assert(ended[0] && ended[1] && ended[2]);
	assert(freed[0] == started[0] && freed[1] == started[1])
}

init
{
	atomic {
		started[0] = 1;
		started[1] = (START == 2);
		listed[0] = 1;
		run worker(0);
		run worker(1);
		run turn();
		run closer();
		run quiet()
	}
}
