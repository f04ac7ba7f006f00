/* SPDX-License-Identifier: ISC */
/* What a worker can do to its host by what they share: nothing. */
#include "procs.h"

#include <inttypes.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <eddy/transform.h>

#include <eddy/timer.h>

static struct board {
	uint64_t flips;
	uint32_t calm; /* no more of them */
	uint32_t ran;  /* what lies, or what rings */
	int pid;       /* of the worker that lied last */
} * board;

static uint64_t goal = CENSUS_TSAN ? 200000 : 1000000;

/* Lies.  Each job has slot 0 of a channel of depth 1, and has to be heard before
 * it returns or dies. */

struct lie {
	const char *what;
	void (*tell)(struct channel *channel);
	bool dies; /* else it rings, and stays */
	enum eddy_outcome outcome;
	int result;
};

static void
one_more(struct channel *c)
{
	A_ADD(&c->head, 1); /* but the slot is running */
}

static void
two_more(struct channel *c)
{
	A_RELEASE(&c->slots[0].state, SLOT_DONE);
	A_ADD(&c->head, 2);
}

static void
one_less(struct channel *c)
{
	A_SUB(&c->head, 1);
}

static void
far_more(struct channel *c)
{
	A_STORE(&c->head, 0x7fffffff);
}

static void
all_ones(struct channel *c)
{
	A_STORE(&c->head, UINT32_MAX);
}

static void
no_such_state(struct channel *c)
{
	A_STORE(&c->slots[0].state, 0xdeadbeef);
	A_ADD(&c->head, 1);
}

static void
freed(struct channel *c)
{
	A_STORE(&c->slots[0].state, SLOT_FREE);
	A_ADD(&c->head, 1);
}

static void
taken(struct channel *c)
{
	A_STORE(&c->slots[0].state, SLOT_TAKEN);
	A_ADD(&c->head, 1);
}

static void
pending(struct channel *c)
{
	A_STORE(&c->slots[0].result, INT32_MIN); /* forges an await */
	A_STORE(&c->slots[0].state, SLOT_DONE);
	A_ADD(&c->head, 1);
}

static void
too_low(struct channel *c)
{
	A_STORE(&c->slots[0].result, -4096);
	A_STORE(&c->slots[0].state, SLOT_DONE);
	A_ADD(&c->head, 1);
}

static void
done_twice(struct channel *c)
{
	A_STORE(&c->slots[0].state, SLOT_DONE);
	A_ADD(&c->head, 0x80000001);
}

static void
not_started(struct channel *c)
{
	A_STORE(&c->slots[0].state, SLOT_QUEUED);
}

static void
never_ready(struct channel *c)
{
	A_STORE(&c->error, -EPERM);
	A_STORE(&c->ready, 0);
}

static void
wiped(struct channel *c)
{
	memset(c->slots, 0, sizeof(c->slots));
}

static void
filled(struct channel *c)
{
	memset(c, 0xff, sizeof(*c));
}

static const struct lie lies[] = {
    {"one more than it has done", one_more, false, EDDY_PROTOCOL, 0},
    {"more than it has", two_more, false, EDDY_PROTOCOL, 0},
    {"less than it had done", one_less, false, EDDY_PROTOCOL, 0},
    {"a huge count", far_more, false, EDDY_PROTOCOL, 0},
    {"the largest count", all_ones, false, EDDY_PROTOCOL, 0},
    {"a state that does not exist", no_such_state, false, EDDY_PROTOCOL, 0},
    {"a free slot", freed, false, EDDY_PROTOCOL, 0},
    {"a slot that was not taken back", taken, false, EDDY_PROTOCOL, 0},
    {"a result that means pending", pending, false, EDDY_PROTOCOL, 0},
    {"a result below the errors", too_low, false, EDDY_PROTOCOL, 0},
    {"a count that wraps", done_twice, false, EDDY_PROTOCOL, 0},
    {"ones all over", filled, false, EDDY_PROTOCOL, 0},
    {"ones, and dies", filled, true, EDDY_PROTOCOL, 0},
    {"one more, and dies", one_more, true, EDDY_PROTOCOL, 0},
    {"no slots, and dies", wiped, true, EDDY_CRASHED, SIGKILL},
    {"that it never was ready, and dies", never_ready, true, EDDY_CRASHED,
	SIGKILL},
    /* One that was never started goes to another; three believe that. */
    {"not to have started, and dies", not_started, true, EDDY_LOST, -EPIPE},
};

