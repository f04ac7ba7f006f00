/* SPDX-License-Identifier: ISC */
/*
 * fault: makes the k-th system call or allocation of the library fail, or that
 * and all later ones, in this process or in those it forks.
 *
 * fault.c stands between libeddy.a and the C library: the linker's --wrap for
 * the archive alone, so what a test itself calls is never touched.
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum fault_place { HOST, CHILDREN }; /* whose calls are counted */

/* Shared with all children: what fails, and what the run has done so far. */
struct fault {
	pid_t host;
	enum fault_place place;
	uint32_t k; /* the first call that fails; 0: none does */
	bool later; /* and all that follow */
	int choice; /* of its errors, modulo choices */

	uint32_t calls;   /* by any thread */
	uint32_t bursts;  /* that failed in a way that does not last */
	int choices;      /* errors that call k has */
	const char *name; /* the first that failed, and how */
	int error;
	_Atomic uint32_t fired; /* calls that failed; read meanwhile */
	uint64_t errors[3];     /* a bit for each that was answered */

	/* Of all runs: which functions have failed. */
	const char *names[128];
	uint32_t runs,
	    failed; /* with something that failed; not as they must */
};
extern struct fault *fault;

void fault_open(void); /* once, before all; it fails the program */
/* From now on, in this process; nothing is allocated yet. */
void fault_begin(enum fault_place place, uint32_t k, bool later, int choice);
bool fault_answered(int error); /* by a call of this run */
int fault_live(void);           /* allocations and mappings of the host */
int fault_functions(void);      /* that have failed in any run */

/* Called at moments that only luck would hit otherwise; NULL: not. */
extern void (*fault_before_kill)(void);
extern void (*fault_before_poll)(void);
extern void (*fault_before_sleep)(void); /* of a worker process */

#endif
