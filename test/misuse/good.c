/* SPDX-License-Identifier: ISC */
/* expect: nothing */
#include <eddy/task.h>

#include <errno.h>

struct child {
	struct eddy_task task;
	int64_t duration;
	int result;
};

static eddy_step
child(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct child, f);
	EDDY_TRY(eddy_sleep(self, f->duration));
	EDDY_RETURN(f->result);
	EDDY_END;
}

struct plain {
	struct eddy_task task;
};

static eddy_step
plain(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct plain, f);
	EDDY_END;
}

struct all {
	struct eddy_task task;
	struct eddy_task t, u, *winner;
	struct child kid;
	int i, rc;
};

static int
forget(struct eddy_task *task, int rc)
{
	return eddy_unpark(task, rc);
}

static const struct eddy_op op = {"op", forget};

static EDDY_ASYNC
operation(struct eddy_task *self, int n)
{
	if (eddy_cancelled(self))
		return eddy_complete(self, -ECANCELED);
	if (n > 0)
		return eddy_complete(self, n);
	return eddy_park(self, &op);
}

static eddy_step
all(struct eddy_task *self)
{
	int local;

	EDDY_BEGIN(self, struct all, f);
	EDDY_AWAIT(local, operation(self, 1));
	f->rc = local;
	for (f->i = 0; f->i < 3; f->i++) {
		int n; /* dead before the next await */

		EDDY_TRY(n, eddy_yield(self));
		f->rc += n;
		/* clang-format off */
		EDDY_TRY(eddy_yield(self)); EDDY_TRY(eddy_yield(self));
		/* clang-format on */
		if (f->rc == 7)
			continue;
		if (f->rc == 8)
			break;
	}
	switch (f->i) {
	case 0:
		EDDY_TRY(eddy_call(self, EDDY_NEW(plain)));
		break;
	case 1:
		EDDY_RETURN(-EINVAL);
	default:
		EDDY_TRY(eddy_throttle(self, 3));
	}
	f->rc = eddy_spawn(self,
	    EDDY_INIT(&f->kid, child, .duration = EDDY_MS(1), .result = 2));
	if (f->rc == 0)
		EDDY_AWAIT(f->rc, eddy_join(self, &f->kid.task));
	else
		EDDY_RETURN(f->rc);
	f->rc = eddy_spawn(self, EDDY_NEW(child, .result = 1));
	f->rc = EDDY_START(self, &f->t, operation(&f->t, 0));
	f->rc |= EDDY_START(self, &f->u, eddy_sleep(&f->u, EDDY_US(1)));
	EDDY_AWAIT(
	    f->rc, eddy_timeout(self, EDDY_S(1), eddy_race(self, &f->winner)));
	eddy_shield(self, true);
	EDDY_TRY(f->rc, eddy_join_all(self));
	eddy_shield(self, false);
	EDDY_FINALLY;
	EDDY_AWAIT(f->rc, eddy_sleep(self, EDDY_US(1)));
	if (f->rc < 0)
		EDDY_RETURN(0);
	EDDY_END;
}

int main(void);

int
main(void)
{
	struct all f;

	return eddy_run(EDDY_INIT(&f, all)) < 0;
}
