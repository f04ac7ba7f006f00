/* SPDX-License-Identifier: ISC */
/* Kills, stops, crashes and cancels by the thousand: every job that was accepted
 * has one outcome, and none runs twice. */
#include "procs.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { ALL = 100002, WINDOW = 64, WORKERS = 3 };

/* What is asked for; --storm: ten times that. */
static struct size {
	int jobs, kills, zygotes, hosts, races, queue;
} size = {SLOW > 1 ? 3000 : 10000, SLOW > 1 ? 90 : 300, 10, 20,
    SLOW > 1 ? 300 : 2000, 20000};

static bool full;

static struct board {
	uint32_t ran[ALL];
	uint32_t answers; /* of a host that will be killed */
	uint32_t next;    /* of the jobs in a queue */
	ino_t file;       /* that is passed */
	int pids[WORKERS];
} * board;

/* Jobs: what number n does. */

enum { EXITS = 97, CRASHES = 89, HANGS = 499 };

static int
work(void *arg)
{
	struct bytes *bytes = arg;
	uint32_t n = bytes->number;
	int64_t until = eddy_now() + EDDY_US(20);

	A_ADD(&board->ran[n], 1);
	if (n % EXITS == 1)
		_exit(3);
	if (n % CRASHES == 1)
		raise(SIGSEGV);
	while (n % HANGS == 1 || eddy_now() < until)
		;
	return twice(arg);
}

/* With descriptors of that file, 0 to EDDY_DESCRIPTORS of them. */

struct parcel {
	struct eddy_long_job part;
	struct bytes bytes;
	struct eddy_descriptors fds;
	int answers;
};

static unsigned
number_of_fds(uint32_t n)
{
	return n % (EDDY_DESCRIPTORS + 1);
}

static bool
is_passed(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) == 0 && stat.st_ino == board->file;
}

/* Return all that came; the numbers of more tell if any was left behind by an
 * earlier job. */
static int
carry(void *arg)
{
	unsigned i, n = number_of_fds(((struct bytes *)arg)->number);
	int fd;

	for (i = 0; i < n; i++) {
		fd = fcntl(eddy_job_fd(i), F_DUPFD_CLOEXEC, 0);
		if (!is_passed(fd) || fd != (int)(3 + n + i) ||
		    eddy_job_return_fd(fd) != 0)
			return -EBADF;
	}
	return work(arg);
}

/* What came back is as it should be, and closed. */
static bool
close_passed(struct parcel *parcel)
{
	unsigned i, n = parcel->part.job.outcome == EDDY_RETURNED
	                    ? number_of_fds(parcel->bytes.number)
	                    : 0;
	bool good = parcel->part.fds == NULL || parcel->fds.out_count == n;

	for (i = 0; i < parcel->fds.out_count; i++) {
		good = good && is_passed(parcel->fds.out[i]);
		ck_assert_int_eq(close(parcel->fds.out[i]), 0);
	}
	return good;
}

/* The history. */

struct event {
	unsigned submits, answers, outcome;
	bool right;
};

static struct event *history;

/* Does it fit with what its job does, and what was done to its worker? */
static bool
fits(const struct eddy_job *job, const struct bytes *bytes)
{
	uint32_t n = bytes->number, ran = A_LOAD(&board->ran[n]);
	int result = job->result, out = bytes->out;

	switch ((enum eddy_outcome)job->outcome) {
	case EDDY_RETURNED:
		return ran == 1 && result == 7 && out == (int)n * 2 + 1;
	case EDDY_CRASHED:
		return ran <= 1 && out == 0 &&
		       (result == SIGKILL ||
			   (result == SIGSEGV && n % CRASHES == 1));
	case EDDY_EXITED:
		return ran == 1 && out == 0 && result == 3 && n % EXITS == 1;
	case EDDY_EXPIRED:
	case EDDY_CANCELLED:
		return ran <= 1 && out == 0;
	case EDDY_LOST: /* three workers in a row, or their zygote */
		return ran <= 1 && out == 0 && result == -EPIPE;
	default:
		return false;
	}
}

