/* SPDX-License-Identifier: ISC */
/* link: -Wl,--wrap=eddy__alloc,--wrap=eddy__realloc,--wrap=eddy__free */
#include <eddy/process_pool.h>
#include <eddy/thread_pool.h>
#include <eddy/transform.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atomics.h"
#include "census.h"
#include "counted.h"
#include "process_channel.h"
#include "sys.h"

enum { SLOT = 4096 };

/* The same jobs on processes (0), on threads (1), or on the copy executor. */
struct rig {
	struct eddy_loop *loop;
	struct eddy_executor *executor, copy;
};

static void
rig_open(struct rig *rig, int where, unsigned flags)
{
	struct eddy_process_pool_options options = {
	    .workers = 1, .depth = 2, .slot_size = SLOT, .flags = flags};
	int r = 0;

	rig->loop = census_loop();
	if (where == 0)
		r = eddy_process_pool_open(&rig->executor, rig->loop, &options);
	else if (where == 1)
		r = eddy_thread_pool_open(&rig->executor, NULL);
	else
		eddy_copy_executor(rig->executor = &rig->copy);
	ck_assert_int_eq(r, 0);
}

static void
rig_close(struct rig *rig)
{
	ck_assert_int_eq(eddy_executor_close(rig->executor, EDDY_S(30)), 0);
	ck_assert_int_eq(eddy_loop_close(rig->loop), 0);
}

static void
on_done(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)loop;
	(void)job;
}

static int
run(struct rig *rig, struct eddy_job *job)
{
	int r = eddy_submit(rig->executor, job, rig->loop, on_done);

	if (r == 0)
		ck_assert_int_eq(eddy_loop_run(rig->loop), 0);
	return r < 0 ? r : eddy_job_rc(job);
}

/* Outputs. */

/* As many bytes as the number says, reserved a piece at a time. */
static int
write_bytes(struct eddy_span in, struct eddy_output *output)
{
	size_t n, left = *(const size_t *)in.data;
	unsigned char next = 0;
	void *data;
	int r;

	for (; left > 0; left -= n) {
		n = left < 1000 ? left : 1000;
		r = eddy_output_reserve(output, n, &data);
		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i++)
			((unsigned char *)data)[i] = next++;
		r = eddy_output_commit(output, n);
		if (r < 0)
			return r;
	}
	return 7;
}

static void
expect_bytes(struct rig *rig, size_t size)
{
	struct eddy_transform transform;
	const unsigned char *bytes;
	size_t i, wrong = 0;

	eddy_transform_init(&transform, write_bytes, &size, sizeof(size));
	ck_assert_int_eq(run(rig, &transform.long_job.job), 7);
	ck_assert_uint_eq(transform.out.size, size);
	bytes = transform.out.data;
	for (i = 0; i < size; i++)
		wrong += bytes[i] != i % 256;
	ck_assert_uint_eq(wrong, 0);
	eddy_transform_release(&transform);
	ck_assert_ptr_null(transform.out.data);
	eddy_transform_release(&transform);
}

START_TEST(an_output_has_any_size)
{
	static const size_t sizes[] = {
	    0, 1, SLOT - 64, SLOT - 63, SLOT, 100000, 10 << 20};
	struct rig rig;
	size_t i;

	rig_open(&rig, _i, EDDY_PASS_DESCRIPTORS);
	for (i = 0; i < COUNT_OF(sizes); i++)
		expect_bytes(&rig, sizes[i]);
	rig_close(&rig);
}
END_TEST

static int
write_without_input(struct eddy_span in, struct eddy_output *output)
{
	close(0); /* so the next one is 0 */
	return write_bytes(in, output);
}

START_TEST(an_output_may_be_descriptor_0)
{
	size_t size = 100000;
	struct eddy_transform transform;
	struct rig rig;

	rig_open(&rig, 0, EDDY_PASS_DESCRIPTORS);
	eddy_transform_init(
	    &transform, write_without_input, &size, sizeof(size));
	ck_assert_int_eq(run(&rig, &transform.long_job.job), 7);
	ck_assert_uint_eq(transform.out.size, size);
	eddy_transform_release(&transform);
	rig_close(&rig);
}
END_TEST

