/* SPDX-License-Identifier: ISC */
/*
 * fuzz: programs made of bytes, for libFuzzer (make fuzz) and check_fuzz.
 *
 * A target reads what to do next from its input and compares what the library
 * does with a model; what must not be aborts.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef void fuzz_target(const uint8_t *data, size_t size);
fuzz_target fuzz_timers; /* against an array that is searched */
fuzz_target fuzz_tasks;  /* awaits, jobs, cancels: nothing is lost */
fuzz_target fuzz_http;   /* the parser of bench/server.c */
fuzz_target fuzz_worker; /* what it may do to its host */

/* Of this input, to be told when it is wrong. */
extern unsigned fuzz_seed;

struct fuzz_input {
	const uint8_t *at, *end;
};

/* 0 when there are no more. */
static inline unsigned
fuzz_byte(struct fuzz_input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

static inline unsigned
fuzz_below(struct fuzz_input *input, unsigned limit)
{
	return fuzz_byte(input) % limit;
}

static inline bool
fuzz_more(const struct fuzz_input *input)
{
	return input->at < input->end;
}

#define fuzz_must(condition)                                               \
	do {                                                               \
		if (!(condition)) {                                        \
			fprintf(stderr, "%s:%d: %s (seed %u)\n", __FILE__, \
			    __LINE__, #condition, fuzz_seed);              \
			abort();                                           \
		}                                                          \
	} while (0)

#endif