static int
lie(void *arg)
{
	const struct lie *l = &lies[((struct bytes *)arg)->number];
	struct channel *channel = find_channel();

	board->pid = getpid();
	A_ADD(&board->ran, 1);
	l->tell(channel);
	if (l->dies)
		return raise(SIGKILL);
	ring(bell());
	return pause();
}

/* Beside others, on a worker of their own. */
START_TEST(a_lie_costs_the_job_and_the_worker)
{
	const struct lie *l = &lies[_i];
	struct call liar, before[4], after[4];
	struct rig rig;
	int i, pid;

	board = census_share(sizeof(*board));
	rig_open(&rig, .workers = 2, .depth = 1);
	rig_ready(&rig, 2);
	for (i = 0; i < 4; i++)
		call_start(&rig, &before[i], twice, (uint32_t)i);
	call_start(&rig, &liar, lie, (uint32_t)_i);
	for (i = 0; i < 4; i++)
		call_start(&rig, &after[i], twice, (uint32_t)i);
	call_expect(&rig, &liar, l->outcome, l->result);
	pid = board->pid;
	for (i = 0; i < 4; i++) {
		call_expect(&rig, &before[i], EDDY_RETURNED, 7);
		call_expect(&rig, &after[i], EDDY_RETURNED, 7);
	}
	ck_assert_uint_eq(board->ran, l->outcome == EDDY_LOST ? 3 : 1);
	rig_ready(&rig, 2);
	await_end(handle(pid));
	rig_close(&rig);
}
END_TEST

/* One that says it has returned, and goes on, has returned; it then keeps the
 * next job from running, until a deadline. */
static int
claim(void *arg)
{
	struct channel *c = find_channel();

	(void)arg;
	A_STORE(&c->slots[0].result, 42);
	A_RELEASE(&c->slots[0].state, SLOT_DONE);
	A_ADD(&c->head, 1);
	ring(bell());
	return pause();
}

START_TEST(a_claim_to_have_returned_holds_until_a_deadline)
{
	struct call liar, next;
	struct rig rig;

	rig_open(&rig, .workers = 1, .depth = 1);
	call_start(&rig, &liar, claim, 0);
	call_expect(&rig, &liar, EDDY_RETURNED, 42);
	ck_assert_int_eq(call_try(&rig, &next, twice, 1, EDDY_MS(20)), 0);
	call_expect(&rig, &next, EDDY_EXPIRED, 0);
	rig_close(&rig);
}
END_TEST

/* Many lies in a row do not make the others' jobs wait for workers that cannot
 * be had. */
START_TEST(liars_do_not_make_the_pool_give_up)
{
	enum { LIARS = 20 };
	struct call liars[LIARS], good;
	struct rig rig;
	uint32_t n = 0;
	int i;

	while (lies[n].tell != never_ready)
		n++;
	board = census_share(sizeof(*board));
	rig_open(&rig, .workers = 1, .depth = 1);
	for (i = 0; i < LIARS; i++)
		call_start(&rig, &liars[i], lie, n);
	call_start(&rig, &good, twice, 3);
	for (i = 0; i < LIARS; i++)
		call_expect(&rig, &liars[i], EDDY_CRASHED, SIGKILL);
	call_expect(&rig, &good, EDDY_RETURNED, 7);
	rig_close(&rig);
}
END_TEST

/* By the only name it has left. */
static int
shrink(void *arg)
{
	struct channel *channel = find_channel();
	char path[64];
	int fd;

	(void)arg;
	snprintf(path, sizeof(path),
	    "/proc/self/map_files/%" PRIxPTR "-%" PRIxPTR, (uintptr_t)channel,
	    (uintptr_t)channel + CHANNEL_HEADER + channel->options.slot_size);
	fd = open(path, O_RDWR);
	if (fd < 0)
		return -ENOENT; /* not for ordinary users */
	return ftruncate(fd, 0) < 0 ? -errno : 0;
}

