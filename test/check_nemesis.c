/* SPDX-License-Identifier: ISC */
/*
 * nemesis: process pools whose workers, zygotes and hosts are killed, stopped and
 * lied to at random, beside cancels, deadlines and closes.  A history says that
 * each job that was accepted had one outcome, and that none ran twice.
 *
 * check_nemesis [--times n] [--seed s] [--minutes m]: n times 10,000 kills of
 * workers, 200 stops, 100 kills of zygotes and 200 of hosts; or for so long.
 */
#include "procs.h"

#include <dirent.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/prctl.h>

enum {
	JOBS = 1000, /* of a round */
	WINDOW = 64,
	WORKERS = 4,
	LIMIT = 40 * SLOW,  /* ms that a job has */
	PATIENCE = 60000,   /* turns until the last outcome */
	GONE = 1000 * SLOW, /* ms until nothing is left of a host */
};

/* What is done, in main's memory, for all tests. */
static struct totals {
	uint64_t jobs, returned, kills, stops, zygotes, hosts, cancels, closes,
	    scribbles, slowest; /* ms until nothing was left of a host */
} * totals;

/* What shall be done. */
static uint64_t kills, stops, zygotes, hosts;
static int64_t until; /* or for so long, if not 0 */
static uint64_t first_seed = 1;

static struct board {
	struct {
		uint32_t ran, spoilt; /* by a worker that scribbled */
	} jobs[JOBS];
	uint32_t submits[JOBS], answers[JOBS]; /* of a host */
	uint32_t answered;
} * board;

/* Jobs: what number n does follows from the seed of its round. */

enum deed { SHORT, SHORT_TOO, LONG, EXITS, CRASHES, HANGS, SCRIBBLES };

static struct round {
	uint64_t seed;
	unsigned workers, depth, max_jobs;
	int64_t grace;
	bool scribbles, own_zygote;
	enum { DRAINED, CLOSED, ORPHANED } end;
} round_;

