/* SPDX-License-Identifier: ISC */
/*
 * simulate: the library against the model of test/simulate, on a kernel that is
 * made up: its clock, its descriptors and its epoll are the functions below, which
 * the linker puts in the place of the C library's.
 *
 * check_simulate [--events n] [--minutes m] [--seed s]: so many happenings, or for
 * so long, from that program on; --replay s: that one alone, told.
 */
/* link: -Wl,--wrap=clock_gettime,--wrap=syscall */
/* link: -Wl,--wrap=epoll_ctl,--wrap=epoll_create1 */
/* link: -Wl,--wrap=eventfd,--wrap=close,--wrap=fcntl,--wrap=getsockopt */
/* link: -Wl,--wrap=recvfrom,--wrap=sendto,--wrap=readv,--wrap=writev */
/* link: -Wl,--wrap=poll */
#include <eddy/io.h>
#include <eddy/sync.h>

#include <errno.h>
#include <netinet/in.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "census.h"
#include "simulate/simulate.h"

enum { FIRST = 200, BELL_FD = FIRST - 1, EPOLL_FD = FIRST - 2 };

static struct program program;
static struct kernel kernel;
static struct eddy_clock clock_;
static struct history expected;
static bool simulated, tell;
static unsigned happened;
static uint64_t hash; /* of all that happened */

/* The C library. */

static bool
made_up(int fd)
{
	return simulated && fd >= EPOLL_FD && fd < FIRST + FDS;
}

static int
answer(int r)
{
	if (r < 0)
		errno = -r;
	return r < 0 ? -1 : r;
}

/* clang-format off */
#define WRAP(type, name, parameters) \
	type __real_##name parameters; \
	type __wrap_##name parameters; \
	type __wrap_##name parameters
/* clang-format on */

WRAP(int, clock_gettime, (clockid_t id, struct timespec *ret_time))
{
	if (!simulated || id != CLOCK_MONOTONIC)
		return __real_clock_gettime(id, ret_time);
	ret_time->tv_sec = (time_t)(kernel.now / EDDY_S(1));
	ret_time->tv_nsec = (long)(kernel.now % EDDY_S(1));
	return 0;
}

