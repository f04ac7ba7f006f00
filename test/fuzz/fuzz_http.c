/* SPDX-License-Identifier: ISC */
/*
 * The parser of bench/server.c: it says the same of a head that comes whole and
 * of one that comes in pieces; what it takes for a request is one, line by
 * line; and one that is right it takes.
 */
#define main server_main
int server_main(int argc, char **argv);
#include "../../bench/server.c"
#undef main

#include "fuzz.h"

static const char *const parts[] = {"GET / HTTP/1.1\r\nHost: a\r\n", "GET ",
    "POST //echo HTTP/1.1\r\n", "/", "/..", "?", " HTTP/1.1\r\n",
    " HTTP/1.0\r\n", "Host:", "hOST: b\r\n",
    "Content-Length: ", "Content-Length: 4\r\n", "Content-Length: 4090\r\n",
    "99999999999", "Connection: close\r\n", "Transfer-Encoding: x\r\n", ":",
    " ", "\t", "\r", "\n", "\r\n", "\r\n\r\n", "", "x"};

enum { PARTS = sizeof(parts) / sizeof(*parts) };

struct text {
	char bytes[IN];
	size_t size;
};

static void
add(struct text *text, const char *part, size_t n)
{
	n = MIN(n, IN - text->size);
	memcpy(text->bytes + text->size, part, n);
	text->size += n;
}

/* Parts, and bytes that are none. */
static void
make_any(struct fuzz_input *in, struct text *text)
{
	const char *part;
	unsigned i;
	char byte;

	if (fuzz_below(in, 2) == 0)
		add(text, parts[0], strlen(parts[0]));
	while (fuzz_more(in) && text->size < IN) {
		i = fuzz_below(in, PARTS + 4);
		part = i < PARTS ? parts[i] : &byte;
		byte = i < PARTS ? 0 : (char)fuzz_byte(in);
		add(text, part, i < PARTS ? strlen(part) : 1);
	}
}

/* A request with a body of so many bytes to come. */
static size_t
make_right(struct fuzz_input *in, struct text *text)
{
	unsigned i, fields = fuzz_below(in, 16), body = fuzz_byte(in);
	char line[64];

	add(text, line,
	    (size_t)sprintf(line, "GET /f%u?%u HTTP/1.1\r\n", body, fields));
	for (i = 0; i < fields; i++)
		add(text, line,
		    (size_t)sprintf(line, "X-%u:%*s%c\r\n", i,
			(int)fuzz_below(in, 32), "",
			(int)(' ' + fuzz_below(in, 95))));
	add(text, line,
	    (size_t)sprintf(
		line, "Content-Length: %u\r\nhost:\tx\r\n\r\n", body));
	return body;
}

/* As the server reads: a piece of at most so many bytes at a time. */
static int
parse_pieces(struct connection *c, const struct text *text, size_t most)
{
	size_t n;

	memset(c, 0, sizeof(*c));
	do {
		n = MIN(most, text->size - c->have);
		memcpy(c->in + c->have, text->bytes + c->have, n);
		c->have += n;
		c->status = parse(c);
	} while (c->status == 0 && c->head == 0 && c->have < text->size);
	return c->status;
}

/* A line of the head: its size without its end, or 0. */
static size_t
line_size(const char *line, const char *end)
{
	const char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);

	fuzz_must(stop != NULL);
	return (size_t)(stop - line);
}

static bool
is_field(const char *line, size_t n, const char *name)
{
	size_t size = strlen(name);

	return n > size && strncasecmp(line, name, size) == 0 &&
	       strchr(" \t:", line[size]) != NULL;
}

/* What was taken for a request, read again. */
static void
judge(const struct connection *c, const struct text *text)
{
	const char *line = text->bytes, *end = line + c->head;
	size_t n = line_size(line, end), i, hosts = 0, lengths = 0;

	fuzz_must(memcmp(end - 4, "\r\n\r\n", 4) == 0);
	fuzz_must(memmem(line, c->head - 1, "\r\n\r\n", 4) == NULL);
	fuzz_must(n > 9 && memcmp(line + n - 9, " HTTP/1.1", 9) == 0);
	fuzz_must(c->path[0] == '/' && c->path[1] != '/');
	fuzz_must(
	    strchr(c->path, '?') == NULL && strstr(c->path, "/..") == NULL);
	fuzz_must(c->body <= IN - c->head);
	while ((line += n + 2) < end - 2) {
		n = line_size(line, end);
		fuzz_must(memchr(line, ':', n) != NULL);
		for (i = 0; i < n; i++)
			fuzz_must(strchr("\r\n", line[i]) == NULL);
		fuzz_must(!is_field(line, n, "Transfer-Encoding"));
		hosts += is_field(line, n, "Host");
		lengths += is_field(line, n, "Content-Length");
	}
	fuzz_must(hosts == 1 && lengths <= 1);
	fuzz_must(lengths == 1 || c->body == 0);
}

void
fuzz_http(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	static struct connection whole, pieces;
	struct text text = {.size = 0};
	size_t most = 1 + fuzz_byte(&in), body = 0;
	bool right = fuzz_below(&in, 4) == 0;

	if (right)
		body = make_right(&in, &text);
	else
		make_any(&in, &text);
	parse_pieces(&whole, &text, IN);
	parse_pieces(&pieces, &text, most);
	fuzz_must(whole.status == pieces.status && whole.head == pieces.head);
	fuzz_must(whole.body == pieces.body && whole.keep == pieces.keep);
	fuzz_must(!right || (whole.status == 0 && whole.body == body));
	fuzz_must(whole.head != 0 || whole.status == 0 || whole.status == 431);
	if (whole.status == 0 && whole.head != 0)
		judge(&whole, &text);
}
