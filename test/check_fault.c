/* SPDX-License-Identifier: ISC */
/*
 * check_fault: every scenario, with each of its system calls and allocations
 * failing in turn (fault.h).
 *
 * Whatever fails, a scenario must end, tell an error that it was given, answer
 * each job it accepted once, leave nothing behind and succeed the next time.
 * make check has one error of each call, make torture all of them.
 */
#include <eddy/blocking.h>
#include <eddy/child.h>
#include <eddy/dump.h>
#include <eddy/io.h>
#include <eddy/net.h>
#include <eddy/offload.h>
#include <eddy/post.h>
#include <eddy/process_pool.h>
#include <eddy/signal.h>
#include <eddy/stall.h>
#include <eddy/stats.h>
#include <eddy/strand.h>
#include <eddy/sync.h>
#include <eddy/thread_pool.h>
#include <eddy/timer.h>
#include <eddy/trace.h>
#include <eddy/transform.h>
#include <eddy/watch.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "atomics.h"
#include "census.h"
#include "fault.h"

enum {
	SLOW = CENSUS_TSAN || CENSUS_ASAN,
	SKIP = CENSUS_TSAN   ? 6
	       : CENSUS_ASAN ? 3
	                     : 1,
	SLACK = 3,             /* calls that a run may have more than another */
	HANG = SLOW ? 30 : 15, /* s */
	MANY = 20,             /* failures of a scenario are enough */
	PATIENT = 50,          /* ms that a second job may take to start */
};

static const char *scenario; /* its name */
static uint32_t told;        /* something has happened in another thread */
static uint32_t failures;    /* before it */
static bool all_errors;

/* How to replay it. */
static const char *
replay(void)
{
	static char text[200];

	snprintf(text, sizeof(text),
	    "--replay '%s' %s %s %u %d (%s: errno %d, %u fired)", scenario,
	    fault->place == HOST ? "host" : "children",
	    fault->later ? "from" : "only", fault->k, fault->choice,
	    fault->fired != 0 ? fault->name : "nothing failed", fault->error,
	    fault->fired);
	return text;
}

#define must(condition) ((condition) ? (void)0 : broken(#condition))

static _Noreturn void
broken(const char *what)
{
	fprintf(stderr, "%s; %s\n", what, replay());
	_exit(1);
}

/* Runs. */

static int
entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void
hung(int number)
{
	(void)number;
	broken("it hangs");
}

/* A joined thread stays in procfs a moment. */
static bool
threads_are(int n)
{
	int i;

	for (i = 0; i < 1000 && entries("/proc/self/task") > n; i++)
		usleep(1000);
	return entries("/proc/self/task") <= n;
}

/* What stands for the error of a call; errno 0: any of them. */
static const struct told {
	const char *name;
	int error, told;
} tells[] = {
    {"pthread_create", EAGAIN, ENOMEM}, /* the queue is not full */
    {"recvmsg", 0, EPIPE},              /* no zygote any more */
    {"recvmsg", 0, EPROTO},             /* no output from a worker */
    {"fstat", 0, EPROTO},
};

static bool
stands_for(int error)
{
	const struct told *it;

	if (error == ETIME && fault->later) /* a deadline */
		return true;
	/* The host hears only of their ends; or a job has missed a descriptor. */
	if (fault->place == CHILDREN)
		return error == ECHILD || error == EPIPE || error == EBADF;
	for (it = tells; it < tells + COUNT_OF(tells); it++)
		if (it->told == error &&
		    (fault->later ||
			(strcmp(it->name, fault->name) == 0 &&
			    (it->error == 0 || it->error == fault->error))))
			return true;
	return false;
}

/* One run: nothing of it stays. */
static void
attempt(int (*run)(void), enum fault_place place, uint32_t k, bool later,
    int choice)
{
	int fds = entries("/proc/self/fd"), r;
	int threads = entries("/proc/self/task") + CENSUS_TSAN;
	char text[40];

	fault_begin(place, k, later, choice);
	alarm(HANG);
	r = run();
	alarm(0);
	snprintf(text, sizeof(text), "it tells %d", r);
	if (r > 0 || (r < 0 && !fault_answered(-r) && !stands_for(-r)))
		broken(text);
	must(fault_live() == 0);
	must(entries("/proc/self/fd") == fds);
	must(threads_are(threads));
	must(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

/* A run in which nothing fails. */
static void
succeed(int (*run)(void))
{
	attempt(run, HOST, 0, false, 0);
}

/* In a process of its own, which may crash: did call k fail? */
static bool
try(int (*run)(void), enum fault_place place, uint32_t k, bool later,
    int choice)
{
	struct fault was;
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		attempt(run, place, k, later, choice);
		was = *fault;
		succeed(run);
		fault->fired = was.fired;
		fault->choices = was.choices;
		exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	fault->runs += fault->fired != 0;
	if (status == 0)
		return fault->fired != 0;
	fault->failed++;
	if (WIFSIGNALED(status))
		fprintf(stderr, "signal %d; %s\n", WTERMSIG(status), replay());
	return true;
}

/* Each error of call k, or one of them; false: the run has no call k. */
static bool
sweep_call(int (*run)(void), enum fault_place place, uint32_t k, bool later)
{
	int choice = all_errors ? 0 : (int)k + later;
	bool fired;

	do
		fired = try(run, place, k, later, choice);
	while (all_errors && ++choice < fault->choices);
	return fired;
}

/* Each k until the run has no more calls; make check leaves some out. */
static void
sweep_mode(int (*run)(void), enum fault_place place, bool later)
{
	uint32_t k, step = all_errors ? 1 : (later ? 3 : 1) * SKIP;
	int quiet = 0;

	for (k = 1; quiet < SLACK && fault->failed - failures < MANY; k += step)
		quiet = sweep_call(run, place, k, later) ? 0 : quiet + 1;
}

/* The first error of a run. */
static void
note(int *first, int r)
{
	if (r < 0 && *first == 0)
		*first = r;
}

/* The loop. */

enum { TIMERS = 70, WATCHES = 20 }; /* more than the first tables hold */

static struct alarm {
	struct eddy_timer timer;
	int calls;
} alarms[TIMERS];

static struct tap {
	struct eddy_watch watch;
	int ends[2], calls;
} taps[WATCHES];

static struct parcel {
	struct eddy_post post;
	int calls;
} parcel;

static void
on_alarm(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)loop;
	((struct alarm *)timer)->calls++;
}

static void
on_tap(struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)events;
	((struct tap *)watch)->calls++;
	eddy_watch_stop(loop, watch);
}

static void
on_parcel(struct eddy_loop *loop, struct eddy_post *post)
{
	((struct parcel *)post)->calls++;
	eddy_loop_release(loop);
}

static void *
send_parcel(void *loop)
{
	eddy_post(loop, &parcel.post);
	return NULL;
}

static int
start_all(struct eddy_loop *loop, int *started)
{
	int64_t now = eddy_now();
	int i, r, first = 0;

	for (i = 0; i < TIMERS; i++) {
		alarms[i] = (struct alarm){.calls = 0};
		eddy_timer_init(&alarms[i].timer, on_alarm);
		r = eddy_timer_start(loop, &alarms[i].timer, now + i);
		note(&first, r);
		*started += r == 0;
		must(eddy_timer_active(&alarms[i].timer) == (r == 0));
	}
	for (i = 0; i < WATCHES; i++) {
		taps[i].calls = 0;
		must(pipe(taps[i].ends) == 0);
		must(write(taps[i].ends[1], "x", 1) == 1);
		eddy_watch_init(&taps[i].watch, taps[i].ends[0], on_tap, 0);
		r = eddy_watch_start(loop, &taps[i].watch, EPOLLIN);
		note(&first, r);
		*started += r == 0;
	}
	return first;
}