static int
wait_for_events(struct epoll_event *events, int n, int64_t duration)
{
	if (program.is_virtual && clock_.now > kernel.now)
		kernel.now = clock_.now;
	return answer(kernel_wait(&kernel, events, n, duration));
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long
__wrap_syscall(long number, ...)
{
	long a[6];
	const int64_t *time;
	va_list list;
	int i;

	va_start(list, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_epoll_pwait && made_up((int)a[0]))
		return wait_for_events((struct epoll_event *)a[1], (int)a[2],
		    (int)a[3] < 0 ? EDDY_FOREVER : EDDY_MS((int)a[3]));
	if (number != 441 || !made_up((int)a[0])) /* epoll_pwait2 */
		return __real_syscall(
		    number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (program.coarse)
		return answer(-ENOSYS);
	time = (const int64_t *)a[3];
	return wait_for_events(
	    (struct epoll_event *)a[1], (int)a[2], EDDY_S(time[0]) + time[1]);
}

WRAP(int, epoll_create1, (int flags))
{
	return simulated ? EPOLL_FD : __real_epoll_create1(flags);
}

WRAP(int, eventfd, (unsigned count, int flags))
{
	return simulated ? BELL_FD : __real_eventfd(count, flags);
}

WRAP(int, epoll_ctl, (int epoll, int op, int fd, struct epoll_event *event))
{
	if (!made_up(epoll))
		return __real_epoll_ctl(epoll, op, fd, event);
	if (fd == BELL_FD)
		return 0;
	return answer(kernel_control(
	    &kernel, op, fd - FIRST, event->events, event->data.u64));
}

WRAP(int, close, (int fd))
{
	if (!made_up(fd))
		return __real_close(fd);
	if (fd >= FIRST)
		kernel_close(&kernel, fd - FIRST);
	return 0;
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);

int
__wrap_fcntl(int fd, int command, ...)
{
	va_list list;
	long arg;

	va_start(list, command);
	arg = va_arg(list, long);
	va_end(list);
	if (!made_up(fd))
		return __real_fcntl(fd, command, arg);
	return fd == FIRST + FDS - 1 ? O_RDWR : O_RDWR | O_NONBLOCK;
}

WRAP(int, getsockopt,
    (int fd, int level, int name, void *value, socklen_t *size))
{
	if (!made_up(fd))
		return __real_getsockopt(fd, level, name, value, size);
	if (fd >= FIRST + SOCKETS)
		return answer(-ENOTSOCK);
	*(int *)value = fd >= FIRST + STREAMS ? 0 : IPPROTO_TCP;
	if (name == SO_TYPE)
		*(int *)value = fd < FIRST + STREAMS ? SOCK_STREAM
		                                     : SOCK_SEQPACKET;
	return 0;
}

/* A signal may always come first. */
static int
moved(int fd, void *to, const void *from, size_t size)
{
	if (kernel_trouble(&kernel))
		return answer(-EINTR);
	return answer(from != NULL
			  ? kernel_write(&kernel, fd - FIRST, from, size)
			  : kernel_read(&kernel, fd - FIRST, to, size));
}

WRAP(ssize_t, recvfrom,
    (int fd, void *data, size_t size, int flags, struct sockaddr *from,
	socklen_t *from_size))
{
	if (!made_up(fd))
		return __real_recvfrom(fd, data, size, flags, from, from_size);
	return fd < FIRST + SOCKETS ? moved(fd, data, NULL, size)
	                            : answer(-ENOTSOCK);
}

WRAP(ssize_t, sendto,
    (int fd, const void *data, size_t size, int flags,
	const struct sockaddr *to, socklen_t to_size))
{
	if (!made_up(fd))
		return __real_sendto(fd, data, size, flags, to, to_size);
	return fd < FIRST + SOCKETS ? moved(fd, NULL, data, size)
	                            : answer(-ENOTSOCK);
}

WRAP(ssize_t, readv, (int fd, const struct iovec *iov, int n))
{
	if (!made_up(fd))
		return __real_readv(fd, iov, n);
	return moved(fd, iov->iov_base, NULL, iov->iov_len);
}

WRAP(ssize_t, writev, (int fd, const struct iovec *iov, int n))
{
	if (!made_up(fd))
		return __real_writev(fd, iov, n);
	return moved(fd, NULL, iov->iov_base, iov->iov_len);
}

WRAP(int, poll, (struct pollfd * fds, nfds_t n, int ms))
{
	if (n != 1 || !made_up(fds->fd))
		return __real_poll(fds, n, ms);
	if (kernel_trouble(&kernel))
		return answer(-EINTR);
	fds->revents = (short)((short)kernel_level(&kernel, fds->fd - FIRST) &
			       (fds->events | POLLERR | POLLHUP));
	return fds->revents != 0;
}

/* What happens, and what should. */

static void
show(const char *whose, const struct happening *h)
{
	static const char *const what[] = {
	    "step of task", "end of task", "timer", "error of task"};

	struct step s = h->what == FIRED ? timer_step_of(&program, h->id, h->n)
	                : h->n > STEPS   ? last_step_of(&program, h->id)
	                                 : step_of(&program, h->id, h->n);

	printf("%s: %+" PRId64 " ns: %s %u, number %u: %d (data %016" PRIx64
	       ") verb %d which %u other %u for %" PRId64 " limit %" PRId64
	       " until %d size %zu%s\n",
	    whose, h->now - EDDY_S(1000), what[h->what], h->id, h->n, h->result,
	    h->data, (int)s.verb, s.which, s.other, s.duration, s.limit,
	    s.until, s.size, s.shield ? " shielded" : "");
}

static void
wrong(const char *why)
{
	simulated = false;
	fflush(stdout);
	ck_abort_msg("%s; check_simulate --replay %" PRIu64, why, program.seed);
}

static int64_t
now(void)
{
	return program.is_virtual ? clock_.now : kernel.now;
}

static void
happen(enum what what, unsigned id, unsigned n, int result, uint64_t data)
{
	struct happening h = {now(), what, id, n, result, data};
	const struct happening *e = &expected.all[happened];

	if (tell)
		show("happened", &h);
	hash = draw(hash, (uint64_t)h.now, (uint64_t)what << 32 | id,
	    (uint64_t)(unsigned)result);
	if (happened < expected.count && e->now == h.now && e->what == h.what &&
	    e->id == id && e->n == n && e->result == result &&
	    e->data == data) {
		happened++;
		return;
	}
	show("happened", &h);
	if (happened < expected.count)
		show("expected", e);
	wrong("something else was expected");
}

static void
work(unsigned id, unsigned n)
{
	int64_t ns = work_of(&program, id, n);

	if (program.is_virtual)
		clock_.now += ns;
	else
		kernel.now += ns;
}

/* The program. */

struct walk {
	struct eddy_task task;
	unsigned n;
	struct step step;
	void *item;
	struct eddy_task *winner;
	int rc;
	unsigned char data[BYTES];
};

static struct eddy_loop *loop;
static struct walk walks[TASKS];
static struct eddy_event events[EVENTS];
static struct eddy_semaphore semaphores[EVENTS];
static struct eddy_queue queues[EVENTS];
static void *slots[EVENTS][SLOTS];
static struct eddy_timer timers[TIMERS];
static unsigned fired[TIMERS], used;
static bool over, root[TASKS];

static const struct eddy_op park_op = {"park", eddy_unpark};

static eddy_step walk(struct eddy_task *self);

static int
id_of(const struct eddy_task *task)
{
	return task != NULL ? (int)((const struct walk *)task - walks) : -1;
}

static struct eddy_task *
new_task(void)
{
	struct walk *f = &walks[used];

	if (used == TASKS || over)
		return NULL;
	root[used++] = false;
	memset(f, 0, sizeof(*f));
	eddy_prepare(&f->task, walk, "walk");
	return &f->task;
}

static void
on_end(struct eddy_loop *l, struct eddy_task *task)
{
	(void)l;
	happen(ENDED, (unsigned)id_of(task), 0, task->result, 0);
}

static void
on_error(struct eddy_loop *l, const struct eddy_task *task, int error)
{
	(void)l;
	happen(REPORTED, (unsigned)id_of(task), 0, error, 0);
}

static int
started(struct eddy_task *task, int r)
{
	return r == 0 ? id_of(task) : r;
}

static int
spawn_root(void)
{
	struct eddy_task *task = new_task();

	if (task != NULL)
		root[id_of(task)] = true;
	return started(task,
	    eddy_loop_spawn(loop, task, id_of(task) % 2 == 0 ? on_end : NULL));
}

static void *
item_of(int number)
{
	return (void *)(intptr_t)number;
}

static int
act(const struct step *step, int item)
{
	struct eddy_event *event = &events[step->which % EVENTS];
	struct eddy_queue *queue = &queues[step->which % EVENTS];
	struct eddy_timer *timer = &timers[step->which % TIMERS];
	struct walk *other = &walks[step->other % used];
	void *got;
	int r;

	switch (step->verb) {
	case CANCEL:
		return eddy_cancel(&other->task, "simulated");
	case SET:
		return eddy_event_set(event);
	case CLEAR:
		return eddy_event_clear(event), 0;
	case RELEASE:
		return eddy_semaphore_release(
		    &semaphores[step->which % EVENTS]);
	case TRY_PUSH:
		return eddy_queue_try_push(queue, item_of(item));
	case TRY_POP:
		r = eddy_queue_try_pop(queue, &got);
		return r == 0 ? (int)(intptr_t)got : r;
	case UNPARK:
		return other->task.op == &park_op
		           ? eddy_unpark(&other->task, (int)step->size)
		           : -EALREADY;
	case CLOSE:
		return eddy_close(loop, FIRST + (int)step->which % FDS);
	case START:
		return timer == timers || over
		           ? 0
		           : eddy_timer_start(loop, timer,
				 eddy_loop_after(loop, step->duration));
	case STOP:
		return timer == timers ? 0 : eddy_timer_stop(loop, timer);
	default:
		return spawn_root();
	}
}

static eddy_async
use_fd(struct walk *f)
{
	static const short polled[] = {POLLIN, POLLOUT, POLLIN | POLLOUT};
	struct eddy_task *self = &f->task;
	size_t size = f->step.size;
	int fd = FIRST + (int)f->step.which % FDS;
	unsigned char i;

	switch (f->step.verb) {
	case READ:
		return eddy_read(self, fd, f->data, size);
	case READ_FULL:
		return eddy_read_full(self, fd, f->data, size);
	case POLL:
		return eddy_poll(self, fd, polled[size % 3]);
	default:
		for (i = 0; i < BYTES; i++)
			f->data[i] = (unsigned char)(id_of(self) + (int)f->n +
						     i);
	}
	if (f->step.verb == WRITE)
		return eddy_write(self, fd, f->data, size);
	return eddy_write_full(self, fd, f->data, size);
}

static eddy_async
wait_for(struct walk *f)
{
	const struct step *step = &f->step;
	struct eddy_task *self = &f->task;
	unsigned which = step->which % EVENTS;

	switch (step->verb) {
	case SLEEP:
		return eddy_sleep(self, step->duration);
	case WAIT:
		return eddy_event_wait(self, &events[which]);
	case ACQUIRE:
		return eddy_semaphore_acquire(self, &semaphores[which]);
	case PUSH:
		f->item = item_of(id_of(self) * 100 + (int)f->n);
		return eddy_queue_push(self, &queues[which], f->item);
	case POP:
		return eddy_queue_pop(self, &queues[which], &f->item);
	case PARK:
		if (eddy_cancelled(self))
			return eddy_complete(self, -ECANCELED);
		return eddy_park(self, &park_op);
	case JOIN:
		return eddy_join(self, &walks[step->other % used].task);
	case JOIN_ALL:
		return eddy_join_all(self);
	case THROTTLE:
		return eddy_throttle(self, step->which % 4);
	case RACE:
		f->winner = NULL;
		return eddy_race(self, &f->winner);
	case CALL:
		return eddy_call(self, new_task());
	default:
		return use_fd(f);
	}
}

static eddy_async
perform(struct walk *f)
{
	struct eddy_task *self = &f->task, *kid;
	eddy_async op;

	if (f->step.verb == YIELD)
		return eddy_yield(self);
	if (f->step.verb >= ACTS)
		return eddy_complete(
		    self, act(&f->step, id_of(self) * 100 + (int)f->n));
	if (f->step.verb == BOUND)
		return eddy_complete(
		    self, eddy_deadline_set(
			      self, eddy_loop_after(loop, f->step.duration)));
	if (f->step.verb == SPAWN || f->step.verb == SPAWN_SUPERVISED) {
		kid = new_task();
		return eddy_complete(
		    self, started(kid, f->step.verb == SPAWN
					   ? eddy_spawn(self, kid)
					   : eddy_spawn_supervised(self, kid)));
	}
	op = wait_for(f);
	if (f->step.until >= 0)
		op = eddy_until(self, &events[f->step.until], op);
	if (f->step.limit >= 0)
		op = eddy_timeout(self, f->step.limit, op);
	return op;
}

static void
heard(const struct walk *f)
{
	uint64_t data = (uint64_t)(unsigned)(intptr_t)f->item;
	size_t i;

	if (f->step.verb == RACE)
		data = (uint64_t)(unsigned)id_of(f->winner);
	for (i = 0; i < BYTES; i++)
		data = data * 131 + f->data[i];
	happen(STEPPED, (unsigned)id_of(&f->task), f->n, f->rc, data);
	work((unsigned)id_of(&f->task), f->n);
}

/* clang-format off */

static eddy_step
walk(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct walk, f);
	for (f->n = 0; !over; f->n++) {
		f->step = step_of(&program, (unsigned)id_of(self), f->n);
		if (f->step.verb == LEAVE)
			EDDY_RETURN(f->step.result);
		eddy_shield(self, f->step.shield);
		EDDY_AWAIT(f->rc, perform(f));
		eddy_shield(self, false);
		heard(f);
		if (f->rc < 0 && f->step.gives_up)
			EDDY_RETURN(f->rc);
	}
	EDDY_FINALLY;
	f->n = STEPS + 1;
	f->step = last_step_of(&program, (unsigned)id_of(self));
	EDDY_AWAIT(f->rc, perform(f));
	heard(f);
	EDDY_END;
}

/* clang-format on */

static bool
all_done(void)
{
	unsigned i;

	for (i = 0; i < used; i++)
		if (!eddy_done(&walks[i].task))
			return false;
	return true;
}

static int
finish(void)
{
	unsigned i;

	over = true;
	for (i = 1; i < TIMERS; i++)
		eddy_timer_stop(loop, &timers[i]);
	for (i = 0; i < used; i++)
		if (root[i])
			eddy_cancel(&walks[i].task, "the end");
	return all_done() ? 0
	                  : eddy_timer_start(loop, &timers[0],
				eddy_loop_after(loop, 10 * program.unit));
}

static void
on_timer(struct eddy_loop *l, struct eddy_timer *timer)
{
	unsigned id = (unsigned)(timer - timers);
	struct step step = timer_step_of(&program, id, fired[id]);
	int r = 0;

	if (id == 0)
		r = finish();
	else if (step.verb != REPEAT)
		r = act(&step, -(int)id);
	else if (!over)
		r = eddy_timer_repeat(l, timer, 1 + step.duration);
	happen(FIRED, id, fired[id], r, 0);
	work(1000 + id, fired[id]++);
}

static void
begin(void)
{
	struct eddy_loop_options options = {
	    .clock = program.is_virtual ? &clock_ : NULL, .on_error = on_error};
	int i;

	kernel_open(&kernel, &program);
	clock_.now = kernel.now;
	memset(fired, 0, sizeof(fired));
	used = happened = 0;
	over = false;
	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	for (i = 0; i < EVENTS; i++) {
		eddy_event_init(&events[i]);
		eddy_semaphore_init(&semaphores[i], 0);
		eddy_queue_init(&queues[i], slots[i],
		    i < SLOTS ? (unsigned)(SLOTS - i) : 0);
	}
	for (i = 0; i < TIMERS; i++) {
		eddy_timer_init(&timers[i], on_timer);
		ck_assert_int_eq(eddy_timer_start(loop, &timers[i],
				     eddy_loop_after(loop,
					 (i != 0 ? i : LENGTH) * program.unit)),
		    0);
	}
	for (i = 0; i < ROOTS; i++)
		spawn_root();
}

/* Run one program and its model; how much happened. */
static unsigned
simulate(uint64_t seed)
{
	uint64_t written = 0;
	int run, closed;
	unsigned i;

	program = program_of(seed);
	model_run(&program, &expected);
	simulated = true;
	begin();
	run = eddy_loop_run(loop);
	closed = eddy_loop_close(loop);
	if (run != 0 || closed != 0) {
		printf("run: %d, close: %d\n", run, closed);
		wrong("the loop did not end well");
	}
	simulated = false;
	if (happened < expected.count) {
		show("expected", &expected.all[happened]);
		wrong("it did not happen");
	}
	for (i = 0; i < used; i++)
		if (walks[i].task.result != expected.results[i])
			wrong("another result");
	for (i = 0; i < FDS; i++)
		written = written * 31 + kernel.streams[i].hash;
	if (used != expected.tasks || now() != expected.end ||
	    written != expected.written)
		wrong("another end");
	return happened;
}

static uint64_t goal = CENSUS_TSAN || CENSUS_ASAN ? 200000 : 1000000;
static uint64_t first_seed = 1;
static int64_t until; /* for so long, if not 0 */

START_TEST(programs_do_as_the_model_says)
{
	uint64_t seed = first_seed, n = 0, tasks = 0, troubles = 0;

	for (; until != 0 ? eddy_now() < until : n < goal; seed++) {
		n += simulate(seed);
		tasks += used;
		troubles += kernel.troubles;
	}
	printf("simulate: events=%" PRIu64 " programs=%" PRIu64
	       " tasks=%" PRIu64 " troubles=%" PRIu64 " first=%" PRIu64
	       " hash=%016" PRIx64 " wrong=0\n",
	    n, seed - first_seed, tasks, troubles, first_seed, hash);
}
END_TEST

START_TEST(the_same_seed_is_the_same_history)
{
	uint64_t seed, first;

	for (seed = 1; seed < 100; seed++) {
		hash = 0;
		simulate(seed);
		first = hash;
		hash = 0;
		simulate(seed);
		ck_assert_uint_eq(hash, first);
	}
}
END_TEST

START_TEST(one_program)
{
	tell = true;
	printf("%u things happened\n", simulate(first_seed));
}
END_TEST

int
main(int argc, char **argv)
{
	Suite *suite = suite_create("simulate");
	TCase *tcase = census_case(suite, "simulate", 1e6);
	int i;

	for (i = 1; i + 1 < argc; i += 2) {
		uint64_t number = strtoull(argv[i + 1], NULL, 10);

		if (strcmp(argv[i], "--events") == 0)
			goal = number;
		else if (strcmp(argv[i], "--minutes") == 0)
			until = eddy_after(EDDY_S(60) * (int64_t)number);
		else
			first_seed = number;
		if (strcmp(argv[i], "--replay") == 0)
			tcase_add_test(tcase, one_program);
	}
	if (argc < 3 || strcmp(argv[1], "--replay") != 0)
		census_add(tcase, programs_do_as_the_model_says,
		    the_same_seed_is_the_same_history);
	return suite_main(suite);
}
