/* SPDX-License-Identifier: ISC */
#include "io.h"

#include <stdlib.h>
#include <uv.h>

static uv_loop_t loop;
static uv_poll_t *readers;
static int count;

static void
on_readable(uv_poll_t *reader, int status, int events)
{
	(void)status;
	(void)events;
	if (io_ready((int)(reader - readers)))
		uv_stop(&loop);
}

static void
open_loop(int n, const int *fds)
{
	int i;

	uv_loop_init(&loop);
	readers = calloc((size_t)n, sizeof(*readers));
	count = n;
	for (i = 0; i < n; i++) {
		uv_poll_init(&loop, &readers[i], fds[i]);
		uv_poll_start(&readers[i], UV_READABLE, on_readable);
	}
	uv_run(&loop, UV_RUN_NOWAIT); /* which adds them to the epoll */
}

static void
run(void)
{
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void
close_loop(void)
{
	int i;

	for (i = 0; i < count; i++)
		uv_close((uv_handle_t *)&readers[i], NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	free(readers);
}

/* Its own streams, which is how one writes a server with it. */
struct conn {
	uv_tcp_t tcp;
	char data[IO_BYTES];
};

static void
on_closed(uv_handle_t *handle)
{
	free(handle);
}

static void
give_room(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buf)
{
	(void)wanted;
	*ret_buf = uv_buf_init(((struct conn *)handle)->data, IO_BYTES);
}

static void
on_bytes(uv_stream_t *conn, ssize_t n, const uv_buf_t *buf)
{
	uv_buf_t answer = uv_buf_init(buf->base, (unsigned)n);

	if (n < 0 || (n > 0 && uv_try_write(conn, &answer, 1) != n))
		uv_close((uv_handle_t *)conn, on_closed);
}

static void
on_client(uv_stream_t *listener, int status)
{
	struct conn *conn = malloc(sizeof(*conn));

	(void)status;
	uv_tcp_init(&loop, &conn->tcp);
	uv_accept(listener, (uv_stream_t *)&conn->tcp);
	uv_read_start((uv_stream_t *)&conn->tcp, give_room, on_bytes);
}

static void
serve(int listener)
{
	uv_tcp_t tcp;

	uv_loop_init(&loop);
	uv_tcp_init(&loop, &tcp);
	uv_tcp_open(&tcp, listener);
	uv_listen((uv_stream_t *)&tcp, 1000, on_client);
	uv_run(&loop, UV_RUN_DEFAULT);
}

const struct io_peer io_libuv = {open_loop, run, close_loop, serve};