START_TEST(without_descriptors_an_output_fits_in_the_slot)
{
	size_t size = SLOT;
	struct eddy_transform transform;
	struct rig rig;

	rig_open(&rig, 0, 0);
	expect_bytes(&rig, SLOT - 64);
	eddy_transform_init(&transform, write_bytes, &size, sizeof(size));
	ck_assert_int_eq(run(&rig, &transform.long_job.job), -EMSGSIZE);
	eddy_transform_release(&transform);
	rig_close(&rig);
}
END_TEST

/* The output is not where the input is. */
static int
reverse(struct eddy_span in, struct eddy_output *output)
{
	const char *from = in.data;
	void *to;
	size_t i;
	int r = eddy_output_reserve(output, in.size, &to);

	if (r == 0)
		memset(to, 0, in.size);
	for (i = 0; r == 0 && i < in.size; i++)
		((char *)to)[i] = from[in.size - 1 - i];
	return r < 0 ? r : eddy_output_commit(output, in.size);
}

START_TEST(an_input_has_any_size_up_to_the_slot)
{
	static char bytes[SLOT + 1];
	struct eddy_transform transform;
	const char *out;
	struct rig rig;
	size_t i, size, wrong = 0;

	for (i = 0; i < SLOT; i++)
		bytes[i] = (char)(i % 127 + 1);
	rig_open(&rig, 0, EDDY_PASS_DESCRIPTORS);
	for (size = 1; size <= SLOT; size = size * 4 / 3 + 1) {
		eddy_transform_init(&transform, reverse, bytes, size);
		ck_assert_int_eq(run(&rig, &transform.long_job.job), 0);
		ck_assert_uint_eq(transform.out.size, size);
		out = transform.out.data;
		for (i = 0; i < size; i++)
			wrong += out[i] != bytes[size - 1 - i];
		ck_assert_uint_eq(wrong, 0);
		eddy_transform_release(&transform);
	}
	eddy_transform_init(&transform, reverse, bytes, SLOT + 1);
	ck_assert_int_eq(run(&rig, &transform.long_job.job), -EMSGSIZE);
	rig_close(&rig);
}
END_TEST

static int
overdraw(struct eddy_span in, struct eddy_output *output)
{
	void *data;
	int r = eddy_output_reserve(output, 10, &data);

	(void)in;
	if (r == 0)
		r = eddy_output_commit(output, SIZE_MAX / 2);
	return r == -EINVAL ? eddy_output_reserve(output, SIZE_MAX, &data) : 0;
}

START_TEST(an_output_is_not_overdrawn)
{
	struct eddy_transform transform;
	struct rig rig;

	rig_open(&rig, _i, EDDY_PASS_DESCRIPTORS);
	eddy_transform_init(&transform, overdraw, NULL, 0);
	ck_assert_int_lt(run(&rig, &transform.long_job.job), 0);
	ck_assert_uint_eq(transform.out.size, 0);
	eddy_transform_release(&transform);
	rig_close(&rig);
}
END_TEST

/* More than there can be: the job goes on without. */
static int
ask_for_too_much(struct eddy_span in, struct eddy_output *output)
{
	size_t size = SIZE_MAX > UINT32_MAX ? SIZE_MAX >> 14 : SIZE_MAX << 16;
	void *data;
	int r = eddy_output_reserve(output, size, &data);

	return r < 0 ? write_bytes(in, output) : r;
}

START_TEST(an_output_that_found_no_memory_may_be_smaller)
{
	size_t size = 100000;
	struct eddy_transform transform;
	struct rig rig;

	if (CENSUS_ASAN || CENSUS_TSAN)
		return; /* theirs do not fail, but end the process */
	rig_open(&rig, _i, EDDY_PASS_DESCRIPTORS);
	eddy_transform_init(&transform, ask_for_too_much, &size, sizeof(size));
	ck_assert_int_eq(run(&rig, &transform.long_job.job), 7);
	ck_assert_uint_eq(transform.out.size, size);
	eddy_transform_release(&transform);
	rig_close(&rig);
}
END_TEST

static int
crash(struct eddy_span in, struct eddy_output *output)
{
	write_bytes(in, output);
	return raise(SIGKILL);
}

START_TEST(a_crash_leaves_no_output)
{
	size_t size = 100000;
	struct eddy_transform transform;
	struct rig rig;

	rig_open(&rig, 0, EDDY_PASS_DESCRIPTORS);
	eddy_transform_init(&transform, crash, &size, sizeof(size));
	ck_assert_int_eq(run(&rig, &transform.long_job.job), -EOWNERDEAD);
	ck_assert_ptr_null(transform.out.data);
	expect_bytes(&rig, 100000);
	rig_close(&rig);
}
END_TEST