static int
run_loop(void)
{
	int i, first, fired = 0, started = 0;
	struct eddy_stall_watch stalls = {.threshold = EDDY_S(1)};
	struct eddy_loop *loop;
	pthread_t thread;

	first = eddy_loop_open(&loop, NULL);
	if (first < 0)
		return first;
	note(&first, eddy_loop_fd(loop)); /* it can be run all the same */
	note(&first, eddy_stall_start(loop, &stalls));
	note(&first, eddy_trace_start(loop, 16));
	note(&first, eddy_dump_on_signal(loop, SIGUSR2));
	note(&first, start_all(loop, &started));
	parcel.calls = 0;
	eddy_post_init(&parcel.post, on_parcel);
	must(eddy_loop_hold(loop) == 0);
	must(pthread_create(&thread, NULL, send_parcel, loop) == 0);
	must(eddy_loop_run(loop) == 0);
	must(pthread_join(thread, NULL) == 0);
	for (i = 0; i < TIMERS; i++)
		fired += alarms[i].calls;
	for (i = 0; i < WATCHES; i++) {
		fired += taps[i].calls;
		close(taps[i].ends[0]);
		close(taps[i].ends[1]);
	}
	must(fired == started);
	must(parcel.calls == 1);
	must(eddy_loop_close(loop) == 0);
	return first;
}

/* Tasks.  What has begun has been left in order. */

static int begun, left;

struct nap {
	struct eddy_task task;
	int64_t duration;
};

static eddy_step
nap(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct nap, f);
	begun++;
	EDDY_TRY(eddy_sleep(self, f->duration));
	EDDY_FINALLY;
	left++;
	EDDY_END;
}

struct family {
	struct eddy_task task;
	struct nap embedded;
	int rc;
};

static eddy_step
family(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct family, f);
	begun++;
	EDDY_TRY(eddy_call(self, EDDY_INIT(&f->embedded, nap, .duration = 1)));
	for (f->rc = 0; f->rc < 70; f->rc++)
		(void)eddy_spawn(self, EDDY_NEW(nap, .duration = f->rc));
	EDDY_TRY(eddy_throttle(self, 3));
	EDDY_TRY(eddy_join_all(self));
	EDDY_AWAIT(
	    f->rc, eddy_timeout(self, 1, eddy_sleep(self, EDDY_S(3600))));
	if (f->rc != -ETIME)
		EDDY_RETURN(f->rc);
	f->rc = eddy_spawn(self, EDDY_NEW(nap, .duration = EDDY_S(3600)));
	if (f->rc == 0)
		f->rc = eddy_spawn(self, EDDY_NEW(nap, .duration = 1));
	if (f->rc < 0)
		EDDY_RETURN(f->rc);
	EDDY_TRY(eddy_race(self, NULL));
	EDDY_FINALLY;
	left++;
	EDDY_END;
}

static int
run_tasks(void)
{
	struct family frame;
	int r;

	begun = left = 0;
	r = eddy_run(EDDY_INIT(&frame, family));
	must(begun == left);
	must(begun == 74 || r < 0 || fault->fired != 0);
	return r;
}

/* Descriptors: a connection, and a pipe that does not block. */

enum { WORDS = 1 << 16 }; /* bytes, more than a pipe takes at once */

struct talk {
	struct eddy_task task;
	enum { LISTEN, TALK, POUR, DRINK } role;
	struct eddy_address address;
	int fd, conn, rc;
	char bytes[1000];
};

static char said[WORDS], heard[WORDS];

static eddy_step
talk(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct talk, f);
	begun++;
	if (f->role == LISTEN) {
		EDDY_TRY(f->conn, eddy_accept(self, f->fd, &f->address));
		EDDY_TRY(eddy_read_full(self, f->conn, heard, WORDS));
		EDDY_TRY(eddy_write(self, f->conn, "!", 1));
	} else if (f->role == TALK) {
		EDDY_TRY(eddy_connect(self, f->fd, &f->address));
		EDDY_TRY(eddy_write_full(self, f->fd, said, WORDS));
		EDDY_TRY(eddy_read(self, f->fd, f->bytes, 1000));
	} else if (f->role == POUR) {
		EDDY_TRY(eddy_write_full(self, f->fd, said, WORDS));
		EDDY_TRY(eddy_write_full(self, f->fd, said, WORDS));
	} else {
		do
			EDDY_TRY(
			    f->rc, eddy_timeout(self, EDDY_S(10),
				       eddy_read(self, f->fd, f->bytes, 1000)));
		while (f->rc > 0);
	}
	EDDY_FINALLY;
	if (f->role == LISTEN && f->conn > 0)
		eddy_close(self->loop, f->conn);
	if (f->role == POUR)
		eddy_close(self->loop, f->fd);
	left++;
	EDDY_END;
}

struct talks {
	struct eddy_task task;
	struct talk all[DRINK + 1];
	int i;
};

static eddy_step
talks(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct talks, f);
	for (f->i = LISTEN; f->i <= DRINK; f->i++)
		eddy_spawn(self, EDDY_INIT(&f->all[f->i], talk, .role = f->i,
				     .fd = f->all[f->i].fd,
				     .address = f->all[LISTEN].address));
	EDDY_FINALLY;
	eddy_close(self->loop, f->all[LISTEN].fd);
	eddy_close(self->loop, f->all[TALK].fd);
	eddy_close(self->loop, f->all[DRINK].fd);
	EDDY_END;
}

/* Of this machine only; any port. */
static int
listener_open(struct eddy_address *ret_address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&ret_address->name;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ret_address->size = sizeof(*in);
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(fd, (struct sockaddr *)in, sizeof(*in)) == 0);
	must(getsockname(fd, (struct sockaddr *)in, &ret_address->size) == 0);
	must(listen(fd, 4) == 0);
	return fd;
}

static int
run_talks(void)
{
	struct talks frame = {.i = 0};
	struct talk *listener = &frame.all[LISTEN];
	int fds[2], r;

	listener->fd = listener_open(&listener->address);
	frame.all[TALK].fd = socket(AF_INET, SOCK_STREAM, 0);
	must(pipe2(fds, O_NONBLOCK) == 0);
	frame.all[DRINK].fd = fds[0];
	frame.all[POUR].fd = fds[1];
	eddy_prepare(&frame.task, talks, "talks");
	begun = left = 0;
	r = eddy_run(&frame.task);
	must(begun == left);
	if (begun == 0) { /* not even a loop */
		close(listener->fd);
		close(frame.all[TALK].fd);
		close(fds[0]);
		close(fds[1]);
	}
	return r;
}

/* A file through a pipe into a socket. */

struct move {
	struct eddy_task task;
	int from, to, rc;
};

static eddy_step
move(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct move, f);
	begun++;
	EDDY_TRY(f->rc, eddy_copy(self, f->from, f->to, SIZE_MAX));
	EDDY_FINALLY;
	eddy_close(self->loop, f->to);
	left++;
	EDDY_END;
}

struct moves {
	struct eddy_task task;
	struct move in, out;
	struct eddy_event never;
	int file, pipe[2], pair[2];
};

static eddy_step
moves(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct moves, f);
	eddy_spawn(
	    self, EDDY_INIT(&f->in, move, .from = f->file, .to = f->pipe[1]));
	eddy_spawn(self,
	    EDDY_INIT(&f->out, move, .from = f->pipe[0], .to = f->pair[0]));
	eddy_event_init(&f->never);
	EDDY_TRY(eddy_until_hangup(self, f->pipe[1],
	    eddy_until(self, &f->never,
		eddy_read_full(self, f->pair[1], heard, WORDS))));
	EDDY_FINALLY;
	eddy_close(self->loop, f->pipe[0]);
	eddy_close(self->loop, f->pair[1]);
	EDDY_END;
}

static int
run_moves(void)
{
	struct moves f = {.file = memfd_create("fault", MFD_CLOEXEC)};
	int r;

	must(pwrite(f.file, said, WORDS, 0) == WORDS);
	must(pipe2(f.pipe, O_NONBLOCK) == 0);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f.pair) == 0);
	eddy_prepare(&f.task, moves, "moves");
	begun = left = 0;
	r = eddy_run(&f.task);
	must(begun == left);
	close(f.file);
	if (begun == 0) { /* not even a loop */
		for (int i = 0; i < 2; i++) {
			close(f.pipe[i]);
			close(f.pair[i]);
		}
	}
	return r;
}

/* Jobs. */

enum { JOBS = 8 };

struct call {
	struct eddy_job job;
	int in, answers;
	bool accepted;
};

