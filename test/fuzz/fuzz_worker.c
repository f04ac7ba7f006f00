/* SPDX-License-Identifier: ISC */
/*
 * What workers may do to their host.  Zygote and workers of a pool are played
 * here, in one process: some do their jobs, others write anything anywhere in
 * what they share, also while the host is reading it, send what nobody asked
 * for, die.  Each job has one outcome, those of good workers are right, nothing
 * stays open or mapped, and after all that the pool works.
 */
/* link: -Wl,--wrap=eddy__zygote_link,--wrap=eddy__zygote_unlink */
/* link: -Wl,--wrap=eddy__zygote_has,--wrap=eddy__recv */
/* link: -Wl,--wrap=eddy__memfd_check,--wrap=eddy__map */
/* link: -Wl,--wrap=eddy__view,--wrap=eddy__unmap */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process_channel.h"
#include "sys.h"

enum {
	WORKERS = 2,
	JOBS = 12,
	MAPS = 64,
	MAIL = 24,    /* descriptors at once */
	OPEN = 256,   /* that are looked at */
	SMALL = 4096, /* a slot; or so much that it is copied by parts: */
	LARGE = 600 << 10,
	BIG = 100 << 10, /* an output beyond its slot */
	TURNS = 3000,    /* for all to have ended: or something hangs */
	MORTAL = 16,     /* turns without progress until workers are replaced */
};

/* What a job takes along, and what comes back: the last word. */
struct bytes {
	uint32_t number, between, answer;
};

enum sort { PLAIN, TELLING, PASSING, SMALL_OUT, BIG_OUT, WHOLE, SORTS };

static struct one {
	struct eddy_transform transform;
	struct eddy_descriptors fds;
	struct eddy_worker_report report;
	enum sort sort;
	struct bytes *bytes;   /* of what has no room in a slot: allocated */
	const struct fake *by; /* who has done it as it should */
	bool out, reserved, cancelled;
} all[JOBS];

/* A worker, by its index in the pool. */
static struct fake {
	enum { NOBODY, ORDERED, BORN } state;
	struct channel *channel;
	size_t size;
	int bell, mail, life; /* life: the host's pidfd shows its end */
	uint32_t head;
	bool runs; /* the job at head */
	bool live; /* ready, and the host has heard */
	bool lies;
} fakes[WORKERS];

static struct fuzz_input in;
static struct eddy_loop *loop;
static struct eddy_executor *pool;
static struct eddy_process_pool_options options;
static int orders; /* the zygote's end of the link; -1: it is gone */
static bool lied, died, unborn, closing;
static unsigned answered;
static const void *maps[MAPS]; /* of the host */

static struct eddy_job *
job_of_one(struct one *one)
{
	return &one->transform.long_job.job;
}

/* The zygote. */

int __wrap_eddy__zygote_link(struct eddy_zygote *zygote);
void __wrap_eddy__zygote_unlink(struct eddy_zygote *zygote, int link);
bool __wrap_eddy__zygote_has(const struct eddy_zygote *zygote, uintptr_t fn);

int
__wrap_eddy__zygote_link(struct eddy_zygote *zygote)
{
	int ends[2];

	(void)zygote;
	fuzz_must(eddy__socketpair(ends) == 0);
	orders = ends[1];
	return ends[0];
}

void
__wrap_eddy__zygote_unlink(struct eddy_zygote *zygote, int link)
{
	(void)zygote;
	eddy__close(link);
}

bool
__wrap_eddy__zygote_has(const struct eddy_zygote *zygote, uintptr_t fn)
{
	(void)zygote;
	(void)fn;
	return true;
}

/* What the host maps. */

int __real_eddy__map(void **ret_p, int fd, size_t size);
int __wrap_eddy__map(void **ret_p, int fd, size_t size);
int __real_eddy__view(void **ret_p, int fd, size_t size);
int __wrap_eddy__view(void **ret_p, int fd, size_t size);
void __real_eddy__unmap(const void *p, size_t size);
void __wrap_eddy__unmap(const void *p, size_t size);

