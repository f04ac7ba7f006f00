/* SPDX-License-Identifier: ISC */
/* link: -Wl,--wrap=eddy__getaddrinfo,--wrap=freeaddrinfo */
#include <eddy/blocking.h>
#include <eddy/offload.h>
#include <eddy/process_pool.h>
#include <eddy/strand.h>
#include <eddy/thread_pool.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "census.h"
#include "sys.h"

/* A directory of one's own, and paths in it. */

static char directory[] = "/tmp/eddy-blocking-XXXXXX";

static void
directory_open(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void
directory_close(void)
{
	ck_assert_int_eq(rmdir(directory), 0);
}

static const char *
path_of(const char *name)
{
	static char paths[4][64];
	static int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

/* The size of a directory's names; NULL: -1. */
static bool
has_name(const char *names, int n, const char *name)
{
	for (; n > 0 && strcmp(names, name) != 0; n--)
		names += strlen(names) + 1;
	return n > 0;
}

/* Files. */

#define BEYOND ((INT64_C(1) << 32) + 3) /* 3 in an off_t of 32 bits */

struct clerk {
	struct eddy_task task;
	const char *from, *to;
	struct stat stat;
	char bytes[16], *names;
	int fd, n;
};

static eddy_step
clerk(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct clerk, f);
	EDDY_TRY(f->fd, eddy_open(self, f->from, O_RDWR | O_CREAT, 0600));
	ck_assert_int_eq(fcntl(f->fd, F_GETFD), FD_CLOEXEC);
	EDDY_TRY(f->n, eddy_pwrite(self, f->fd, "hello, world", 12, 3));
	ck_assert_int_eq(f->n, 12);
	EDDY_TRY(f->n, eddy_pread(self, f->fd, f->bytes, 16, 10));
	ck_assert_int_eq(f->n, 5);
	ck_assert_mem_eq(f->bytes, "world", 5);
	EDDY_AWAIT(f->n, eddy_pread(self, f->fd, f->bytes, 1, BEYOND));
	ck_assert_int_eq(f->n, sizeof(off_t) == 4 ? -EOVERFLOW : 0);
	EDDY_TRY(eddy_fsync(self, f->fd));
	EDDY_TRY(eddy_rename(self, f->from, f->to));
	EDDY_TRY(eddy_stat(self, f->to, &f->stat));
	ck_assert_int_eq(f->stat.st_size, 15);
	EDDY_TRY(f->n, eddy_readdir(self, directory, &f->names));
	ck_assert_int_eq(f->n, 1);
	ck_assert(has_name(f->names, f->n, strrchr(f->to, '/') + 1));
	EDDY_TRY(eddy_unlink(self, f->to));
	free(f->names);
	f->names = NULL;
	EDDY_TRY(f->n, eddy_readdir(self, directory, &f->names));
	ck_assert_int_eq(f->n, 0);
	EDDY_FINALLY;
	free(f->names);
	close(f->fd);
	EDDY_END;
}

static int
run_clerk(struct eddy_executor *executor)
{
	struct eddy_loop_options options = {.executor = executor};
	struct clerk f;

	return eddy_run_with(
	    &options, EDDY_INIT(&f, clerk, .from = path_of("a"),
			  .to = path_of("b"), .fd = -1));
}

START_TEST(files_are_made_read_and_removed)
{
	struct eddy_executor copies;

	directory_open();
	ck_assert_int_eq(run_clerk(NULL), 0);
	eddy_copy_executor(&copies); /* arguments are flat enough */
	ck_assert_int_eq(run_clerk(&copies), 0);
	eddy_executor_fini(&copies);
	directory_close();
}
END_TEST

struct errors {
	struct eddy_task task;
	struct stat stat;
	char *names;
	int rc[8];
};

static eddy_step
errors(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct errors, f);
	EDDY_AWAIT(f->rc[0], eddy_open(self, "/nonexistent/x", 0, 0));
	EDDY_AWAIT(f->rc[1], eddy_pread(self, -1, f, 1, 0));
	EDDY_AWAIT(f->rc[2], eddy_pwrite(self, -1, f, 1, 0));
	EDDY_AWAIT(f->rc[3], eddy_fsync(self, -1));
	EDDY_AWAIT(f->rc[4], eddy_stat(self, "/nonexistent", &f->stat));
	EDDY_AWAIT(f->rc[5], eddy_rename(self, "/nonexistent", "/x"));
	EDDY_AWAIT(f->rc[6], eddy_unlink(self, "/nonexistent"));
	EDDY_AWAIT(f->rc[7], eddy_readdir(self, "/nonexistent", &f->names));
	ck_assert_ptr_null(f->names);
	EDDY_END;
}

