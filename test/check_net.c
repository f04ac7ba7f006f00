/* SPDX-License-Identifier: ISC */
/* link: -Wl,--wrap=eddy__getaddrinfo,--wrap=freeaddrinfo */
#include <eddy/net.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "census.h"
#include "sys.h"

/* What a name stands for in a test: numbers and ports in turn; NULL: itself. */
static const char *const *numbers;
static int lists; /* that nobody has freed */

void __real_freeaddrinfo(struct addrinfo *list);
void __wrap_freeaddrinfo(struct addrinfo *list);

void
__wrap_freeaddrinfo(struct addrinfo *list)
{
	lists--;
	__real_freeaddrinfo(list);
}

int __real_eddy__getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **ret_list);
int __wrap_eddy__getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **ret_list);

int
__wrap_eddy__getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **ret_list)
{
	const char *const *at = numbers;
	int r;

	if (at == NULL) {
		r = __real_eddy__getaddrinfo(host, service, hints, ret_list);
		lists += r == 0;
		return r;
	}
	lists += at[0] != NULL;
	for (; at[0] != NULL; at += 2) {
		ck_assert_int_eq(
		    __real_eddy__getaddrinfo(at[0], at[1], hints, ret_list), 0);
		while (*ret_list != NULL)
			ret_list = &(*ret_list)->ai_next;
	}
	return 0;
}

/* The result of one operation. */
struct call {
	struct eddy_task task;
	const char *host, *service;
	bool listens;
	int64_t patience;
	int fd;
};

static eddy_step
call(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct call, f);
	EDDY_AWAIT(f->fd,
	    eddy_timeout(self, f->patience,
		f->listens ? eddy_net_listen(self, f->host, f->service, 4)
			   : eddy_net_connect(self, f->host, f->service)));
	EDDY_END;
}

static int
run(const char *host, const char *service, bool listens)
{
	struct call f;

	EDDY_INIT(&f, call, .host = host, .service = service,
	    .listens = listens, .patience = EDDY_S(30));
	ck_assert_int_eq(eddy_run(&f.task), 0);
	ck_assert_int_eq(lists, 0);
	return f.fd;
}

/* A port of a socket, as text that lives for three calls. */
static const char *
port_of(int fd)
{
	static char texts[4][8];
	static int next;
	struct sockaddr_in6 at; /* ports are at the same place in both */
	socklen_t size = sizeof(at);
	char *text = texts[next++ % 4];

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	snprintf(text, sizeof(texts[0]), "%u", ntohs(at.sin6_port));
	return text;
}

static int
listen_at(const char *host, const char *service)
{
	int fd = run(host, service, true);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	return fd;
}

/* It is connected to who listens at fd. */
static void
check_connected(int fd, int listener)
{
	struct pollfd ready = {.fd = listener, .events = POLLIN};
	int other;
	char c;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(poll(&ready, 1, 10000), 1);
	other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(other, 0);
	ck_assert_int_eq(write(fd, "x", 1), 1);
	ck_assert_int_eq(read(other, &c, 1), 1);
	close(other);
	close(fd);
}

