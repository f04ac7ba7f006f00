/* SPDX-License-Identifier: ISC */
/* link: -Wl,--wrap=eddy__epoll_ctl,--wrap=eddy__epoll_wait */
/* link: -Wl,--wrap=eddy__accept,--wrap=eddy__recvfrom */
/* link: -Wl,--wrap=eddy__connect */
#include <eddy/io.h>
#include <eddy/sync.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "census.h"
#include "sys.h"

enum { BIG = 1 << 22 }; /* bytes, more than any buffer of the kernel holds */

/* What the loop asks of the kernel. */
static int controls, waits, reads;

int __real_eddy__epoll_ctl(
    int epoll, int op, int fd, uint32_t events, uint64_t data);
int __wrap_eddy__epoll_ctl(
    int epoll, int op, int fd, uint32_t events, uint64_t data);
int __real_eddy__epoll_wait(int epoll, struct epoll_event *events, int n,
    int64_t duration, bool *coarse);
int __wrap_eddy__epoll_wait(int epoll, struct epoll_event *events, int n,
    int64_t duration, bool *coarse);

int
__wrap_eddy__epoll_ctl(
    int epoll, int op, int fd, uint32_t events, uint64_t data)
{
	controls++;
	return __real_eddy__epoll_ctl(epoll, op, fd, events, data);
}

int
__wrap_eddy__epoll_wait(int epoll, struct epoll_event *events, int n,
    int64_t duration, bool *coarse)
{
	waits++;
	return __real_eddy__epoll_wait(epoll, events, n, duration, coarse);
}

int __real_eddy__recvfrom(int fd, void *data, size_t size, int flags,
    struct sockaddr *ret_from, unsigned *ret_size);
int __wrap_eddy__recvfrom(int fd, void *data, size_t size, int flags,
    struct sockaddr *ret_from, unsigned *ret_size);

int
__wrap_eddy__recvfrom(int fd, void *data, size_t size, int flags,
    struct sockaddr *ret_from, unsigned *ret_size)
{
	reads++;
	return __real_eddy__recvfrom(fd, data, size, flags, ret_from, ret_size);
}

static int aborts; /* so many connections yet are gone when they are accepted */

int __real_eddy__accept(int fd, struct sockaddr *from, unsigned *size);
int __wrap_eddy__accept(int fd, struct sockaddr *from, unsigned *size);

int
__wrap_eddy__accept(int fd, struct sockaddr *from, unsigned *size)
{
	if (aborts == 0)
		return __real_eddy__accept(fd, from, size);
	aborts--;
	return -ECONNABORTED;
}

/* As vsock(7) does when it is asked again. */
static bool as_vsock;
static int connects;

int __real_eddy__connect(int fd, const struct sockaddr *to, unsigned size);
int __wrap_eddy__connect(int fd, const struct sockaddr *to, unsigned size);

int
__wrap_eddy__connect(int fd, const struct sockaddr *to, unsigned size)
{
	struct sockaddr_storage peer;
	socklen_t room = sizeof(peer);

	if (!as_vsock || connects++ == 0)
		return __real_eddy__connect(fd, to, size);
	return getpeername(fd, (struct sockaddr *)&peer, &room) == 0
	           ? -EISCONN
	           : -EALREADY;
}

/* One operation of one task; the test plays the other end. */
struct one {
	struct eddy_task task;
	EDDY_ASYNC (*op)(struct one *one);
	int fd, rc, flags;
	char *data;
	size_t size;
	struct iovec iov[2];
	struct eddy_address address;
};

static eddy_step
one(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct one, f);
	EDDY_AWAIT(f->rc, f->op(f));
	EDDY_END;
}

/* clang-format off */
#define OP(name, call) \
	static EDDY_ASYNC name(struct one *f) { return call; }

OP(read_, eddy_read(&f->task, f->fd, f->data, f->size))
OP(write_, eddy_write(&f->task, f->fd, f->data, f->size))
OP(readv_, eddy_readv(&f->task, f->fd, f->iov, 2))
OP(writev_, eddy_writev(&f->task, f->fd, f->iov, 2))
OP(readv_late, (f->iov[0].iov_len = 0, readv_(f)))
OP(writev_late, (f->iov[0].iov_len = 0, writev_(f)))
OP(readv_none, eddy_readv(&f->task, f->fd, NULL, 0))
OP(readv_fewer, eddy_readv(&f->task, f->fd, f->iov, -1))
OP(recv_, eddy_recv(&f->task, f->fd, f->data, f->size, f->flags))
OP(send_, eddy_send(&f->task, f->fd, f->data, f->size, f->flags))
OP(recvfrom_, eddy_recvfrom(&f->task, f->fd, f->data, f->size, &f->address))
OP(sendto_, eddy_sendto(&f->task, f->fd, f->data, f->size, &f->address))
OP(read_full_, eddy_read_full(&f->task, f->fd, f->data, f->size))
OP(write_full_, eddy_write_full(&f->task, f->fd, f->data, f->size))
OP(accept_, eddy_accept(&f->task, f->fd, f->flags ? &f->address : NULL))
OP(connect_, eddy_connect(&f->task, f->fd, &f->address))
OP(poll_, eddy_poll(&f->task, f->fd, (short)f->flags))
OP(read_timed, eddy_timeout(&f->task, EDDY_MS(1), read_(f)))
OP(connect_timed, eddy_timeout(&f->task, EDDY_MS(1), connect_(f)))
/* clang-format on */