static void
on_outcome(struct eddy_loop *loop, struct eddy_job *job)
{
	struct parcel *parcel = (struct parcel *)job;
	struct event *event = &history[parcel->bytes.number];

	(void)loop;
	event->answers++;
	event->outcome = job->outcome;
	event->right = fits(job, &parcel->bytes) && close_passed(parcel);
	parcel->answers++;
}

/* file: goes along; or -1. */
static bool
start(struct rig *rig, struct parcel *parcel, uint32_t n, int file)
{
	struct eddy_job *job = &parcel->part.job;
	unsigned i;
	int r;

	*parcel = (struct parcel){.bytes = {n, (int)n, 0}};
	*job = (struct eddy_job)EDDY_JOB(work, &parcel->bytes);
	if (file >= 0) {
		job->fn = carry;
		job->flags = EDDY_JOB_LONG;
		parcel->part.fds = &parcel->fds;
		parcel->fds.in_count = number_of_fds(n);
		for (i = 0; i < parcel->fds.in_count; i++)
			parcel->fds.in[i] = file;
	}
	job->deadline = eddy_after(EDDY_MS(30 * SLOW));
	r = eddy_submit(rig->pool, job, rig->loop, on_outcome);
	history[n].submits += r == 0;
	ck_assert(r == 0 || r == -EPIPE); /* the zygote is gone */
	return r == 0;
}

/* Of the first n; how many had which outcome. */
static void
check_history(int n, uint64_t *outcomes)
{
	int i;

	for (i = 0; i < n; i++) {
		struct event e = history[i];

		ck_assert_msg(e.submits == e.answers && e.submits <= 1 &&
				  e.right == (e.submits == 1),
		    "job %d: %u submits, %u answers, outcome %u, ran %u", i,
		    e.submits, e.answers, e.outcome, board->ran[i]);
		outcomes[e.outcome]++;
	}
}

static void
open_history(int n)
{
	if (board == NULL)
		board = census_share(sizeof(*board));
	memset(board, 0, sizeof(*board));
	free(history);
	history = calloc((size_t)n, sizeof(*history));
	ck_assert_ptr_nonnull(history);
}

/* Kills of workers. */

static bool
strike(struct rig *rig, unsigned *seed)
{
	int pids[WORKERS];
	int n = eddy_process_pool_pids(rig->pool, pids, WORKERS);
	int signal = rand_r(seed) % 16 == 0 ? SIGSTOP : SIGKILL;

	return n > 0 && kill(pids[rand_r(seed) % n], signal) == 0;
}

/* Keep a window of jobs under way and spread the kills over them. */
static int
storm(struct rig *rig, int jobs, int kills, unsigned seed, int file)
{
	static struct parcel calls[WINDOW];
	int i, sent = 0, done = 0, killed = 0;

	for (i = 0; i < WINDOW; i++)
		calls[i].answers = 1;
	while (done < jobs) {
		for (i = 0, done = sent; i < WINDOW; i++)
			if (calls[i].answers == 0)
				done--;
			else if (sent < jobs)
				ck_assert(start(
				    rig, &calls[i], (uint32_t)sent++, file));
		if (rand_r(&seed) % 8 == 0)
			eddy_job_cancel(
			    &calls[rand_r(&seed) % WINDOW].part.job);
		if ((int64_t)killed * jobs <= (int64_t)done * kills)
			killed += strike(rig, &seed);
		rig_step(rig);
	}
	return killed;
}

