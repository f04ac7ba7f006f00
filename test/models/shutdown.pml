/* SPDX-License-Identifier: ISC */
/*
 * shutdown: a thread pool is closed, with a time limit, while it works.
 *
 * close_pool, wait_for_leave, running, leave, join, find, rest, run, flush,
 * unlink_cork, fail_queue, put, destroy (lib/thread_pool.c); admit,
 * eddy_executor_room, eddy_executor_close (lib/executor.c).
 *
 * Two workers and one that flush or put may add; jobs 0 and 1 in the queue, job
 * 2 in the cork of another thread's loop, job 3 waits for room.  Job 0 may run
 * for as long as the close lasts, the turn of the loop too; once a worker may
 * leave because it is idle.  pool->corks is 1 while the cork is linked.
 *
 * Properties: the pool is freed once, by close or by the last to leave, and
 * nobody touches it afterwards; so is each worker's memory.  The close returns
 * when its time is over (end state), and with 0 only when all have left.  Each
 * job has one outcome.
 */
#define NJ 4
#define NW 3
#define NONE 255

bit lock;              /* of the pool */
bit elock;             /* of the executor */
bit gone_pool;         /* its memory is freed */
bit closing, eclosing, abandoned;
byte wakes;
byte workers = 2;
byte corks = 1;
byte gone;             /* a worker's number and 1, or 0 */
bit started[NW];       /* is or was in the list of workers */
bit job_of[NW];        /* worker->job is not NULL */
bit thread_over[NW];
byte freed[NW];        /* its memory: how often */
bit detached[NW];
bit listed[NJ];        /* in the queue */
bit corked = 1;        /* job 2 */
byte waiting = 1;      /* executor->waiting */
bit waiter = 1;        /* job 3 is in executor->waiters */
byte room;
bit ended[NJ];
bit idle_leaves = 1;   /* once more */
bit sleeps;            /* close, on pool->left */
bit time_over, closed;

/* Every access to the pool. */
#define POOL assert(!gone_pool)
#define LOCK atomic { lock == 0 -> POOL; lock = 1 }
#define UNLOCK d_step { POOL; lock = 0 }
#define ELOCK atomic { elock == 0 -> POOL; elock = 1 }
#define EUNLOCK d_step { POOL; elock = 0 }
#define QUEUED (listed[0] + listed[1] + listed[2] + listed[3])
#define SIGNAL sleeps = 0

inline end_job(j)
{
	d_step { assert(!ended[j]); ended[j] = 1 }
}

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
	   freed[number - 1]++
	:: else
	fi
}
