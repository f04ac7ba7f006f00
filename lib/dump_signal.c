/* SPDX-License-Identifier: ISC */
/*
 * dump_signal: a loop that tells what it has when a signal asks for it.
 */
#include <eddy/dump.h>
#include <eddy/signal.h>

#include <errno.h>
#include <unistd.h>

#include "loop_impl.h"

struct dumper {
	struct attachment attachment;
	struct eddy_signal signal;
};

static void
on_signal(struct eddy_loop *loop, struct eddy_signal *signal, int number)
{
	(void)signal;
	(void)number;
	eddy_loop_dump(loop, STDERR_FILENO);
}

/* The loop's signals are closed as well, before or after this. */
static int
close_dumper(struct eddy_loop *loop, struct attachment *attachment)
{
	struct dumper *dumper = CONTAINER_OF(
	    attachment, struct dumper, attachment);

	(void)loop;
	list_remove(&dumper->signal.node);
	list_remove(&dumper->signal.ready);
	return 0;
}

int
eddy_dump_on_signal(struct eddy_loop *loop, int number)
{
	struct dumper *dumper;
	int r = eddy__loop_mine(loop);

	if (r == 0 && (number < 1 || number > 64))
		r = -EINVAL;
	if (r < 0)
		return r;
	dumper = eddy__loop_attached(loop, close_dumper, sizeof(*dumper));
	if (dumper == NULL || dumper->signal.set != 0)
		return dumper == NULL ? -ENOMEM : -EBUSY;
	eddy_signal_init(&dumper->signal, on_signal);
	dumper->signal.background = true;
	return eddy_signal_start(loop, &dumper->signal, EDDY_SIGNAL(number));
}