/* _i: with descriptors, there and back; the census sees those that stay. */
START_TEST(a_storm_loses_no_job_and_runs_none_twice)
{
	static const unsigned depths[] = {1, 2, 4};
	uint64_t outcomes[EDDY_PROTOCOL + 1] = {0};
	int part = size.jobs / 3 + 1, kills = 0;
	int file = _i == 0 ? -1 : memfd_create("passed", MFD_CLOEXEC);
	struct stat stat = {.st_ino = 0};
	struct rig rig;
	unsigned i;

	ck_assert(_i == 0 || fstat(file, &stat) == 0);
	for (i = 0; i < 3; i++) {
		open_history(part);
		board->file = stat.st_ino;
		rig_open(&rig, .workers = WORKERS, .depth = depths[i],
		    .flags = _i != 0 ? EDDY_PASS_DESCRIPTORS : 0,
		    .grace = i == 1 ? EDDY_MS(1) : 0,
		    .max_jobs = i == 2 ? 50 : 0);
		kills += storm(&rig, part, size.kills / 3 + 1, i + 1, file);
		check_history(part, outcomes);
		rig_go_on(&rig);
		rig_close(&rig);
	}
	ck_assert_int_ge(kills, size.kills);
	/* Given up after three workers that were killed too soon. */
	ck_assert_uint_le(outcomes[EDDY_LOST], (unsigned)kills / 20 + 1);
	if (full)
		printf("storm%s\t%d jobs\t%d kills\t0 lost\t0 twice\t"
		       "%d returned\t%d crashed\t%d expired\t%d cancelled\t"
		       "%d given up\n",
		    _i != 0 ? " of descriptors" : "", part * 3, kills,
		    (int)outcomes[EDDY_RETURNED],
		    (int)(outcomes[EDDY_CRASHED] + outcomes[EDDY_EXITED]),
		    (int)outcomes[EDDY_EXPIRED], (int)outcomes[EDDY_CANCELLED],
		    (int)outcomes[EDDY_LOST]);
	if (file >= 0)
		close(file);
}
END_TEST

/* The same, of jobs in the memory of their workers, which outlives those. */

struct lane {
	struct eddy_job job; /* reserved while it has an arg */
	int out;
};

static void
on_lane(struct eddy_loop *loop, struct eddy_job *job)
{
	struct bytes *bytes = job->arg;
	uint32_t n = bytes->number; /* readable, whatever happened */

	(void)loop;
	ck_assert_int_eq(((struct lane *)job)->out--, 1);
	if (job->outcome != EDDY_RETURNED)
		return;
	ck_assert_uint_eq(A_LOAD(&board->ran[n]), 1);
	ck_assert_int_eq(bytes->out, (int)n * 2 + 1);
}

static void
start_lane(struct rig *rig, struct lane *lane, uint32_t n)
{
	*(struct bytes *)lane->job.arg = (struct bytes){n, (int)n, 0};
	lane->job.fn = work;
	lane->job.deadline = eddy_after(EDDY_MS(30 * SLOW));
	lane->out = 1;
	ck_assert_int_eq(
	    eddy_submit(rig->pool, &lane->job, rig->loop, on_lane), 0);
}

START_TEST(a_storm_spares_the_memory_that_is_reserved)
{
	struct lane lanes[WORKERS + 1] = {{.out = 0}};
	int i, r, killed = 0, n = 0, jobs = size.jobs / 10;
	unsigned seed = 1;
	struct rig rig;

	open_history(1);
	rig_open(&rig, .workers = WORKERS, .depth = 2);
	while (n < jobs) {
		struct lane *lane = &lanes[rand_r(&seed) % (WORKERS + 1)];

		rig_step(&rig);
		if (killed * 10 <= n)
			killed += strike(&rig, &seed);
		if (lane->out != 0)
			continue;
		if (lane->job.arg == NULL) {
			r = eddy_job_reserve(
			    rig.pool, &lane->job, sizeof(struct bytes));
			ck_assert(r == 0 || r == -EAGAIN);
		} else if (rand_r(&seed) % 4 == 0) {
			eddy_job_release(&lane->job);
		} else {
			start_lane(&rig, lane, (uint32_t)n++);
		}
	}
	for (i = 0; i <= WORKERS; i++) {
		rig_until(&rig, lanes[i].out == 0);
		if (lanes[i].job.arg != NULL)
			eddy_job_release(&lanes[i].job);
	}
	for (i = 0; i < n; i++)
		ck_assert_uint_le(board->ran[i], 1);
	rig_go_on(&rig);
	rig_close(&rig);
}
END_TEST