static struct eddy_loop *loop;
static int ends[2]; /* of a socket pair, or of a pipe */
static char space[BIG], other[BIG];

static void
step(void)
{
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
}

/* Begun, and waiting or done. */
static void
start(struct one *f, EDDY_ASYNC (*op)(struct one *), int fd, size_t size)
{
	struct eddy_address address = f->address;
	int flags = f->flags;

	EDDY_INIT(f, one, .op = op, .fd = fd, .data = space, .size = size,
	    .rc = EDDY_PENDING, .flags = flags, .address = address,
	    .iov = {{space, size / 2}, {space + size / 2, size / 2}});
	ck_assert_int_eq(eddy_loop_spawn(loop, &f->task, NULL), 0);
	step();
}

/* The result of one that does not wait. */
static int
now(EDDY_ASYNC (*op)(struct one *), int fd, size_t size)
{
	struct one f = {.flags = 0};

	start(&f, op, fd, size);
	ck_assert(eddy_done(&f.task));
	return f.rc;
}

static int
now_with(EDDY_ASYNC (*op)(struct one *), int fd, size_t size, int flags)
{
	struct one f = {.flags = flags};

	start(&f, op, fd, size);
	ck_assert(eddy_done(&f.task));
	return f.rc;
}

static void
begin(void)
{
	loop = census_loop();
	ck_assert_int_eq(
	    socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
	    0);
}

/* Instead of the socket pair. */
static void
use_pipe(int flags)
{
	close(ends[0]);
	close(ends[1]);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | flags), 0);
}

static void
end(void)
{
	ck_assert_int_eq(eddy_loop_run(loop), 0); /* nobody waits */
	close(ends[0]);
	close(ends[1]);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}

static void
feed(const char *text)
{
	ck_assert_int_eq(write(ends[1], text, strlen(text)), (int)strlen(text));
}

/* Bytes. */

START_TEST(a_read_that_can_does_not_wait)
{
	begin();
	feed("hello");
	controls = 0;
	ck_assert_int_eq(now(read_, ends[0], 2), 2);
	ck_assert_mem_eq(space, "he", 2);
	ck_assert_int_eq(now(readv_, ends[0], 100), 3);
	ck_assert_mem_eq(space, "llo", 3);
	ck_assert_int_eq(controls, 0);
	end();
}
END_TEST

START_TEST(a_read_waits_for_bytes_and_then_for_the_end)
{
	struct one f = {.flags = 0};

	begin();
	if (_i == 1)
		use_pipe(O_NONBLOCK);
	if (_i == 2)
		use_pipe(0);
	start(&f, read_, ends[0], 100);
	ck_assert(!eddy_done(&f.task));
	feed("x");
	step();
	ck_assert_int_eq(f.rc, 1);
	start(&f, readv_, ends[0], 100);
	ck_assert(!eddy_done(&f.task));
	close(ends[1]);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, 0);
	ends[1] = -1;
	end();
}
END_TEST

START_TEST(a_write_takes_what_fits_and_waits_for_room)
{
	struct one f = {.flags = 0};
	int n, total = 0;

	begin();
	if (_i == 1)
		use_pipe(O_NONBLOCK);
	if (_i == 2)
		use_pipe(0);
	do {
		start(&f, _i == 0 ? writev_ : write_, ends[1], BIG);
		if (eddy_done(&f.task))
			total += f.rc;
	} while (eddy_done(&f.task));
	ck_assert_int_gt(total, 0);
	n = (int)read(ends[0], other, BIG);
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_gt(f.rc, 0);
	end();
}
END_TEST

/* A read that got less than it could is not repeated to hear EAGAIN; neither
 * bytes nor the end that come then may be missed. */
START_TEST(nothing_is_missed_after_a_short_read)
{
	struct one f = {.flags = 0};

	begin();
	start(&f, read_, ends[0], 100);
	feed("x");
	step();
	ck_assert_int_eq(f.rc, 1);
	feed("y"); /* an event for nobody */
	step();
	ck_assert_int_eq(now(read_, ends[0], 100), 1);
	start(&f, read_, ends[0], 100);
	ck_assert(!eddy_done(&f.task));
	feed("z");
	if (_i == 0)
		close(ends[1]); /* the end is told with the bytes */
	step();
	ck_assert_int_eq(f.rc, 1);
	if (_i == 1)
		close(ends[1]); /* after them, and to nobody */
	if (_i == 1)
		step();
	start(&f, read_, ends[0], 100);
	if (_i == 2)
		close(ends[1]);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, 0);
	ends[1] = -1;
	end();
}
END_TEST

