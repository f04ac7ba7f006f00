/* SPDX-License-Identifier: ISC */
#include <eddy/io.h>
#include <eddy/sync.h>
#include <eddy/watch.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "census.h"

enum { BIG = 3000001 }; /* bytes, more than a turn moves */

/* One operation of one task; the test plays the other ends. */
struct one {
	struct eddy_task task;
	EDDY_ASYNC (*op)(struct one *one);
	int from, to, rc;
	size_t size;
	struct eddy_event *event;
};

static eddy_step
one(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct one, f);
	EDDY_AWAIT(f->rc, f->op(f));
	EDDY_END;
}

/* Does not end before it likes, as a job that runs. */
static int asked;

static int
go_on(struct eddy_task *task, int rc)
{
	(void)task, (void)rc;
	asked++;
	return 0;
}

static const struct eddy_op stubborn = {"stubborn", go_on};

struct callee {
	struct eddy_task task;
	int rc;
};

static struct callee callee_frame;

static eddy_step
callee(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct callee, f);
	EDDY_AWAIT(f->rc, eddy_sleep(self, EDDY_S(60)));
	EDDY_RETURN(7);
	EDDY_END;
}

/* clang-format off */
#define OP(name, call) \
	static EDDY_ASYNC name(struct one *f) { return call; }
#define HANGUP(name, call) \
	OP(name, eddy_until_hangup(&f->task, f->from, call))

OP(copy, eddy_copy(&f->task, f->from, f->to, f->size))
OP(copy_timed, eddy_timeout(&f->task, EDDY_MS(1), copy(f)))
OP(read_, eddy_read(&f->task, f->from, &f->size, 1))
HANGUP(wait_, eddy_event_wait(&f->task, f->event))
HANGUP(sleep_until, eddy_sleep(&f->task, EDDY_MS(1)))
HANGUP(insist_until, eddy_park(&f->task, &stubborn))
HANGUP(wait_twice, wait_(f))
HANGUP(read_until, read_(f))
HANGUP(write_until, eddy_write(&f->task, f->from, &f->size, 1))
HANGUP(call_until, eddy_call(&f->task, EDDY_INIT(&callee_frame, callee)))
OP(wait_timed, eddy_timeout(&f->task, EDDY_MS(1), wait_(f)))
/* clang-format on */

static struct eddy_loop *loop;
static struct eddy_event event;
static int pair[2], ends[2], file; /* sockets, a pipe */
static char space[BIG], other[BIG];

static void
step(void)
{
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
}

static void
start(struct one *f, EDDY_ASYNC (*op)(struct one *), int from, int to,
    size_t size)
{
	EDDY_INIT(f, one, .op = op, .from = from, .to = to, .size = size,
	    .rc = EDDY_PENDING, .event = &event);
	ck_assert_int_eq(eddy_loop_spawn(loop, &f->task, NULL), 0);
	step();
}

/* The result of one that does not wait. */
static int
now(EDDY_ASYNC (*op)(struct one *), int from, int to, size_t size)
{
	struct one f;

	start(&f, op, from, to, size);
	ck_assert(eddy_done(&f.task));
	return f.rc;
}

static void
begin(void)
{
	enum { STREAM = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK };
	int i;

	for (i = 0; i < BIG; i++)
		space[i] = (char)(i * 31 + i / 251);
	loop = census_loop();
	eddy_event_init(&event);
	ck_assert_int_eq(socketpair(AF_UNIX, STREAM, 0, pair), 0);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	file = memfd_create("copy", MFD_CLOEXEC);
	ck_assert_int_eq(write(file, space, BIG), BIG);
	ck_assert_int_eq(lseek(file, 0, SEEK_SET), 0);
}

static void
end(void)
{
	int i;

	ck_assert_int_eq(eddy_loop_run(loop), 0); /* nobody waits */
	for (i = 0; i < 2; i++) {
		close(pair[i]);
		close(ends[i]);
	}
	close(file);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}

static void
shut(int *fd)
{
	close(*fd);
	*fd = -1;
}