/* Kills of zygotes: the pool's own, or the one that forks those. */
START_TEST(a_storm_on_zygotes_loses_no_job)
{
	uint64_t outcomes[EDDY_PROTOCOL + 1] = {0};
	struct parcel calls[WINDOW];
	unsigned seed = 1;
	struct rig rig;
	int i, k;

	for (i = 0; i < size.zygotes; i++) {
		int after = rand_r(&seed) % 100;

		open_history(WINDOW * 2);
		rig_open(&rig, .workers = WORKERS);
		for (k = 0; k < WINDOW; k++)
			start(&rig, &calls[k], (uint32_t)k * 2, -1);
		for (k = 0; k < after; k++)
			ck_assert_int_ge(eddy_loop_step(rig.loop, 0), 0);
		if (i % 2 == 0 || child_of(child_of(getpid())) == 0)
			kill(child_of(getpid()), SIGKILL);
		else
			kill(child_of(child_of(getpid())), SIGKILL);
		for (k = 0; k < WINDOW; k++)
			rig_until(&rig, calls[k].answers != 0);
		check_history(WINDOW * 2, outcomes);
		ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(30)), 0);
		ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	}
	if (full)
		printf("zygotes\t%d killed\t%d returned\t%d lost with it\n", i,
		    (int)outcomes[EDDY_RETURNED], (int)outcomes[EDDY_LOST]);
}
END_TEST

/* Kills of hosts. */

static void
be_host(unsigned depth)
{
	struct parcel calls[8];
	struct rig rig;
	uint32_t i;

	leave_check();
	open_history(8);
	rig_open(&rig, .workers = 2, .depth = depth);
	for (i = 0;; i = (i + 1) % 8) {
		if (history[i].submits == history[i].answers) {
			A_ADD(&board->answers, 1);
			start(&rig, &calls[i], i, -1);
		}
		rig_step(&rig);
	}
}

/* Kill one after so many answers, its zygote with it or not; ms until nothing is
 * left of them.  What loses its parent is ours. */