/* It knows of none before, so its table has no place yet. */
START_TEST(the_first_descriptor_that_a_loop_meets_may_be_0)
{
	int stdin_too = fcntl(0, F_DUPFD_CLOEXEC, 3);
	struct one f = {.flags = 0};

	begin();
	ck_assert_int_eq(dup2(ends[0], 0), 0);
	feed("hello");
	ck_assert_int_eq(now(read_, 0, 100), 5);
	start(&f, read_, 0, 100);
	feed("x");
	step();
	ck_assert_int_eq(f.rc, 1);
	ck_assert_int_eq(eddy_close(loop, 0), 0);
	if (stdin_too >= 0)
		ck_assert_int_eq(dup2(stdin_too, 0), 0);
	close(stdin_too);
	end();
}
END_TEST

START_TEST(a_peek_leaves_what_it_saw)
{
	struct one f = {.flags = MSG_PEEK};

	begin();
	start(&f, recv_, ends[0], 100);
	feed("x");
	step();
	ck_assert_int_eq(f.rc, 1);
	ck_assert_int_eq(now(read_, ends[0], 100), 1);
	end();
}
END_TEST

START_TEST(flags_go_to_the_system_call)
{
	begin();
	feed("hello");
	ck_assert_int_eq(now_with(recv_, ends[0], 100, MSG_PEEK), 5);
	ck_assert_int_eq(now_with(recv_, ends[0], 100, 0), 5);
	ck_assert_int_eq(now_with(send_, ends[0], 5, 0), 5);
	end();
}
END_TEST

START_TEST(full_is_all_or_an_error)
{
	struct one f = {.flags = 0};

	begin();
	start(&f, read_full_, ends[0], 6);
	feed("abc");
	step();
	ck_assert(!eddy_done(&f.task));
	feed("def!");
	step();
	ck_assert_int_eq(f.rc, 6);
	ck_assert_mem_eq(space, "abcdef", 6);
	ck_assert_int_eq(now(read_, ends[0], 6), 1); /* and it is dry */
	ck_assert_int_eq(now(read_full_, ends[0], 0), 0);
	feed("!");
	start(&f, read_full_, ends[0], 6);
	close(ends[1]);
	step();
	ck_assert_int_eq(f.rc, -EPIPE);
	ck_assert_int_eq(now(read_full_, ends[0], 6), 0);
	ck_assert_int_eq(now(read_full_, ends[0], 0), 0);
	ck_assert_int_eq(now(write_full_, ends[0], 6), -EPIPE);
	ends[1] = -1;
	end();
}
END_TEST

START_TEST(megabytes_go_through_full)
{
	struct one in = {.flags = 0}, out = {.flags = 0};
	int i;

	begin();
	if (_i == 1)
		use_pipe(O_NONBLOCK);
	if (_i == 2)
		use_pipe(0);
	for (i = 0; i < BIG; i++)
		other[i] = (char)(i * 31 >> 3);
	start(&in, read_full_, ends[0], BIG);
	EDDY_INIT(&out, one, .op = write_full_, .fd = ends[1], .data = other,
	    .size = BIG);
	ck_assert_int_eq(eddy_loop_spawn(loop, &out.task, NULL), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(in.rc, BIG);
	ck_assert_int_eq(out.rc, BIG);
	ck_assert_int_eq(memcmp(space, other, BIG), 0);
	end();
}
END_TEST

/* Would kill us. */
START_TEST(no_sigpipe)
{
	begin();
	if (_i == 1)
		use_pipe(O_NONBLOCK);
	close(ends[0]);
	ck_assert_int_eq(now(write_, ends[1], 5), -EPIPE);
	ck_assert_int_eq(now(writev_, ends[1], 6), -EPIPE);
	ends[0] = -1;
	end();
}
END_TEST

START_TEST(a_sigpipe_that_waits_still_waits)
{
	sigset_t set;

	begin();
	use_pipe(O_NONBLOCK);
	close(ends[0]);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGPIPE);
	ck_assert_int_eq(now(write_, ends[1], 5), -EPIPE);
	sigpending(&set);
	ck_assert_int_eq(sigismember(&set, SIGPIPE), 1);
	ends[0] = -1;
	end();
}
END_TEST

START_TEST(a_regular_file_is_for_jobs)
{
	int file = memfd_create("regular", MFD_CLOEXEC);

	begin();
	ck_assert_int_eq(now(read_, file, 5), -EPERM);
	ck_assert_int_eq(now(write_, file, 5), -EPERM);
	ck_assert_int_eq(now(readv_, file, 5), -EPERM);
	ck_assert_int_eq(now(write_full_, file, 5), -EPERM);
	ck_assert_int_eq(now(recvfrom_, file, 5), -ENOTSOCK);
	ck_assert_int_eq(now_with(poll_, file, 0, POLLIN), POLLIN);
	close(file);
	end();
}
END_TEST

static const int impossible[] = {-1, INT_MIN, 1 << 20, INT_MAX};

START_TEST(a_number_that_is_no_descriptor_is_refused)
{
	int fd = impossible[_i];

	begin();
	ck_assert_int_eq(now(read_, fd, 5), -EBADF);
	ck_assert_int_eq(now(write_, fd, 5), -EBADF);
	ck_assert_int_eq(now(readv_, fd, 5), -EBADF);
	ck_assert_int_eq(now(writev_, fd, 5), -EBADF);
	ck_assert_int_eq(now(recvfrom_, fd, 5), -EBADF);
	ck_assert_int_eq(now(sendto_, fd, 5), -EBADF);
	ck_assert_int_eq(now(accept_, fd, 0), -EBADF);
	ck_assert_int_eq(now(connect_, fd, 0), -EBADF);
	/* poll(2) overlooks negative numbers. */
	ck_assert_int_eq(now_with(poll_, fd, 0, POLLIN), -EBADF);
	end();
}
END_TEST

