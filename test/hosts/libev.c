/* SPDX-License-Identifier: ISC */
/* eddy in libev.  (libev does not tell its descriptor.)  libs: -lev */
#define EV_COMPAT3 0
#include <ev.h>

#include "host.h"

static void
over(void)
{
	ev_break(EV_DEFAULT_ EVBREAK_ALL);
}

static void
on_readable(struct ev_loop *l, ev_io *io, int events)
{
	(void)l;
	(void)io;
	(void)events;
	step();
}

static void
on_ev_timer(struct ev_loop *l, ev_timer *timer, int events)
{
	(void)l;
	(void)timer;
	(void)events;
	begin();
}

int
main(void)
{
	struct ev_loop *host = ev_default_loop(0);
	ev_timer timer;
	ev_io io;

	ev_init(&io, on_readable);
	ev_io_set(&io, open_loop(), EV_READ);
	ev_io_start(host, &io);
	ev_init(&timer, on_ev_timer);
	ev_timer_set(&timer, 0.005, 0.);
	ev_timer_start(host, &timer);
	ev_run(host, 0);
	ev_io_stop(host, &io);
	close_loop("libev");
	ev_loop_destroy(host);
	return 0;
}