START_TEST(errors_are_those_of_the_calls)
{
	struct errors f;
	int i;

	ck_assert_int_eq(eddy_run(EDDY_INIT(&f, errors)), 0);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(f.rc[i], i > 0 && i < 4 ? -EBADF : -ENOENT);
}
END_TEST

START_TEST(another_process_is_no_place_for_files)
{
	struct eddy_executor *processes, *strand, *executors[2];
	struct eddy_loop *loop = census_loop();
	int i, own;

	for (own = 0; own < 2; own++) {
		ck_assert_int_eq(
		    eddy_process_pool_open(&processes, own ? NULL : loop, NULL),
		    0);
		ck_assert_int_eq(eddy_strand_open(&strand, processes, 0), 0);
		executors[0] = processes;
		executors[1] = strand;
		for (i = 0; i < 2; i++)
			ck_assert_int_eq(run_clerk(executors[i]), -EXDEV);
		ck_assert_int_eq(eddy_executor_close(strand, EDDY_S(10)), 0);
		ck_assert_int_eq(eddy_executor_close(processes, EDDY_S(10)), 0);
	}
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

struct lister {
	struct eddy_task task;
	char *names;
	int n;
};

static eddy_step
lister(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct lister, f);
	EDDY_TRY(f->n, eddy_readdir(self, directory, &f->names));
	EDDY_END;
}

START_TEST(a_directory_has_any_number_of_names)
{
	enum { FILES = 500 };
	struct lister f;
	char name[32];
	int i;

	directory_open();
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%d-%020d", i, i);
		ck_assert_int_eq(mknod(path_of(name), S_IFREG | 0600, 0), 0);
	}
	ck_assert_int_eq(eddy_run(EDDY_INIT(&f, lister)), 0);
	ck_assert_int_eq(f.n, FILES);
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%d-%020d", i, i);
		ck_assert(has_name(f.names, f.n, name));
		ck_assert_int_eq(unlink(path_of(name)), 0);
	}
	free(f.names);
	directory_close();
}
END_TEST

/* Cancelling an open: of a fifo, which waits for the other end. */

struct opener {
	struct eddy_task task;
	const char *path;
	int flags, rc;
};

static eddy_step
opener(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct opener, f);
	EDDY_AWAIT(f->rc, eddy_open(self, f->path, f->flags, 0600));
	EDDY_END;
}

static void
opener_start(
    struct eddy_loop *loop, struct opener *f, const char *name, int flags)
{
	EDDY_INIT(f, opener, .path = path_of(name), .flags = flags);
	ck_assert_int_eq(eddy_loop_spawn(loop, &f->task, NULL), 0);
}

/* Cancels one that has begun, and one behind it.  The other end of the fifo; or
 * -1: it counts as running a moment before it begins, and did not. */
static int
cancel_openers(struct eddy_loop *loop, struct eddy_executor *executor,
    struct opener *running)
{
	struct eddy_executor_stats stats;
	struct opener queued;
	int fd;

	opener_start(loop, running, "fifo", O_RDONLY);
	do {
		ck_assert_int_eq(eddy_loop_step(loop, EDDY_MS(1)), 1);
		eddy_executor_stats(executor, &stats);
	} while (stats.running == 0);
	opener_start(loop, &queued, "file", O_CREAT | O_WRONLY);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	ck_assert_int_eq(eddy_cancel(&queued.task), 0);
	ck_assert_int_eq(eddy_cancel(&running->task), 0);
	ck_assert_int_ge(eddy_loop_step(loop, 0), 0);
	ck_assert_int_eq(queued.rc, -ECANCELED); /* it never ran */
	ck_assert_int_lt(access(path_of("file"), F_OK), 0);
	do { /* it has its reader once that waits in open(2) */
		fd = open(path_of("fifo"), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			break;
		ck_assert_int_ge(eddy_loop_step(loop, EDDY_MS(1)), 0);
	} while (!eddy_done(&running->task));
	return fd;
}

START_TEST(a_cancelled_open_loses_no_descriptor)
{
	struct eddy_thread_pool_options one = {.workers_max = 1};
	struct eddy_loop_options options = {0};
	struct opener running;
	struct eddy_loop *loop;
	int fd;

	directory_open();
	ck_assert_int_eq(mkfifo(path_of("fifo"), 0600), 0);
	ck_assert_int_eq(eddy_thread_pool_open(&options.executor, &one), 0);
	ck_assert_int_eq(eddy_loop_open(&loop, &options), 0);
	while ((fd = cancel_openers(loop, options.executor, &running)) < 0)
		ck_assert_int_eq(running.rc, -ECANCELED);
	ck_assert(!eddy_done(&running.task));
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_ge(running.rc, 0); /* it has its own result */
	close(running.rc);
	close(fd);
	ck_assert_int_eq(unlink(path_of("fifo")), 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(eddy_executor_close(options.executor, EDDY_S(9)), 0);
	directory_close();
}
END_TEST

/* Names.  A server that does not answer is a semaphore. */

static sem_t asked, answer, freed;
static bool silent;

void __real_freeaddrinfo(struct addrinfo *list);
void __wrap_freeaddrinfo(struct addrinfo *list);

void
__wrap_freeaddrinfo(struct addrinfo *list)
{
	if (silent)
		sem_post(&freed);
	__real_freeaddrinfo(list);
}

int __real_eddy__getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **ret_list);
int __wrap_eddy__getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **ret_list);

