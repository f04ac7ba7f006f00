/* SPDX-License-Identifier: ISC */
/*
 * check_server: bench/server.c as its clients see it, good and bad ones.
 */
#include <eddy/child.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "census.h"

enum { BIG = 300000, IDLE = 300, PATIENCE = 20000 /* ms */ };

static struct eddy_child server;
static char directory[] = "/tmp/eddy-server-XXXXXX";
static unsigned short port;

static void
make_file(const char *name, const char *text, size_t size)
{
	FILE *file;
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(text, 1, size, file), size);
	fclose(file);
}

static void
remove_file(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	ck_assert_int_eq(unlink(path), 0);
}

static char big[BIG];

/* It is beside this program. */
static void
begin(void)
{
	static char host[] = "127.0.0.1", any[] = "0", idle[16], path[512];
	char *argv[] = {path, host, any, directory, idle, NULL};
	struct eddy_child_options options = {
	    .argv = argv, .in = EDDY_CHILD_NULL, .out = EDDY_CHILD_PIPE};
	struct pollfd ready = {.events = POLLIN};
	char line[32];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);

	ck_assert_int_gt(n, 0);
	path[n] = '\0';
	strcpy(strrchr(path, '/'), "/server");
	snprintf(idle, sizeof(idle), "%d", IDLE);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	make_file("a.txt", "hello\n", 6);
	memset(big, 'b', sizeof(big));
	make_file("big", big, sizeof(big));
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(eddy_child_spawn(&server, &options), 0);
	ready.fd = server.out;
	ck_assert_int_eq(poll(&ready, 1, PATIENCE), 1);
	n = read(server.out, line, sizeof(line) - 1);
	ck_assert_int_gt(n, 5);
	line[n] = '\0';
	port = (unsigned short)atoi(line + 5);
}

static void
end(int number)
{
	struct pollfd ready = {.fd = server.pidfd, .events = POLLIN};

	if (number != 0)
		ck_assert_int_eq(eddy_child_kill(&server, number), 0);
	ck_assert_int_eq(poll(&ready, 1, PATIENCE), 1);
	ck_assert_msg(eddy_child_reap(&server) == 0, "server: %d, signal %d",
	    server.result, server.signal);
	ck_assert_int_eq(eddy_child_close(&server), 0);
	close(server.out);
	remove_file("a.txt");
	remove_file("big");
	ck_assert_int_eq(rmdir(directory), 0);
}

/* Clients. */

static int
call(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void
say(int fd, const char *text, size_t size)
{
	ck_assert_int_eq(send(fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* What comes until size bytes or the end. */
static const char *
hear(int fd, size_t size)
{
	static char text[BIG + 1000];
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	size_t have = 0;
	ssize_t n = 1;

	while (have < size && have < sizeof(text) - 1 && n > 0) {
		ck_assert_int_eq(poll(&ready, 1, PATIENCE), 1);
		n = read(fd, text + have, sizeof(text) - 1 - have);
		have += n > 0 ? (size_t)n : 0;
	}
	text[have] = '\0';
	return text;
}

/* The whole conversation: what they answer until they close. */
static const char *
ask_bytes(const char *text, size_t size)
{
	int fd = call();
	const char *answer;

	say(fd, text, size);
	answer = hear(fd, SIZE_MAX);
	close(fd);
	return answer;
}

static const char *
ask(const char *text)
{
	return ask_bytes(text, strlen(text));
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define LAST(path) \
	"GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
#define OK(n) "HTTP/1.1 200 OK\r\nContent-Length: " n "\r\n\r\n"
#define CLOSING(n) \
	"HTTP/1.1 200 OK\r\nContent-Length: " n "\r\nConnection: close\r\n\r\n"
#define ERROR(status)                                        \
	"HTTP/1.1 " status " Error\r\nContent-Length: 4\r\n" \
	"Connection: close\r\n\r\n" status "\n"

/* Sockets and files that it has open. */
static int
descriptors(void)
{
	char path[300], target[64];
	struct dirent *entry;
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)server.pid);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)server.pid,
		    entry->d_name);
		n += readlink(path, target, sizeof(target)) > 7 &&
		     (strncmp(target, "socket:", 7) == 0 ||
			 strncmp(target, "/tmp/", 5) == 0);
	}
	closedir(dir);
	return n;
}

/* Good ones. */

