/* SPDX-License-Identifier: ISC */
/*
 * The targets of test/fuzz on random inputs, each from its seed, and on what was
 * found before (test/fuzz/found).  FUZZ_SEED=n in the environment runs one.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "census.h"
#include "fuzz/fuzz.h"

enum {
	MOST = 4096, /* bytes */
	SLOW = CENSUS_TSAN || CENSUS_ASAN,
	INPUTS = SLOW ? 300 : 10000,
	LONG_INPUTS = SLOW ? 3 : 400,
	LONG = 1 << 16,
};

unsigned fuzz_seed;

static uint8_t bytes[LONG];
static uint64_t random_state;

static uint8_t
random_byte(void)
{
	random_state ^= random_state << 13; /* xorshift64 */
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint8_t)(random_state >> 32);
}

static void
run(fuzz_target *target, unsigned seed, size_t most)
{
	size_t i, size;

	random_state = 88172645463325252u + seed * 7919u;
	size = (size_t)random_byte() * random_byte() % most + most / 2;
	/* Many small numbers: they mean more than others do. */
	for (i = 0; i < size; i++)
		bytes[i] = random_byte() & (random_byte() & 1 ? 0xff : 0x0f);
	fuzz_seed = seed;
	target(bytes, size);
}

static void
run_many(fuzz_target *target, unsigned from, unsigned count, size_t most)
{
	const char *one = getenv("FUZZ_SEED");
	unsigned seed;

	if (one != NULL)
		run(target, (unsigned)atoi(one), most);
	for (seed = from; one == NULL && seed < from + count; seed++)
		run(target, seed, most);
}

START_TEST(timers_do_as_an_array_that_is_searched)
{
	run_many(fuzz_timers, 1, INPUTS, MOST / 2);
}
END_TEST

START_TEST(many_timers_for_long_do_as_an_array)
{
	run_many(fuzz_timers, 100000, LONG_INPUTS, LONG / 2);
}
END_TEST

START_TEST(tasks_and_jobs_lose_nothing_whatever_they_do)
{
	run_many(fuzz_tasks, 1, INPUTS, MOST / 2);
}
END_TEST

START_TEST(many_tasks_for_long_lose_nothing)
{
	run_many(fuzz_tasks, 100000, LONG_INPUTS, LONG / 2);
}
END_TEST

START_TEST(a_request_is_what_it_is_whole_or_in_pieces)
{
	run_many(fuzz_http, 1, 2 * INPUTS, MOST / 128);
}
END_TEST

START_TEST(a_host_survives_workers_that_do_anything)
{
	run_many(fuzz_worker, 1, INPUTS / 10, MOST / 8);
}
END_TEST

/* Files are named by their target: timers-1, tasks-1, http-1, worker-1. */
START_TEST(what_was_found_before_is_not_found_again)
{
	DIR *found = opendir("test/fuzz/found");
	struct dirent *entry;
	char path[512];
	size_t size;
	FILE *in;

	while (found != NULL && (entry = readdir(found)) != NULL) {
		snprintf(
		    path, sizeof(path), "test/fuzz/found/%s", entry->d_name);
		in = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
		if (in == NULL)
			continue;
		size = fread(bytes, 1, sizeof(bytes), in);
		fclose(in);
		if (strncmp(entry->d_name, "timers", 6) == 0)
			fuzz_timers(bytes, size);
		else if (strncmp(entry->d_name, "http", 4) == 0)
			fuzz_http(bytes, size);
		else if (strncmp(entry->d_name, "worker", 6) == 0)
			fuzz_worker(bytes, size);
		else
			fuzz_tasks(bytes, size);
	}
	if (found != NULL)
		closedir(found);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("fuzz");
	TCase *tcase = census_case(suite, "random", 60);

	census_add(tcase, timers_do_as_an_array_that_is_searched,
	    many_timers_for_long_do_as_an_array,
	    tasks_and_jobs_lose_nothing_whatever_they_do,
	    many_tasks_for_long_lose_nothing,
	    a_request_is_what_it_is_whole_or_in_pieces,
	    a_host_survives_workers_that_do_anything,
	    what_was_found_before_is_not_found_again);
	return suite_main(suite);
}
