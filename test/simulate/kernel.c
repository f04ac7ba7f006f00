/* SPDX-License-Identifier: ISC */
#include "simulate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define BEGIN EDDY_S(1000)

uint64_t
draw(uint64_t seed, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t parts[] = {seed, a, b, c}, x = 0;
	int i;

	for (i = 0; i < 4; i++) { /* splitmix64 */
		x += parts[i] + 0x9e3779b97f4a7c15u;
		x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
		x = (x ^ x >> 27) * 0x94d049bb133111ebu;
		x ^= x >> 31;
	}
	return x;
}

/* Programs. */

struct program
program_of(uint64_t seed)
{
	static const int64_t units[] = {1, 1000, EDDY_US(250)};
	uint64_t x = draw(seed, 0, 0, 1);
	struct program p = {.seed = seed,
	    .is_virtual = x % 3 == 0,
	    .unit = units[x / 4 % 3],
	    .grid = 1,
	    .trouble = x / 16 % 4 == 0 ? 0 : 2u << x / 64 % 4};

	if (!p.is_virtual && x / 1024 % 3 == 0) {
		p.coarse = true;
		p.unit = EDDY_US(300);
		p.grid = EDDY_MS(1);
	} else if (!p.is_virtual && x / 1024 % 3 == 1) {
		p.grid = 1 + (int64_t)(x / 4096 % 7) * p.unit;
	}
	/* On the grid, lest the milliseconds of a wait be another's. */
	p.work = x / 65536 % 2 == 0 ? 0 : p.coarse ? p.grid : p.unit / 2;
	return p;
}

static struct step
draw_step(const struct program *program, uint64_t x, unsigned limited)
{
	uint64_t y = draw(program->seed, x, 0, 2);
	struct step step = {.which = (unsigned)(x >> 8 & 0xff),
	    .other = (unsigned)(x >> 16 & 0xffff),
	    .duration = (int64_t)(x >> 32 & 0x1f) * program->unit,
	    .limit = -1,
	    .until = -1,
	    .size = 1 + (x >> 40) % BYTES,
	    .gives_up = (x >> 48) % 4 == 0};

	if ((x >> 50) % 4 < limited)
		step.limit = (int64_t)(y & 0xf) * program->unit;
	if ((y >> 4) % 8 == 0)
		step.until = (int)((y >> 8) % EVENTS);
	step.shield = (y >> 16) % 16 == 0;
	return step;
}

struct step
step_of(const struct program *program, unsigned task, unsigned n)
{
	uint64_t x = draw(program->seed, task, n, 3), kind = x >> 54;
	struct step step = draw_step(program, x, 2);

	if (n == STEPS || kind % 32 == 0)
		step.verb = LEAVE;
	else if (kind % 32 < 18)
		step.verb = (enum verb)((x & 0xff) % WAITS);
	else if (kind % 32 < 24)
		step.verb = (enum verb)(WAITS + (x & 0xff) % (ACTS - WAITS));
	else
		step.verb = (enum verb)(ACTS + (x & 0xff) % (VERBS - ACTS));
	/* None waits for ever that nobody may cancel. */
	if (step.shield && step.verb < WAITS && step.limit < 0)
		step.limit = step.duration;
	if (step.verb == LEAVE)
		step.result = (int)(x >> 8 & 7) - (x >> 16 & 3 ? 0 : 9);
	return step;
}

/* In FINALLY: bounded, and no wait for tasks, which may do the same. */
struct step
last_step_of(const struct program *program, unsigned task)
{
	uint64_t x = draw(program->seed, task, 0, 4);
	struct step step = draw_step(program, x, 4);

	step.shield = false;
	step.verb = (enum verb)((x & 0xff) % JOIN);
	return step;
}

struct step
timer_step_of(const struct program *program, unsigned timer, unsigned fired)
{
	uint64_t x = draw(program->seed, timer, fired, 5);
	struct step step = draw_step(program, x, 0);

	step.verb = (x >> 56) % 4 == 0
	                ? REPEAT
	                : (enum verb)(ACTS + (x & 0xff) % (VERBS - ACTS));
	return step;
}

int64_t
work_of(const struct program *program, unsigned id, unsigned n)
{
	int64_t x = (int64_t)(draw(program->seed, id, n, 6) >> 1);

	if (program->coarse)
		return x % 8 == 0 ? program->work : 0;
	return program->work != 0 ? x % (program->work + 1) : 0;
}