START_TEST(files_are_sent)
{
	const char *answer;

	begin();
	ck_assert_str_eq(ask(LAST("/a.txt")), CLOSING("6") "hello\n");
	ck_assert_str_eq(ask(LAST("/a.txt?query")), CLOSING("6") "hello\n");
	answer = ask(LAST("/big"));
	ck_assert_ptr_nonnull(strstr(answer, CLOSING("300000")));
	answer += sizeof(CLOSING("300000")) - 1;
	ck_assert_uint_eq(strlen(answer), BIG);
	ck_assert_mem_eq(answer, big, BIG);
	ck_assert_str_eq(ask("HEAD /big HTTP/1.1\r\nHost: x\r\n"
			     "Connection: close\r\n\r\n"),
	    CLOSING("300000"));
	ck_assert_str_eq(ask(GET("/none")), ERROR("404"));
	ck_assert_str_eq(ask(GET("/")), ERROR("404"));
	end(SIGTERM);
}
END_TEST

START_TEST(requests_may_be_pipelined_or_come_in_pieces)
{
	static const char request[] = GET("/a.txt");
	int fd;
	size_t i;

	begin();
	ck_assert_str_eq(
	    ask(GET("/a.txt") "POST /echo HTTP/1.1\r\nHost: x\r\n"
			      "Content-Length: 4\r\n\r\nbody" LAST("/a.txt")),
	    OK("6") "hello\n" OK("4") "body" CLOSING("6") "hello\n");
	fd = call();
	for (i = 0; i < sizeof(request) - 1; i++)
		say(fd, request + i, 1);
	ck_assert_str_eq(hear(fd, sizeof(OK("6")) + 5), OK("6") "hello\n");
	say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1",
	    sizeof("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
		   "\r\n1") -
		1);
	say(fd, "2", 1);
	ck_assert_str_eq(hear(fd, sizeof(OK("2")) + 1), OK("2") "12");
	close(fd);
	end(SIGINT);
}
END_TEST

START_TEST(a_crash_is_an_error_500)
{
	begin();
	ck_assert_str_eq(ask(LAST("/hash")), CLOSING("4") "200\n");
	ck_assert_str_eq(ask(GET("/crash")), ERROR("500"));
	ck_assert_str_eq(ask(LAST("/hash")), CLOSING("4") "200\n");
	end(SIGTERM);
}
END_TEST

START_TEST(curl_is_content)
{
	char url[64], curl[] = "curl", silent[] = "-sS";
	char *argv[] = {curl, silent, url, url, NULL};
	struct eddy_child_options options = {
	    .argv = argv, .in = EDDY_CHILD_NULL, .out = EDDY_CHILD_PIPE};
	struct eddy_child child;
	int r;

	begin();
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/a.txt", port);
	r = eddy_child_spawn(&child, &options);
	if (r == 0) {
		ck_assert_str_eq(hear(child.out, SIZE_MAX), "hello\nhello\n");
		close(child.out);
		while ((r = eddy_child_reap(&child)) == -EBUSY)
			poll(NULL, 0, 1);
		ck_assert_int_eq(r, 0);
		ck_assert_int_eq(eddy_child_close(&child), 0);
	} else {
		fprintf(stderr, "check_server: skipped, no curl\n");
	}
	end(SIGTERM);
}
END_TEST

/* The end of it. */

START_TEST(open_requests_end_and_idle_connections_are_closed)
{
	int open, idle;

	begin();
	open = call();
	idle = call();
	say(idle, GET("/a.txt"), sizeof(GET("/a.txt")) - 1);
	hear(idle, sizeof(OK("6")) + 5);
	say(open, GET("/a.txt") GET("/hash"),
	    sizeof(GET("/a.txt") GET("/hash")) - 1);
	hear(open, sizeof(OK("6")) + 5); /* so they have the other, too */
	ck_assert_int_eq(eddy_child_kill(&server, SIGTERM), 0);
	ck_assert_str_eq(hear(idle, SIZE_MAX), "");
	ck_assert_ptr_nonnull(strstr(hear(open, SIZE_MAX), "200\n"));
	close(open);
	close(idle);
	end(0);
}
END_TEST

/* Bad ones. */