/* Hostile outputs.  The worker's end of the mail, and its channel. */

static int
mail(void)
{
	struct stat_ {
		int kind;
	} none;
	socklen_t size = sizeof(none.kind);
	int fd;

	for (fd = 3; fd < 20000; fd++)
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &none.kind, &size) == 0)
			return fd;
	return -1;
}

static struct slot *
find_slot(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	void *start = NULL;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strstr(line, "rw-s") != NULL &&
		    strstr(line, "eddy-channel") != NULL)
			sscanf(line, "%p", &start);
	if (file != NULL)
		fclose(file);
	return start == NULL ? NULL : ((struct channel *)start)->slots;
}

enum lie {
	UNSEALED,
	SHRINKABLE,
	TOO_SHORT,
	NO_MEMFD_AT_ALL,
	NOTHING_SENT,
	TOO_MANY,
	MORE_THAN_SAID,
	HUGE_PAGES,
	BEYOND_THE_SLOT,
	LIES
};

/* Say that the first job is done, and no more; or die of it. */
static _Noreturn void
claim(struct slot *slot, bool die)
{
	struct channel *channel = (void *)((char *)slot -
					   offsetof(struct channel, slots));
	uint64_t one = 1;
	int fd, other = mail();

	A_RELEASE(&slot->state, SLOT_DONE);
	if (die)
		raise(SIGKILL);
	A_RELEASE(&channel->head, 1);
	for (fd = 5; fd < 20000; fd++)
		if (fd != other)
			(void)!write(fd, &one, sizeof(one)); /* the bell */
	for (;;)
		pause();
}

/* As a worker would have, but for the lie; then it is over. */
static int
lie(struct eddy_span in, struct eddy_output *output)
{
	enum lie which = *(const enum lie *)in.data;
	struct slot *slot = find_slot();
	int fd = memfd_create("lie", MFD_ALLOW_SEALING), seals = 0, fds[2];
	int huge = memfd_create("lie", MFD_ALLOW_SEALING | MFD_HUGETLB);

	(void)output;
	if (slot == NULL || fd < 0 || ftruncate(fd, 8192) < 0)
		return -EIO;
	if (which == HUGE_PAGES && huge >= 0 && ftruncate(huge, 1 << 30) == 0)
		fd = huge;
	if (which == TOO_SHORT || (which == HUGE_PAGES && fd == huge))
		seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE |
		        F_SEAL_SEAL;
	else if (which == SHRINKABLE)
		seals = F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	if (seals != 0 && fcntl(fd, F_ADD_SEALS, seals) < 0)
		return -EIO;
	if (which == NO_MEMFD_AT_ALL)
		fd = open("/dev/zero", O_RDONLY);
	fds[0] = fds[1] = fd;
	slot->out_size = which == BEYOND_THE_SLOT ? SLOT
	                 : which == TOO_SHORT     ? 8193
	                                          : 8192;
	slot->big = which != BEYOND_THE_SLOT;
	slot->fds_out = which == TOO_MANY ? 1000 : slot->big;
	if (slot->big && which != NOTHING_SENT)
		eddy__send(mail(), "", 1, fds, which == MORE_THAN_SAID ? 2 : 1);
	slot->result = 0;
	claim(slot, false);
}

START_TEST(an_output_that_could_change_is_never_mapped)
{
	enum lie which = (enum lie)_i;
	struct eddy_transform transform;
	struct rig rig;
	int r;

	rig_open(&rig, 0, EDDY_PASS_DESCRIPTORS);
	eddy_transform_init(&transform, lie, &which, sizeof(which));
	r = run(&rig, &transform.long_job.job);
	ck_assert_int_eq(r, -EPROTO);
	ck_assert_ptr_null(transform.out.data);
	expect_bytes(&rig, 100000);
	rig_close(&rig);
}
END_TEST

/* Descriptors. */

struct pipes {
	int n, result;
};

/* Write to the first half, and return the second. */
static int
use_descriptors(void *arg)
{
	struct pipes *pipes = arg;
	int i, fd;

	for (i = 0; i < pipes->n; i++) {
		fd = eddy_job_fd((unsigned)i);
		if (fd < 0 || write(fd, "x", 1) != 1)
			return -EIO;
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0 || eddy_job_return_fd(fd) != 0)
			return -EBADF;
	}
	if (pipes->n == EDDY_DESCRIPTORS && eddy_job_return_fd(0) != -ENOSPC)
		return -ENOSPC;
	return eddy_job_fd((unsigned)pipes->n) == -EINVAL ? pipes->result : 1;
}