/* Sockets of the network. */

/* The address that a socket has been given. */
static struct eddy_address
local(int type, int *ret_fd)
{
	struct eddy_address address = {.size = sizeof(struct sockaddr_in)};
	struct sockaddr_in *in = (struct sockaddr_in *)&address.name;

	*ret_fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(*ret_fd, 0);
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(*ret_fd, (struct sockaddr *)in, address.size), 0);
	ck_assert_int_eq(
	    getsockname(*ret_fd, (struct sockaddr *)in, &address.size), 0);
	return address;
}

START_TEST(datagrams_carry_addresses)
{
	struct one in = {.flags = 0}, out = {.flags = 0};
	struct eddy_address from;
	int here, there;

	begin();
	out.address = local(SOCK_DGRAM, &there);
	from = local(SOCK_DGRAM, &here);
	start(&in, recvfrom_, there, 100);
	ck_assert(!eddy_done(&in.task));
	start(&out, sendto_, here, 5);
	step();
	ck_assert_int_eq(out.rc, 5);
	ck_assert_int_eq(in.rc, 5);
	ck_assert_uint_eq(in.address.size, from.size);
	ck_assert_mem_eq(&in.address.name, &from.name, from.size);
	/* Two in a row: none is left lying. */
	start(&out, sendto_, here, 1);
	start(&out, sendto_, here, 2);
	ck_assert_int_eq(now(read_, there, 100), 1);
	ck_assert_int_eq(now(read_, there, 100), 2);
	/* Nothing is a datagram, too. */
	start(&out, sendto_, here, 0);
	ck_assert_int_eq(now(recvfrom_, there, 100), 0);
	close(here);
	close(there);
	end();
}
END_TEST