static int
give(void *arg)
{
	int *in = arg;

	*in += 1;
	return 0;
}

static int
crash(void *arg)
{
	(void)arg;
	return raise(SIGKILL);
}

static void
on_call(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	((struct call *)job)->answers++;
}

static int
submit_by(struct eddy_executor *pool, struct eddy_loop *loop, struct call *call,
    eddy_job_fn *fn, int64_t deadline)
{
	int r;

	*call = (struct call){.in = 7};
	call->job = (struct eddy_job)EDDY_JOB(fn, &call->in);
	call->job.deadline = deadline;
	r = eddy_submit(pool, &call->job, loop, on_call);
	call->accepted = r == 0;
	return r;
}

/* Nobody but the fault may keep it from running; if all fail, not for ever. */
static int
submit(struct eddy_executor *pool, struct eddy_loop *loop, struct call *call,
    eddy_job_fn *fn)
{
	return submit_by(pool, loop, call, fn,
	    fault->later ? eddy_after(EDDY_MS(40 * (1 + SLOW * 4))) : 0);
}

/* Jobs that had their time: one outcome each. */
static int
answered(const struct call *calls, int n, eddy_job_fn *fn)
{
	int i, first = 0;

	for (i = 0; i < n; i++) {
		const struct call *call = &calls[i];

		must(call->answers == call->accepted);
		if (!call->accepted || call->job.fn != fn)
			continue;
		must(call->job.outcome != EDDY_NONE);
		must(call->in == 7 + (call->job.outcome == EDDY_RETURNED));
		note(&first, eddy_job_rc(&call->job));
	}
	return first;
}

/* n jobs on pool, on either kind; it is closed when this returns. */
static int
use_pool(struct eddy_loop *loop, struct eddy_executor *pool, int n)
{
	struct call calls[JOBS], closed[JOBS];
	int i, first = 0;

	for (i = 0; i < n; i++)
		note(&first, submit(pool, loop, &calls[i], give));
	must(eddy_loop_run(loop) == 0);
	note(&first, answered(calls, n, give));
	for (i = 0; i < n; i++)
		note(&first, submit(pool, loop, &closed[i], give));
	note(&first, eddy_executor_close(pool, EDDY_S(10)));
	must(eddy_loop_run(loop) == 0);
	answered(closed, n, give);
	return first;
}

/* Two workers of either kind, while use has them. */
typedef int use_fn(struct eddy_loop *loop, struct eddy_executor *pool);

static int
with(bool processes, use_fn *use)
{
	const struct eddy_thread_pool_options threads = {
	    .workers_max = 2, .interrupt_signal = SIGRTMAX - 1};
	static const struct eddy_process_pool_options options = {
	    .workers = 2, .flags = EDDY_PASS_DESCRIPTORS};
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	int first = eddy_loop_open(&loop, NULL);

	if (first < 0)
		return first;
	note(&first, processes ? eddy_process_pool_open(&pool, loop, &options)
			       : eddy_thread_pool_open(&pool, &threads));
	if (first == 0) {
		note(&first, use(loop, pool));
		note(&first, eddy_executor_close(pool, EDDY_S(10)));
		must(eddy_loop_run(loop) == 0);
	}
	must(eddy_loop_close(loop) == 0);
	return first;
}

static int
run_threads(int jobs)
{
	struct eddy_thread_pool_options options = {.workers_max = 2};
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	int first = eddy_loop_open(&loop, NULL);

	if (first < 0)
		return first;
	note(&first, eddy_thread_pool_open(&pool, &options));
	if (first == 0)
		note(&first, use_pool(loop, pool, jobs));
	must(eddy_loop_close(loop) == 0);
	return first;
}

/* Alone: else another wake-up may hide a lost one. */
static int
run_one_on_threads(void)
{
	return run_threads(1);
}

static int
run_many_on_threads(void)
{
	return run_threads(JOBS);
}

/* Through a strand, on workers that need a timer each. */
static int
run_strand(void)
{
	struct eddy_thread_pool_options options = {
	    .workers_max = 2, .interrupt_signal = SIGRTMIN + 1};
	struct eddy_executor *pool, *strand;
	struct eddy_loop *loop;
	int first = eddy_loop_open(&loop, NULL);

	if (first < 0)
		return first;
	note(&first, eddy_thread_pool_open(&pool, &options));
	if (first == 0) {
		note(&first, eddy_strand_open(&strand, pool, 0));
		if (first == 0)
			note(&first, use_pool(loop, strand, JOBS));
		must(eddy_executor_close(pool, EDDY_S(10)) == 0);
	}
	must(eddy_loop_close(loop) == 0);
	return first;
}

struct mix {
	struct eddy_task task;
	struct eddy_executor *pool;
	int array[4], *bytes;
	int rc, first;
};

static eddy_step
mix(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct mix, f);
	EDDY_AWAIT(f->rc,
	    eddy_map(self, NULL, give, f->array, 4, sizeof(f->array[0]), 2));
	note(&f->first, f->rc);
	EDDY_AWAIT(
	    f->rc, eddy_timeout(self, EDDY_S(5),
		       eddy_offload_owned(self, NULL, give, &f->bytes, free)));
	note(&f->first, f->rc);
	f->rc = eddy_loop_executor(self->loop, &f->pool);
	if (f->rc == 0)
		EDDY_AWAIT(
		    f->rc, eddy_executor_drain(self, f->pool, EDDY_S(5)));
	note(&f->first, f->rc);
	EDDY_RETURN(f->first);
	EDDY_END;
}

static int
run_mix(void)
{
	struct mix frame;
	int i, r;

	EDDY_INIT(&frame, mix, .bytes = calloc(1, sizeof(int)));
	r = eddy_run(&frame.task);
	for (i = 0; i < 4; i++)
		must(frame.array[i] == 1 || (r < 0 && frame.array[i] == 0));
	must(r < 0 || *frame.bytes == 1);
	free(frame.bytes);
	return r;
}

struct offload {
	struct eddy_task task;
	struct offload_kid {
		struct eddy_task task;
		int in;
	} kids[3];
	int i;
};

static eddy_step
offload_kid(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct offload_kid, f);
	EDDY_TRY(eddy_offload(self, NULL, give, &f->in));
	EDDY_END;
}

static eddy_step
offload(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct offload, f);
	for (f->i = 0; f->i < 3; f->i++)
		(void)eddy_spawn(
		    self, EDDY_INIT(&f->kids[f->i], offload_kid, .in = 7));
	EDDY_TRY(eddy_join_all(self));
	for (f->i = 0; f->i < 3; f->i++)
		if (f->kids[f->i].in != 8)
			EDDY_RETURN(-EBADMSG);
	EDDY_END;
}

static int
run_offload(void)
{
	struct offload frame;
	int r = eddy_run(EDDY_INIT(&frame, offload));

	must(r != -EBADMSG);
	return r;
}

static int
use_processes(struct eddy_loop *loop, struct eddy_executor *pool, int jobs)
{
	struct call calls[2];
	int first = 0;

	note(&first, submit(pool, loop, &calls[0], crash));
	note(&first, submit(pool, loop, &calls[1], give));
	must(eddy_loop_run(loop) == 0);
	note(&first, answered(calls, 2, give));
	note(&first, use_pool(loop, pool, jobs));
	return first;
}

static int
run_processes(struct eddy_process_pool_options options, int jobs)
{
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	int first, zygote;

	zygote = eddy_zygote_open(&options.zygote, 0);
	if (zygote < 0)
		return zygote;
	first = eddy_loop_open(&loop, NULL);
	if (first == 0) {
		note(&first, eddy_process_pool_open(&pool, loop, &options));
		if (first == 0)
			note(&first, use_processes(loop, pool, jobs));
		must(eddy_loop_close(loop) == 0);
	}
	must(eddy_zygote_close(options.zygote) == 0);
	return first;
}

static int
run_one_on_processes(void)
{
	return run_processes(
	    (struct eddy_process_pool_options){
		.workers = 1, .depth = 1, .slot_size = 64},
	    1);
}

static int
run_many_on_processes(void)
{
	return run_processes(
	    (struct eddy_process_pool_options){
		.workers = 2, .depth = 4, .slot_size = 64},
	    JOBS);
}