static uint64_t
draw(uint64_t n, uint64_t what)
{
	uint64_t x = round_.seed * 0x9e3779b97f4a7c15u + n * 1000003 + what;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u; /* splitmix64 */
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static enum deed
deed_of(uint32_t n)
{
	uint64_t x = draw(n, 1);

	if (x % 32 != 0)
		return (x >> 8) % 16 == 0 ? LONG : SHORT;
	return (enum deed)((x >> 8) % (round_.scribbles ? 7 : 6));
}

static void
scribble(uint32_t n)
{
	unsigned char *page = (unsigned char *)find_channel();
	uint64_t x = draw(n, 2);
	size_t from = x % 2 == 0 ? 0 : x / 2 % 512, size = x / 1024 % 64;
	size_t i;

	for (i = 0; i < size; i++)
		page[from + i] = (unsigned char)draw(i, x);
}

static bool spoilt; /* this worker */

static int
work(void *arg)
{
	struct bytes *bytes = arg;
	uint32_t n = bytes->number;
	enum deed deed = deed_of(n);
	int64_t end = eddy_now() + EDDY_US(300);

	A_ADD(&board->jobs[n].ran, 1);
	spoilt |= deed == SCRIBBLES;
	if (spoilt)
		A_STORE(&board->jobs[n].spoilt, 1);
	while (deed == LONG && eddy_now() < end)
		;
	if (deed == EXITS)
		_exit(3);
	if (deed == CRASHES)
		raise(SIGSEGV);
	while (deed == HANGS)
		pause();
	if (deed == SCRIBBLES)
		scribble(n);
	return twice(arg);
}

/* The history. */

static struct event {
	unsigned submits, answers, outcome;
	bool right;
} history[JOBS];

/* Does the outcome fit with what was done? */
static bool
fits(const struct call *call)
{
	uint32_t n = call->bytes.number, ran = A_LOAD(&board->jobs[n].ran);
	int result = call->job.result, out = call->bytes.out;
	enum deed deed = deed_of(n);

	if (A_LOAD(&board->jobs[n].spoilt) != 0)
		return call->job.outcome != EDDY_NONE;
	switch ((enum eddy_outcome)call->job.outcome) {
	case EDDY_RETURNED:
		return ran == 1 && result == 7 && out == (int)n * 2 + 1;
	case EDDY_CRASHED:
		return ran <= 1 && out == 0 &&
		       (result == SIGKILL || round_.scribbles ||
			   (result == SIGSEGV && deed == CRASHES));
	case EDDY_EXITED:
		return ran <= 1 && out == 0 &&
		       (round_.scribbles ||
			   (ran == 1 && result == 3 && deed == EXITS));
	case EDDY_EXPIRED:
	case EDDY_CANCELLED:
		return ran <= 1 && out == 0;
	case EDDY_LOST: /* three workers in a row, or their zygote */
		return ran <= 1 && out == 0 && result == -EPIPE;
	default:
		return round_.scribbles && ran <= 1;
	}
}

static void
on_outcome(struct eddy_loop *loop, struct eddy_job *job)
{
	struct call *call = (struct call *)job;
	struct event *event = &history[call->bytes.number];

	(void)loop;
	event->answers++;
	event->outcome = job->outcome;
	event->right = fits(call);
	totals->returned += job->outcome == EDDY_RETURNED;
	call->answers++;
}

static void
check_history(void)
{
	uint32_t i;

	for (i = 0; i < JOBS; i++) {
		struct event e = history[i];

		ck_assert_msg(e.submits == e.answers && e.submits <= 1 &&
				  e.right == (e.submits == 1),
		    "job %u, deed %d: %u submits, %u answers, outcome %u, "
		    "ran %u; check_nemesis --seed %" PRIu64,
		    i, deed_of(i), e.submits, e.answers, e.outcome,
		    board->jobs[i].ran, round_.seed);
		totals->jobs += e.submits;
	}
}

/* A round: one pool, and what befalls it. */

static struct call calls[WINDOW];
static unsigned dice; /* the state of rand_r */

static bool
one_in(int n)
{
	return rand_r(&dice) % n == 0;
}

/* The last ones: who was killed may be listed for a while. */
static int struck[64];

static bool
strike_first(int pid)
{
	static unsigned next;
	size_t i;

	for (i = 0; i < COUNT_OF(struck); i++)
		if (struck[i] == pid)
			return false;
	struck[next++ % COUNT_OF(struck)] = pid;
	return true;
}

static void
signal_one(struct rig *rig, int signal, uint64_t *count)
{
	int pids[WORKERS];
	int n = eddy_process_pool_pids(rig->pool, pids, WORKERS);
	int pid = n > 0 ? pids[rand_r(&dice) % n] : 0;

	if (pid != 0 && strike_first(pid) && kill(pid, signal) == 0)
		++*count;
}

static void
strike(struct rig *rig)
{
	if (one_in(2))
		signal_one(rig, SIGKILL, &totals->kills);
	if (one_in(20))
		signal_one(rig, SIGSTOP, &totals->stops);
	if (one_in(100))
		rig_go_on(rig); /* else all their jobs expire */
	if (one_in(4)) {
		eddy_job_cancel(&calls[rand_r(&dice) % WINDOW].job);
		totals->cancels++;
	}
}

static void
start(struct rig *rig, struct call *call, uint32_t n)
{
	int r;

	*call = (struct call){.bytes = {n, (int)n, 0}};
	call->job = (struct eddy_job)EDDY_JOB(work, &call->bytes);
	call->job.deadline = eddy_after(EDDY_MS(LIMIT));
	r = eddy_submit(rig->pool, &call->job, rig->loop, on_outcome);
	ck_assert(r == 0 || r == -EPIPE); /* the zygote is gone */
	history[n].submits += r == 0;
	totals->scribbles += r == 0 && deed_of(n) == SCRIBBLES;
	call->answers = r == 0 ? 0 : 1;
}

/* The last one of these: the zygote, or the one that forks those. */
static void
kill_zygote(void)
{
	pid_t first = child_of(getpid()), second = child_of(first);

	kill(second != 0 && one_in(2) ? second : first, SIGKILL);
	totals->zygotes++;
}

static bool
answered(void)
{
	int i;

	for (i = 0; i < WINDOW; i++)
		if (calls[i].answers == 0)
			return false;
	return true;
}

static void
wait_for_answers(struct rig *rig)
{
	int turns;

	for (turns = 0; !answered(); turns++) {
		ck_assert_msg(turns < PATIENCE,
		    "no outcome; check_nemesis --seed %" PRIu64, round_.seed);
		rig_step(rig);
	}
}

/* Some worker is still good. */
static void
prove_fit(struct rig *rig)
{
	struct call call;
	int tries = 0;

	rig_go_on(rig);
	do {
		ck_assert_int_lt(tries++, 100);
		ck_assert_int_eq(call_try(rig, &call, twice, 0, EDDY_S(1)), 0);
		rig_until(rig, call.answers != 0);
	} while (call.job.outcome != EDDY_RETURNED);
	ck_assert_int_eq(call.bytes.out, 1);
}

static struct round
round_of(uint64_t seed)
{
	static const unsigned depths[] = {1, 2, 4, 8};
	struct round r;
	uint64_t x;

	round_.seed = seed;
	x = draw(0, 3);
	r = (struct round){.seed = seed,
	    .workers = 1 + x % WORKERS,
	    .depth = depths[x >> 8 & 3],
	    .grace = x >> 16 & 1 ? EDDY_MS(1) : 0,
	    .max_jobs = (x >> 24) % 3 == 0 ? 20 : 0,
	    .scribbles = (x >> 32) % 4 == 0};
	r.end = (x >> 40) % 8 == 0 ? CLOSED : DRAINED;
	if (r.scribbles)
		r.depth = 1; /* for code that is not trusted */
	return r;
}

static void
run_round(uint64_t seed, bool orphaned)
{
	uint32_t sent = 0, jobs = orphaned ? 200 : JOBS;
	struct rig rig;
	int i;

	round_ = round_of(seed);
	round_.end = orphaned ? ORPHANED : round_.end;
	dice = (unsigned)draw(0, 4);
	memset(board, 0, sizeof(*board));
	memset(history, 0, sizeof(history));
	census_begin();
	rig_open(&rig, .workers = round_.workers, .depth = round_.depth,
	    .grace = round_.grace, .max_jobs = round_.max_jobs);
	for (i = 0; i < WINDOW; i++)
		calls[i].answers = 1;
	for (; sent < jobs; rig_step(&rig)) {
		for (i = 0; i < WINDOW && sent < jobs; i++)
			if (calls[i].answers != 0)
				start(&rig, &calls[i], sent++);
		if (!orphaned)
			strike(&rig);
		else if (sent > 64 + draw(0, 5) % 100)
			break;
	}
	if (orphaned)
		kill_zygote();
	if (round_.end != CLOSED)
		wait_for_answers(&rig);
	if (round_.end == DRAINED)
		prove_fit(&rig);
	totals->closes += round_.end == CLOSED;
	i = eddy_executor_close(rig.pool, EDDY_S(30));
	ck_assert_msg(
	    i == 0, "close: %d; check_nemesis --seed %" PRIu64, i, round_.seed);
	wait_for_answers(&rig);
	check_history();
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	census_end();
}

START_TEST(each_job_has_one_outcome_whatever_befalls_its_worker)
{
	uint64_t seed = first_seed;

	while (totals->kills < kills || totals->stops < stops)
		run_round(seed++, false);
}
END_TEST

START_TEST(each_job_has_one_outcome_when_the_zygote_is_killed)
{
	uint64_t seed = first_seed;

	while (totals->zygotes < zygotes)
		run_round(seed++, true);
}
END_TEST

/* Hosts. */

static void
on_host_outcome(struct eddy_loop *loop, struct eddy_job *job)
{
	struct call *call = (struct call *)job;

	(void)loop;
	A_ADD(&board->answers[call->bytes.number], 1);
	A_ADD(&board->answered, 1);
	call->answers = fits(call) ? 1 : 2;
}

static _Noreturn void
be_host(void)
{
	struct rig rig;
	uint32_t n = 0;
	int i;

	leave_check();
	rig_open(&rig, .workers = round_.workers, .depth = round_.depth,
	    .grace = round_.grace);
	for (i = 0; i < WINDOW; i++)
		calls[i].answers = 1;
	for (i = 0;; i = (i + 1) % 8) {
		struct call *call = &calls[i];

		if (call->answers == 2)
			_exit(2); /* a wrong one */
		if (call->answers == 1 && n < JOBS) {
			*call = (struct call){.bytes = {n, (int)n, 0}};
			call->job = (struct eddy_job)EDDY_JOB(
			    work, &call->bytes);
			call->job.deadline = eddy_after(EDDY_MS(LIMIT));
			A_ADD(&board->submits[n++], 1);
			ck_assert_int_eq(eddy_submit(rig.pool, &call->job,
					     rig.loop, on_host_outcome),
			    0);
		}
		if (i == 0)
			rig_step(&rig);
	}
}

/* What loses its parent is ours: wait for the last one. */
static void
kill_host(uint64_t seed)
{
	uint32_t n, i;
	int64_t began;
	int status;
	pid_t host;

	round_ = round_of(seed);
	round_.scribbles = false;
	memset(board, 0, sizeof(*board));
	n = (uint32_t)(draw(0, 6) % 50);
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	host = fork();
	if (host == 0)
		be_host();
	while (A_LOAD(&board->answered) < n)
		usleep(50);
	began = eddy_now();
	ck_assert_int_eq(kill(host, SIGKILL), 0);
	ck_assert_int_eq(waitpid(host, &status, 0), host);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	ck_assert_int_eq(errno, ECHILD);
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	began = (eddy_now() - began) / EDDY_MS(1);
	ck_assert_int_le(began, GONE);
	totals->hosts++;
	if ((uint64_t)began > totals->slowest)
		totals->slowest = (uint64_t)began;
	for (i = 0; i < JOBS; i++)
		ck_assert_msg(board->jobs[i].ran <= board->submits[i] &&
				  board->answers[i] <= board->submits[i] &&
				  board->submits[i] <= 1,
		    "job %u of a host: %u submits, %u answers, ran %u; "
		    "check_nemesis --seed %" PRIu64,
		    i, board->submits[i], board->answers[i], board->jobs[i].ran,
		    seed);
}

START_TEST(nothing_is_left_of_a_host_that_is_killed)
{
	uint64_t seed = first_seed;

	while (totals->hosts < hosts)
		kill_host(seed++);
}
END_TEST

/* What was found. */

static int
hang(void *arg)
{
	A_STORE(&board->answered, 1);
	for (;;)
		pause();
	return *(int *)arg;
}

START_TEST(a_close_keeps_to_the_deadlines_of_what_runs)
{
	struct call call;
	struct rig rig;

	rig_open(&rig, .workers = 2);
	board->answered = 0;
	ck_assert_int_eq(
	    call_try(&rig, &call, hang, 0, EDDY_MS(100 * SLOW)), 0);
	rig_until(&rig, A_LOAD(&board->answered) != 0);
	ck_assert_int_eq(call.answers, 0);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_FOREVER), 0);
	call_expect(&rig, &call, EDDY_EXPIRED, 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

START_TEST(the_same_for_long)
{
	uint64_t seed;

	for (seed = first_seed; eddy_now() < until; seed++) {
		run_round(seed, seed % 4 == 0);
		kill_host(seed);
	}
}
END_TEST

/* As census_share, where Check does not take assertions. */
static void *
outside_tests(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

int
main(int argc, char **argv)
{
	Suite *suite = suite_create("nemesis");
	unsigned times = SLOW > 1 ? 1 : 5; /* of a hundred */
	TCase *tcase;
	int i, r;

	for (i = 1; i + 1 < argc; i += 2) {
		uint64_t n = strtoull(argv[i + 1], NULL, 10);

		if (strcmp(argv[i], "--times") == 0)
			times = (unsigned)n * 100;
		else if (strcmp(argv[i], "--minutes") == 0)
			until = eddy_after(EDDY_S(60) * (int64_t)n);
		else
			first_seed = n;
	}
	kills = 100 * times;
	stops = zygotes = hosts = 2 * times;
	zygotes /= 2;
	totals = outside_tests(sizeof(*totals));
	board = outside_tests(sizeof(*board));
	tcase = census_case(suite, "nemesis", 60 + 3 * times);
	if (until != 0) {
		tcase_set_timeout(tcase, 1e6);
		census_add(tcase, the_same_for_long);
	} else {
		census_add(tcase,
		    each_job_has_one_outcome_whatever_befalls_its_worker,
		    each_job_has_one_outcome_when_the_zygote_is_killed,
		    nothing_is_left_of_a_host_that_is_killed,
		    a_close_keeps_to_the_deadlines_of_what_runs);
	}
	r = suite_main(suite);
	if (r == 0)
		printf("nemesis: jobs=%" PRIu64 " returned=%" PRIu64
		       " kills=%" PRIu64 " stops=%" PRIu64 " zygote=%" PRIu64
		       " host=%" PRIu64 " cancels=%" PRIu64 " closes=%" PRIu64
		       " scribbles=%" PRIu64 " gone_ms=%" PRIu64
		       " first=%" PRIu64 " lost=0 twice=0 orphans=0 leaked=0\n",
		    totals->jobs, totals->returned, totals->kills,
		    totals->stops, totals->zygotes, totals->hosts,
		    totals->cancels, totals->closes, totals->scribbles,
		    totals->slowest, first_seed);
	return r;
}