/* Steps, and what they bring to fd, until f is done. */
static int
drain(struct one *f, int fd)
{
	int got = 0, n;

	do {
		step();
		while (
		    (n = (int)read(fd, other + got, (size_t)(BIG - got))) > 0)
			got += n;
	} while (!eddy_done(&f->task));
	return got;
}

/* Copying. */

/* In place of the socket pair. */
static void
use_tcp(void)
{
	struct sockaddr_in in = {
	    .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr *at = (struct sockaddr *)&in;
	socklen_t size = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	close(pair[0]);
	close(pair[1]);
	pair[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, at, size), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(getsockname(fd, at, &size), 0);
	ck_assert_int_eq(connect(pair[1], at, size), 0);
	pair[0] = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	ck_assert_int_ge(pair[0], 0);
	ck_assert_int_eq(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	close(fd);
}

START_TEST(a_file_goes_to_a_socket_or_a_pipe)
{
	struct one f;
	int in, out;

	begin();
	if (_i == 1)
		use_tcp();
	in = _i == 2 ? ends[1] : pair[0];
	out = _i == 2 ? ends[0] : pair[1];
	start(&f, copy, file, in, SIZE_MAX);
	ck_assert(!eddy_done(&f.task)); /* a mebibyte is enough for a turn */
	ck_assert_int_le(lseek(file, 0, SEEK_CUR), 1 << 20);
	ck_assert_int_eq(drain(&f, out), BIG);
	ck_assert_int_eq(f.rc, BIG);
	ck_assert_mem_eq(space, other, BIG);
	ck_assert_int_eq(lseek(file, 0, SEEK_CUR), BIG);
	ck_assert_int_eq(now(copy, file, in, SIZE_MAX), 0);
	end();
}
END_TEST

START_TEST(a_file_of_procfs_is_one)
{
	int version, size;

	begin();
	version = open("/proc/version", O_RDONLY | O_CLOEXEC);
	size = (int)read(version, space, BIG);
	ck_assert_int_gt(size, 0);
	ck_assert_int_eq(lseek(version, 0, SEEK_SET), 0);
	ck_assert_int_eq(now(copy, version, pair[0], SIZE_MAX), size);
	ck_assert_int_eq(read(pair[1], other, BIG), size);
	ck_assert_mem_eq(space, other, (size_t)size);
	close(version);
	end();
}
END_TEST

/* With more to come, as it seemed to Linux before 6.5, TCP would keep them for
 * 200 ms. */
START_TEST(the_last_bytes_of_a_file_do_not_wait_in_tcp)
{
	int unsent = -1; /* MSan does not know the ioctl */

	begin();
	use_tcp();
	ck_assert_int_eq(lseek(file, -1000, SEEK_END), BIG - 1000);
	ck_assert_int_eq(now(copy, file, pair[0], SIZE_MAX), 1000);
	ck_assert_int_eq(ioctl(pair[0], SIOCOUTQNSD, &unsent), 0);
	ck_assert_int_eq(unsent, 0);
	end();
}
END_TEST

/* Through a pipe into a socket and the other way round; each side may be what a
 * copy waits for. */
START_TEST(bytes_go_between_a_pipe_and_a_socket)
{
	int *in, *out, had, total = 0;
	struct one f;

	begin();
	in = _i == 0 ? &ends[1] : &pair[1];
	out = _i == 0 ? &pair[1] : &ends[0];
	start(&f, copy, _i == 0 ? ends[0] : pair[0],
	    _i == 0 ? pair[0] : ends[1], SIZE_MAX);
	ck_assert(!eddy_done(&f.task)); /* nothing is there */
	do {                            /* until both are full */
		had = total;
		while (total < BIG) {
			int n = (int)write(
			    *in, space + total, (size_t)(BIG - total));

			if (n <= 0)
				break;
			total += n;
		}
		step();
	} while (total > had);
	ck_assert_int_lt(total, BIG);
	shut(in);
	ck_assert_int_eq(drain(&f, *out), total);
	ck_assert_int_eq(f.rc, total);
	ck_assert_mem_eq(space, other, (size_t)total);
	end();
}
END_TEST

START_TEST(no_more_than_size_is_taken)
{
	struct one f;

	begin();
	ck_assert_int_eq(now(copy, file, pair[0], 5), 5);
	ck_assert_int_eq(lseek(file, 0, SEEK_CUR), 5);
	ck_assert_int_eq(write(ends[1], "hello", 5), 5);
	ck_assert_int_eq(now(copy, ends[0], pair[0], 2), 2);
	ck_assert_int_eq(now(copy, ends[0], pair[0], 0), 0);
	start(&f, copy, ends[0], pair[0], 4);
	ck_assert(!eddy_done(&f.task)); /* 3 of them */
	ck_assert_int_eq(write(ends[1], "!?", 2), 2);
	step();
	ck_assert_int_eq(f.rc, 4);
	ck_assert_int_eq(read(ends[0], other, 10), 1);
	ck_assert_int_eq(read(pair[1], other, 100), 11);
	ck_assert_mem_eq(other + 5, "hello!", 6);
	end();
}
END_TEST

/* By a timeout, or cancelled: the file's position is what has gone through. */
START_TEST(a_copy_given_up_loses_nothing)
{
	struct one f;
	int sent, got;

	begin();
	start(&f, _i == 0 ? copy : copy_timed, file, pair[0], SIZE_MAX);
	ck_assert(!eddy_done(&f.task));
	if (_i == 0)
		ck_assert_int_eq(eddy_cancel(&f.task), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, _i == 0 ? -ECANCELED : -ETIME);
	sent = (int)lseek(file, 0, SEEK_CUR);
	got = (int)read(pair[1], other, BIG);
	ck_assert_int_gt(got, 0);
	while (got < sent) {
		int n = (int)read(pair[1], other + got, (size_t)(BIG - got));

		ck_assert_int_gt(n, 0);
		got += n;
	}
	ck_assert_int_eq(got, sent);
	start(&f, copy, file, pair[0], SIZE_MAX);
	ck_assert_int_eq(drain(&f, pair[1]), BIG - sent);
	ck_assert_int_eq(f.rc, BIG - sent);
	ck_assert_mem_eq(space + sent, other, (size_t)(BIG - sent));
	end();
}
END_TEST

START_TEST(what_cannot_be_copied_is_refused)
{
	begin();
	ck_assert_int_eq(now(copy, pair[0], pair[1], 9), -EINVAL);
	ck_assert_int_eq(now(copy, ends[0], file, 9), -EPERM);
	ck_assert_int_eq(now(copy, file, file, 9), -EPERM);
	ck_assert_int_eq(now(copy, file, -1, 9), -EBADF);
	ck_assert_int_eq(now(copy, -1, ends[1], 9), -EBADF);
	ck_assert_int_eq(fcntl(pair[0], F_SETFL, 0), 0); /* would block */
	ck_assert_int_eq(now(copy, file, pair[0], 9), -EINVAL);
	ck_assert_int_eq(now(copy, pair[0], ends[1], 9), -EINVAL);
	ck_assert_int_eq(lseek(file, 0, SEEK_CUR), 0);
	end();
}
END_TEST

/* No SIGPIPE, which would kill. */
START_TEST(nobody_reads_what_is_copied)
{
	begin();
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	shut(&pair[1]);
	ck_assert_int_eq(now(copy, file, pair[0], 9), -EPIPE);
	ck_assert_int_eq(now(copy, ends[0], pair[0], 9), -EPIPE);
	shut(&ends[0]);
	ck_assert_int_eq(now(copy, file, ends[1], 9), -EPIPE);
	end();
}
END_TEST

/* The first bytes go through and bring a reset, the next ones a SIGPIPE, all in
 * one sendfile(2). */
START_TEST(a_peer_that_resets_in_the_middle_raises_nothing)
{
	begin();
	use_tcp();
	shut(&pair[1]);
	ck_assert_int_eq(now(copy, file, pair[0], SIZE_MAX), -EPIPE);
	end();
}
END_TEST

START_TEST(a_reader_or_a_writer_may_be_there_already)
{
	struct one f, g;
	int r;

	begin();
	start(&f, read_, ends[0], -1, 0);
	ck_assert_int_eq(now(copy, ends[0], pair[0], 9), -EEXIST);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	step();
	start(&f, copy, ends[0], pair[0], 9); /* neither side was kept */
	ck_assert(!eddy_done(&f.task));
	start(&g, read_, pair[0], -1, 0); /* the other direction */
	ck_assert(!eddy_done(&g.task));
	ck_assert_int_eq(now(read_, ends[0], -1, 0), -EEXIST);
	while (write(pair[0], space, BIG) > 0)
		;
	do /* before Linux 6.5 a full one takes some pages more */
		r = now(copy, file, pair[0], 4096);
	while (r > 0);
	ck_assert_int_eq(r, -EEXIST);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	ck_assert_int_eq(eddy_cancel(&g.task), 0);
	end();
}
END_TEST

static eddy_step
late(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct one, f);
	EDDY_AWAIT(f->rc, eddy_sleep(self, EDDY_S(60)));
	EDDY_AWAIT(f->rc, copy(f));
	EDDY_END;
}

START_TEST(a_cancelled_task_copies_nothing)
{
	struct one f;

	begin();
	f = (struct one){.from = file, .to = pair[0], .size = 9};
	eddy_prepare(&f.task, late, "late");
	ck_assert_int_eq(eddy_loop_spawn(loop, &f.task, NULL), 0);
	step();
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, -ECANCELED);
	ck_assert_int_eq((int)lseek(file, 0, SEEK_CUR), 0);
	end();
}
END_TEST