static int
kill_host(uint32_t answers, unsigned depth, bool both)
{
	pid_t zygote;
	int64_t began;
	pid_t host;

	board->answers = 0;
	host = fork();
	if (host == 0)
		be_host(depth);
	while (A_LOAD(&board->answers) < answers)
		usleep(100);
	zygote = both ? child_of(host) : 0;
	began = eddy_now();
	ck_assert_int_eq(kill(host, SIGKILL), 0);
	if (zygote != 0)
		kill(zygote, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	ck_assert_int_eq(errno, ECHILD);
	return (int)((eddy_now() - began) / EDDY_MS(1));
}

START_TEST(nothing_is_left_of_a_host_that_was_killed)
{
	enum { LIMIT = 1000 * SLOW }; /* ms; other work goes on here */
	unsigned seed = 1;
	int ms, most = 0, late = 0;
	unsigned i;

	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	board = census_share(sizeof(*board));
	for (i = 0; i < (unsigned)size.hosts; i++) {
		ms = kill_host((unsigned)rand_r(&seed) % 60 / (i % 4 + 1),
		    i % 2 + 1, i % 5 == 4);
		ck_assert_int_le(ms, LIMIT);
		most = ms > most ? ms : most;
		late += ms > 100;
	}
	if (full)
		printf("hosts\t%u killed\t%d ms at most until the last worker "
		       "is gone\t%d above 100\n",
		    i, most, late);
}
END_TEST

/* Jobs that end when their time does. */

struct race {
	struct eddy_job job;
	struct {
		int64_t until;
		int lane, ended;
	} bytes;
	int answers;
};

static int
race(void *arg)
{
	struct race *race = CONTAINER_OF(arg, struct race, bytes);

	A_STORE(&board->pids[race->bytes.lane], getpid());
	while (eddy_now() < race->bytes.until)
		;
	return race->bytes.ended = 1;
}

/* Who is said to have been stopped does not run. */
static void
on_race(struct eddy_loop *loop, struct eddy_job *job)
{
	struct race *race = (struct race *)job;
	int pid = A_LOAD(&board->pids[race->bytes.lane]);

	(void)loop;
	race->answers++;
	if (job->outcome == EDDY_EXPIRED) {
		ck_assert_int_eq(race->bytes.ended, 0);
		ck_assert(pid == 0 || kill(pid, 0) < 0);
	} else {
		ck_assert_int_eq(job->outcome, EDDY_RETURNED);
		ck_assert_int_eq(race->bytes.ended, 1);
	}
}

static void
start_race(struct rig *rig, struct race *r, int lane, unsigned *seed)
{
	*r = (struct race){.bytes.lane = lane};
	r->job = (struct eddy_job)EDDY_JOB(race, &r->bytes);
	r->job.deadline = eddy_after(EDDY_US(200 * SLOW));
	r->bytes.until = r->job.deadline - EDDY_US(50 - rand_r(seed) % 60);
	A_STORE(&board->pids[lane], 0);
	ck_assert_int_eq(
	    eddy_submit(rig->pool, &r->job, rig->loop, on_race), 0);
}

START_TEST(ends_and_deadlines_race_for_one_outcome)
{
	struct race races[WORKERS] = {
	    {.answers = 1}, {.answers = 1}, {.answers = 1}};
	int i, n = 0, expired = 0;
	unsigned seed = 1;
	struct rig rig;

	board = census_share(sizeof(*board));
	rig_open(&rig, .workers = WORKERS, .depth = 1);
	rig_ready(&rig, WORKERS);
	for (; n < size.races; rig_step(&rig))
		for (i = 0; i < WORKERS; i++) {
			struct race *r = &races[i];

			ck_assert_int_le(r->answers, 1);
			if (r->answers == 0)
				continue;
			expired += r->job.outcome == EDDY_EXPIRED;
			n++;
			start_race(&rig, r, i, &seed);
		}
	for (i = 0; i < WORKERS; i++)
		rig_until(&rig, races[i].answers != 0);
	ck_assert_int_gt(expired, 0);
	ck_assert_int_lt(expired, n);
	if (full)
		printf("races\t%d jobs\t%d expired\n", n, expired);
	rig_close(&rig);
}
END_TEST

/* A long queue. */

static int
in_order(void *arg)
{
	return A_ADD(&board->next, 1) == *(uint32_t *)arg;
}

static void
on_queued(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	ck_assert_int_eq(job->outcome, EDDY_RETURNED);
	ck_assert_int_eq(job->result, 1);
	A_ADD(&board->answers, 1);
}

START_TEST(a_long_queue_keeps_its_order_and_its_bound)
{
	struct queued {
		struct eddy_job job;
		uint32_t number;
	} * all;
	uint32_t i, n = (uint32_t)size.queue;
	struct rig rig;

	board = census_share(sizeof(*board));
	all = calloc(n + 1, sizeof(*all));
	ck_assert_ptr_nonnull(all);
	rig_open(&rig, .workers = 1, .queue_limit = n);
	for (i = 0; i <= n; i++) {
		all[i].number = i;
		all[i].job = (struct eddy_job)EDDY_JOB(
		    in_order, &all[i].number);
		ck_assert_int_eq(
		    eddy_submit(rig.pool, &all[i].job, rig.loop, on_queued),
		    i < n ? 0 : -EAGAIN);
	}
	rig_until(&rig, board->answers == n);
	if (full)
		printf("queue\t%u jobs in order\n", n);
	free(all);
	rig_close(&rig);
}
END_TEST

int
main(int argc, char **argv)
{
	Suite *suite = suite_create("storm");
	TCase *tcase;

	full = argc == 2 && strcmp(argv[1], "--storm") == 0;
	if (full)
		size = (struct size){100000, 3000, 100, 200, 100000, 1000000};
	tcase = census_case(suite, "storm", full ? 600 : 60);
	tcase_add_loop_test(
	    tcase, a_storm_loses_no_job_and_runs_none_twice, 0, 2);
	census_add(tcase, a_storm_spares_the_memory_that_is_reserved,
	    a_storm_on_zygotes_loses_no_job,
	    nothing_is_left_of_a_host_that_was_killed,
	    ends_and_deadlines_race_for_one_outcome,
	    a_long_queue_keeps_its_order_and_its_bound);
	return suite_main(suite);
}