int
__wrap_eddy__getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **ret_list)
{
	if (silent) {
		sem_post(&asked);
		while (sem_wait(&answer) < 0)
			;
	}
	return __real_eddy__getaddrinfo(host, service, hints, ret_list);
}

struct guide {
	struct eddy_task task;
	const char *host, *service;
	struct addrinfo hints, *list;
	int64_t patience;
	struct eddy_address address;
	struct eddy_name name;
	int rc;
};

static eddy_step
guide(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct guide, f);
	EDDY_AWAIT(f->rc, eddy_timeout(self, f->patience,
			      eddy_getaddrinfo(self, f->host, f->service,
				  &f->hints, &f->list)));
	if (f->rc < 0)
		EDDY_RETURN(f->rc);
	f->address.size = f->list->ai_addrlen;
	memcpy(&f->address.name, f->list->ai_addr, f->address.size);
	EDDY_TRY(eddy_getnameinfo(
	    self, &f->address, NI_NUMERICHOST | NI_NUMERICSERV, &f->name));
	EDDY_FINALLY;
	if (f->list != NULL)
		freeaddrinfo(f->list);
	EDDY_END;
}

static struct guide
question(const char *host, const char *service)
{
	struct guide f;

	EDDY_INIT(&f, guide, .host = host, .service = service,
	    .hints.ai_socktype = SOCK_STREAM, .patience = EDDY_FOREVER);
	return f;
}

static int
answer_of(struct guide f, const char *host, const char *service)
{
	int r = eddy_run(&f.task);

	if (r == 0 && host != NULL)
		ck_assert_str_eq(f.name.host, host);
	if (r == 0)
		ck_assert_str_eq(f.name.service, service);
	return r;
}

START_TEST(names_become_addresses_and_back)
{
	struct guide f = question(NULL, "80");

	f.hints.ai_family = AF_INET;
	ck_assert_int_eq(
	    answer_of(question("127.0.0.1", "80"), "127.0.0.1", "80"), 0);
	ck_assert_int_eq(answer_of(question("::1", "81"), "::1", "81"), 0);
	ck_assert_int_eq(
	    answer_of(question("127.0.0.1", NULL), "127.0.0.1", "0"), 0);
	ck_assert_int_eq(answer_of(f, "127.0.0.1", "80"), 0);
	f.hints.ai_flags = AI_PASSIVE;
	ck_assert_int_eq(answer_of(f, "0.0.0.0", "80"), 0);
	ck_assert_int_eq(answer_of(question("localhost", "80"), NULL, "80"), 0);
}
END_TEST

START_TEST(errors_of_names_are_errno_values)
{
	struct guide f = question("not a number", "80");
	char name[1100];

	f.hints.ai_flags = AI_NUMERICHOST;
	ck_assert_int_eq(answer_of(f, NULL, NULL), -ENOENT);
	ck_assert_int_eq(answer_of(question(NULL, NULL), NULL, NULL), -ENOENT);
	ck_assert_int_eq(
	    answer_of(question("127.0.0.1", "no such service"), NULL, NULL),
	    -ENOENT);
	f.hints.ai_flags = -1;
	ck_assert_int_eq(answer_of(f, NULL, NULL), -EINVAL);
	f.hints.ai_flags = 0;
	f.hints.ai_family = 12345;
	ck_assert_int_eq(answer_of(f, NULL, NULL), -EAFNOSUPPORT);
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(
	    answer_of(question(name, NULL), NULL, NULL), -ENAMETOOLONG);
	ck_assert_int_eq(
	    answer_of(question(NULL, name), NULL, NULL), -ENAMETOOLONG);
}
END_TEST

struct namer {
	struct eddy_task task;
	struct eddy_address address;
	struct eddy_name name;
	int rc;
};

static eddy_step
namer(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct namer, f);
	EDDY_AWAIT(f->rc, eddy_getnameinfo(self, &f->address, 0, &f->name));
	EDDY_END;
}

START_TEST(what_is_no_address_has_no_name)
{
	static const socklen_t sizes[] = {0, 3, 4096};
	struct namer f;
	size_t i;

	for (i = 0; i < COUNT_OF(sizes); i++) {
		EDDY_INIT(&f, namer, .address.name.ss_family = AF_INET);
		f.address.size = sizes[i];
		ck_assert_int_eq(eddy_run(&f.task), 0);
		ck_assert_int_eq(f.rc, i == 2 ? -EINVAL : -EAFNOSUPPORT);
	}
}
END_TEST