START_TEST(closing_either_end_ends_a_copy)
{
	int *fd = _i == 0 ? &ends[0] : &pair[0];
	struct one f;

	begin();
	start(&f, copy, ends[0], pair[0], 9);
	ck_assert_int_eq(eddy_close(loop, *fd), 0);
	*fd = -1;
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, -ECANCELED);
	end();
}
END_TEST

/* Hangups. */

START_TEST(a_peer_that_leaves_ends_the_operation)
{
	struct one f;

	begin();
	start(&f, wait_, pair[0], -1, 0);
	ck_assert_int_eq(write(pair[1], "x", 1), 1);
	step();
	ck_assert(!eddy_done(&f.task)); /* bytes are no hangup */
	if (_i == 0)
		ck_assert_int_eq(shutdown(pair[1], SHUT_WR), 0);
	else
		shut(&pair[1]);
	step();
	step();
	ck_assert_int_eq(f.rc, -ECANCELED);
	ck_assert_int_eq(now(read_, pair[0], -1, 0), 1); /* still there */
	start(&f, wait_, pair[0], -1, 0); /* it has left before */
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, -ECANCELED);
	end();
}
END_TEST

START_TEST(a_pipe_without_a_reader_is_a_hangup)
{
	struct one f;

	begin();
	start(&f, call_until, ends[1], -1, 0);
	ck_assert(!eddy_done(&f.task));
	shut(&ends[0]);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(callee_frame.rc, -ECANCELED);
	ck_assert_int_eq(f.rc, 7); /* its own result wins */
	end();
}
END_TEST