static int
find_map(const void *p)
{
	int i;

	for (i = 0; i < MAPS && maps[i] != p; i++)
		;
	return i;
}

static int
note_map(int r, void **p)
{
	int i = find_map(NULL);

	fuzz_must(i < MAPS);
	if (r == 0)
		maps[i] = *p;
	return r;
}

int
__wrap_eddy__map(void **ret_p, int fd, size_t size)
{
	return note_map(__real_eddy__map(ret_p, fd, size), ret_p);
}

int
__wrap_eddy__view(void **ret_p, int fd, size_t size)
{
	return note_map(__real_eddy__view(ret_p, fd, size), ret_p);
}

void
__wrap_eddy__unmap(const void *p, size_t size)
{
	int i = find_map(p);

	if (i < MAPS) /* or it is the loop's own */
		maps[i] = NULL;
	__real_eddy__unmap(p, size);
}

/* Lies. */

static uint32_t
any_value(void)
{
	static const uint32_t values[] = {0, 1, 2, 3, 4, 5, 8, 16, 17, 18,
	    SMALL - 64, SMALL, SMALL + 1, BIG, LARGE, INT32_MAX,
	    (uint32_t)INT32_MIN, (uint32_t)-4096, (uint32_t)-4095, UINT32_MAX};
	unsigned i = fuzz_byte(&in);

	return i < sizeof(values) / sizeof(*values) ? values[i] : i;
}

/* As many as are left, at most so many. */
static void
pour(char *to, size_t most)
{
	size_t n = fuzz_below(&in, 64);

	for (n = n < most ? n : most; n > 0 && fuzz_more(&in); n--)
		*to++ = (char)fuzz_byte(&in);
}

/* A memfd as an output should be, or nearly. */
static int
make_output(size_t size, bool final)
{
	int fd = eddy__memfd_open("output");

	fuzz_must(fd >= 0);
	fuzz_must(eddy__memfd_seal(fd, size, final) == 0);
	return fd;
}

/* Descriptors that nobody asked for, or too many; the last may be an output, or
 * not quite. */
static void
post(struct fake *fake, unsigned n)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(MAIL * sizeof(int))];
	} control = {
	    .header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	unsigned how = fuzz_byte(&in), i;
	struct iovec iov = {(char[2]){0}, how / 4 % 3};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[MAIL];

	if (fake->mail < 0)
		return;
	fake->lies = lied = true;
	if (how == 255)
		shutdown(fake->mail, SHUT_RDWR);
	for (i = 0; i < n; i++)
		fds[i] = fake->bell;
	if (n > 0 && how % 4 != 0)
		fds[n - 1] = make_output(any_value() % LARGE, how % 4 != 1);
	if (n > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n * sizeof(int));
		control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
	}
	(void)!sendmsg(fake->mail, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0 && fds[n - 1] != fake->bell)
		close(fds[n - 1]);
}

static void
scribble(struct fake *fake)
{
	struct channel *channel = fake->channel;
	struct slot *slot = &channel->slots[fuzz_below(&in, options.depth)];
	uint32_t *words = &channel->head, byte = fuzz_byte(&in);
	size_t at;

	fake->lies = lied = true;
	switch (fuzz_below(&in, 8)) {
	case 0: /* one of: head, asleep, ready, error, rss */
		words[byte % 6] = any_value();
		break;
	case 1:
		channel->head += byte - 128;
		break;
	case 2:
		words = (uint32_t *)(void *)slot;
		words[byte % (sizeof(*slot) / sizeof(*words))] = any_value();
		break;
	case 3: /* it may be true */
		slot->state = byte % 6;
		channel->head += byte / 64;
		break;
	case 4: /* it is, but for one or the other number */
		slot->state = SLOT_DONE;
		slot->result = (int32_t)any_value();
		slot->out_size = any_value();
		slot->fds_out = fuzz_below(&in, FDS_MAX + 2);
		slot->big = byte & 1;
		if (byte & 2)
			post(fake, slot->fds_out);
		channel->head += byte / 128;
		break;
	case 5:
		slot->report.value = any_value();
		slot->report.count += byte;
		break;
	case 6:
		at = (byte * 256 + fuzz_byte(&in)) % sizeof(*channel);
		pour((char *)channel + at, sizeof(*channel) - at);
		break;
	default:
		at = CHANNEL_HEADER + byte % options.depth * options.slot_size;
		pour((char *)channel + at + byte, SMALL - byte);
		break;
	}
}