static int
use_nothing(struct eddy_loop *loop, struct eddy_executor *pool)
{
	(void)loop;
	(void)pool;
	return 0;
}

static int
run_own_zygote(void)
{
	return with(true, use_nothing);
}

/* With a home of its own. */
static int
run_homeless(void)
{
	/* In a forked test TSan has two threads of its own. */
	struct eddy_process_pool_options options = {
	    .workers = 1, .flags = CENSUS_TSAN ? EDDY_FORK_THREADED : 0};
	struct eddy_executor *pool;
	int first = eddy_process_pool_open(&pool, NULL, &options);

	if (first == 0)
		note(&first, eddy_executor_close(pool, EDDY_S(10)));
	return first;
}

/* An output in the slot, and one that comes as a descriptor. */
static int
write_some(struct eddy_span in, struct eddy_output *output)
{
	size_t size = *(const size_t *)in.data;
	void *data;
	int r = eddy_output_reserve(output, size, &data);

	return r < 0 ? r : eddy_output_commit(output, size);
}

static void
on_transform(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	must(job->outcome != EDDY_NONE);
}

static int
use_transforms(struct eddy_loop *loop, struct eddy_executor *pool)
{
	static const size_t sizes[] = {10, 100000};
	struct eddy_transform transform;
	int first = 0;
	size_t i;

	for (i = 0; i < COUNT_OF(sizes) && first == 0; i++) {
		eddy_transform_init(
		    &transform, write_some, &sizes[i], sizeof(sizes[i]));
		note(&first, eddy_submit(pool, &transform.long_job.job, loop,
				 on_transform));
		must(eddy_loop_run(loop) == 0);
		if (first == 0)
			note(&first, eddy_job_rc(&transform.long_job.job));
		eddy_transform_release(&transform);
	}
	return first;
}

static int
run_transforms(void)
{
	return with(true, use_transforms);
}

static int
run_transforms_on_threads(void)
{
	return with(false, use_transforms);
}

/* The system: a signal, and a program. */

struct guest {
	struct eddy_task task;
	struct eddy_signal signal;
	struct eddy_child child;
	int rc, first;
};

static int
spawn_guest(struct guest *f)
{
	static char sh[] = "sh", c[] = "-c", script[] = "exit 3";
	char *argv[] = {sh, c, script, NULL};
	struct eddy_child_options options = {.argv = argv,
	    .in = EDDY_CHILD_NULL,
	    .out = EDDY_CHILD_PIPE,
	    .err = STDERR_FILENO};
	int r = eddy_child_spawn(&f->child, &options);

	must((r == 0) == (f->child.out >= 0));
	if (r == 0)
		close(f->child.out);
	return r;
}

static eddy_step
guest(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct guest, f);
	eddy_signal_init(&f->signal, NULL);
	f->rc = eddy_signal_start(self->loop, &f->signal, EDDY_SIGNAL(SIGUSR1));
	note(&f->first, f->rc);
	if (f->rc == 0) {
		must(kill(getpid(), SIGUSR1) == 0);
		EDDY_AWAIT(f->rc, eddy_signal_wait(self, &f->signal));
		must(f->rc == SIGUSR1);
	}
	must(eddy_signal_stop(self->loop, &f->signal) <= 0);
	f->rc = spawn_guest(f);
	note(&f->first, f->rc);
	if (f->rc == 0) {
		EDDY_AWAIT(f->rc, eddy_child_wait(self, &f->child));
		must(f->rc == 3 || f->rc < 0);
		note(&f->first, f->rc);
	}
	while (eddy_child_close(&f->child) == -EBUSY)
		usleep(1000); /* the wait failed */
	EDDY_END;
}

static int
run_guest(void)
{
	struct guest f;
	int r = eddy_run(EDDY_INIT(&f, guest));
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	must(sigismember(&set, SIGUSR1) == 0);
	return r < 0 ? r : f.first;
}

/* Files and names: the first error of all, after each of them. */

struct visit {
	struct eddy_task task;
	char path[64], other[80], *names;
	struct stat stat;
	struct eddy_address address;
	struct eddy_name name;
	int fd, peer, pair[2], rc, first;
};

#define VISIT(op)                       \
	do {                            \
		EDDY_AWAIT(f->rc, op);  \
		note(&f->first, f->rc); \
	} while (0)

static eddy_step
visit_files(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct visit, f);
	VISIT(eddy_open(self, f->path, O_RDWR | O_CREAT, 0600));
	f->fd = f->rc;
	if (f->fd >= 0) {
		VISIT(eddy_pwrite(self, f->fd, "hello", 5, 0));
		VISIT(eddy_pread(self, f->fd, f->other, 5, 0));
		VISIT(eddy_fsync(self, f->fd));
		close(f->fd);
		snprintf(f->other, sizeof(f->other), "%s-2", f->path);
		VISIT(eddy_stat(self, f->path, &f->stat));
		VISIT(eddy_rename(self, f->path, f->other));
		VISIT(eddy_unlink(self, f->rc < 0 ? f->path : f->other));
	}
	VISIT(eddy_readdir(self, "/proc/self/task", &f->names));
	must((f->rc > 0) == (f->names != NULL));
	free(f->names);
	unlink(f->path); /* what a fault has left */
	unlink(f->other);
	EDDY_END;
}

static eddy_step
visit_names(struct eddy_task *self)
{
	socklen_t size = sizeof(struct sockaddr_in);

	EDDY_BEGIN(self, struct visit, f);
	note(&f->first, eddy_net_pair(f->pair));
	if (f->first == 0) {
		close(f->pair[0]);
		close(f->pair[1]);
	}
	VISIT(eddy_net_listen(self, "127.0.0.1", "0", 4));
	f->fd = f->rc;
	if (f->fd < 0)
		EDDY_RETURN(0);
	getsockname(f->fd, (struct sockaddr *)&f->address.name, &size);
	f->address.size = size;
	VISIT(eddy_getnameinfo(
	    self, &f->address, NI_NUMERICHOST | NI_NUMERICSERV, &f->name));
	if (f->rc == 0)
		VISIT(eddy_net_connect(self, f->name.host, f->name.service));
	if (f->rc > 0)
		close(f->rc);
	close(f->fd);
	EDDY_END;
}

static int
visit(eddy_task_fn *fn)
{
	struct visit f = {.fd = -1};
	int r;

	eddy_prepare(&f.task, fn, "visit");
	snprintf(f.path, sizeof(f.path), "/tmp/eddy-fault-%d", (int)getpid());
	r = eddy_run(&f.task);
	return r < 0 ? r : f.first;
}

static int
run_files(void)
{
	return visit(visit_files);
}

static int
run_names(void)
{
	return visit(visit_names);
}

/* What is stopped, or stops others. */

static int
hang(void *arg)
{
	(void)arg;
	while (!eddy_job_stop_requested())
		usleep(100);
	return 0;
}

/* Two are running or about to, two wait. */
static int
use_cancels(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct call calls[4];
	int i, first = 0;

	for (i = 0; i < 3; i++)
		note(&first, submit_by(pool, loop, &calls[i], hang, 0));
	note(&first, submit(pool, loop, &calls[3], give));
	must(eddy_loop_step(loop, EDDY_MS(1)) >= 0);
	for (i = 0; i < 3; i++)
		if (calls[i].accepted)
			eddy_job_cancel(&calls[i].job);
	must(eddy_loop_run(loop) == 0);
	note(&first, answered(calls, 4, give));
	return first;
}

/* And one has little time; a process is killed then. */
static int
use_deadlines(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct call call;
	int first = 0;

	note(
	    &first, submit_by(pool, loop, &call, hang, eddy_after(EDDY_MS(3))));
	must(eddy_loop_run(loop) == 0);
	answered(&call, 1, give);
	note(&first, use_cancels(loop, pool));
	return first;
}

static int
run_cancels_on_threads(void)
{
	return with(false, use_cancels);
}

static int
run_cancels_on_processes(void)
{
	return with(true, use_deadlines);
}

/* Until it is interrupted. */
static int
read_pipe(void *arg)
{
	char byte;

	A_STORE(&told, 1);
	return read(*(int *)arg, &byte, 1) < 0 ? -errno : 0;
}

