/* SPDX-License-Identifier: ISC */
/*
 * stall_report: what a blocked loop runs, what its thread does, where it is,
 * and a line of it.
 *
 * All of it belongs to a thread that goes on meanwhile and may free what it
 * runs, so memory is read as a debugger would (eddy__peek), the rest in procfs.
 */
#include "stall_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <eddy/task.h>

#include "sys.h"

static const char *
peek_string(const char *from, char *to, size_t size)
{
	int n = from != NULL ? eddy__peek(from, to, size - 1) : 0;

	to[n > 0 ? n : 0] = '\0';
	return n > 0 ? to : NULL;
}

static void
identify_task(struct watcher *w, const struct eddy_task *from)
{
	struct eddy_stall *stall = &w->stall;
	struct eddy_task task;
	struct eddy_site at;

	stall->kind = "task";
	if (eddy__peek(from, &task, sizeof(task)) != sizeof(task))
		return;
	stall->fn = (uintptr_t)task.fn;
	stall->name = peek_string(task.name, w->name, sizeof(w->name));
	if (eddy__peek(task.at, &at, sizeof(at)) != sizeof(at))
		return;
	stall->line = at.line;
	stall->func = peek_string(at.func, w->func, sizeof(w->func));
	stall->file = peek_string(at.file, w->file, sizeof(w->file));
	stall->operation = peek_string(
	    at.text, w->operation, sizeof(w->operation));
}

static void
identify_callback(struct watcher *w, const struct eddy_ready *from)
{
	struct eddy_ready ready = {NULL, NULL, NULL};
	const struct kind *kind;

	eddy__peek(from, &ready, sizeof(ready));
	kind = eddy__kind_of(ready.run);
	w->stall.kind = kind->name;
	eddy__peek((const void *)((uintptr_t)from + (uintptr_t)kind->fn),
	    &w->stall.fn, sizeof(w->stall.fn));
}

void
eddy__stall_identify(struct watcher *w)
{
	struct eddy_task *task = NULL;
	struct eddy_ready *called = NULL;

	eddy__peek(&w->loop->current, &task, sizeof(task));
	eddy__peek(&w->loop->called, &called, sizeof(called));
	if (task != NULL)
		identify_task(w, task);
	else
		identify_callback(w, called);
}

static const char *
read_file(const struct watcher *w, const char *what, char *to, size_t size)
{
	char path[64];

	snprintf(
	    path, sizeof(path), "/proc/self/task/%u/%s", A_LOAD(&w->tid), what);
	eddy__slurp(path, to, size);
	return to;
}

int
eddy__stall_times(struct watcher *w)
{
	int64_t tick = EDDY_S(1) / sysconf(_SC_CLK_TCK);
	unsigned long user, system;
	char stat[512], state;
	const char *rest = strrchr(read_file(w, "stat", stat, 512), ')');

	if (rest == NULL ||
	    sscanf(rest + 1,
		" %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &state,
		&user, &system) != 3)
		return 0;
	w->stall.user = (int64_t)user * tick - w->user;
	w->stall.system = (int64_t)system * tick - w->system;
	return state;
}

void
eddy__stall_begins(struct watcher *w)
{
	w->user = w->system = 0;
	w->stall.user = w->stall.system = 0;
	eddy__stall_times(w);
	w->user = w->stall.user;
	w->system = w->stall.system;
}

/* What a thread may sleep in; those up to recvmsg are about a descriptor. */
/* clang-format off */
#define CALL(name) {SYS_##name, #name}
static const struct call {
	int number;
	const char *name;
} calls[] = {
	CALL(read), CALL(write), CALL(pread64), CALL(pwrite64), CALL(readv),
	CALL(writev), CALL(fsync), CALL(fdatasync), CALL(flock), CALL(fcntl),
	CALL(ioctl), CALL(getdents64), CALL(connect), CALL(accept4),
	CALL(sendto), CALL(recvfrom), CALL(sendmsg), CALL(recvmsg),
	CALL(openat), CALL(statx), CALL(unlinkat), CALL(wait4), CALL(waitid),
	CALL(futex), CALL(nanosleep), CALL(clock_nanosleep), CALL(ppoll),
	CALL(pselect6), CALL(epoll_pwait),
#ifdef SYS_poll /* older architectures */
	CALL(open), CALL(poll), CALL(epoll_wait),
#endif
#ifdef SYS_select
	CALL(select),
#endif
};
/* clang-format on */

static void
describe_call(struct watcher *w, int number, int fd)
{
	struct eddy_stall *stall = &w->stall;
	bool has_fd = true;
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].number == number)
			break;
		has_fd = has_fd && calls[i].number != SYS_recvmsg;
	}
	if (i == sizeof(calls) / sizeof(calls[0]))
		return;
	stall->syscall_name = calls[i].name;
	if (has_fd && eddy__path_of((unsigned)fd, w->path, sizeof(w->path)) > 0)
		stall->path = w->path;
}