static struct fake *
any_fake(void)
{
	return &fakes[fuzz_below(&in, WORKERS)];
}

/* Between two looks of the host, too. */
static void
meddle(void)
{
	struct fake *fake;

	if (!fuzz_more(&in) || fuzz_below(&in, 4) != 0)
		return;
	fake = any_fake();
	if (fake->state == BORN)
		scribble(fake);
}

int __real_eddy__recv(int fd, void *data, size_t size, int *ret_fds, int n);
int __wrap_eddy__recv(int fd, void *data, size_t size, int *ret_fds, int n);
int __real_eddy__memfd_check(int fd, size_t size);
int __wrap_eddy__memfd_check(int fd, size_t size);

int
__wrap_eddy__recv(int fd, void *data, size_t size, int *ret_fds, int n)
{
	meddle();
	return __real_eddy__recv(fd, data, size, ret_fds, n);
}

/* What is final cannot be changed by who still has it. */
int
__wrap_eddy__memfd_check(int fd, size_t size)
{
	int r = __real_eddy__memfd_check(fd, size), n;

	meddle();
	if (r == 0) {
		n = ftruncate(fd, 0);
		fuzz_must(n < 0 && write(fd, "", 1) < 0);
	}
	return r;
}

/* Lives. */

/* Full: an emulator may take our 1 for 2^56. */
static void
ring(const struct fake *fake)
{
	uint64_t one = 1;

	while (write(fake->bell, &one, sizeof(one)) < 0)
		fuzz_must(read(fake->bell, &one, sizeof(one)) > 0);
}

static void
tell(const struct fake *fake, struct zygote_message message, int fd)
{
	message.index = (uint32_t)(fake - fakes);
	fuzz_must(eddy__send(orders, &message, sizeof(message), &fd, fd >= 0) ==
		  (int)sizeof(message));
}

static void
vanish(struct fake *fake)
{
	munmap(fake->channel, fake->size);
	eddy__close(fake->bell);
	eddy__close(fake->mail);
	eddy__close(fake->life);
	*fake = (struct fake){.lies = fake->lies};
}

static void
take_orders(void)
{
	struct zygote_message order;
	int fds[FD_COUNT];
	struct fake *fake;

	while (orders >= 0 && __real_eddy__recv(orders, &order, sizeof(order),
				  fds, FD_COUNT) == (int)sizeof(order)) {
		fuzz_must(order.op == Z_SPAWN && order.index < WORKERS);
		fake = &fakes[order.index];
		fuzz_must(fake->state == NOBODY);
		*fake = (struct fake){.state = ORDERED,
		    .size = order.size,
		    .bell = fds[FD_BELL],
		    .mail = fds[FD_MAIL],
		    .life = -1};
		fake->channel = mmap(NULL, order.size, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fds[FD_CHANNEL], 0);
		fuzz_must(fake->channel != MAP_FAILED);
		close(fds[FD_CHANNEL]);
	}
}

static void
be_ready(struct fake *fake)
{
	if (fake->state != BORN)
		return;
	A_RELEASE(&fake->channel->ready, 1);
	ring(fake);
}