START_TEST(a_worker_cannot_shrink_its_channel)
{
	struct call call;
	struct rig rig;

	rig_open(&rig, .workers = 1, .depth = 1);
	call_start(&rig, &call, shrink, 0);
	rig_until(&rig, call.answers != 0);
	ck_assert_int_eq(call.job.outcome, EDDY_RETURNED);
	ck_assert(call.job.result == -EPERM || call.job.result == -ENOENT);
	rig_close(&rig);
}
END_TEST

/* Scribbling and forging: what the liar gets is up to it, but it comes, and the
 * others do not notice. */

static int
scribble(void *arg)
{
	struct bytes *bytes = arg;
	unsigned char *page = (unsigned char *)find_channel();
	unsigned seed = bytes->number, i, from, n;

	from = seed % 3 == 0 ? 0 : (unsigned)rand_r(&seed) % 512;
	n = seed % 2 == 0 ? 4096 - from : (unsigned)rand_r(&seed) % 64;
	for (i = 0; i < n; i++)
		page[from + i] = (unsigned char)rand_r(&seed);
	return 7;
}

/* number: which word from tail on gets which value. */
static int
forge(void *arg)
{
	static const uint32_t values[] = {0, 1, 2, 0x7fffffff, UINT32_MAX};
	struct bytes *bytes = arg;
	uint32_t number = bytes->number, *words = &find_channel()->tail;

	words[number / COUNT_OF(values)] = values[number % COUNT_OF(values)];
	return 7;
}

/* One that has returned before it was found out spoils its worker: of the jobs
 * behind it, the first. */
static void
expect_good(struct rig *rig, const struct call *bad, struct call *good)
{
	bool returned = bad->job.outcome == EDDY_RETURNED, spoilt = false;
	uint32_t k;

	for (k = 0; k < 3; k++) {
		rig_until(rig, good[k].answers != 0);
		if (returned && !spoilt && good[k].job.outcome == EDDY_PROTOCOL)
			spoilt = true;
		else
			call_expect(rig, &good[k], EDDY_RETURNED, 7);
	}
}

static void
endure(eddy_job_fn *fn, uint32_t n)
{
	struct call bad, good[3];
	struct rig rig;
	uint32_t i, k;

	rig_open(&rig, .workers = 2, .depth = 1);
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(
		    call_try(&rig, &bad, fn, i, EDDY_MS(20 * SLOW)), 0);
		for (k = 0; k < 3; k++)
			call_start(&rig, &good[k], twice, k);
		rig_until(&rig, bad.answers != 0);
		ck_assert_int_eq(bad.answers, 1);
		ck_assert_int_ne(bad.job.outcome, EDDY_NONE);
		expect_good(&rig, &bad, good);
	}
	rig_close(&rig);
}

START_TEST(a_host_survives_workers_that_scribble_over_their_channel)
{
	endure(scribble, 100 / SLOW);
}
END_TEST

START_TEST(a_host_survives_each_word_of_the_channel_forged)
{
	const size_t tail = offsetof(struct channel, tail);
	const size_t words = (offsetof(struct channel, slots[1]) - tail) / 4;

	endure(forge, (uint32_t)words * 5 / SLOW);
}
END_TEST

/* While the jobs of others are in the same channel.  In the last round nobody
 * lies: one that returned before it was found out spoils its worker. */
START_TEST(a_deep_channel_survives_scribbling)
{
	struct call calls[10];
	struct rig rig;
	uint32_t i, k, n = 50 / SLOW;

	rig_open(&rig, .workers = 2, .depth = 8);
	for (i = 0; i <= n; i++) {
		for (k = 0; k < 10; k++)
			ck_assert_int_eq(call_try(&rig, &calls[k],
					     k == 3 && i < n ? scribble : twice,
					     i + 1, EDDY_MS(30)),
			    0);
		for (k = 0; k < 10; k++)
			rig_until(&rig, calls[k].answers != 0);
	}
	rig_close(&rig);
}
END_TEST

/* Mail that nobody asked for: a byte with more descriptors than any job has, or
 * no byte; then the job's own. */
static int
overload(void *arg)
{
	enum { MANY = 18 }; /* in the padding behind 17 is room for one more */
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(MANY * sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(MANY * sizeof(int)),
			 .cmsg_level = SOL_SOCKET,
			 .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {arg, ((struct bytes *)arg)->number};
	struct msghdr message = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	int fd = 3, fds[MANY] = {0};
	struct stat stat;

	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	while (fstat(fd, &stat) != 0 || !S_ISSOCK(stat.st_mode))
		fd++;
	if (sendmsg(fd, &message, 0) < 0)
		return -errno;
	eddy_job_return_fd(STDIN_FILENO);
	return 7;
}

static void
on_overload(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)job;
	eddy_loop_stop(loop);
}