static int
use_interrupt(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct call call = {.answers = 0};
	int ends[2], i, first = 0;

	must(pipe(ends) == 0);
	A_STORE(&told, 0);
	call.job = (struct eddy_job)EDDY_JOB(read_pipe, &ends[0]);
	call.job.flags = EDDY_JOB_INTERRUPT;
	note(&first, eddy_submit(pool, &call.job, loop, on_call));
	for (i = 0; i < 20 && first == 0 && A_LOAD(&told) == 0; i++)
		must(eddy_loop_step(loop, EDDY_MS(1)) >= 0);
	if (first == 0)
		eddy_job_cancel(&call.job);
	must(eddy_loop_run(loop) == 0);
	must(call.answers == (first == 0));
	if (call.job.outcome == EDDY_LOST)
		note(&first, eddy_job_rc(&call.job));
	close(ends[0]);
	close(ends[1]);
	return first;
}

static int
run_interrupt(void)
{
	return with(false, use_interrupt);
}

/* From callbacks: the watch that fires, a timer, a post, a job, a pool. */
static struct stage {
	struct eddy_watch watch;
	struct eddy_timer timer;
	struct eddy_post post;
	struct call first, second;
	struct eddy_executor *pool;
	int ends[2], drained, result;
} stage;

static void
on_stage(struct eddy_loop *loop, struct eddy_executor *executor, int result)
{
	if (result < 0) { /* closed before, which is for a fault */
		must(result == -ESHUTDOWN && fault->fired != 0);
		return;
	}
	stage.drained++;
	must(eddy_executor_close(executor, EDDY_S(10)) == 0);
	stage.pool = NULL;
	eddy_timer_stop(loop, &stage.timer);
}

static void
on_stage_timer(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)timer;
	if (stage.pool != NULL)
		must(eddy_executor_close(stage.pool, EDDY_S(10)) == 0);
	stage.pool = NULL;
	eddy_loop_stop(loop);
}

static void
on_stage_watch(
    struct eddy_loop *loop, struct eddy_watch *watch, uint32_t events)
{
	(void)events;
	must(eddy_close(loop, watch->fd) <= 0);
	must(eddy_watch_stop(loop, watch) == 0);
	stage.ends[0] = -1;
	eddy_post_cancel(loop, &stage.post);
	if (stage.second.accepted)
		eddy_job_cancel(&stage.second.job);
	note(&stage.result,
	    eddy_executor_drain_then(stage.pool, loop, on_stage));
}

static void
on_stage_post(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)loop;
	(void)post;
}

static int
play(struct eddy_loop *loop)
{
	struct eddy_executor *pool = stage.pool;
	int first = 0;

	eddy_timer_init(&stage.timer, on_stage_timer);
	note(&first,
	    eddy_timer_start(loop, &stage.timer, eddy_after(EDDY_S(1))));
	if (first < 0) {
		must(eddy_executor_close(pool, EDDY_S(10)) == 0);
		return first;
	}
	eddy_watch_init(&stage.watch, stage.ends[0], on_stage_watch, 0);
	eddy_post_init(&stage.post, on_stage_post);
	note(&first, submit(pool, loop, &stage.first, give));
	note(&first, submit_by(pool, loop, &stage.second, hang, 0));
	note(&first, eddy_watch_start(loop, &stage.watch, EPOLLIN));
	must(eddy_post(loop, &stage.post) == 0);
	if (first < 0 && stage.second.accepted)
		eddy_job_cancel(&stage.second.job);
	if (first < 0) /* nobody would stop it sooner */
		must(eddy_timer_start(loop, &stage.timer, 0) == 0);
	must(eddy_loop_run(loop) == 0);
	must(eddy_watch_stop(loop, &stage.watch) == 0);
	must(eddy_loop_run(loop) == 0);
	note(&first, stage.result);
	must(stage.drained == 1 || first < 0 || fault->fired != 0);
	answered(&stage.first, 1, give);
	answered(&stage.second, 1, give);
	return first;
}

static int
run_stage(void)
{
	struct eddy_loop *loop;
	int first = eddy_loop_open(&loop, NULL);

	if (first < 0)
		return first;
	stage = (struct stage){.drained = 0};
	must(pipe(stage.ends) == 0);
	must(write(stage.ends[1], "x", 1) == 1);
	note(&first, eddy_thread_pool_open(&stage.pool, NULL));
	if (first == 0)
		note(&first, play(loop));
	must(eddy_loop_close(loop) == 0);
	if (stage.ends[0] >= 0)
		close(stage.ends[0]);
	close(stage.ends[1]);
	return first;
}

/* Outcomes without a loop. */
static int
wait_for_one(struct eddy_executor *executor)
{
	struct call call = {.in = 7};
	int r;

	call.job = (struct eddy_job)EDDY_JOB(give, &call.in);
	r = eddy_submit(executor, &call.job, NULL, NULL);
	if (r == 0)
		r = eddy_job_wait(&call.job, eddy_after(EDDY_S(10)));
	must(call.in == 7 + (r == 0));
	return r;
}

static int
run_waits(void)
{
	struct eddy_executor *pool, copies;
	int i, first = eddy_thread_pool_open(&pool, NULL);

	if (first < 0)
		return first;
	for (i = 0; i < 2; i++)
		note(&first, wait_for_one(pool));
	must(eddy_executor_close(pool, EDDY_S(10)) == 0);
	eddy_copy_executor(&copies);
	note(&first, wait_for_one(&copies));
	eddy_executor_fini(&copies);
	return first;
}

/* What a worker has for itself, and what it is given and gives. */

static int
open_worker(void *init, void **ret_state)
{
	static int state;

	state = *(int *)init;
	*ret_state = &state;
	return 0;
}

static int
pass(void *arg)
{
	int *in = arg, *state = eddy_worker_state(), fd = eddy_job_fd(0);

	eddy_job_progress(1);
	if (state == NULL || fd < 0)
		return -EBADF;
	*in += *state;
	return eddy_job_return_fd(fd);
}

static void
on_progress(struct eddy_loop *loop, struct eddy_long_job *job)
{
	(void)loop;
	must(job->progress == 1);
}

static int
use_descriptors(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct eddy_descriptors fds = {.in_count = 1, .in = {STDERR_FILENO}};
	struct eddy_worker_report report;
	struct eddy_long_job job;
	int in = 7, first = 0;
	unsigned i;

	job = (struct eddy_long_job)EDDY_LONG_JOB(pass, &in, on_progress);
	job.fds = &fds;
	job.report = &report;
	if (fault->later)
		job.job.deadline = eddy_after(EDDY_MS(40 * (1 + SLOW * 4)));
	note(&first, eddy_submit(pool, &job.job, loop, on_transform));
	must(eddy_loop_run(loop) == 0);
	if (first == 0) {
		note(&first, eddy_job_rc(&job.job));
		must(fds.out_count == (first == 0));
		must(in == 8 || first < 0);
	}
	for (i = 0; i < fds.out_count; i++)
		close(fds.out[i]);
	return first;
}

/* In memory of the channel; and its worker is replaced after it. */
static int
use_reserved(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct call call = {.in = 7};
	int i, first = 0, r = -EAGAIN;

	call.job = (struct eddy_job)EDDY_JOB(give, &call.in);
	for (i = 0; i < 20 && r == -EAGAIN; i++) {
		must(eddy_loop_step(loop, EDDY_MS(5)) >= 0);
		r = eddy_job_reserve(pool, &call.job, sizeof(int));
	}
	if (r == -EAGAIN) /* a worker that a fault has cost */
		return 0;
	note(&first, r);
	if (first == 0) {
		*(int *)call.job.arg = 7;
		if (fault->later)
			call.job.deadline = eddy_after(EDDY_MS(40));
		note(&first, eddy_submit(pool, &call.job, loop, on_call));
		must(eddy_loop_run(loop) == 0);
		must(call.answers == (first == 0));
		note(&first, first == 0 ? eddy_job_rc(&call.job) : 0);
		must(first < 0 || *(int *)call.job.arg == 8);
		eddy_job_release(&call.job);
	}
	return first;
}