/* how: 15 has failed, 14 has lost its pidfd, 13 is not ready yet. */
static void
answer(struct fake *fake, unsigned how)
{
	int ends[2];

	if (fake->state != ORDERED)
		return;
	if (how == 15) {
		unborn = true;
		tell(fake, (struct zygote_message){Z_FAILED, .error = -EAGAIN},
		    -1);
		vanish(fake);
		return;
	}
	fuzz_must(pipe2(ends, O_CLOEXEC) == 0);
	tell(fake, (struct zygote_message){Z_SPAWNED, .pid = INT_MAX},
	    how == 14 ? -1 : ends[0]);
	close(ends[0]);
	fake->life = ends[1];
	fake->state = BORN;
	if (how != 13)
		be_ready(fake);
}

static void
die(struct fake *fake, int code, int status)
{
	if (fake->state != BORN)
		return;
	died = true;
	unborn |= !fake->live;
	tell(fake,
	    (struct zygote_message){Z_EXITED, .code = code, .status = status},
	    -1);
	vanish(fake);
}

static void
hang_up(void)
{
	struct fake *fake;

	died = true;
	eddy__close(orders);
	orders = -1;
	for (fake = fakes; fake < fakes + WORKERS; fake++)
		if (fake->state != NOBODY)
			vanish(fake);
}

static void
step(int64_t duration)
{
	struct fake *fake;

	fuzz_must(eddy_loop_step(loop, duration) >= 0);
	for (fake = fakes; fake < fakes + WORKERS; fake++)
		fake->live |= fake->state == BORN && !fake->lies &&
		              fake->channel->ready != 0;
	take_orders();
}

/* Jobs. */

/* The slot that a worker, if it is to be trusted, runs. */
static struct slot *
slot_of(const struct fake *fake)
{
	return &fake->channel->slots[fake->head % options.depth];
}

/* The output of a transform: as many bytes as its number says. */
static void
put_output(
    struct fake *fake, struct slot *slot, const struct one *one, char *area)
{
	int fd;

	slot->out_size = one->sort == BIG_OUT ? BIG : 100;
	slot->big = slot->fds_out = one->sort == BIG_OUT;
	if (one->sort != BIG_OUT) {
		memset(area + transform_offset(sizeof(struct bytes)), 'x', 100);
		return;
	}
	fd = make_output(BIG, true);
	eddy__send(fake->mail, "", 1, &fd, 1);
	close(fd);
}

static void
finish(struct fake *fake)
{
	struct slot *slot = slot_of(fake);
	char *area = channel_area(fake->channel, slot->area, options.slot_size);
	struct bytes *bytes = (struct bytes *)(void *)area;
	struct one *one = &all[bytes->number];

	fuzz_must(one->out);
	if (slot->is_transform)
		put_output(fake, slot, one, area);
	else if (one->sort == WHOLE)
		memset(area, 'x', job_of_one(one)->size);
	else
		bytes->answer = bytes->number * 3;
	if (slot->passes && fuzz_below(&in, 2) != 0 &&
	    eddy__send(fake->mail, "", 1, &fake->bell, 1) == 1)
		slot->fds_out = 1;
	if (slot->report.wanted) {
		slot->report.value++;
		A_ADD(&slot->report.count, 1);
		ring(fake);
	}
	one->by = fake;
	slot->result = 7;
	A_RELEASE(&slot->state, SLOT_DONE);
	fake->runs = false;
	A_RELEASE(&fake->channel->head, ++fake->head);
	ring(fake);
}

/* Start the next one, or finish it. */
static void
work(struct fake *fake)
{
	int fds[EDDY_DESCRIPTORS], n, i;
	uint32_t queued = SLOT_QUEUED;
	struct slot *slot;
	char byte;

	if (fake->state != BORN || fake->lies)
		return;
	if (fake->runs) {
		finish(fake);
		return;
	}
	if (A_ACQUIRE(&fake->channel->tail) == fake->head) {
		if (fake->channel->quit != 0)
			die(fake, CLD_EXITED, 0);
		return;
	}
	slot = slot_of(fake);
	n = (int)slot->fds_in;
	if (n != 0) {
		__real_eddy__recv(fake->mail, &byte, 1, fds, n);
		for (i = 0; i < n; i++)
			eddy__close(fds[i]);
	}
	fake->runs = A_CAS(&slot->state, &queued, SLOT_RUNNING);
	if (fake->runs)
		return;
	A_RELEASE(&fake->channel->head, ++fake->head);
	ring(fake);
}

