/* SPDX-License-Identifier: ISC */
#include <eddy.h>

#include "size.h"

struct client {
	struct eddy_task task;
	int fd, n;
	char bytes[4096];
};

static eddy_step
client(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct client, f);
	do {
		EDDY_TRY(
		    f->n, eddy_read(self, f->fd, f->bytes, sizeof(f->bytes)));
		EDDY_TRY(eddy_write_full(self, f->fd, f->bytes, (size_t)f->n));
	} while (f->n > 0);
	EDDY_FINALLY;
	eddy_close(self->loop, f->fd);
	EDDY_END;
}

struct server {
	struct eddy_task task;
	int door, fd;
};

static eddy_step
server(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct server, f);
	f->door = listener();
	for (;;) {
		EDDY_TRY(f->fd, eddy_accept(self, f->door, NULL));
		eddy_spawn_supervised(self, EDDY_NEW(client, .fd = f->fd));
	}
	EDDY_END;
}

int
main(void)
{
	return eddy_run(EDDY_NEW(server)) < 0;
}
