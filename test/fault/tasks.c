/* SPDX-License-Identifier: ISC */
/*
 * tasks: tasks: scopes, what they wait for, and who asks from other threads.
 */
#include "scenario.h"

int begun, left;

eddy_step
nap(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct nap, f);
	begun++;
	EDDY_TRY(eddy_sleep(self, f->duration));
	EDDY_FINALLY;
	left++;
	EDDY_END;
}

struct family {
	struct eddy_task task;
	struct nap embedded;
	int rc;
};

static eddy_step
family(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct family, f);
	begun++;
	EDDY_TRY(eddy_call(self, EDDY_INIT(&f->embedded, nap, .duration = 1)));
	for (f->rc = 0; f->rc < 70; f->rc++)
		(void)eddy_spawn(self, EDDY_NEW(nap, .duration = f->rc));
	EDDY_TRY(eddy_throttle(self, 3));
	EDDY_TRY(eddy_join_all(self));
	EDDY_AWAIT(
	    f->rc, eddy_timeout(self, 1, eddy_sleep(self, EDDY_S(3600))));
	if (f->rc != -ETIME)
		EDDY_RETURN(f->rc);
	f->rc = eddy_spawn(self, EDDY_NEW(nap, .duration = EDDY_S(3600)));
	if (f->rc == 0)
		f->rc = eddy_spawn(self, EDDY_NEW(nap, .duration = 1));
	if (f->rc < 0)
		EDDY_RETURN(f->rc);
	EDDY_TRY(eddy_race(self, NULL));
	EDDY_FINALLY;
	left++;
	EDDY_END;
}

int
run_tasks(void)
{
	struct family frame;
	int r;

	begun = left = 0;
	r = eddy_run(EDDY_INIT(&frame, family));
	must(begun == left);
	must(begun == 74 || r < 0 || fault->fired != 0);
	return r;
}

/* Tasks that wait for each other. */

struct band {
	struct eddy_task task;
	struct player {
		struct eddy_task task;
		struct band *band;
	} players[2];
	struct eddy_queue queue;
	struct eddy_semaphore mutex;
	struct eddy_condition changed;
	struct eddy_event event;
	void *slots[1], *item;
	int i;
};

static eddy_step
player(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct player, f);
	EDDY_TRY(eddy_queue_push(self, &f->band->queue, f));
	EDDY_TRY(eddy_event_wait(self, &f->band->event));
	EDDY_TRY(eddy_semaphore_acquire(self, &f->band->mutex));
	EDDY_TRY(eddy_condition_wait(self, &f->band->changed, &f->band->mutex));
	eddy_semaphore_release(&f->band->mutex);
	EDDY_END;
}

static eddy_step
band(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct band, f);
	eddy_queue_init(&f->queue, f->slots, 1);
	eddy_semaphore_init(&f->mutex, 1);
	eddy_condition_init(&f->changed);
	eddy_event_init(&f->event);
	for (f->i = 0; f->i < 2; f->i++)
		(void)eddy_spawn(
		    self, EDDY_INIT(&f->players[f->i], player, .band = f));
	for (f->i = 0; f->i < 2; f->i++)
		EDDY_TRY(eddy_queue_pop(self, &f->queue, &f->item));
	eddy_event_set(&f->event);
	EDDY_TRY(eddy_timeout(self, EDDY_S(5), eddy_sleep(self, EDDY_MS(1))));
	eddy_condition_signal(&f->changed, 2);
	EDDY_TRY(eddy_join_all(self));
	EDDY_END;
}

int
run_band(void)
{
	struct band f;

	return eddy_run(EDDY_INIT(&f, band));
}

enum { LETTERS = 3 };

struct household {
	struct eddy_task task;
	struct eddy_mailbox mailbox;
	struct eddy_future future;
	void *slots[1], *letter;
	pthread_t postman;
	bool has_postman;
	int i, rc, first;
};

static void *
deliver(void *arg)
{
	struct household *f = arg;
	int i;

	for (i = 0; i < LETTERS; i++)
		eddy_mailbox_push(&f->mailbox, f, eddy_after(EDDY_S(10)));
	eddy_future_complete(&f->future, 7);
	return NULL;
}

static eddy_step
household(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct household, f);
	f->rc = eddy_mailbox_init(&f->mailbox, self->loop, f->slots, 1);
	if (f->rc < 0)
		EDDY_RETURN(f->rc);
	eddy_future_init(&f->future, self->loop);
	must(pthread_create(&f->postman, NULL, deliver, f) == 0);
	f->has_postman = true;
	for (f->i = 0; f->i < LETTERS; f->i++) {
		EDDY_TRY(eddy_mailbox_pop(self, &f->mailbox, &f->letter));
		must(f->letter == f);
	}
	EDDY_TRY(f->rc, eddy_future_wait(self, &f->future));
	must(f->rc == 7);
	EDDY_FINALLY;
	if (f->has_postman) {
		eddy_mailbox_close(&f->mailbox);
		pthread_join(f->postman, NULL);
		eddy_future_close(&f->future);
	}
	EDDY_END;
}

int
run_mail(void)
{
	struct household f = {.i = 0};

	eddy_prepare(&f.task, household, "household");
	return eddy_run(&f.task);
}

/* Other threads. */

static struct visitor {
	struct eddy_loop *loop;
	struct eddy_post post;
	struct nap nap;
	int result;
} visitor;

static void
on_visited(struct eddy_loop *loop, struct eddy_post *post)
{
	(void)post;
	eddy_loop_release(loop);
}

static void *
visit_loop(void *arg)
{
	struct visitor *v = arg;

	EDDY_INIT(&v->nap, nap, .duration = 1);
	v->result = eddy_run_on(v->loop, &v->nap.task, eddy_after(EDDY_S(10)));
	eddy_post(v->loop, &v->post);
	return NULL;
}

int
run_visit(void)
{
	pthread_t thread;
	int first = eddy_loop_open(&visitor.loop, NULL);

	if (first < 0)
		return first;
	begun = left = 0;
	eddy_post_init(&visitor.post, on_visited);
	must(eddy_loop_hold(visitor.loop) == 0);
	must(pthread_create(&thread, NULL, visit_loop, &visitor) == 0);
	must(eddy_loop_run(visitor.loop) == 0);
	must(pthread_join(thread, NULL) == 0);
	must(begun == left);
	must(eddy_loop_close(visitor.loop) == 0);
	note(&first, visitor.result);
	return first;
}