/* Did a good worker do it, then as it should. */
static void
check_returned(const struct one *one)
{
	const struct eddy_job *job = &one->transform.long_job.job;
	const struct eddy_span out = one->transform.out;
	const char *data = out.data;
	size_t i;

	fuzz_must(job->result >= LOWEST_RESULT);
	for (i = 0; i < out.size; i++)
		(void)((const volatile char *)data)[i];
	fuzz_must(one->transform.mapped != 0 ||
		  out.size <= options.slot_size -
				  transform_offset(sizeof(*one->bytes)));
	if (one->by == NULL || one->by->lies) {
		fuzz_must(lied);
		return;
	}
	fuzz_must(job->result == 7);
	if (one->sort == SMALL_OUT || one->sort == BIG_OUT) {
		fuzz_must(out.size == (one->sort == BIG_OUT ? BIG : 100));
		fuzz_must(data[99] == (one->sort == BIG_OUT ? 0 : 'x'));
	} else if (one->sort == WHOLE) {
		data = job->arg;
		fuzz_must(data[0] == 'x' && data[job->size - 1] == 'x');
	} else {
		fuzz_must(((const struct bytes *)job->arg)->answer ==
			  (uint32_t)(one - all) * 3);
	}
}

static void
give_back(struct one *one)
{
	if (one->reserved)
		eddy_job_release(job_of_one(one));
	one->reserved = false;
}

static void
on_done(struct eddy_loop *l, struct eddy_job *job)
{
	struct one *one = (struct one *)job;
	unsigned i;

	(void)l;
	fuzz_must(one->out);
	one->out = false;
	answered++;
	switch ((enum eddy_outcome)job->outcome) {
	case EDDY_RETURNED:
		check_returned(one);
		break;
	case EDDY_PROTOCOL:
		fuzz_must(lied);
		break;
	case EDDY_CRASHED:
	case EDDY_EXITED:
		fuzz_must(died);
		break;
	case EDDY_CANCELLED: /* or one beside it, that a liar has not left */
		fuzz_must(one->cancelled || closing || lied);
		break;
	case EDDY_LOST:
		fuzz_must(lied || died || unborn);
		break;
	default:
		fuzz_must(job->outcome == EDDY_EXPIRED);
		break;
	}
	for (i = 0; i < one->fds.out_count; i++)
		fuzz_must(close(one->fds.out[i]) == 0);
	eddy_transform_release(&one->transform);
	free(one->bytes);
	one->bytes = NULL;
}

static void
on_progress(struct eddy_loop *l, struct eddy_long_job *job)
{
	(void)l;
	fuzz_must(((struct one *)job)->out);
}

/* Nobody runs them: see finish. */
static int
plain(void *arg)
{
	(void)arg;
	return 0;
}

static int
transform(struct eddy_span data, struct eddy_output *output)
{
	(void)data;
	(void)output;
	return 0;
}

static void
prepare(struct one *one, size_t size)
{
	struct eddy_long_job *l = &one->transform.long_job;

	one->bytes = calloc(1, size);
	fuzz_must(one->bytes != NULL);
	one->bytes->number = (uint32_t)(one - all);
	if (one->sort == SMALL_OUT || one->sort == BIG_OUT)
		eddy_transform_init(&one->transform, transform, one->bytes,
		    sizeof(*one->bytes));
	else
		l->job = (struct eddy_job)EDDY_JOB(plain, one->bytes);
	if (one->sort == WHOLE)
		l->job.size = (uint32_t)size;
	if (one->sort == TELLING) {
		l->on_progress = on_progress;
		l->run_limit = fuzz_below(&in, 4) == 3;
		l->report = &one->report;
		l->in_only = l->out_only = sizeof(uint32_t);
	}
	if (one->sort == PASSING) {
		l->fds = &one->fds;
		one->fds.in_count = fuzz_below(&in, 3); /* 0, 0 */
	}
	if (one->sort == TELLING || one->sort == PASSING)
		l->job.flags = EDDY_JOB_LONG;
	if (fuzz_below(&in, 16) == 15)
		l->job.deadline = 1;
}