/* n write ends of one pipe go there and back; each is written to there. */
static void
pass(struct rig *rig, int n)
{
	struct pipes pipes = {n, 7};
	struct eddy_long_job job = EDDY_LONG_JOB(use_descriptors, &pipes, NULL);
	struct eddy_descriptors fds = {.in_count = (unsigned)n};
	char text[2 * EDDY_DESCRIPTORS];
	int i, ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	for (i = 0; i < n; i++)
		fds.in[i] = ends[1];
	job.fds = &fds;
	ck_assert_int_eq(run(rig, &job.job), 7);
	ck_assert_uint_eq(fds.out_count, (unsigned)n);
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(write(fds.out[i], "y", 1), 1);
		ck_assert_int_eq(close(fds.out[i]), 0);
	}
	close(ends[1]);
	ck_assert_int_eq((int)read(ends[0], text, sizeof(text)), 2 * n);
	ck_assert_int_eq(read(ends[0], text, 1), 0); /* nobody holds it */
	close(ends[0]);
}

START_TEST(descriptors_go_there_and_back)
{
	struct rig rig;
	int i;

	rig_open(&rig, _i, EDDY_PASS_DESCRIPTORS);
	for (i = 1; i <= EDDY_DESCRIPTORS; i++)
		pass(&rig, i);
	for (i = 0; i < 300; i++)
		pass(&rig, EDDY_DESCRIPTORS);
	rig_close(&rig);
}
END_TEST

START_TEST(descriptors_need_the_flag)
{
	struct pipes pipes = {0, 7};
	struct eddy_long_job job = EDDY_LONG_JOB(use_descriptors, &pipes, NULL);
	struct eddy_descriptors fds = {.in_count = EDDY_DESCRIPTORS + 1};
	struct rig rig;

	rig_open(&rig, 0, 0);
	job.fds = &fds;
	ck_assert_int_eq(run(&rig, &job.job), -ENOTSUP);
	rig_close(&rig);
	rig_open(&rig, 0, EDDY_PASS_DESCRIPTORS);
	ck_assert_int_eq(run(&rig, &job.job), -EINVAL);
	rig_close(&rig);
}
END_TEST

static int
ask_for_none(void *arg)
{
	(void)arg;
	return eddy_job_fd(0) == -EINVAL && eddy_job_return_fd(0) == -EINVAL;
}

START_TEST(a_job_without_descriptors_has_none)
{
	struct eddy_job job = {.fn = ask_for_none};
	struct rig rig;

	rig_open(&rig, _i, EDDY_PASS_DESCRIPTORS);
	ck_assert_int_eq(run(&rig, &job), 1);
	rig_close(&rig);
}
END_TEST

static int
die_with_descriptors(void *arg)
{
	use_descriptors(arg);
	return raise(SIGKILL);
}

START_TEST(descriptors_of_a_crashed_job_are_closed)
{
	struct pipes pipes = {4, 7};
	struct eddy_long_job job = EDDY_LONG_JOB(
	    die_with_descriptors, &pipes, NULL);
	struct eddy_descriptors fds = {.in_count = 4};
	int i, ends[2];
	struct rig rig;

	rig_open(&rig, 0, EDDY_PASS_DESCRIPTORS);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	for (i = 0; i < 4; i++)
		fds.in[i] = ends[1];
	job.fds = &fds;
	ck_assert_int_eq(run(&rig, &job.job), -EOWNERDEAD);
	ck_assert_uint_eq(fds.out_count, 0);
	close(ends[1]);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(read(ends[0], &(char){0}, 1), 1);
	ck_assert_int_eq(read(ends[0], &(char){0}, 1), 0);
	close(ends[0]);
	pass(&rig, 4);
	rig_close(&rig);
}
END_TEST

static int
announce(void *arg)
{
	struct slot *slot = find_slot();

	slot->fds_out = 3;
	slot->result = 7;
	claim(slot, ((struct pipes *)arg)->n != 0);
}