/* Streams. */

static uint64_t
of_stream(const struct kernel *kernel, int fd, uint64_t n)
{
	return draw(kernel->program->seed, (uint64_t)fd + 100,
	    kernel->streams[fd].generation, n);
}

static int64_t
some_time(const struct kernel *kernel, uint64_t x)
{
	return (int64_t)(1 + x % 24) * kernel->program->unit;
}

static void
open_stream(struct kernel *kernel, int fd)
{
	struct stream *s = &kernel->streams[fd];
	unsigned generation = s->generation + 1;
	uint64_t hash = s->hash, stale = s->added ? s->data : s->stale;

	*s = (struct stream){
	    .generation = generation, .hash = hash, .stale = stale};
	s->sends = kernel->now + some_time(kernel, of_stream(kernel, fd, 1));
	s->takes = kernel->now + some_time(kernel, of_stream(kernel, fd, 2));
}

void
kernel_open(struct kernel *kernel, const struct program *program)
{
	int fd;

	*kernel = (struct kernel){.program = program, .now = BEGIN};
	for (fd = 0; fd < FDS; fd++)
		open_stream(kernel, fd);
}

void
kernel_close(struct kernel *kernel, int fd)
{
	open_stream(kernel, fd);
}

static void
send_more(struct kernel *kernel, int fd)
{
	struct stream *s = &kernel->streams[fd];
	uint64_t x = of_stream(kernel, fd, 10 + s->sent++);

	s->edge = true;
	s->sends += some_time(kernel, x >> 8);
	if (x % 16 == 0) { /* the last one */
		s->ended = true;
		s->reset = (x >> 32) % 4 == 0;
		s->in = s->reset ? 0 : s->in;
		s->sends = EDDY_FOREVER;
	} else {
		s->in += 1 + (x >> 16) % 24;
	}
}

static void
take_some(struct kernel *kernel, int fd)
{
	struct stream *s = &kernel->streams[fd];
	uint64_t x = of_stream(kernel, fd, (uint64_t)s->takes);
	size_t n = 1 + (x >> 8) % 32;

	s->takes += some_time(kernel, x);
	if (s->out == 0)
		return;
	s->edge = true;
	s->out -= n < s->out ? n : s->out;
}

/* Only as somebody waits do bytes come and go: time stands still for a batch. */
void
kernel_advance(struct kernel *kernel)
{
	int fd;

	for (fd = 0; fd < FDS; fd++) {
		while (kernel->streams[fd].sends <= kernel->now)
			send_more(kernel, fd);
		while (kernel->streams[fd].takes <= kernel->now)
			take_some(kernel, fd);
	}
}

int64_t
kernel_next(const struct kernel *kernel, int fd)
{
	const struct stream *s = &kernel->streams[fd];

	return s->out != 0 && s->takes < s->sends ? s->takes : s->sends;
}

int64_t
kernel_ceil(const struct kernel *kernel, int64_t when)
{
	int64_t grid = kernel->program->grid;

	return (when + grid - 1) / grid * grid;
}

/* The i-th descriptor to be looked at. */
int
kernel_order(const struct kernel *kernel, int i)
{
	return (int)(((uint64_t)kernel->now / 7 + (uint64_t)i) % FDS);
}

uint32_t
kernel_level(const struct kernel *kernel, int fd)
{
	const struct stream *s = &kernel->streams[fd];
	uint32_t level = s->in != 0 ? EPOLLIN : 0;

	if (s->out < ROOM)
		level |= EPOLLOUT;
	if (s->ended)
		level |= EPOLLIN | EPOLLRDHUP;
	if (s->reset)
		level |= EPOLLOUT | EPOLLERR | EPOLLHUP;
	return level;
}

/* Streams give all there is, others perhaps less. */
static size_t
portion(const struct kernel *kernel, int fd, size_t there, size_t size,
    uint64_t position)
{
	uint64_t x = of_stream(kernel, fd, position + 1000000);

	if (fd == STREAMS + 1) /* byte by byte */
		return 1;
	if (there > size)
		there = size;
	if (fd < STREAMS || x % 2 == 0)
		return there;
	return 1 + (x >> 8) % there;
}