static void
submit(struct one *one, enum sort sort)
{
	bool passes = (options.flags & EDDY_PASS_DESCRIPTORS) != 0;
	struct eddy_job *job = job_of_one(one);

	if (one->out)
		return;
	if (!one->reserved) {
		*one = (struct one){.sort = sort};
		if (sort == BIG_OUT && !passes)
			one->sort = SMALL_OUT;
		prepare(one,
		    sort == WHOLE ? options.slot_size : sizeof(*one->bytes));
	}
	one->by = NULL;
	one->out = true;
	if (eddy_submit(pool, job, loop, on_done) < 0) {
		one->out = false;
		free(one->bytes);
		one->bytes = NULL;
	}
}

/* In the memory of a worker, which may be anybody's: written again each time. */
static void
reserve(struct one *one)
{
	struct eddy_job *job = job_of_one(one);

	if (one->out)
		return;
	if (!one->reserved) {
		*one = (struct one){.sort = PLAIN};
		*job = (struct eddy_job){.fn = plain};
		one->reserved = eddy_job_reserve(
				    pool, job, sizeof(struct bytes)) == 0;
	}
	if (one->reserved) {
		*(struct bytes *)job->arg = (struct bytes){
		    .number = (uint32_t)(one - all)};
		submit(one, PLAIN);
	}
}

static void
cancel(struct one *one)
{
	if (!one->out)
		return;
	one->cancelled = true;
	eddy_job_cancel(job_of_one(one));
}

/* The course of things. */

static void
look(void)
{
	struct eddy_executor_stats stats;
	int pids[WORKERS];

	fuzz_must(eddy_process_pool_pids(pool, pids, WORKERS) <= WORKERS);
	eddy_executor_stats(pool, &stats);
	fuzz_must(stats.workers <= WORKERS && stats.running <= JOBS);
}

static void
act(void)
{
	unsigned what = fuzz_below(&in, 16), which = fuzz_byte(&in);
	struct fake *fake = &fakes[which % WORKERS];
	struct one *one = &all[which % JOBS];

	switch (what) {
	case 0:
	case 1:
	case 2:
		submit(one, (enum sort)fuzz_below(&in, SORTS));
		break;
	case 3:
		cancel(one);
		break;
	case 4:
		answer(fake, which / 16);
		break;
	case 5:
		reserve(one);
		break;
	case 6:
		if (!one->out)
			give_back(one);
		break;
	case 7:
		if (which % 2 != 0)
			look();
		else if (which == 254 && orders >= 0)
			hang_up();
		break;
	case 8:
		die(fake, which & 64 ? CLD_EXITED : CLD_KILLED, (int)which / 8);
		break;
	case 9:
		be_ready(fake);
		break;
	case 10:
	case 11:
		if (fake->state == BORN)
			scribble(fake);
		break;
	case 12:
		if (fake->state == BORN)
			post(fake, fuzz_below(&in, MAIL + 1));
		break;
	default:
		work(fake);
		break;
	}
	if (fuzz_below(&in, 4) != 0)
		step(0);
}

static bool
busy(void)
{
	struct one *one;

	for (one = all; one < all + JOBS; one++)
		if (one->out)
			return true;
	return false;
}

static void
replace_all(void)
{
	struct fake *fake;

	for (fake = fakes; fake < fakes + WORKERS; fake++) {
		answer(fake, 0);
		if (!fake->lies)
			be_ready(fake);
	}
	step(0);
	for (fake = fakes; fake < fakes + WORKERS; fake++)
		die(fake, CLD_KILLED, SIGKILL);
	step(0);
}

/* A job that no worker may be had for. */
static void
relent(struct one *one)
{
	if (one->out)
		cancel(one);
	else
		give_back(one);
}

