/* SPDX-License-Identifier: ISC */
/*
 * blocking: files on the loop's executor, names on threads of their own.
 *
 * The arguments of a file call live with its job.  Those of a name go with it,
 * since name servers may take their time: who gives up leaves them there.
 */
#include <eddy/blocking.h>

#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "offload_impl.h"
#include "sys.h"

/* clang-format off */

/* An awaitable and its job, which finds the arguments at a. */
#define FILE_CALL(name, parameters, call, ...)                                 \
	static int run_##name(void *arg)                                       \
	{ union call_arg *a = arg; return call; }                              \
	EDDY_ASYNC eddy_##name parameters                                      \
	{ return eddy__offload_call(self, run_##name,                          \
		(union call_arg[CALL_ARGS]){__VA_ARGS__}); }
#define POINTER(value) {.pointer = (void *)(uintptr_t)(value)}
#define NUMBER(value)  {.number = (int64_t)(value)}
#define P(i)           a[i].pointer
#define N(type, i)     (type)a[i].number

FILE_CALL(open, (struct eddy_task *self, const char *path, int flags,
    mode_t mode), eddy__open(P(0), N(int, 1), N(mode_t, 2)),
    POINTER(path), NUMBER(flags), NUMBER(mode))
FILE_CALL(pread, (struct eddy_task *self, int fd, void *data, size_t size,
    int64_t offset), eddy__pread(N(int, 0), P(1), N(size_t, 2), a[3].number),
    NUMBER(fd), POINTER(data), NUMBER(size), NUMBER(offset))
FILE_CALL(pwrite, (struct eddy_task *self, int fd, const void *data,
    size_t size, int64_t offset),
    eddy__pwrite(N(int, 0), P(1), N(size_t, 2), a[3].number),
    NUMBER(fd), POINTER(data), NUMBER(size), NUMBER(offset))
FILE_CALL(fsync, (struct eddy_task *self, int fd), eddy__fsync(N(int, 0)),
    NUMBER(fd))
FILE_CALL(stat, (struct eddy_task *self, const char *path,
    struct stat *ret_stat), eddy__stat(P(0), P(1)),
    POINTER(path), POINTER(ret_stat))
FILE_CALL(rename, (struct eddy_task *self, const char *from, const char *to),
    eddy__rename(P(0), P(1)), POINTER(from), POINTER(to))
FILE_CALL(unlink, (struct eddy_task *self, const char *path),
    eddy__unlink(P(0)), POINTER(path))
FILE_CALL(readdir, (struct eddy_task *self, const char *path,
    char **ret_names), eddy__names(P(0), P(1)), POINTER(path),
    POINTER(ret_names))

/* clang-format on */

/* What a thread is asked, and answers. */
struct question {
	bool host, service; /* are there, in name */
	int flags;
	struct eddy_address address;
	struct eddy_name name;
	struct addrinfo hints, *list;
};

/* Either of the two below. */
struct ask {
	struct eddy_task task;
	eddy_job_fn *fn;
	struct addrinfo **ret_list; /* or */
	struct eddy_name *ret_name;
	struct eddy_executor *pool;
	struct question asked, *question; /* a copy; NULL: the thread has it */
};

static int
find_addresses(void *arg)
{
	struct question *q = arg;

	return eddy__getaddrinfo(q->host ? q->name.host : NULL,
	    q->service ? q->name.service : NULL, &q->hints, &q->list);
}

static int
find_name(void *arg)
{
	struct question *q = arg;

	return eddy__getnameinfo((struct sockaddr *)&q->address.name,
	    q->address.size, q->name.host, q->name.service, q->flags);
}

static void
drop(void *arg)
{
	struct question *q = arg;

	if (q->list != NULL)
		freeaddrinfo(q->list);
	eddy__free(q);
}

/* False: it is too long. */
static bool
copy(char *to, size_t size, const char *from)
{
	return from == NULL || memccpy(to, from, '\0', size) != NULL;
}

static int
prepare(struct ask *f)
{
	f->question = eddy__alloc(sizeof(*f->question));
	if (f->question == NULL)
		return -ENOMEM;
	*f->question = f->asked;
	return eddy__loop_pool(f->task.loop, POOL_OF_NAMES, &f->pool);
}

static eddy_step
ask(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct ask, f);
	EDDY_TRY(eddy_complete(self, prepare(f)));
	EDDY_TRY(eddy_offload_owned(self, f->pool, f->fn, &f->question, drop));
	if (f->ret_name != NULL)
		*f->ret_name = f->question->name;
	else
		*f->ret_list = f->question->list;
	f->question->list = NULL;
	EDDY_FINALLY;
	if (f->question != NULL)
		drop(f->question);
	EDDY_END;
}

EDDY_ASYNC
eddy_getaddrinfo(struct eddy_task *self, const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **ret_list)
{
	/* As getaddrinfo(3) takes NULL. */
	static const struct addrinfo none = {
	    .ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};
	struct ask how = {.fn = find_addresses, .ret_list = ret_list};
	struct question *q = &how.asked;

	q->host = host != NULL;
	q->service = service != NULL;
	q->hints = hints != NULL ? *hints : none;
	if (!copy(q->name.host, sizeof(q->name.host), host) ||
	    !copy(q->name.service, sizeof(q->name.service), service))
		return eddy_complete(self, -ENAMETOOLONG);
	return eddy_call(self, eddy_new_(&how, sizeof(how), ask, "name"));
}

EDDY_ASYNC
eddy_getnameinfo(struct eddy_task *self, const struct eddy_address *address,
    int flags, struct eddy_name *ret_name)
{
	struct ask how = {.fn = find_name,
	    .ret_name = ret_name,
	    .asked = {.flags = flags, .address = *address}};

	if (address->size > sizeof(address->name))
		return eddy_complete(self, -EINVAL);
	return eddy_call(self, eddy_new_(&how, sizeof(how), ask, "name"));
}