static int
run_replaced(void)
{
	static const int one = 1;
	struct eddy_process_pool_options options = {.workers = 1,
	    .depth = 1,
	    .max_jobs = 1,
	    .worker_open = open_worker,
	    .init = &one,
	    .init_size = sizeof(one),
	    .flags = EDDY_PASS_DESCRIPTORS};
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	int first = eddy_loop_open(&loop, NULL);

	if (first < 0)
		return first;
	note(&first, eddy_process_pool_open(&pool, loop, &options));
	if (first == 0) {
		note(&first, use_descriptors(loop, pool));
		note(&first, use_reserved(loop, pool));
		note(&first, eddy_executor_close(pool, EDDY_S(10)));
	}
	must(eddy_loop_close(loop) == 0);
	return first;
}

/* A server: each connection a task, which asks the pool. */

struct server {
	struct eddy_task task;
	struct connection {
		struct eddy_task task;
		int fd, in;
	} * new;
	int fd, rc;
};

static eddy_step
connection(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct connection, f);
	begun++;
	EDDY_TRY(eddy_read_full(self, f->fd, &f->in, sizeof(f->in)));
	EDDY_TRY(eddy_offload(self, NULL, give, &f->in));
	EDDY_TRY(eddy_write_full(self, f->fd, &f->in, sizeof(f->in)));
	EDDY_FINALLY;
	eddy_close(self->loop, f->fd);
	left++;
	EDDY_END;
}

static eddy_step
server(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct server, f);
	for (;;) {
		EDDY_TRY(f->rc, eddy_accept(self, f->fd, NULL));
		if (eddy_spawn_supervised(
			self, EDDY_NEW(connection, .fd = f->rc)) < 0)
			eddy_close(self->loop, f->rc);
	}
	EDDY_FINALLY;
	eddy_close(self->loop, f->fd); /* and who waits to be let in hears */
	EDDY_END;
}

struct client {
	struct eddy_task task;
	struct eddy_address *address;
	int fd, in, rc;
};

/* An answer, or the end of the connection. */
static eddy_step
client(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct client, f);
	EDDY_TRY(eddy_connect(self, f->fd, f->address));
	f->in = 7;
	EDDY_AWAIT(f->rc, eddy_write_full(self, f->fd, &f->in, sizeof(f->in)));
	if (f->rc > 0)
		EDDY_AWAIT(
		    f->rc, eddy_read_full(self, f->fd, &f->in, sizeof(f->in)));
	must(f->rc == sizeof(f->in) ? f->in == 8 : fault->fired != 0);
	EDDY_FINALLY;
	eddy_close(self->loop, f->fd);
	EDDY_END;
}

enum { CLIENTS = 3 };

struct business {
	struct eddy_task task;
	struct server server;
	struct client clients[CLIENTS];
	struct eddy_address address;
	int i, rc, first;
};

static eddy_step
business(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct business, f);
	EDDY_INIT(&f->server, server, .fd = f->server.fd);
	if (eddy_spawn_supervised(self, &f->server.task) < 0) {
		f->first = -ENOMEM;
		eddy_close(self->loop, f->server.fd);
	}
	for (f->i = 0; f->i < CLIENTS; f->i++) {
		EDDY_INIT(&f->clients[f->i], client, .address = &f->address,
		    .fd = f->clients[f->i].fd);
		if (eddy_spawn_supervised(self, &f->clients[f->i].task) == 0) {
			EDDY_AWAIT(
			    f->rc, eddy_join(self, &f->clients[f->i].task));
			if (f->rc != -ECONNREFUSED || fault->fired == 0)
				note(&f->first, f->rc); /* else: closed */
		} else {
			f->first = -ENOMEM;
			eddy_close(self->loop, f->clients[f->i].fd);
		}
	}
	eddy_cancel(&f->server.task);
	EDDY_AWAIT(f->rc, eddy_join_all(self));
	EDDY_RETURN(f->first);
	EDDY_END;
}

static void
swallow(struct eddy_loop *loop, const struct eddy_task *task, int error)
{
	(void)loop;
	(void)task;
	must(fault->fired != 0 && error < 0);
}

static int
run_server(void)
{
	struct eddy_loop_options options = {.on_error = swallow};
	struct business f = {.first = 0};
	int i, r;

	f.server.fd = listener_open(&f.address);
	for (i = 0; i < CLIENTS; i++)
		f.clients[i].fd = socket(AF_INET, SOCK_STREAM, 0);
	eddy_prepare(&f.task, business, "business");
	begun = left = 0;
	r = eddy_run_with(&options, &f.task);
	must(begun == left);
	if (f.i == 0) { /* not even a loop */
		close(f.server.fd);
		for (i = 0; i < CLIENTS; i++)
			close(f.clients[i].fd);
	}
	return r;
}

/* What looks on. */

static int
look(struct eddy_loop *loop, struct eddy_executor *pool)
{
	int fd = memfd_create("fault", MFD_CLOEXEC), first = 0;
	struct eddy_loop_stats stats = {.lag = {.max = 0}};

	note(&first, eddy_loop_dump(loop, fd));
	note(&first, eddy_executor_dump(pool, fd));
	eddy_loop_stats(loop, &stats);
	note(&first, eddy_loop_stats_print(&stats, fd));
	close(fd);
	return first;
}

static int
use_looks(struct eddy_loop *loop, struct eddy_executor *pool)
{
	struct call calls[3];
	struct nap task;
	int i, first = 0;

	note(&first, eddy_dump_on_signal(loop, SIGUSR2));
	begun = left = 0;
	EDDY_INIT(&task, nap, .duration = EDDY_MS(1));
	note(&first, eddy_loop_spawn(loop, &task.task, NULL));
	for (i = 0; i < 3; i++)
		note(&first, submit_by(pool, loop, &calls[i], hang, 0));
	must(eddy_loop_step(loop, 0) >= 0);
	note(&first, look(loop, pool));
	for (i = 0; i < 3; i++)
		if (calls[i].accepted)
			eddy_job_cancel(&calls[i].job);
	must(eddy_loop_run(loop) == 0);
	must(begun == left);
	answered(calls, 3, give);
	return first;
}

static int
run_dumps_of_threads(void)
{
	return with(false, use_looks);
}

static int
run_dumps_of_processes(void)
{
	return with(true, use_looks);
}

static int
use_trace(struct eddy_loop *loop, struct eddy_executor *pool)
{
	int fd = memfd_create("fault", MFD_CLOEXEC), first = 0;
	struct nap task;
	struct call call;

	begun = left = 0;
	EDDY_INIT(&task, nap, .duration = 1);
	note(&first, eddy_trace_start(loop, 100));
	note(&first, submit(pool, loop, &call, give));
	note(&first, eddy_loop_spawn(loop, &task.task, NULL));
	must(eddy_loop_run(loop) == 0);
	must(begun == left);
	note(&first, answered(&call, 1, give));
	if (first == 0)
		note(&first, eddy_trace_write(loop, fd));
	must(eddy_trace_stop(loop) == 0);
	close(fd);
	return first;
}

static int
run_trace(void)
{
	return with(false, use_trace);
}

/* A turn that lasts until it is told, or too long. */

static void
on_stall(const struct eddy_stall *stall)
{
	(void)stall;
	A_STORE(&told, 1);
}

static void
on_long_turn(struct eddy_loop *loop, struct eddy_timer *timer)
{
	int i;

	(void)loop;
	(void)timer;
	for (i = 0; i < 200 && A_LOAD(&told) == 0; i++)
		usleep(100);
}

static int
no_frames(void **frames, int n)
{
	(void)frames;
	(void)n;
	return 0;
}

static int
run_stall(void)
{
	struct eddy_stall_watch stalls = {.threshold = EDDY_MS(1),
	    .fn = on_stall,
	    .backtrace = no_frames,
	    .signal = SIGRTMAX - 2};
	struct eddy_timer timer;
	struct eddy_loop *loop;
	int first = eddy_loop_open(&loop, NULL);

	if (first < 0)
		return first;
	A_STORE(&told, 0);
	note(&first, eddy_stall_start(loop, &stalls));
	eddy_timer_init(&timer, on_long_turn);
	note(&first, eddy_timer_start(loop, &timer, 0));
	if (first == 0)
		must(eddy_loop_run(loop) == 0);
	eddy_timer_stop(loop, &timer);
	must(eddy_stall_stop(loop, &stalls) == 0);
	must(eddy_loop_close(loop) == 0);
	return first;
}