/* Good workers only, until all jobs have ended; where none could be had for
 * a while, or the place of one that is dead is reserved, they are cancelled.
 * Who is killed does not know it: replace_all. */
static void
wind_up(void)
{
	unsigned turns = 0, idle = MORTAL, before;
	struct one *one;
	int i;

	while (busy()) {
		fuzz_must(turns++ < TURNS);
		before = answered;
		if (idle >= MORTAL) {
			idle = 0;
			for (one = all; one < all + JOBS; one++)
				if (unborn || one->reserved)
					relent(one);
			replace_all();
		}
		for (i = 0; i < WORKERS; i++) {
			answer(&fakes[i], 0);
			work(&fakes[i]);
		}
		step(turns > TURNS / 2 ? EDDY_MS(1) : 0);
		idle = answered != before ? 0 : idle + 1;
	}
}

/* It works yet, if it may. */
static void
prove(void)
{
	struct one *one;

	for (one = all; one < all + JOBS; one++)
		give_back(one);
	replace_all();
	if (unborn || orders < 0)
		return;
	submit(&all[0], PLAIN);
	wind_up();
	fuzz_must(job_of_one(&all[0])->outcome == EDDY_RETURNED);
}

static void
open_pool(void)
{
	static const unsigned depths[] = {1, 2, 8, 2};
	unsigned how = fuzz_byte(&in), more = fuzz_byte(&in);

	options = (struct eddy_process_pool_options){
	    .zygote = (struct eddy_zygote *)&options, /* see link */
	    .flags = how & 1 ? EDDY_PASS_DESCRIPTORS : 0,
	    .workers = how & 2 ? WORKERS : 1,
	    .depth = depths[how / 4 % 4],
	    .queue_limit = 6,
	    .slot_size = more < 32 ? LARGE : SMALL,
	    .grace = how / 16 % 2,
	    .max_jobs = how & 32 ? 2 : 0,
	    .max_rss = how & 64 ? 1 << 20 : 0};
	lied = died = unborn = closing = false;
	answered = 0;
	memset(all, 0, sizeof(all));
	fuzz_must(eddy_loop_open(&loop, NULL) == 0);
	fuzz_must(eddy_process_pool_open(&pool, loop, &options) == 0);
	take_orders();
}

static void
close_pool(void)
{
	struct fake *fake;
	struct one *one;

	for (one = all; one < all + JOBS; one++)
		give_back(one);
	take_orders();
	for (fake = fakes; fake < fakes + WORKERS; fake++) {
		answer(fake, 0);
		die(fake, CLD_KILLED, SIGKILL);
	}
	closing = true;
	eddy_executor_close(pool, 0);
	while (eddy_loop_step(loop, 0) > 0)
		;
	fuzz_must(!busy());
	fuzz_must(eddy_loop_close(loop) == 0);
	if (orders >= 0)
		hang_up();
}

/* Which descriptors are open. */
static void
list_open(struct pollfd *fds)
{
	int i;

	for (i = 0; i < OPEN; i++)
		fds[i] = (struct pollfd){.fd = i};
	poll(fds, OPEN, 0);
}

void
fuzz_worker(const uint8_t *data, size_t size)
{
	struct pollfd before[OPEN], after[OPEN];
	bool early, reserved = false;
	struct one *one;
	int i;

	in = (struct fuzz_input){data, data + size};
	list_open(before);
	open_pool();
	early = fuzz_below(&in, 4) == 3;
	while (fuzz_more(&in))
		act();
	for (one = all; one < all + JOBS; one++)
		reserved |= one->reserved;
	if (!early || reserved)
		wind_up();
	if (!early)
		prove();
	close_pool();
	list_open(after);
	for (i = 0; i < OPEN; i++)
		fuzz_must(
		    ((before[i].revents ^ after[i].revents) & POLLNVAL) == 0);
	for (i = 0; i < MAPS; i++)
		fuzz_must(maps[i] == NULL);
}