/* Whichever way the operation ends, its descriptor is free again. */
START_TEST(a_hangup_is_looked_for_no_longer_than_the_operation)
{
	eddy_async (*const ways[])(struct one *) = {
	    wait_, wait_timed, wait_, sleep_until};
	const int results[] = {0, -ETIME, -ECANCELED, 0};
	struct one f;
	int i;

	begin();
	for (i = 0; i < 4; i++) {
		eddy_event_clear(&event);
		start(&f, ways[i], pair[0], -1, 0);
		ck_assert(!eddy_done(&f.task));
		if (i == 0)
			ck_assert_int_eq(eddy_event_set(&event), 0);
		else if (i == 2)
			ck_assert_int_eq(eddy_cancel(&f.task), 0);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		ck_assert_int_eq(f.rc, results[i]);
		start(&f, read_, pair[0], -1, 0);
		ck_assert(!eddy_done(&f.task));
		ck_assert_int_eq(write(pair[1], "x", 1), 1);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		ck_assert_int_eq(f.rc, 1);
	}
	ck_assert_int_eq(eddy_event_set(&event), 0);
	ck_assert_int_eq(now(wait_, -1, -1, 0), 0); /* does not wait */
	ck_assert_int_eq(now(write_until, pair[0], -1, 0), 1);
	end();
}
END_TEST