static int gate[2];

static int
wait_at_gate(void *arg)
{
	return (int)read(gate[0], arg, 1); /* until it is closed */
}

struct crowd {
	struct eddy_task task;
	struct crowder {
		struct eddy_task task;
		char byte;
	} all[1000];
	struct guide guide;
	struct eddy_executor *executor;
	struct eddy_executor_stats stats;
	int i;
};

static eddy_step
crowd(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct crowd, f);
	for (f->i = 0; f->i < 1000; f->i++)
		EDDY_START(self, &f->all[f->i].task,
		    eddy_offload(&f->all[f->i].task, NULL, wait_at_gate,
			&f->all[f->i].byte));
	f->guide = question("localhost", "80");
	EDDY_AWAIT(f->i, eddy_call(self, &f->guide.task));
	ck_assert_int_eq(eddy_loop_executor(self->loop, &f->executor), 0);
	eddy_executor_stats(f->executor, &f->stats);
	close(gate[1]); /* and all of them end */
	EDDY_END;
}

START_TEST(user_jobs_do_not_starve_names)
{
	struct crowd *f = calloc(1, sizeof(*f));

	ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
	eddy_prepare(&f->task, crowd, "crowd");
	ck_assert_int_eq(eddy_run(&f->task), 0);
	ck_assert_int_eq(f->guide.rc, 0);
	ck_assert_uint_eq(f->stats.queued + f->stats.running, 1000);
	close(gate[0]);
	free(f);
}
END_TEST

static void
silence(void)
{
	sem_init(&asked, 0, 0);
	sem_init(&answer, 0, 0);
	sem_init(&freed, 0, 0);
	silent = true;
}

static void
on_done(struct eddy_loop *loop, struct eddy_task *task)
{
	(void)loop;
	(void)task; /* its result is read from its frame */
}

START_TEST(who_gives_up_a_name_does_not_wait_for_it)
{
	struct guide cancelled = question("127.0.0.1", "80");
	struct guide late = question("127.0.0.1", "80");
	struct eddy_loop *loop = census_loop();

	silence();
	late.patience = EDDY_MS(1);
	ck_assert_int_eq(eddy_loop_spawn(loop, &cancelled.task, on_done), 0);
	ck_assert_int_eq(eddy_loop_spawn(loop, &late.task, on_done), 0);
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	while (sem_wait(&asked) < 0 || sem_wait(&asked) < 0)
		;
	ck_assert_int_eq(eddy_cancel(&cancelled.task), 0);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	ck_assert_int_eq(cancelled.rc, -ECANCELED);
	ck_assert_int_eq(late.rc, -ETIME);
	sem_post(&answer); /* two lists that nobody is to have */
	sem_post(&answer);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
	ck_assert_int_eq(sem_trywait(&freed), 0);
	ck_assert_int_eq(sem_trywait(&freed), 0);
}
END_TEST

START_TEST(four_names_are_asked_for_at_a_time)
{
	struct eddy_loop *loop = census_loop();
	struct guide all[6];
	size_t i;

	silence();
	for (i = 0; i < COUNT_OF(all); i++) {
		all[i] = question("127.0.0.1", "80");
		ck_assert_int_eq(
		    eddy_loop_spawn(loop, &all[i].task, on_done), 0);
	}
	ck_assert_int_eq(eddy_loop_step(loop, 0), 1);
	for (i = 0; i < 4; i++)
		while (sem_wait(&asked) < 0)
			;
	if (!CENSUS_TSAN) /* which starts threads, too */
		ck_assert_int_eq(eddy__thread_count(), 1 + 4);
	for (i = 0; i < COUNT_OF(all); i++)
		sem_post(&answer);
	ck_assert_int_eq(eddy_loop_run(loop), 0);
	for (i = 0; i < COUNT_OF(all); i++)
		ck_assert_int_eq(all[i].rc, 0);
	ck_assert_int_eq(eddy_loop_close(loop), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("blocking");

	census_add(census_case(suite, "files", 30),
	    files_are_made_read_and_removed, errors_are_those_of_the_calls,
	    another_process_is_no_place_for_files,
	    a_directory_has_any_number_of_names,
	    a_cancelled_open_loses_no_descriptor);
	census_add(census_case(suite, "names", 30),
	    names_become_addresses_and_back, errors_of_names_are_errno_values,
	    what_is_no_address_has_no_name, user_jobs_do_not_starve_names,
	    who_gives_up_a_name_does_not_wait_for_it,
	    four_names_are_asked_for_at_a_time);
	return suite_main(suite);
}