START_TEST(what_is_no_request_is_refused)
{
	static const struct {
		const char *request, *answer;
	} cases[] = {
	    {"\r\n\r\n", ERROR("400")},
	    {"GET\r\n\r\n", ERROR("400")},
	    {"GET /a.txt\r\n\r\n", ERROR("400")},
	    {"GET a.txt HTTP/1.1\r\nHost: x\r\n\r\n", ERROR("400")},
	    {"GET /a.txt HTTP/1.1\r\n\r\n", ERROR("400")},
	    {"GET /a.txt HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", ERROR("400")},
	    {"GET /a.txt HTTP/1.0\r\nHost: x\r\n\r\n", ERROR("505")},
	    {GET("/../a.txt"), ERROR("400")},
	    {GET("/.."), ERROR("400")},
	    {GET("/x/../../a.txt"), ERROR("400")},
	    {GET("//etc/passwd"), ERROR("400")},
	    {GET("?"), ERROR("400")},
	    {"GET /a.txt HTTP/1.1\r\nHost x\r\n\r\n", ERROR("400")},
	    {"GET /a.txt HTTP/1.1\r\nHost : x\r\n\r\n", ERROR("400")},
	    {"GET /a.txt HTTP/1.1\r\n: x\r\n\r\n", ERROR("400")},
	    {"GET /a.txt HTTP/1.1\r\nHost: x\r\n x\r\n\r\n", ERROR("400")},
	    {"GET /a.txt HTTP/1.1\r\nHost: x\rx\r\n\r\n", ERROR("400")},
	    {"GET /a.txt HTTP/1.1\nHost: x\r\n\r\n", ERROR("400")},
	};
	size_t i;

	begin();
	for (i = 0; i < COUNT_OF(cases); i++)
		ck_assert_msg(
		    strcmp(ask(cases[i].request), cases[i].answer) == 0,
		    "%s: %s", cases[i].request, ask(cases[i].request));
	ck_assert_str_eq(
	    ask_bytes("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 29), ERROR("400"));
	end(SIGTERM);
}
END_TEST

START_TEST(bad_lengths_are_refused)
{
	static const char *const fields[][2] = {
	    {"Content-Length: -1", ERROR("400")},
	    {"Content-Length: ", ERROR("400")},
	    {"Content-Length: 1x", ERROR("400")},
	    {"Content-Length: 0x1", ERROR("400")},
	    {"Content-Length: 1, 1", ERROR("400")},
	    {"Content-Length: 1\r\nContent-Length: 1", ERROR("400")},
	    {"Content-Length: 5000", ERROR("413")},
	    {"Content-Length: 99999999999999999999", ERROR("413")},
	    {"Content-Length: 1\r\nTransfer-Encoding: chunked", ERROR("501")},
	    {"Transfer-Encoding: chunked", ERROR("501")},
	};
	char request[256];
	size_t i;

	begin();
	for (i = 0; i < COUNT_OF(fields); i++) {
		snprintf(request, sizeof(request),
		    "POST /echo HTTP/1.1\r\nHost: x\r\n%s\r\n\r\nbody",
		    fields[i][0]);
		ck_assert_str_eq(ask(request), fields[i][1]);
	}
	end(SIGTERM);
}
END_TEST

START_TEST(a_head_that_does_not_end_is_refused)
{
	static char lines[20000];

	begin();
	memset(lines, 'x', sizeof(lines));
	ck_assert_str_eq(ask_bytes(lines, sizeof(lines)), ERROR("431"));
	end(SIGTERM);
}
END_TEST

START_TEST(who_stalls_is_cut_off)
{
	struct pollfd ready = {.events = POLLIN};
	int quiet, slow;

	begin();
	quiet = call();
	slow = call();
	say(quiet, "GET /a.txt HTTP/1.1\r\nHost:", 26);
	ready.fd = slow;
	do /* a byte now and then is no excuse */
		(void)!send(slow, "x", 1, MSG_NOSIGNAL);
	while (poll(&ready, 1, IDLE / 20) == 0);
	ck_assert_int_le(read(slow, &ready, 1), 0);
	ck_assert_str_eq(hear(quiet, SIZE_MAX), "");
	close(quiet);
	close(slow);
	end(SIGTERM);
}
END_TEST

START_TEST(who_goes_away_leaves_nothing)
{
	static const char *const requests[] = {"", "GET /a", GET("/big"),
	    GET("/hash"), GET("/big") GET("/big") GET("/crash"),
	    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"};
	struct linger reset = {.l_onoff = 1};
	int before, fd, i;

	begin();
	before = descriptors();
	for (i = 0; i < 120; i++) {
		fd = call();
		say(fd, requests[i % 6], strlen(requests[i % 6]));
		if (i % 4 == 3)
			hear(fd, 1000 * (unsigned)(i % 2));
		if (i % 2 == 1)
			setsockopt(
			    fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
	}
	ck_assert_str_eq(ask(LAST("/hash")), CLOSING("4") "200\n");
	for (i = 0; i < PATIENCE && descriptors() > before; i++)
		poll(NULL, 0, 1);
	ck_assert_int_le(descriptors(), before);
	end(SIGTERM);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("server");

	census_add(census_case(suite, "good", 60), files_are_sent,
	    requests_may_be_pipelined_or_come_in_pieces,
	    a_crash_is_an_error_500, curl_is_content,
	    open_requests_end_and_idle_connections_are_closed);
	census_add(census_case(suite, "bad", 60), what_is_no_request_is_refused,
	    bad_lengths_are_refused, a_head_that_does_not_end_is_refused,
	    who_stalls_is_cut_off, who_goes_away_leaves_nothing);
	return suite_main(suite);
}