static bool
have_ipv6(void)
{
	struct sockaddr_in6 at = {
	    .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool have = fd >= 0 &&
	            bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;

	if (fd >= 0)
		close(fd);
	if (!have)
		fprintf(stderr, "check_net: skipped, no IPv6\n");
	return have;
}

START_TEST(a_listener_is_found_by_its_address)
{
	static const char *const hosts[] = {"127.0.0.1", "::1"};
	int i, fd, n = have_ipv6() ? 2 : 1;

	for (i = 0; i < n; i++) {
		fd = listen_at(hosts[i], "0");
		check_connected(run(hosts[i], port_of(fd), false), fd);
		/* Its port is taken. */
		ck_assert_int_eq(run(hosts[i], port_of(fd), true), -EADDRINUSE);
		close(fd);
	}
}
END_TEST

START_TEST(without_a_host_both_families_are_heard)
{
	int fd = listen_at(NULL, "0");

	check_connected(run("127.0.0.1", port_of(fd), false), fd);
	check_connected(run(NULL, port_of(fd), false), fd);
	if (have_ipv6())
		check_connected(run("::1", port_of(fd), false), fd);
	close(fd);
}
END_TEST

/* Half a server would be one that some clients miss. */
START_TEST(without_a_host_it_is_both_families_or_none)
{
	struct sockaddr_in6 at = {.sin6_family = AF_INET6};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (have_ipv6()) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		ck_assert_int_eq(
		    bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
		ck_assert_int_eq(listen(fd, 1), 0);
		ck_assert_int_eq(run(NULL, port_of(fd), true), -EADDRINUSE);
	}
	close(fd);
}
END_TEST

START_TEST(names_are_looked_up)
{
	int fd = listen_at("localhost", "0");

	check_connected(run("localhost", port_of(fd), false), fd);
	close(fd);
	ck_assert_int_eq(run("127.0.0.1", "no such service", false), -ENOENT);
	ck_assert_int_eq(run("127.0.0.1", "no such service", true), -ENOENT);
	ck_assert_int_eq(run(NULL, NULL, true), -ENOENT);
}
END_TEST

START_TEST(after_a_failure_the_next_address_is_tried)
{
	int fd = listen_at("127.0.0.1", "0"), gone;
	const char *closed, *at[10] = {NULL};
	int i;

	gone = listen_at("127.0.0.1", "0");
	closed = port_of(gone);
	close(gone);
	for (i = 0; i < 4; i++) {
		at[2 * i] = "127.0.0.1";
		at[2 * i + 1] = i == 3 ? port_of(fd) : closed;
	}
	numbers = at;
	check_connected(run("name", "service", false), fd);
	at[6] = NULL; /* without the one that answers */
	ck_assert_int_eq(run("name", "service", false), -ECONNREFUSED);
	close(fd);
}
END_TEST

/* A listener that does not answer: its queue is full. */
static int
listen_deaf(int *clients, int n)
{
	struct sockaddr_in at = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), i;

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, size), 0);
	ck_assert_int_eq(listen(fd, 0), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	for (i = 0; i < n; i++) {
		clients[i] = socket(
		    AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(clients[i], (struct sockaddr *)&at, size);
	}
	return fd;
}

static struct call
connect_on(struct eddy_clock *clock, int64_t patience, int result)
{
	struct eddy_loop_options options = {.clock = clock};
	struct call f;

	EDDY_INIT(&f, call, .host = "name", .service = "service",
	    .patience = patience);
	ck_assert_int_eq(eddy_run_with(&options, &f.task), result);
	return f;
}

START_TEST(a_silent_address_has_a_head_start_only)
{
	const char *at[] = {"127.0.0.1", NULL, "127.0.0.1", NULL, NULL};
	int fd = listen_at("127.0.0.1", "0"), clients[4], deaf, i;
	struct eddy_clock clock = {.now = 0};
	struct call f;

	deaf = listen_deaf(clients, 4);
	at[1] = port_of(deaf);
	at[3] = port_of(fd);
	numbers = at;
	f = connect_on(&clock, EDDY_FOREVER, 0);
	ck_assert_int_eq(clock.now, EDDY_MS(250));
	check_connected(f.fd, fd);
	/* Alone, it is given up in the end, and nothing stays. */
	at[2] = NULL;
	f = connect_on(&clock, EDDY_S(3), 0);
	ck_assert_int_eq(f.fd, -ETIME);
	ck_assert_int_eq(clock.now, EDDY_MS(3250));
	for (i = 0; i < 4; i++)
		close(clients[i]);
	close(deaf);
	close(fd);
}
END_TEST

/* Or the other one, behind more than are tried, would not have its turn. */
START_TEST(families_are_tried_in_turn)
{
	enum { TRIED = 8 };
	const char *at[2 * (TRIED + 1) + 1] = {NULL}, *port;
	int fd = listen_at("127.0.0.1", "0"), i;

	port = port_of(fd); /* nobody there on ::1 */
	for (i = 0; i <= TRIED; i++) {
		at[2 * i] = i < TRIED ? "::1" : "127.0.0.1";
		at[2 * i + 1] = port;
	}
	numbers = at;
	check_connected(run("name", "service", false), fd);
	close(fd);
}
END_TEST

START_TEST(a_path_is_a_unix_socket)
{
	char path[64], longer[200];
	int fd;

	snprintf(path, sizeof(path), "/tmp/eddy-net-%d", (int)getpid());
	ck_assert_int_eq(run(NULL, path, false), -ENOENT);
	fd = listen_at(NULL, path);
	check_connected(run(NULL, path, false), fd);
	ck_assert_int_eq(run(NULL, path, true), -EADDRINUSE);
	ck_assert_int_eq(run("host", path, false), -EINVAL);
	memset(longer, '/', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_int_eq(run(NULL, longer, true), -ENAMETOOLONG);
	close(fd);
	ck_assert_int_eq(run(NULL, path, false), -ECONNREFUSED);
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(a_cancelled_task_makes_no_socket)
{
	struct eddy_loop *loop = census_loop();
	char path[64];
	struct call f;
	int i;

	snprintf(path, sizeof(path), "/tmp/eddy-net-%d", (int)getpid());
	for (i = 0; i < 4; i++) {
		EDDY_INIT(&f, call, .service = i % 2 ? path : "0",
		    .listens = i < 2, .patience = EDDY_FOREVER);
		ck_assert_int_eq(eddy_loop_spawn(loop, &f.task, NULL), 0);
		ck_assert_int_eq(eddy_cancel(&f.task), 0);
		ck_assert_int_eq(eddy_loop_run(loop), 0);
		ck_assert_int_eq(f.fd, -ECANCELED);
	}
	ck_assert_int_lt(access(path, F_OK), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

START_TEST(a_pair_is_connected)
{
	int ends[2];
	char c;

	ck_assert_int_eq(eddy_net_pair(ends), 0);
	ck_assert_int_lt(read(ends[0], &c, 1), 0);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ck_assert_int_eq(read(ends[0], &c, 1), 1);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("net");

	census_add(census_case(suite, "names", 30),
	    a_listener_is_found_by_its_address,
	    without_a_host_both_families_are_heard,
	    without_a_host_it_is_both_families_or_none, names_are_looked_up,
	    a_path_is_a_unix_socket, a_cancelled_task_makes_no_socket,
	    a_pair_is_connected);
	census_add(census_case(suite, "race", 30),
	    after_a_failure_the_next_address_is_tried,
	    a_silent_address_has_a_head_start_only, families_are_tried_in_turn);
	return suite_main(suite);
}
