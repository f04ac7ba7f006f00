/* SPDX-License-Identifier: ISC */
/* Kernels and containers that lack a call: what needs it is as good without it,
 * or cannot be opened, and says so. */
#include <eddy/child.h>
#include <eddy/thread_pool.h>

#include "procs.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
enum { ANY = -1 };

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
try_processes(void)
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

/* Threads that can be interrupted, each by a timer of its own. */
static int
try_threads(void)
{
	const struct eddy_thread_pool_options options = {
	    .interrupt_signal = SIGRTMAX - 1};
	struct call call;
	struct rig rig;
	int r;

	rig.loop = census_loop();
	ck_assert_int_eq(eddy_thread_pool_open(&rig.pool, &options), 0);
	call_start(&rig, &call, twice, 3);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(call.answers, 1);
	r = eddy_job_rc(&call.job);
	ck_assert_int_eq(eddy_executor_close(rig.pool, EDDY_S(10)), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	return r < 0 ? r : 0;
}

static int
try_child(void)
{
	static char name[] = "true";
	char *argv[] = {name, NULL};
	struct eddy_child_options options = {.argv = argv};
	struct eddy_child child;
	int r = eddy_child_spawn(&child, &options);

	if (r < 0)
		return r;
	while ((r = eddy_child_reap(&child)) == -EBUSY)
		usleep(1000);
	ck_assert_int_eq(eddy_child_close(&child), 0);
	return r;
}

#ifdef SYS_fcntl64 /* 32-bit architectures */
#define FCNTL SYS_fcntl64
#else
#define FCNTL SYS_fcntl
#endif

static const struct lack {
	const char *what;
	int call, argument; /* its second, or ANY */
	int error;          /* what it answers */
	int (*try)(void);   /* what needs it */
	int told;           /* and then answers */
} lacks[] = {
    {"pidfd_open", SYS_pidfd_open, ANY, ENOSYS, try_processes, -ENOSYS},
    {"pidfd_open", SYS_pidfd_open, ANY, EPERM, try_processes, -EPERM},
    {"pidfd_send_signal", SYS_pidfd_send_signal, ANY, ENOSYS, try_processes,
	-ENOSYS},
    {"pidfd_send_signal", SYS_pidfd_send_signal, ANY, EPERM, try_processes,
	-EPERM},
    {"close_range", SYS_close_range, ANY, ENOSYS, try_processes, -ENOSYS},
    {"close_range", SYS_close_range, ANY, EPERM, try_processes, -EPERM},
    {"memfd_create", SYS_memfd_create, ANY, ENOSYS, try_processes, -ENOSYS},
    {"memfd_create", SYS_memfd_create, ANY, EPERM, try_processes, -EPERM},
    {"seals", FCNTL, F_ADD_SEALS, EINVAL, try_processes, -EINVAL},
    {"seals", FCNTL, F_ADD_SEALS, EPERM, try_processes, -EPERM},
    {"epoll_pwait2", SYS_epoll_pwait2, ANY, ENOSYS, try_processes, 0},
    {"epoll_pwait2", SYS_epoll_pwait2, ANY, EPERM, try_processes, 0},
    {"timerfd_create", SYS_timerfd_create, ANY, ENOSYS, try_processes, -ENOSYS},
    {"signalfd4", SYS_signalfd4, ANY, EPERM, try_processes, -EPERM},
    {"process_vm_readv", SYS_process_vm_readv, ANY, EPERM, try_processes, 0},
    {"clone3", SYS_clone3, ANY, ENOSYS, try_processes, 0},
    {"clone3", SYS_clone3, ANY, ENOSYS, try_threads, 0},
    {"clone3", SYS_clone3, ANY, ENOSYS, try_child, 0},
    {"epoll_pwait2", SYS_epoll_pwait2, ANY, EPERM, try_threads, 0},
    {"pidfd_open", SYS_pidfd_open, ANY, ENOSYS, try_child, -ENOSYS},
    {"pidfd_open", SYS_pidfd_open, ANY, EPERM, try_child, -EPERM},
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

START_TEST(what_a_kernel_lacks_is_told_at_open_or_not_missed)
{
	const struct lack *lack = &lacks[_i];

	take_away(lack);
	ck_assert_msg(lack->try() == lack->told, "without %s (%s)", lack->what,
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
