/* SPDX-License-Identifier: ISC */
/*
 * debug: what make DEBUG=1 looks at on the way (verify.c); else nothing.
 */
#ifndef EDDY_DEBUG_H
#define EDDY_DEBUG_H

struct eddy_loop;
struct eddy_task;

#ifdef EDDY_DEBUG
#define HOOK(call) eddy__debug_##call
#else
#define HOOK(call) ((void)0)
#endif

void eddy__debug_turn(struct eddy_loop *loop); /* its end */
/* Called by another thread, from there. */
void eddy__debug_thread(const struct eddy_loop *loop, const void *from);
void eddy__debug_park(const struct eddy_task *task);  /* not twice */
void eddy__debug_end(struct eddy_task *task);         /* not to be resumed */
void eddy__debug_alive(const struct eddy_task *task); /* not freed? */
void eddy__debug_poison(void *p);                     /* to be freed */

#endif
