/* SPDX-License-Identifier: ISC */
/*
 * embed: a loop inside another one.
 *
 * Between steps an embedded loop is parked as if it slept, so that other
 * threads ring; this thread rings too when it brings work; and a timerfd in the
 * epoll has the next deadline.  So the epoll's own descriptor is readable when
 * a step has something to do.
 */
#include <sys/epoll.h>

#include "loop_impl.h"
#include "sys.h"

int64_t
eddy_loop_deadline(struct eddy_loop *loop)
{
	int64_t next = list_empty(&loop->pending) && door_empty(loop->door)
	                   ? eddy__loop_next(loop)
	                   : 0;

	return next > 0 ? next : 0;
}

static void
park(struct eddy_loop *loop)
{
	int64_t next = eddy_loop_deadline(loop);

	if (next == 0 || !door_park(loop->door)) {
		eddy__ring(loop->door->bell); /* there is work now */
		return;
	}
	/* One that has passed has rung, and would not do so again. */
	if (next != loop->alarm_at || next <= eddy_now())
		eddy__timerfd_set(loop->alarm, next);
	loop->alarm_at = next;
	loop->parked = true;
}

int
eddy_loop_fd(struct eddy_loop *loop)
{
	int r = eddy__loop_ours(loop);

	if (r < 0 || loop->park != NULL)
		return r < 0 ? r : loop->epoll;
	r = loop->alarm = eddy__timerfd();
	if (r < 0)
		return r;
	/* Edge-triggered and never read, as the bell. */
	r = eddy__epoll_ctl(
	    loop->epoll, EPOLL_CTL_ADD, loop->alarm, EPOLLIN | EPOLLET, BELL);
	if (r < 0) {
		eddy__close(loop->alarm);
		return r;
	}
	loop->park = park;
	loop->alarm_at = EDDY_FOREVER;
	eddy__ring(loop->door->bell); /* the first step parks it */
	return loop->epoll;
}