/* Other threads. */

static struct visitor {
	struct eddy_loop *loop;
	struct nap nap;
	int result;
} visitor;

static void *
visit_loop(void *arg)
{
	struct visitor *v = arg;

	EDDY_INIT(&v->nap, nap, .duration = 1);
	v->result = eddy_run_on(v->loop, &v->nap.task, eddy_after(EDDY_S(10)));
	eddy_post(v->loop, &parcel.post); /* it releases */
	return NULL;
}

static int
run_visit(void)
{
	pthread_t thread;
	int first = eddy_loop_open(&visitor.loop, NULL);

	if (first < 0)
		return first;
	begun = left = 0;
	eddy_post_init(&parcel.post, on_parcel);
	must(eddy_loop_hold(visitor.loop) == 0);
	must(pthread_create(&thread, NULL, visit_loop, &visitor) == 0);
	must(eddy_loop_run(visitor.loop) == 0);
	must(pthread_join(thread, NULL) == 0);
	must(begun == left);
	must(eddy_loop_close(visitor.loop) == 0);
	note(&first, visitor.result);
	return first;
}

enum { LETTERS = 3 };

struct household {
	struct eddy_task task;
	struct eddy_mailbox mailbox;
	struct eddy_future future;
	void *slots[1], *letter;
	pthread_t postman;
	bool has_postman;
	int i, rc, first;
};

static void *
deliver(void *arg)
{
	struct household *f = arg;
	int i;

	for (i = 0; i < LETTERS; i++)
		eddy_mailbox_push(&f->mailbox, f, eddy_after(EDDY_S(10)));
	eddy_future_complete(&f->future, 7);
	return NULL;
}

static eddy_step
household(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct household, f);
	f->rc = eddy_mailbox_init(&f->mailbox, self->loop, f->slots, 1);
	if (f->rc < 0)
		EDDY_RETURN(f->rc);
	eddy_future_init(&f->future, self->loop);
	must(pthread_create(&f->postman, NULL, deliver, f) == 0);
	f->has_postman = true;
	for (f->i = 0; f->i < LETTERS; f->i++) {
		EDDY_TRY(eddy_mailbox_pop(self, &f->mailbox, &f->letter));
		must(f->letter == f);
	}
	EDDY_TRY(f->rc, eddy_future_wait(self, &f->future));
	must(f->rc == 7);
	EDDY_FINALLY;
	if (f->has_postman) {
		eddy_mailbox_close(&f->mailbox);
		pthread_join(f->postman, NULL);
		eddy_future_close(&f->future);
	}
	EDDY_END;
}

static int
run_mail(void)
{
	struct household f = {.i = 0};

	eddy_prepare(&f.task, household, "household");
	return eddy_run(&f.task);
}

/* Tasks that wait for each other. */

struct band {
	struct eddy_task task;
	struct player {
		struct eddy_task task;
		struct band *band;
	} players[2];
	struct eddy_queue queue;
	struct eddy_semaphore mutex;
	struct eddy_condition changed;
	struct eddy_event event;
	void *slots[1], *item;
	int i;
};

static eddy_step
player(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct player, f);
	EDDY_TRY(eddy_queue_push(self, &f->band->queue, f));
	EDDY_TRY(eddy_event_wait(self, &f->band->event));
	EDDY_TRY(eddy_semaphore_acquire(self, &f->band->mutex));
	EDDY_TRY(eddy_condition_wait(self, &f->band->changed, &f->band->mutex));
	eddy_semaphore_release(&f->band->mutex);
	EDDY_END;
}

static eddy_step
band(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct band, f);
	eddy_queue_init(&f->queue, f->slots, 1);
	eddy_semaphore_init(&f->mutex, 1);
	eddy_condition_init(&f->changed);
	eddy_event_init(&f->event);
	for (f->i = 0; f->i < 2; f->i++)
		(void)eddy_spawn(
		    self, EDDY_INIT(&f->players[f->i], player, .band = f));
	for (f->i = 0; f->i < 2; f->i++)
		EDDY_TRY(eddy_queue_pop(self, &f->queue, &f->item));
	eddy_event_set(&f->event);
	EDDY_TRY(eddy_timeout(self, EDDY_S(5), eddy_sleep(self, EDDY_MS(1))));
	eddy_condition_signal(&f->changed, 2);
	EDDY_TRY(eddy_join_all(self));
	EDDY_END;
}

static int
run_band(void)
{
	struct band f;

	return eddy_run(EDDY_INIT(&f, band));
}

/* A loop inside another, which is poll(2). */
static int
run_embedded(void)
{
	int first, i, ready = 1;
	struct pollfd fd = {.events = POLLIN};
	struct eddy_loop *loop;
	pthread_t thread;

	first = eddy_loop_open(&loop, NULL);
	if (first < 0)
		return first;
	alarms[0].calls = parcel.calls = 0;
	note(&first, fd.fd = eddy_loop_fd(loop));
	eddy_timer_init(&alarms[0].timer, on_alarm);
	note(&first,
	    eddy_timer_start(loop, &alarms[0].timer, eddy_after(EDDY_MS(1))));
	if (first == 0) {
		eddy_post_init(&parcel.post, on_parcel);
		must(eddy_loop_hold(loop) == 0);
		must(pthread_create(&thread, NULL, send_parcel, loop) == 0);
		for (i = 0; alarms[0].calls + parcel.calls < 2; i++) {
			must(poll(&fd, 1, ready > 0 ? 1 : 10000) >= 0);
			ready = eddy_loop_step(loop, 0);
			must(ready >= 0);
		}
		must(pthread_join(thread, NULL) == 0);
	}
	eddy_timer_stop(loop, &alarms[0].timer);
	must(eddy_loop_close(loop) == 0);
	return first;
}

/* A program with pipes, elsewhere and in a group, that is asked to end. */

struct filter {
	struct eddy_task task;
	struct eddy_child child;
	char byte;
	int rc;
};

static int
spawn_filter(struct eddy_child *child)
{
	static char cat[] = "cat";
	char *argv[] = {cat, NULL};
	struct eddy_child_options options = {.argv = argv,
	    .directory = "/",
	    .in = EDDY_CHILD_PIPE,
	    .out = EDDY_CHILD_PIPE,
	    .err = EDDY_CHILD_NULL,
	    .flags = EDDY_CHILD_GROUP};

	return eddy_child_spawn(child, &options);
}

static eddy_step
filter(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct filter, f);
	f->rc = spawn_filter(&f->child);
	if (f->rc < 0)
		EDDY_RETURN(f->rc);
	EDDY_TRY(eddy_write(self, f->child.in, "x", 1));
	EDDY_TRY(f->rc, eddy_read(self, f->child.out, &f->byte, 1));
	must(f->rc == 1 && f->byte == 'x');
	eddy_child_kill(&f->child, SIGTERM);
	EDDY_AWAIT(f->rc, eddy_child_wait(self, &f->child));
	must(f->rc == -EOWNERDEAD || f->rc == -ECHILD || fault->fired != 0);
	f->rc = f->rc == -EOWNERDEAD ? 0 : f->rc;
	EDDY_RETURN(f->rc);
	EDDY_FINALLY;
	if (f->child.pid > 0 && f->rc >= -4095) {
		eddy_close(self->loop, f->child.in);
		eddy_close(self->loop, f->child.out);
		eddy_child_kill(&f->child, SIGKILL);
		while (eddy_child_close(&f->child) == -EBUSY)
			usleep(1000);
	}
	EDDY_END;
}

static int
run_filter(void)
{
	struct filter f = {.rc = 0};

	f.child.pid = 0;
	eddy_prepare(&f.task, filter, "filter");
	return eddy_run(&f.task);
}

/* Each scenario. */

