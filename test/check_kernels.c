/* SPDX-License-Identifier: ISC */
/* Kernels and containers that lack a call: a pool is as good without it, or
 * cannot be opened, and says so. */
#include "procs.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#endif
enum { ANY = -1 };

static const struct lack {
	const char *what;
	int call, argument; /* its second, or ANY */
	int error;          /* what it answers */
	int open;           /* what opening a pool then answers */
} lacks[] = {
    {"pidfd_open", SYS_pidfd_open, ANY, ENOSYS, -ENOSYS},
    {"pidfd_open", SYS_pidfd_open, ANY, EPERM, -EPERM},
    {"pidfd_send_signal", SYS_pidfd_send_signal, ANY, ENOSYS, -ENOSYS},
    {"pidfd_send_signal", SYS_pidfd_send_signal, ANY, EPERM, -EPERM},
    {"close_range", SYS_close_range, ANY, ENOSYS, -ENOSYS},
    {"close_range", SYS_close_range, ANY, EPERM, -EPERM},
    {"memfd_create", SYS_memfd_create, ANY, ENOSYS, -ENOSYS},
    {"memfd_create", SYS_memfd_create, ANY, EPERM, -EPERM},
    {"seals", SYS_fcntl, F_ADD_SEALS, EINVAL, -EINVAL},
    {"seals", SYS_fcntl, F_ADD_SEALS, EPERM, -EPERM},
    {"epoll_pwait2", SYS_epoll_pwait2, ANY, ENOSYS, 0},
    {"epoll_pwait2", SYS_epoll_pwait2, ANY, EPERM, 0},
    {"timerfd_create", SYS_timerfd_create, ANY, ENOSYS, -ENOSYS},
    {"process_vm_readv", SYS_process_vm_readv, ANY, EPERM, 0},
};

/* From now on, here and in all children. */
static void
take_away(const struct lack *lack)
{
	const uint32_t argument = (uint32_t)lack->argument;
	struct sock_filter code[] = {
	    BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)lack->call, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		offsetof(struct seccomp_data, args[1])),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, argument, 0,
		argument != (uint32_t)ANY ? 1 : 0),
	    BPF_STMT(
		BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)lack->error),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {COUNT_OF(code), code};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

static int
crash(void *arg)
{
	(void)arg;
	return raise(SIGSEGV);
}

static int
hang(void *arg)
{
	(void)arg;
	return pause();
}

static int
try(void)
{
	struct eddy_process_pool_options options = {.workers = 2};
	struct call call;
	struct rig rig;
	int r;

	rig.loop = census_loop();
	r = eddy_process_pool_open(&rig.pool, rig.loop, &options);
	if (r < 0) {
		ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
		return r;
	}
	rig_fit(&rig, 20);
	call_start(&rig, &call, crash, 0);
	call_expect(&rig, &call, EDDY_CRASHED, SIGSEGV);
	ck_assert_int_eq(call_try(&rig, &call, hang, 0, EDDY_MS(20)), 0);
	call_expect(&rig, &call, EDDY_EXPIRED, 0);
	rig_close(&rig);
	return 0;
}

START_TEST(what_a_kernel_lacks_is_told_at_open_or_not_missed)
{
	const struct lack *lack = &lacks[_i];

	take_away(lack);
	ck_assert_msg(try() == lack->open, "without %s (%s)", lack->what,
	    strerror(lack->error));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("kernels");

	tcase_add_loop_test(census_case(suite, "lacks", 20),
	    what_a_kernel_lacks_is_told_at_open_or_not_missed, 0,
	    (int)COUNT_OF(lacks));
	return suite_main(suite);
}