START_TEST(connect_and_accept_meet)
{
	struct one server = {.flags = 1}, client = {.flags = 0};
	int listener, fd;

	begin();
	client.address = local(SOCK_STREAM, &listener);
	ck_assert_int_eq(listen(listener, 10), 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* it blocks */
	if (_i == 1)
		fcntl(listener, F_SETFL, 0);
	start(&server, accept_, listener, 0);
	ck_assert(!eddy_done(&server.task));
	start(&client, connect_, fd, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(client.rc, 0);
	ck_assert_int_ge(server.rc, 0);
	ck_assert_int_eq(fcntl(server.rc, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(server.rc, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	getsockname(
	    fd, (struct sockaddr *)&client.address.name, &client.address.size);
	ck_assert_mem_eq(&server.address.name, &client.address.name,
	    sizeof(struct sockaddr_in));
	start(&client, connect_, fd, 0);
	ck_assert_int_eq(client.rc, -EISCONN);
	/* Which blocks, but not us. */
	start(&client, read_, fd, 100);
	ck_assert(!eddy_done(&client.task));
	ck_assert_int_eq(write(server.rc, "x", 1), 1);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(client.rc, 1);
	close(fd);
	close(server.rc);
	close(listener);
	end();
}
END_TEST

START_TEST(a_pipe_that_blocks_passes_over_empty_buffers)
{
	begin();
	use_pipe(0);
	ck_assert_int_eq(now(writev_late, ends[1], 8), 4);
	ck_assert_int_eq(now(readv_late, ends[0], 16), 4);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ck_assert_int_eq(now(readv_none, ends[0], 0), 0);
	end();
}
END_TEST

START_TEST(fewer_buffers_than_none_are_refused)
{
	begin();
	ck_assert_int_eq(now(readv_fewer, ends[0], 0), -EINVAL);
	use_pipe(0);
	ck_assert_int_eq(now(readv_fewer, ends[0], 0), -EINVAL);
	end();
}
END_TEST

START_TEST(connect_says_why_it_failed)
{
	struct one client = {.flags = 0};
	int nobody, fd;

	begin();
	client.address = local(SOCK_STREAM, &nobody); /* not listening */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	start(&client, connect_, fd, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(client.rc, -ECONNREFUSED);
	close(fd);
	close(nobody);
	end();
}
END_TEST

START_TEST(connect_hears_of_its_end_from_any_family)
{
	struct one client = {.flags = 0};
	int listener, fd;

	begin();
	as_vsock = true;
	client.address = local(SOCK_STREAM, &listener);
	if (_i == 0)
		ck_assert_int_eq(listen(listener, 10), 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	start(&client, connect_, fd, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(client.rc, _i == 0 ? 0 : -ECONNREFUSED);
	close(fd);
	close(listener);
	end();
}
END_TEST

START_TEST(a_full_unix_socket_is_told_at_once)
{
	struct one client = {.flags = 0};
	struct sockaddr_un *un = (struct sockaddr_un *)&client.address.name;
	int listener, fds[8], i;

	begin();
	un->sun_family = AF_UNIX;
	client.address.size = sizeof(sa_family_t); /* a name of its own */
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(
	    bind(listener, (struct sockaddr *)un, client.address.size), 0);
	client.address.size = sizeof(client.address.name);
	getsockname(listener, (struct sockaddr *)un, &client.address.size);
	ck_assert_int_eq(listen(listener, 1), 0);
	for (i = 0; i < 8; i++)
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (i = 0; i < 8 && client.rc == 0; i++)
		start(&client, connect_, fds[i], 0);
	ck_assert_int_eq(client.rc, -EAGAIN);
	for (i = 0; i < 8; i++)
		close(fds[i]);
	close(listener);
	end();
}
END_TEST

START_TEST(a_full_queue_of_datagrams_is_told_at_once)
{
	struct one f = {.flags = 0};
	struct sockaddr *un = (struct sockaddr *)&f.address.name;
	int fds[2], i;

	begin();
	un->sa_family = AF_UNIX;
	for (i = 0; i < 2; i++)
		fds[i] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fds[0], un, sizeof(sa_family_t)), 0);
	f.address.size = sizeof(f.address.name);
	getsockname(fds[0], un, &f.address.size);
	for (f.rc = 1; f.rc == 1;)
		start(&f, sendto_, fds[1], 1);
	ck_assert_int_eq(f.rc, -EAGAIN);
	ck_assert_int_eq(read(fds[0], space, 1), 1);
	start(&f, sendto_, fds[1], 1);
	ck_assert_int_eq(f.rc, 1);
	close(fds[0]);
	close(fds[1]);
	end();
}
END_TEST

START_TEST(accept_without_descriptors_says_so_and_loses_nobody)
{
	struct one server = {.flags = 0}, client = {.flags = 0};
	struct rlimit limit, few;
	int listener, fd;

	begin();
	client.address = local(SOCK_STREAM, &listener);
	ck_assert_int_eq(listen(listener, 10), 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	getrlimit(RLIMIT_NOFILE, &limit);
	few = (struct rlimit){(rlim_t)fd + 1, limit.rlim_max};
	start(&server, accept_, listener, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	start(&client, connect_, fd, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(server.rc, -EMFILE);
	ck_assert_int_eq(now(accept_, listener, 0), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	start(&server, accept_, listener, 0);
	ck_assert_int_ge(server.rc, 0);
	close(server.rc);
	close(fd);
	close(listener);
	end();
}
END_TEST

START_TEST(accept_passes_over_aborted_connections_but_not_for_ever)
{
	struct one client = {.flags = 0};
	int listener, fd, conn;

	begin();
	client.address = local(SOCK_STREAM, &listener);
	ck_assert_int_eq(listen(listener, 10), 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	start(&client, connect_, fd, 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	aborts = 1000;
	ck_assert_int_eq(now(accept_, listener, 0), -ECONNABORTED);
	ck_assert_int_gt(aborts, 900);
	aborts = 10;
	conn = now(accept_, listener, 0);
	ck_assert_int_ge(conn, 0);
	ck_assert_int_eq(aborts, 0);
	close(conn);
	close(fd);
	close(listener);
	end();
}
END_TEST

START_TEST(poll_tells_what_is_there)
{
	struct one f = {.flags = POLLIN};

	begin();
	ck_assert_int_eq(
	    now_with(poll_, ends[0], 0, POLLIN | POLLOUT), POLLOUT);
	ck_assert_int_eq(now_with(poll_, ends[0], 0, POLLPRI), -EINVAL);
	start(&f, poll_, ends[0], 0);
	ck_assert(!eddy_done(&f.task));
	feed("x");
	step();
	ck_assert_int_eq(f.rc, POLLIN);
	ck_assert_int_eq(
	    now_with(poll_, ends[0], 0, POLLIN | POLLOUT), POLLIN | POLLOUT);
	f.flags = 0; /* only the end: bytes do not count */
	start(&f, poll_, ends[0], 0);
	feed("x");
	step();
	ck_assert(!eddy_done(&f.task));
	close(ends[1]);
	step();
	ck_assert_int_eq(f.rc, POLLHUP);
	ends[1] = -1;
	end();
}
END_TEST

static int calls;

static void
on_level(struct eddy_loop *l, struct eddy_watch *watch, uint32_t events)
{
	(void)l;
	ck_assert_uint_eq(events, EPOLLIN);
	ck_assert_int_eq(read(watch->fd, other, 100), 1);
	calls++;
}

/* Levels on one side and edges on the other: what the task has waited for does
 * not come each turn from then on. */
START_TEST(a_watch_and_a_task_share_a_descriptor)
{
	struct one f = {.flags = POLLOUT};
	struct eddy_watch watch;
	int64_t began;

	begin();
	eddy_watch_init(&watch, ends[0], on_level, 0);
	ck_assert_int_eq(eddy_watch_start(loop, &watch, EPOLLIN), 0);
	ck_assert_int_eq(now(read_, ends[0], 5), -EEXIST);
	while (write(ends[0], space, BIG) > 0)
		;
	start(&f, poll_, ends[0], 0);
	ck_assert(!eddy_done(&f.task));
	ck_assert_int_gt(read(ends[1], other, BIG), 0);
	step();
	ck_assert_int_eq(f.rc, POLLOUT);
	step();
	began = eddy_now();
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_MS(2)), 1);
	ck_assert_int_ge(eddy_now() - began, EDDY_MS(2));
	feed("x");
	step();
	ck_assert_int_eq(calls, 1);
	/* The task's turn, when the watch has left. */
	start(&f, poll_, ends[0], 0);
	ck_assert_int_eq(eddy_watch_stop(loop, &watch), 0);
	f.flags = POLLIN;
	start(&f, poll_, ends[0], 0);
	feed("y");
	step();
	ck_assert_int_eq(f.rc, POLLIN);
	ck_assert_int_eq(calls, 1);
	end();
}
END_TEST

/* Giving up. */

START_TEST(a_second_reader_is_refused_and_a_writer_is_not)
{
	struct one f = {.flags = 0}, both = {.flags = POLLIN | POLLOUT};

	begin();
	start(&f, read_, ends[0], 100);
	ck_assert_int_eq(now(read_, ends[0], 100), -EEXIST);
	ck_assert_int_eq(now_with(poll_, ends[0], 0, POLLIN), -EEXIST);
	while (write(ends[0], space, BIG) > 0)
		;
	start(&both, poll_, ends[0], 0);
	ck_assert_int_eq(both.rc, -EEXIST);
	both.flags = POLLOUT;
	start(&both, poll_, ends[0], 0);
	ck_assert(!eddy_done(&both.task));
	ck_assert_int_eq(now(write_, ends[0], 5), -EEXIST);
	feed("x");
	ck_assert_int_gt(read(ends[1], other, BIG), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, 1);
	ck_assert_int_eq(both.rc, POLLOUT);
	end();
}
END_TEST

START_TEST(a_cancelled_read_leaves_the_bytes)
{
	struct one f = {.flags = 0};

	begin();
	start(&f, read_, ends[0], 100);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	feed("x");
	step();
	ck_assert_int_eq(f.rc, -ECANCELED);
	ck_assert_int_eq(now(read_, ends[0], 100), 1);
	end();
}
END_TEST

START_TEST(a_read_in_time_is_not_late)
{
	struct one f = {.flags = 0};

	begin();
	start(&f, read_timed, ends[0], 100);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, -ETIME);
	start(&f, read_timed, ends[0], 100);
	usleep(2000);
	feed("x"); /* both are due: the result wins */
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, 1);
	end();
}
END_TEST

enum { MANY = 100 }; /* the loop tries some only when others have run */

START_TEST(many_reads_in_time_are_not_late)
{
	struct eddy_clock clock = {0};
	struct eddy_loop_options options = {.clock = &clock};
	static struct one f[MANY];
	static int pairs[MANY][2];
	int i;

	begin();
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	for (i = 0; i < MANY; i++) {
		ck_assert_int_eq(
		    socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
		start(&f[i], read_timed, pairs[i][0], 100);
	}
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(write(pairs[i][1], "x", 1), 1);
	clock.now += EDDY_MS(1);
	step();
	for (i = 0; i < MANY; i++) {
		ck_assert_int_eq(f[i].rc, 1);
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
	end();
}
END_TEST

/* Time on a virtual clock does not wait for descriptors. */
START_TEST(a_virtual_clock_jumps_over_a_read)
{
	struct eddy_clock clock = {0};
	struct eddy_loop_options options = {.clock = &clock};
	struct one f = {.flags = 0};

	begin();
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	start(&f, read_timed, ends[0], 100);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, -ETIME);
	ck_assert_int_eq(clock.now, EDDY_MS(1));
	end();
}
END_TEST

/* Whose queue is full, so that it gets no answer. */
START_TEST(a_connect_is_given_up)
{
	struct one client = {.flags = 0};
	int listener, fds[4], i;

	begin();
	client.address = local(SOCK_STREAM, &listener);
	ck_assert_int_eq(listen(listener, 0), 0);
	for (i = 0; i < 4; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		start(&client, connect_timed, fds[i], 0);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
	}
	ck_assert_int_eq(client.rc, -ETIME);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(eddy_close(loop, fds[i]), 0);
	close(listener);
	end();
}
END_TEST

struct rivals {
	struct eddy_task task, reader, sleeper;
	struct eddy_task *winner;
	int rc;
};

static eddy_step
rivals(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct rivals, f);
	EDDY_START(
	    self, &f->reader, eddy_read_full(&f->reader, ends[0], space, 2));
	EDDY_START(self, &f->sleeper, eddy_sleep(&f->sleeper, EDDY_S(60)));
	EDDY_AWAIT(f->rc, eddy_race(self, &f->winner));
	EDDY_END;
}

START_TEST(a_read_wins_a_race)
{
	struct rivals f;

	begin();
	EDDY_INIT(&f, rivals);
	ck_assert_int_eq(eddy_loop_spawn(loop, &f.task, NULL), 0);
	step();
	feed("a");
	step();
	ck_assert(!eddy_done(&f.task));
	feed("b");
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, 2);
	ck_assert_ptr_eq(f.winner, &f.reader);
	end();
}
END_TEST

static struct eddy_event event;
OP(read_until, eddy_until(&f->task, &event, read_(f)))

START_TEST(an_event_ends_a_read)
{
	struct one f = {.flags = 0};

	begin();
	eddy_event_init(&event);
	start(&f, read_until, ends[0], 100);
	ck_assert_int_eq(eddy_event_set(&event), 0);
	step();
	ck_assert_int_eq(f.rc, -ECANCELED);
	eddy_event_init(&event);
	start(&f, read_until, ends[0], 100);
	feed("x");
	step();
	ck_assert_int_eq(f.rc, 1);
	end();
}
END_TEST

/* Closing. */

START_TEST(close_ends_what_waits)
{
	struct one in = {.flags = 0}, out = {.flags = POLLOUT};

	begin();
	while (write(ends[0], space, BIG) > 0)
		;
	start(&in, read_, ends[0], 100);
	start(&out, poll_, ends[0], 0);
	if (_i == 0)
		ck_assert_int_eq(eddy_close(loop, ends[0]), 0);
	else
		ck_assert_int_eq(eddy_forget(loop, ends[0]), 0);
	step();
	ck_assert_int_eq(in.rc, -ECANCELED);
	ck_assert_int_eq(out.rc, -ECANCELED);
	/* For a forgotten one all begins anew. */
	if (_i == 1) {
		start(&in, read_, ends[0], 100);
		feed("x");
		step();
		ck_assert_int_eq(in.rc, 1);
	}
	end();
}
END_TEST

/* A socket pair whose first end has this number. */
static void
reopen(int number)
{
	int fds[2];

	ck_assert_int_eq(
	    socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
	    0);
	close(ends[1]);
	ends[1] = fds[1];
	if (fds[0] != number) {
		ck_assert_int_eq(dup3(fds[0], number, O_CLOEXEC), number);
		close(fds[0]);
	}
}

/* 0: closed with eddy_close; 1: told with eddy_forget; each while a child has a
 * copy of it, which sends what belongs to the old one. */
START_TEST(a_number_is_used_again_at_once)
{
	struct one f = {.flags = 0};
	int old, i;

	begin();
	for (i = 0; i < 3; i++) {
		start(&f, read_, ends[0], 100);
		ck_assert(!eddy_done(&f.task));
		old = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
		if (_i == 0)
			ck_assert_int_eq(eddy_close(loop, ends[0]), 0);
		else
			ck_assert_int_eq(eddy_forget(loop, ends[0]), 0);
		step();
		ck_assert_int_eq(f.rc, -ECANCELED);
		feed("old");
		reopen(ends[0]);
		start(&f, read_, ends[0], 100);
		ck_assert(!eddy_done(&f.task));
		feed("x");
		step();
		ck_assert_int_eq(f.rc, 1);
		close(old);
	}
	end();
}
END_TEST

/* Behind the loop's back. */
START_TEST(a_number_reused_untold_is_found_in_two_seconds)
{
	struct one f = {.flags = 0};
	int old = -1;

	begin();
	start(&f, read_, ends[0], 100);
	feed("x");
	step();
	ck_assert_int_eq(f.rc, 1);
	if (_i == 1) /* the old one lives on somewhere */
		old = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
	close(ends[0]);
	reopen(ends[0]);
	start(&f, read_, ends[0], 100);
	ck_assert(!eddy_done(&f.task));
	feed("y");
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, 1);
	ck_assert_int_eq(space[0], 'y');
	if (_i == 1)
		close(old);
	end();
}
END_TEST

START_TEST(a_descriptor_closed_untold_is_found_in_two_seconds)
{
	struct one f = {.flags = 0};

	begin();
	start(&f, read_, ends[0], 100);
	close(ends[0]);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(f.rc, -EBADF);
	end();
}
END_TEST

/* accept knows that its descriptor is new. */
START_TEST(a_number_from_accept_is_good_at_once)
{
	struct one server = {.flags = 0}, client = {.flags = 0};
	struct one f = {.flags = 0};
	int listener, fd, i, number = -1;

	begin();
	client.address = local(SOCK_STREAM, &listener);
	ck_assert_int_eq(listen(listener, 10), 0);
	for (i = 0; i < 3; i++) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		start(&client, connect_, fd, 0);
		start(&server, accept_, listener, 0);
		step();
		ck_assert_int_eq(client.rc, 0);
		ck_assert_int_ge(server.rc, 0);
		ck_assert(number < 0 || number == server.rc);
		number = server.rc;
		start(&f, read_, number, 100);
		ck_assert(!eddy_done(&f.task));
		ck_assert_int_eq(write(fd, "x", 1), 1);
		ck_assert_int_eq(eddy_loop_step(loop, EDDY_S(1)), 0);
		ck_assert_int_eq(f.rc, 1);
		close(number); /* eddy_close would be right */
		close(fd);
	}
	close(listener);
	end();
}
END_TEST

/* With others a read that got less than it had room for may leave some. */
START_TEST(only_of_tcp_and_unix_streams_a_read_takes_all)
{
	static const int of[][3] = {{AF_UNIX, SOCK_STREAM, 1},
	    {AF_INET, SOCK_STREAM, 1}, {AF_INET6, SOCK_STREAM, 1},
	    {AF_UNIX, SOCK_SEQPACKET, 0}, {AF_INET, SOCK_DGRAM, 0},
	    {AF_VSOCK, SOCK_STREAM, 0}};
	unsigned i;

	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		int fd = socket(of[i][0], of[i][1] | SOCK_CLOEXEC, 0);

		if (fd >= 0) /* not all machines have each */
			ck_assert_int_eq(eddy__is_stream(fd), of[i][2]);
		close(fd);
	}
}
END_TEST

/* Nor does a read try first what the one before has found empty. */
START_TEST(a_steady_connection_costs_no_control_calls)
{
	struct one f = {.flags = 0};
	int i;

	begin();
	controls = reads = 0;
	for (i = 0; i < 100; i++) {
		start(&f, read_, ends[0], 100);
		ck_assert(!eddy_done(&f.task));
		feed("x");
		step();
		ck_assert_int_eq(f.rc, 1);
		ck_assert_int_eq(now(write_, ends[0], 1), 1);
		ck_assert_int_eq(read(ends[1], other, 100), 1);
	}
	ck_assert_int_eq(controls, 1);
	ck_assert_int_eq(reads, 1 + 100);
	end();
}
END_TEST

/* What arrives for nobody wakes once; an idle wait is looked at once. */
START_TEST(an_idle_descriptor_does_not_spin)
{
	struct one f = {.flags = 0};

	begin();
	start(&f, read_, ends[0], 100);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	step();
	feed("x");
	close(ends[1]);
	ck_assert_int_eq(eddy_loop_hold(loop), 0);
	step();
	waits = 0;
	ck_assert_int_eq(eddy_loop_step(loop, EDDY_MS(5)), 1);
	ck_assert_int_eq(waits, 1);
	ck_assert_int_eq(eddy_loop_release(loop), 0);
	ends[1] = -1;
	end();
}
END_TEST

START_TEST(an_idle_wait_is_looked_at_once)
{
	struct one f = {.flags = 0};
	int64_t began = eddy_now(), limit = began + EDDY_S(4);

	begin();
	start(&f, read_, ends[0], 100);
	controls = waits = 0;
	while (eddy_now() < limit)
		ck_assert_int_eq(eddy_loop_step(loop, limit - eddy_now()), 1);
	ck_assert_int_eq(controls, 1);
	ck_assert_int_le(waits, 4);
	ck_assert_int_eq(eddy_cancel(&f.task), 0);
	end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("io");
	TCase *kinds = census_case(suite, "kinds of descriptors", 10);
	TCase *two = census_case(suite, "two ways", 6);

	census_add(census_case(suite, "bytes", 4),
	    a_read_that_can_does_not_wait,
	    the_first_descriptor_that_a_loop_meets_may_be_0,
	    a_peek_leaves_what_it_saw, flags_go_to_the_system_call,
	    full_is_all_or_an_error, a_sigpipe_that_waits_still_waits,
	    a_regular_file_is_for_jobs, poll_tells_what_is_there,
	    a_watch_and_a_task_share_a_descriptor,
	    a_pipe_that_blocks_passes_over_empty_buffers,
	    fewer_buffers_than_none_are_refused);
	tcase_add_loop_test(
	    kinds, a_read_waits_for_bytes_and_then_for_the_end, 0, 3);
	tcase_add_loop_test(
	    kinds, a_write_takes_what_fits_and_waits_for_room, 0, 3);
	tcase_add_loop_test(kinds, megabytes_go_through_full, 0, 3);
	tcase_add_loop_test(
	    kinds, a_number_that_is_no_descriptor_is_refused, 0, 4);
	tcase_add_loop_test(kinds, no_sigpipe, 0, 2);
	census_add(census_case(suite, "sockets", 4), datagrams_carry_addresses,
	    connect_says_why_it_failed, a_full_unix_socket_is_told_at_once,
	    a_full_queue_of_datagrams_is_told_at_once,
	    accept_without_descriptors_says_so_and_loses_nobody,
	    accept_passes_over_aborted_connections_but_not_for_ever);
	census_add(census_case(suite, "giving up", 4),
	    a_second_reader_is_refused_and_a_writer_is_not,
	    a_cancelled_read_leaves_the_bytes, a_read_in_time_is_not_late,
	    many_reads_in_time_are_not_late, a_virtual_clock_jumps_over_a_read,
	    a_connect_is_given_up, a_read_wins_a_race, an_event_ends_a_read);
	tcase_add_loop_test(two, connect_and_accept_meet, 0, 2);
	tcase_add_loop_test(
	    two, connect_hears_of_its_end_from_any_family, 0, 2);
	tcase_add_loop_test(kinds, nothing_is_missed_after_a_short_read, 0, 3);
	tcase_add_loop_test(two, close_ends_what_waits, 0, 2);
	tcase_add_loop_test(two, a_number_is_used_again_at_once, 0, 2);
	tcase_add_loop_test(
	    two, a_number_reused_untold_is_found_in_two_seconds, 0, 2);
	census_add(census_case(suite, "the table", 8),
	    a_descriptor_closed_untold_is_found_in_two_seconds,
	    a_number_from_accept_is_good_at_once,
	    only_of_tcp_and_unix_streams_a_read_takes_all,
	    a_steady_connection_costs_no_control_calls,
	    an_idle_descriptor_does_not_spin, an_idle_wait_is_looked_at_once);
	return suite_main(suite);
}