static const struct {
	const char *name;
	int (*run)(void);
	bool forks; /* and the calls of its children fail, too */
} scenarios[] = {
    {"loop", run_loop, false},
    {"tasks", run_tasks, false},
    {"io", run_talks, false},
    {"copies", run_moves, false},
    {"one job on threads", run_one_on_threads, false},
    {"jobs on threads", run_many_on_threads, false},
    {"jobs on a strand", run_strand, false},
    {"map, owned, drain", run_mix, false},
    {"offload", run_offload, false},
    {"one job on processes", run_one_on_processes, true},
    {"jobs on processes", run_many_on_processes, true},
    {"open and close", run_own_zygote, true},
    {"open and close without a home", run_homeless, true},
    {"transforms", run_transforms, true},
    {"signals and children", run_guest, false},
    {"a program and its pipes", run_filter, false},
    {"transforms on threads", run_transforms_on_threads, false},
    {"cancel on threads", run_cancels_on_threads, false},
    {"cancel on processes", run_cancels_on_processes, true},
    {"interrupt", run_interrupt, false},
    {"close in callbacks", run_stage, false},
    {"waits without a loop", run_waits, false},
    {"workers that are replaced", run_replaced, true},
    {"server", run_server, false},
    {"dumps of threads", run_dumps_of_threads, false},
    {"dumps of processes", run_dumps_of_processes, false},
    {"trace", run_trace, false},
    {"stall", run_stall, false},
    {"run on", run_visit, false},
    {"mailbox and future", run_mail, false},
    {"tasks that wait for each other", run_band, false},
    {"loop in a loop", run_embedded, false},
    {"files", run_files, false},
    {"names", run_names, false},
};

static void
begin(int i)
{
	scenario = scenarios[i].name;
	failures = fault->failed;
	signal(SIGALRM, hung);
	ck_assert(!try(scenarios[i].run, HOST, 0, false, 0));
	ck_assert_uint_gt(fault->calls, 0);
}

START_TEST(a_scenario_survives_each_fault)
{
	begin(_i);
	sweep_mode(scenarios[_i].run, HOST, false);
	sweep_mode(scenarios[_i].run, HOST, true);
	if (scenarios[_i].forks) {
		sweep_mode(scenarios[_i].run, CHILDREN, false);
		sweep_mode(scenarios[_i].run, CHILDREN, true);
	}
	ck_assert_msg(fault->failed == failures, "%s: %u failures", scenario,
	    fault->failed - failures);
}
END_TEST

/* What --replay is given. */
static struct {
	int scenario, choice;
	enum fault_place place;
	bool later;
	uint32_t k;
} again;

START_TEST(that_fault_is_survived)
{
	begin(again.scenario);
	try(scenarios[again.scenario].run, again.place, again.k, again.later,
	    again.choice);
	ck_assert_uint_eq(fault->failed, failures);
}
END_TEST

/* Races, decided. */

static struct board {
	uint32_t gate;                      /* futex */
	uint32_t first, second, second_ran; /* of a_kill_that_comes_late */
	uint32_t armed, sleepy, go;         /* of a_worker_that_falls_asleep */
} * board;

/* Older than the zygote. */
static void
board_open(void)
{
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	fault_begin(HOST, 0, false, 0);
}

/* A kill that comes late: the job it is meant for has ended, and its worker has
 * begun the next one, if it was let. */

static int
first_job(void *arg)
{
	A_ADD(&board->first, 1);
	while (A_ACQUIRE(&board->gate) == 0)
		syscall(SYS_futex, &board->gate, FUTEX_WAIT, 0, NULL);
	return give(arg);
}

static int
second_job(void *arg)
{
	A_ADD(&board->second, 1);
	usleep(1000 * PATIENT);
	A_ADD(&board->second_ran, 1);
	return give(arg);
}

static void
let_go(void)
{
	int i;

	A_RELEASE(&board->gate, 1);
	syscall(SYS_futex, &board->gate, FUTEX_WAKE, INT_MAX);
	for (i = 0; i < PATIENT && A_LOAD(&board->second) == 0; i++)
		usleep(1000);
}

START_TEST(a_kill_that_comes_late_hits_nobody_else)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct call first, second;
	struct eddy_executor *pool;
	struct eddy_loop *loop;

	board_open();
	loop = census_loop();
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), 0);
	ck_assert_int_eq(submit(pool, loop, &first, first_job), 0);
	while (A_LOAD(&board->first) == 0)
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_MS(1)), 0);
	ck_assert_int_eq(submit(pool, loop, &second, second_job), 0);
	fault_before_kill = let_go;
	ck_assert_int_eq(eddy_job_cancel(&first.job), 0);
	fault_before_kill = NULL;
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	if (first.job.outcome != EDDY_RETURNED) /* it may have won */
		ck_assert_int_eq(first.job.outcome, EDDY_CANCELLED);
	ck_assert_int_eq(second.job.outcome, EDDY_RETURNED);
	ck_assert_uint_eq(board->second_ran, 1);
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static int
arm(void *arg)
{
	A_STORE(&board->armed, 1);
	return give(arg);
}

/* In a worker that has looked for work and is about to sleep. */
static void
doze(void)
{
	if (A_LOAD(&board->armed) == 0)
		return;
	A_STORE(&board->sleepy, 1);
	while (A_LOAD(&board->go) == 0)
		usleep(1000);
}

/* The close has told the workers to quit, and waits for them. */
static void
rouse(void)
{
	A_STORE(&board->go, 1);
}

START_TEST(a_worker_that_falls_asleep_hears_of_the_close)
{
	struct eddy_process_pool_options options = {.workers = 1};
	struct eddy_executor *pool;
	struct eddy_loop *loop;
	struct call call;

	board_open();
	fault_before_sleep = doze;
	loop = census_loop();
	ck_assert_int_eq(eddy_process_pool_open(&pool, loop, &options), 0);
	while (eddy_process_pool_pids(pool, NULL, 0) == 0)
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_MS(1)), 0);
	ck_assert_int_eq(submit(pool, loop, &call, arm), 0);
	while (A_LOAD(&board->sleepy) == 0)
		usleep(1000);
	fault_before_poll = rouse;
	ck_assert_int_eq(eddy_executor_close(pool, EDDY_S(5)), 0);
	fault_before_poll = NULL;
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(call.job.outcome, EDDY_RETURNED);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

static void
usage(void)
{
	fprintf(stderr, "usage: check_fault [--all | --replay SCENARIO "
			"host|children only|from CALL CHOICE]\n");
	exit(2);
}

static void
read_arguments(int argc, char **argv)
{
	int n = (int)COUNT_OF(scenarios);

	all_errors = argc == 2 && strcmp(argv[1], "--all") == 0;
	if (argc == 1 || all_errors)
		return;
	if (argc != 7 || strcmp(argv[1], "--replay") != 0)
		usage();
	while (again.scenario < n &&
	       strcmp(scenarios[again.scenario].name, argv[2]) != 0)
		again.scenario++;
	if (again.scenario == n)
		usage();
	again.place = strcmp(argv[3], "host") == 0 ? HOST : CHILDREN;
	again.later = strcmp(argv[4], "from") == 0;
	again.k = (uint32_t)atoi(argv[5]);
	again.choice = atoi(argv[6]);
}

static SRunner *
plan(void)
{
	Suite *suite = suite_create("fault");
	int n = (int)COUNT_OF(scenarios);

	if (again.k != 0) {
		census_add(
		    census_case(suite, "replay", 60), that_fault_is_survived);
		return srunner_create(suite);
	}
	tcase_add_loop_test(census_case(suite, "sweep", all_errors ? 600 : 60),
	    a_scenario_survives_each_fault, 0, n);
	if (!all_errors)
		census_add(census_case(suite, "races", 60),
		    a_kill_that_comes_late_hits_nobody_else,
		    a_worker_that_falls_asleep_hears_of_the_close);
	return srunner_create(suite);
}

int
main(int argc, char **argv)
{
	SRunner *runner;
	int failed;

	fault_open();
	memset(said, 'x', WORDS);
	read_arguments(argc, argv);
	runner = plan();
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (again.k == 0)
		printf("torture: scenarios=%d calls=%d injections=%u "
		       "failed=%u\n",
		    (int)COUNT_OF(scenarios), fault_functions(), fault->runs,
		    fault->failed);
	return failed != 0;
}