START_TEST(descriptors_that_are_announced_but_missing_are_a_lie)
{
	struct pipes pipes = {_i, 7};
	struct eddy_long_job job = EDDY_LONG_JOB(announce, &pipes, NULL);
	struct eddy_descriptors fds = {.in_count = 0};
	struct rig rig;

	rig_open(&rig, 0, EDDY_PASS_DESCRIPTORS);
	job.fds = &fds;
	ck_assert_int_eq(run(&rig, &job.job), _i == 0 ? -EPROTO : -EOWNERDEAD);
	ck_assert_uint_eq(fds.out_count, 0);
	pass(&rig, 1);
	rig_close(&rig);
}
END_TEST

START_TEST(a_descriptor_that_is_none_loses_the_job)
{
	struct pipes pipes = {1, 7};
	struct eddy_long_job job = EDDY_LONG_JOB(use_descriptors, &pipes, NULL);
	struct eddy_descriptors fds = {.in_count = 1, .in = {-1}};
	struct rig rig;

	rig_open(&rig, 0, EDDY_PASS_DESCRIPTORS);
	job.fds = &fds;
	ck_assert_int_eq(run(&rig, &job.job), -EBADF);
	ck_assert_int_eq(job.job.outcome, EDDY_LOST);
	pass(&rig, 1);
	rig_close(&rig);
}
END_TEST

static int
return_none(void *arg)
{
	(void)arg;
	return eddy_job_return_fd(99); /* which a worker has not got */
}

START_TEST(to_return_a_descriptor_that_is_none_is_the_jobs_error)
{
	struct pipes pipes = {0, 0};
	struct eddy_long_job job = EDDY_LONG_JOB(return_none, &pipes, NULL);
	struct eddy_descriptors fds = {.in_count = 0};
	struct rig rig;

	rig_open(&rig, 0, EDDY_PASS_DESCRIPTORS);
	job.fds = &fds;
	ck_assert_int_eq(run(&rig, &job.job), -EBADF);
	ck_assert_int_eq(job.job.outcome, EDDY_RETURNED);
	ck_assert_uint_eq(fds.out_count, 0);
	pass(&rig, 1);
	rig_close(&rig);
}
END_TEST

/* The host has no room for what comes back. */
START_TEST(a_job_whose_descriptors_do_not_fit_is_lost)
{
	struct pipes pipes = {2, 7};
	struct eddy_long_job job = EDDY_LONG_JOB(use_descriptors, &pipes, NULL);
	struct eddy_descriptors fds = {.in_count = 2, .in = {1, 1}};
	struct rlimit old, now;
	struct rig rig;

	rig_open(&rig, 0, EDDY_PASS_DESCRIPTORS);
	job.fds = &fds;
	fds.in[0] = fds.in[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(run(&rig, &job.job), 7);
	close(fds.out[0]);
	close(fds.out[1]);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	now = old;
	now.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
	ck_assert_int_eq(run(&rig, &job.job), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_int_eq(job.job.outcome, EDDY_LOST);
	ck_assert_uint_eq(fds.out_count, 0);
	close(fds.in[0]);
	pass(&rig, 1);
	rig_close(&rig);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("transform");
	TCase *tcase = counted(suite, "outputs", 20);

	census_add(tcase, an_output_may_be_descriptor_0,
	    without_descriptors_an_output_fits_in_the_slot,
	    an_input_has_any_size_up_to_the_slot, a_crash_leaves_no_output);
	tcase_add_loop_test(
	    tcase, an_output_that_found_no_memory_may_be_smaller, 0, 2);
	tcase_add_loop_test(tcase, an_output_has_any_size, 0, 3);
	tcase_add_loop_test(tcase, an_output_is_not_overdrawn, 0, 3);
	tcase_add_loop_test(
	    tcase, an_output_that_could_change_is_never_mapped, 0, LIES);
	tcase = counted(suite, "descriptors", 20);
	census_add(tcase, descriptors_need_the_flag,
	    descriptors_of_a_crashed_job_are_closed,
	    a_descriptor_that_is_none_loses_the_job,
	    to_return_a_descriptor_that_is_none_is_the_jobs_error,
	    a_job_whose_descriptors_do_not_fit_is_lost);
	tcase_add_loop_test(
	    tcase, descriptors_that_are_announced_but_missing_are_a_lie, 0, 2);
	tcase_add_loop_test(tcase, descriptors_go_there_and_back, 0, 2);
	tcase_add_loop_test(tcase, a_job_without_descriptors_has_none, 0, 2);
	return suite_main(suite);
}