START_TEST(who_reads_cannot_look_for_a_hangup)
{
	struct one f;

	begin();
	start(&f, read_until, pair[0], -1, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, -EEXIST);
	start(&f, wait_twice, pair[0], -1, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, -EINVAL);
	start(&f, wait_, file, -1, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, -EPERM);
	start(&f, wait_, pair[0], -1, 0);
	ck_assert_int_eq(now(read_, pair[0], -1, 0), -EEXIST);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	end();
}
END_TEST

START_TEST(closing_the_descriptor_ends_only_the_look_out)
{
	struct one f;

	begin();
	start(&f, wait_, pair[0], -1, 0);
	ck_assert_int_eq(eddy_close(loop, pair[0]), 0);
	pair[0] = -1;
	step();
	ck_assert(!eddy_done(&f.task));
	ck_assert_int_eq(eddy_event_set(&event), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, 0);
	end();
}
END_TEST

static void
on_room(struct eddy_loop *l, struct eddy_watch *watch, uint32_t events)
{
	(void)l, (void)watch, (void)events;
	ck_abort_msg("there is none");
}

/* Not with each turn, which none would sleep then. */
START_TEST(beside_a_level_to_write_a_hangup_is_told_once)
{
	struct eddy_watch watch;
	struct one f;
	int i;

	begin();
	while (write(pair[0], space, 1000) > 0)
		;
	eddy_watch_init(&watch, pair[0], on_room, 0);
	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLOUT), 0);
	start(&f, insist_until, pair[0], -1, 0);
	ck_assert_int_eq(shutdown(pair[1], SHUT_WR), 0);
	for (i = 0; i < 10; i++)
		step();
	ck_assert_int_eq(asked, 1);
	ck_assert_int_eq(eddy_unpark(&f.task, 5), 0);
	ck_assert_int_eq(eddy_watch_stop(loop, &watch), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, 5);
	end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("copy");
	TCase *two = census_case(suite, "ways", 6);

	tcase_add_loop_test(two, a_file_goes_to_a_socket_or_a_pipe, 0, 3);
	tcase_add_loop_test(two, bytes_go_between_a_pipe_and_a_socket, 0, 2);
	tcase_add_loop_test(two, a_copy_given_up_loses_nothing, 0, 2);
	tcase_add_loop_test(two, closing_either_end_ends_a_copy, 0, 2);
	tcase_add_loop_test(two, a_peer_that_leaves_ends_the_operation, 0, 2);
	census_add(census_case(suite, "copies", 4), no_more_than_size_is_taken,
	    a_file_of_procfs_is_one,
	    the_last_bytes_of_a_file_do_not_wait_in_tcp,
	    what_cannot_be_copied_is_refused, nobody_reads_what_is_copied,
	    a_peer_that_resets_in_the_middle_raises_nothing,
	    a_reader_or_a_writer_may_be_there_already,
	    a_cancelled_task_copies_nothing);
	census_add(census_case(suite, "hangups", 4),
	    a_pipe_without_a_reader_is_a_hangup,
	    a_hangup_is_looked_for_no_longer_than_the_operation,
	    who_reads_cannot_look_for_a_hangup,
	    beside_a_level_to_write_a_hangup_is_told_once,
	    closing_the_descriptor_ends_only_the_look_out);
	return suite_main(suite);
}