START_TEST(descriptors_that_nobody_asked_for_do_not_stay)
{
	struct bytes bytes = {.number = (uint32_t)_i};
	struct eddy_descriptors fds = {.in_count = 0};
	struct eddy_long_job part = EDDY_LONG_JOB(overload, &bytes, NULL);
	struct rig rig;

	rig_open(&rig, .workers = 1, .flags = EDDY_PASS_DESCRIPTORS);
	part.fds = &fds;
	ck_assert_int_eq(
	    eddy_submit(rig.pool, &part.job, rig.loop, on_overload), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(eddy_job_rc(&part.job), _i != 0 ? 7 : -EPROTO);
	ck_assert_uint_eq(fds.out_count, _i != 0 ? 1 : 0);
	while (fds.out_count > 0)
		close(fds.out[--fds.out_count]);
	rig_close(&rig);
}
END_TEST

/* Bells. */

static int __attribute__((noreturn)) spam(void *arg)
{
	int fd = bell();

	(void)arg;
	for (;;)
		ring(fd);
}

/* A child of the worker: its jobs are honest. */
static int
spam_beside(void *init, void **ret_state)
{
	(void)init;
	(void)ret_state;
	A_ADD(&board->ran, 1);
	if (A_LOAD(&board->calm) == 0 && fork() == 0)
		spam(NULL);
	return 0;
}

START_TEST(bells_for_nothing_cost_a_thousand_turns)
{
	struct call call;
	struct rig rig;
	int turns = 0;

	rig_open(&rig, .workers = 1, .depth = 1);
	rig_ready(&rig, 1);
	call_start(&rig, &call, spam, 0);
	while (call.answers == 0) {
		ck_assert_int_ge(eddy_loop_step(rig.loop, EDDY_S(30)), 0);
		turns++;
	}
	ck_assert_int_eq(call.job.outcome, EDDY_PROTOCOL);
	ck_assert_int_le(turns, 1010);
	rig_close(&rig);
}
END_TEST

/* A thousand turns, again, by each worker that is found out. */
START_TEST(bells_beside_jobs_cost_little)
{
	struct call call;
	struct rig rig;
	int turns = 0, jobs;

	board = census_share(sizeof(*board));
	rig_open(&rig, .workers = 1, .depth = 1, .worker_open = spam_beside);
	for (jobs = 0; jobs < 30000; jobs++) {
		call_start(&rig, &call, twice, 0);
		while (call.answers == 0) {
			ck_assert_int_ge(
			    eddy_loop_step(rig.loop, EDDY_S(30)), 0);
			turns++;
		}
		if (call.job.outcome != EDDY_RETURNED)
			break;
	}
	ck_assert_int_le(turns, jobs + 1010 * (int)A_LOAD(&board->ran));
	A_STORE(&board->calm, 1);
	rig_ready(&rig, 1);
	rig_close(&rig);
}
END_TEST

/* Flips. */

static void
spin(uint32_t n)
{
	while (n-- > 0)
		__asm__ volatile("");
}

static uint32_t
draw(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	return *x ^= *x << 5;
}

/* What the host reads of a slot; the rest is the worker's own trouble. */
#define WORD(field)                                   \
	{                                             \
		offsetof(struct slot, field),         \
		    sizeof(((struct slot *)0)->field) \
	}
static const struct word {
	size_t at, size;
} words[] = {WORD(state), WORD(result), WORD(fds_out), WORD(big),
    WORD(out_size), WORD(report.value), WORD(report.count)};

/* A byte of those, of the words that workers write, or of the bytes of a job. */
static unsigned char *
aim(struct channel *channel, uint32_t depth, uint32_t r)
{
	const size_t head = offsetof(struct channel, head);
	const size_t slots = offsetof(struct channel, slots);
	struct word w = words[r / 8 % COUNT_OF(words)];
	size_t at = slots + r / 64 % depth * sizeof(struct slot) + w.at +
	            r / 1024 % w.size;

	if (r % 8 == 0)
		at = CHANNEL_HEADER + r / 8 % sizeof(struct bytes);
	else if (r % 8 == 1)
		at = head + r / 8 % (slots - head);
	return (unsigned char *)channel + at;
}

/* Flip a bit and, mostly, flip it back a moment later. */
static _Noreturn void
flip(struct channel *channel, uint32_t seed)
{
	uint32_t x = seed * 2654435761u | 1, n, depth = channel->options.depth;

	for (n = 1; A_LOAD(&board->calm) == 0; n++) {
		uint32_t r = draw(&x);
		unsigned char *byte = aim(channel, depth, r & 0xffffff);
		unsigned char bit = (unsigned char)(1u << (r >> 29));

		__atomic_xor_fetch(byte, bit, __ATOMIC_RELAXED);
		spin(draw(&x) % 2048);
		if (draw(&x) % 256 != 0)
			__atomic_xor_fetch(byte, bit, __ATOMIC_RELAXED);
		spin(draw(&x) % 2048);
		if (n % 64 == 0)
			A_ADD(&board->flips, 127);
	}
	_exit(0);
}

static int
flip_beside(void *init, void **ret_state)
{
	(void)init;
	(void)ret_state;
	if (A_LOAD(&board->calm) == 0 && fork() == 0)
		flip(find_channel(), (uint32_t)getpid());
	return 0;
}

enum { WINDOW = 16, PATIENCE = 5 * SLOW };

/* Of all sorts: plain; one that tells how far it is, and has bytes that go one
 * way; one with an output, in its slot or beyond. */
struct flipped {
	struct eddy_transform job;
	struct bytes bytes;
	int answers;
};

static void
on_flipped(struct eddy_loop *loop, struct eddy_job *job)
{
	struct flipped *f = CONTAINER_OF(job, struct flipped, job.long_job.job);
	const volatile char *data = f->job.out.data;
	size_t i;

	(void)loop;
	for (i = 0; i < f->job.out.size; i++)
		(void)data[i]; /* nobody can take it away */
	eddy_transform_release(&f->job);
	f->answers++;
}

static void
on_progress(struct eddy_loop *loop, struct eddy_long_job *job)
{
	(void)loop;
	(void)job;
}

static int
tell(void *arg)
{
	eddy_job_progress(1);
	return twice(arg);
}

static int
put_out(struct eddy_span in, struct eddy_output *output)
{
	uint32_t number = ((const struct bytes *)in.data)->number;
	size_t size = number % 2 ? 100 : 100 << 10;
	void *data;
	int r = eddy_output_reserve(output, size, &data);

	if (r == 0)
		memset(data, (int)number, size);
	return r == 0 ? eddy_output_commit(output, size) : r;
}

static void
start_flipped(struct rig *rig, struct flipped *f, uint32_t i)
{
	struct eddy_long_job *l = &f->job.long_job;

	*f = (struct flipped){.bytes = {i, 3, 0}};
	if (i % 3 == 2)
		eddy_transform_init(
		    &f->job, put_out, &f->bytes, sizeof(f->bytes));
	else
		l->job = (struct eddy_job)EDDY_JOB(
		    i % 3 != 0 ? tell : twice, &f->bytes);
	if (i % 3 == 1) {
		l->on_progress = on_progress;
		l->job.flags = EDDY_JOB_LONG;
		l->run_limit = EDDY_MS(PATIENCE);
		l->in_only = l->out_only = sizeof(uint32_t);
	}
	l->job.deadline = eddy_after(EDDY_MS(PATIENCE));
	ck_assert_int_eq(
	    eddy_submit(rig->pool, &l->job, rig->loop, on_flipped), 0);
}

/* Until there were so many flips; how many jobs had which outcome. */
static void
endure_flips(struct rig *rig, uint64_t *outcomes)
{
	struct flipped calls[WINDOW];
	uint32_t i, x = 1;

	for (i = 0; i < WINDOW; i++)
		calls[i].answers = -1; /* not yet */
	while (A_LOAD(&board->flips) < goal) {
		for (i = 0; i < WINDOW; i++) {
			struct flipped *f = &calls[i];

			ck_assert_int_le(f->answers, 1);
			if (f->answers == 0)
				continue;
			if (f->answers == 1)
				outcomes[f->job.long_job.job.outcome]++;
			start_flipped(rig, f, i);
		}
		if (draw(&x) % 64 == 0)
			eddy_job_cancel(&calls[x % WINDOW].job.long_job.job);
		rig_step(rig);
	}
	A_STORE(&board->calm, 1);
	for (i = 0; i < WINDOW; i++)
		rig_until(rig, calls[i].answers != 0);
}

/* Workers that nobody disturbed, in place of those that are there. */
static void
renew(struct rig *rig)
{
	int pids[8], i, n = eddy_process_pool_pids(rig->pool, pids, 8);

	for (i = 0; i < n; i++)
		kill(pids[i], SIGKILL);
}

/* After that; a worker that was about to start may be spoilt, too. */
static void
calm_down(struct rig *rig)
{
	struct call call;
	int good, round;

	for (round = good = 0; good < 20; good++) {
		if (good == 0) {
			ck_assert_int_lt(round++, 20);
			renew(rig);
		}
		ck_assert_int_eq(
		    call_try(rig, &call, twice, 0, EDDY_MS(500)), 0);
		rig_until(rig, call.answers != 0);
		if (call.job.outcome != EDDY_RETURNED)
			good = -1;
	}
}

START_TEST(flipped_bits_hurt_nobody_but_their_worker)
{
	static const unsigned depths[] = {1, 2, 8};
	uint64_t outcomes[EDDY_PROTOCOL + 1] = {0}, all = goal;
	struct rig rig;
	size_t i;

	board = census_share(sizeof(*board));
	for (i = 0; i < COUNT_OF(depths); i++) {
		goal = all / COUNT_OF(depths);
		board->flips = board->calm = 0;
		rig_open(&rig, .workers = 2, .depth = depths[i],
		    .flags = EDDY_PASS_DESCRIPTORS, .worker_open = flip_beside,
		    .max_rss = (size_t)1 << 30,
		    .grace = i == 1 ? EDDY_MS(1) : 0);
		endure_flips(&rig, outcomes);
		calm_down(&rig);
		rig_close(&rig);
	}
	goal = all;
	ck_assert_uint_eq(outcomes[EDDY_NONE], 0);
	ck_assert_uint_gt(outcomes[EDDY_RETURNED], 0);
	ck_assert_uint_gt(outcomes[EDDY_PROTOCOL], 0);
	if (goal > 1000000)
		printf("%" PRIu64 " flips: %" PRIu64 " jobs returned, %" PRIu64
		       " crashed, %" PRIu64 " expired, %" PRIu64
		       " lost, %" PRIu64 " broke the protocol\n",
		    goal, outcomes[EDDY_RETURNED], outcomes[EDDY_CRASHED],
		    outcomes[EDDY_EXPIRED], outcomes[EDDY_LOST],
		    outcomes[EDDY_PROTOCOL]);
}
END_TEST

int
main(int argc, char **argv)
{
	Suite *suite = suite_create("hostile");

	if (argc == 3 && strcmp(argv[1], "--flips") == 0) {
		goal = strtoull(argv[2], NULL, 10);
		census_add(census_case(suite, "flips", 600),
		    flipped_bits_hurt_nobody_but_their_worker);
		return suite_main(suite);
	}
	tcase_add_loop_test(census_case(suite, "lies", 20),
	    a_lie_costs_the_job_and_the_worker, 0, (int)COUNT_OF(lies));
	census_add(census_case(suite, "liars", 20),
	    a_claim_to_have_returned_holds_until_a_deadline,
	    liars_do_not_make_the_pool_give_up,
	    a_worker_cannot_shrink_its_channel);
	census_add(census_case(suite, "scribbles", 40),
	    a_host_survives_workers_that_scribble_over_their_channel,
	    a_host_survives_each_word_of_the_channel_forged,
	    a_deep_channel_survives_scribbling);
	tcase_add_loop_test(census_case(suite, "mail", 20),
	    descriptors_that_nobody_asked_for_do_not_stay, 0, 2);
	census_add(census_case(suite, "bells", 20),
	    bells_for_nothing_cost_a_thousand_turns,
	    bells_beside_jobs_cost_little);
	census_add(census_case(suite, "flips", 60),
	    flipped_bits_hurt_nobody_but_their_worker);
	return suite_main(suite);
}