int
kernel_read(struct kernel *kernel, int fd, void *data, size_t size)
{
	struct stream *s = &kernel->streams[fd];
	size_t i, n;

	if (s->reset)
		return -ECONNRESET;
	if (s->in == 0)
		return s->ended ? 0 : -EAGAIN;
	n = portion(kernel, fd, s->in, size, s->read);
	for (i = 0; i < n; i++)
		((unsigned char *)data)[i] = (unsigned char)of_stream(
		    kernel, fd, 2000000 + s->read + i);
	s->in -= n;
	s->read += n;
	return (int)n;
}

int
kernel_write(struct kernel *kernel, int fd, const void *data, size_t size)
{
	struct stream *s = &kernel->streams[fd];
	size_t i, n;

	if (s->reset)
		return -EPIPE;
	if (s->out == ROOM)
		return -EAGAIN;
	n = portion(kernel, fd, ROOM - s->out, size, s->written);
	for (i = 0; i < n; i++)
		s->hash = s->hash * 31 + ((const unsigned char *)data)[i];
	s->out += n;
	s->written += n;
	return (int)n;
}

/* Epoll. */

bool
kernel_trouble(struct kernel *kernel)
{
	unsigned one_of = kernel->program->trouble;
	uint64_t n = kernel->calls++;

	if (one_of == 0 || draw(kernel->program->seed, n, 0, 7) % one_of != 0)
		return false;
	kernel->troubles++;
	return true;
}

int
kernel_control(
    struct kernel *kernel, int op, int fd, uint32_t events, uint64_t data)
{
	struct stream *s = &kernel->streams[fd];

	if (op == EPOLL_CTL_ADD && s->added)
		return -EEXIST;
	if (op != EPOLL_CTL_ADD && !s->added)
		return -ENOENT;
	if (s->added)
		s->stale = s->data;
	s->added = op != EPOLL_CTL_DEL;
	s->events = events;
	s->data = data;
	s->edge = true;
	return 0;
}

/* An event for nothing: of what is not there, or is not meant any more. */
static int
say_nothing(struct kernel *kernel, struct epoll_event *event)
{
	uint64_t x = draw(kernel->program->seed, kernel->calls, 0, 8);
	uint32_t events = x >> 8 & 1 ? EPOLLIN : EPOLLOUT;
	int fd = (int)(x % FDS);
	struct stream *s = &kernel->streams[fd];

	if (!s->added || (kernel_level(kernel, fd) & events) != 0)
		return 0;
	event->events = events;
	event->data.u64 = x >> 9 & 1 && s->stale != 0 ? s->stale : s->data;
	return 1;
}

static int
report(struct kernel *kernel, struct epoll_event *events, int n)
{
	int i, count = 0;

	for (i = 0; i < FDS && count < n; i++) {
		int fd = kernel_order(kernel, i);
		struct stream *s = &kernel->streams[fd];
		uint32_t got = kernel_level(kernel, fd) &
		               (s->events | EPOLLERR | EPOLLHUP);

		if (!s->added || got == 0 ||
		    (!s->edge && (s->events & EPOLLET) != 0))
			continue;
		s->edge = false;
		events[count++] = (struct epoll_event){
		    .events = got, .data.u64 = s->data};
	}
	if (count < n && kernel_trouble(kernel))
		count += say_nothing(kernel, &events[count]);
	return count;
}

/* Until something happens to what epoll knows. */
static int64_t
next_change(const struct kernel *kernel, int64_t end)
{
	int fd;

	for (fd = 0; fd < FDS; fd++)
		if (kernel->streams[fd].added && kernel_next(kernel, fd) < end)
			end = kernel_next(kernel, fd);
	return end;
}

int
kernel_wait(
    struct kernel *kernel, struct epoll_event *events, int n, int64_t duration)
{
	int64_t end = duration < EDDY_FOREVER - kernel->now
	                  ? kernel->now + duration
	                  : EDDY_FOREVER;
	int64_t next = 0;
	int count;

	for (;;) {
		kernel_advance(kernel);
		count = report(kernel, events, n);
		if (count != 0 || kernel->now >= end)
			return count;
		if (next != 0 && next == kernel->interrupt)
			return -EINTR;
		if (kernel_trouble(kernel))
			kernel->interrupt = kernel->now + kernel->program->unit;
		next = next_change(kernel, end);
		if (kernel->interrupt > kernel->now && kernel->interrupt < next)
			next = kernel->interrupt;
		if (next == EDDY_FOREVER) {
			fprintf(stderr,
			    "simulate: sleeps for ever, seed %llu\n",
			    (unsigned long long)kernel->program->seed);
			abort();
		}
		kernel->now = kernel_ceil(kernel, next);
	}
}