int
eddy__stall_inspect(struct watcher *w)
{
	struct eddy_stall *stall = &w->stall;
	unsigned long arg = 0;
	char line[128];

	*stall = (struct eddy_stall){.watch = w->watch,
	    .duration = w->lasted,
	    .thread = (int)A_LOAD(&w->tid),
	    .syscall = -1};
	/* "running", "-1 ..." in a page fault, or the number and arguments. */
	if (sscanf(read_file(w, "syscall", line, sizeof(line)), "%d %lx",
		&stall->syscall, &arg) == 2 &&
	    stall->syscall >= 0)
		describe_call(w, stall->syscall, (int)arg);
	read_file(w, "wchan", w->wchan, sizeof(w->wchan));
	if (w->wchan[0] != '\0' && w->wchan[0] != '0')
		stall->wchan = w->wchan;
	return eddy__stall_times(w);
}

/* Where it is, asked by a signal. */

#define PATIENCE EDDY_MS(20) /* the thread may have blocked the signal */

/* Global, or the handler could not find who asks; NULL when it is too late. */
static struct watcher *asking; /* any thread */

static void
on_signal(int signal)
{
	struct watcher *w = A_XCHG(&asking, NULL);
	int saved = errno, n = 0;

	(void)signal;
	if (w == NULL)
		return;
	if ((int)A_LOAD(&w->tid) == eddy__gettid())
		n = w->watch->backtrace(w->frames, STALL_FRAMES);
	A_RELEASE(&w->answer, (uint32_t)(n > 0 ? n : 0) + 1);
	eddy__futex_wake(&w->answer, 1, false);
	errno = saved;
}

int
eddy__stall_prepare(struct watcher *w)
{
	if (w->watch->backtrace == NULL)
		return 0;
	w->watch->backtrace(w->frames, 1); /* it may load a library at first */
	return eddy__catch_signal(w->watch->signal, on_signal);
}

void
eddy__stall_ask(struct watcher *w)
{
	if (w->watch->backtrace == NULL || !A_SWAP(&asking, NULL, w))
		return;
	A_STORE(&w->answer, 0);
	if (eddy__tgkill((int)A_LOAD(&w->tid), w->watch->signal) == 0)
		eddy__futex_wait(&w->answer, 0, PATIENCE, false);
	if (A_SWAP(&asking, w, NULL))
		return; /* it did not come */
	while (A_ACQUIRE(&w->answer) == 0)
		eddy__futex_wait(&w->answer, 0, EDDY_FOREVER, false);
	w->stall.frames = w->frames;
	w->stall.frame_count = (int)A_LOAD(&w->answer) - 1;
}

struct place {
	struct text *text;
	uintptr_t address;
};

static int
print_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	const struct place *place = arg;
	uintptr_t offset = place->address - info->dlpi_addr;
	const char *name = strrchr(info->dlpi_name, '/');
	int i;

	(void)size;
	name = name != NULL ? name + 1 : info->dlpi_name;
	for (i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD &&
		    offset - info->dlpi_phdr[i].p_vaddr <
			info->dlpi_phdr[i].p_memsz) {
			eddy__print(place->text, "%s 0x%" PRIxPTR,
			    name[0] != '\0' ? name : "program", offset);
			return 1;
		}
	return 0;
}

/* As addr2line(1) takes it, with the object it is in. */
void
eddy__stall_locate(struct text *text, uintptr_t address)
{
	if (dl_iterate_phdr(print_object, &(struct place){text, address}) == 0)
		eddy__print(text, "(unknown)");
}

static void
print_wait(struct text *text, const struct eddy_stall *stall)
{
	const char *name = stall->syscall_name;

	if (stall->syscall >= 0)
		eddy__print(text, "in %s (%d)",
		    name != NULL ? name : "system call", stall->syscall);
	else
		eddy__print(text,
		    stall->wchan != NULL ? "waits for memory" : "running");
	if (stall->path != NULL)
		eddy__print(text, " of %s", stall->path);
	if (stall->wchan != NULL)
		eddy__print(text, " [%s]", stall->wchan);
	eddy__print(text, "; ");
}

void
eddy__stall_who(struct text *text, const struct eddy_stall *stall)
{
	eddy__print(text, "%s%s%s, ", stall->kind,
	    stall->name != NULL ? " " : "",
	    stall->name != NULL ? stall->name : "");
	if (stall->file != NULL)
		eddy__print(text, "%s:%d %s: %s", stall->file, stall->line,
		    stall->func, stall->operation);
	else
		eddy__stall_locate(text, stall->fn);
}

void
eddy_stall_print(const struct eddy_stall *stall, int fd)
{
	struct text text = {.fd = fd};
	int i;

	eddy__print(&text, "eddy: stall%s %" PRId64 " ms: ",
	    stall->over ? " over after" : "ed for",
	    stall->duration / EDDY_MS(1));
	eddy__stall_who(&text, stall);
	eddy__print(&text, "; ");
	if (!stall->over)
		print_wait(&text, stall);
	eddy__print(&text, "user %" PRId64 " ms, system %" PRId64 " ms\n",
	    stall->user / EDDY_MS(1), stall->system / EDDY_MS(1));
	for (i = 0; i < stall->frame_count && !stall->over; i++) {
		eddy__print(&text, "  ");
		eddy__stall_locate(&text, (uintptr_t)stall->frames[i]);
		eddy__print(&text, "\n");
	}
	eddy__print_end(&text);
}
