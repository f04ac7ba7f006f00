/* SPDX-License-Identifier: ISC */
/*
 * net: addresses, and a race among them.
 *
 * Each attempt to connect is a child of the task that collects them.  The first
 * to succeed leaves its descriptor there; the others close theirs.
 */
#include <eddy/net.h>

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/un.h>

#include <eddy/blocking.h>
#include <eddy/sync.h>

#include "sys.h"

enum { CANDIDATES = 8 };
#define HEAD_START EDDY_MS(250) /* RFC 8305, section 5 */

struct attempt {
	struct eddy_task task;
	struct search *search;
	struct eddy_address to;
	int protocol, fd, rc;
};

/* Either of the two below. */
struct search {
	struct eddy_task task;
	const char *host, *service;
	struct addrinfo hints; /* or that of a Unix socket */
	struct sockaddr_un path;
	struct addrinfo *list;
	int backlog, rc;
	struct addrinfo *next; /* to be tried */
	unsigned started, running;
	struct eddy_event ended; /* an attempt */
	int fd, error;
	struct attempt attempts[CANDIDATES];
};

static EDDY_ASYNC
look_up(struct eddy_task *self, struct search *f, int flags)
{
	size_t size = f->service != NULL ? strlen(f->service) : 0;
	bool local = size > 0 && f->service[0] == '/';

	f->hints = (struct addrinfo){
	    .ai_flags = flags, .ai_socktype = SOCK_STREAM};
	if (!local)
		return eddy_getaddrinfo(
		    self, f->host, f->service, &f->hints, &f->list);
	if (f->host != NULL || size >= sizeof(f->path.sun_path))
		return eddy_complete(
		    self, f->host != NULL ? -EINVAL : -ENAMETOOLONG);
	f->hints.ai_family = f->path.sun_family = AF_UNIX;
	memcpy(f->path.sun_path, f->service, size);
	f->hints.ai_addr = (struct sockaddr *)&f->path;
	f->hints.ai_addrlen = sizeof(f->path);
	return eddy_complete(self, eddy_cancelled(self) ? -ECANCELED : 0);
}

static struct addrinfo *
first(struct search *f)
{
	return f->list != NULL ? f->list : &f->hints;
}

static int
open_listener(const struct addrinfo *at, int backlog)
{
	int r, fd = eddy__socket(at->ai_family, at->ai_protocol);

	if (fd < 0)
		return fd;
	r = eddy__listen(fd, at->ai_addr, at->ai_addrlen, backlog);
	if (r == 0)
		return fd;
	eddy__close(fd);
	return r;
}

/* Without a host IPv6 comes first, which includes IPv4; but not IPv4 alone
 * where somebody else has the port of IPv6. */
static int
listen_somewhere(struct search *f)
{
	int pass, r = -EADDRNOTAVAIL;
	struct addrinfo *at;

	for (pass = f->host != NULL; pass < 2 && r != -EADDRINUSE; pass++) {
		for (at = first(f); at != NULL; at = at->ai_next) {
			if (pass == 0 && at->ai_family != AF_INET6)
				continue;
			r = open_listener(at, f->backlog);
			if (r >= 0)
				return r;
		}
	}
	return r;
}

static eddy_step
do_listen(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct search, f);
	EDDY_TRY(look_up(self, f, AI_PASSIVE));
	EDDY_RETURN(listen_somewhere(f));
	EDDY_FINALLY;
	if (f->list != NULL)
		freeaddrinfo(f->list);
	EDDY_END;
}

static eddy_step
attempt(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct attempt, f);
	f->rc = f->fd = eddy__socket(f->to.name.ss_family, f->protocol);
	if (f->fd >= 0)
		EDDY_AWAIT(f->rc, eddy_connect(self, f->fd, &f->to));
	if (f->rc == 0 && f->search->fd < 0)
		f->search->fd = f->fd;
	else if (f->fd >= 0)
		eddy_close(self->loop, f->fd);
	if (f->rc < 0)
		f->search->error = f->rc;
	f->search->running--;
	eddy_event_set(&f->search->ended);
	EDDY_END;
}

/* Behind each address the next one of another family, if there is one. */
static void
interleave(struct addrinfo *at)
{
	struct addrinfo **link, *other;

	for (; at != NULL; at = at->ai_next) {
		link = &at->ai_next;
		while (*link != NULL && (*link)->ai_family == at->ai_family)
			link = &(*link)->ai_next;
		other = *link;
		if (other == NULL)
			return;
		*link = other->ai_next;
		other->ai_next = at->ai_next;
		at->ai_next = other;
	}
}

static bool
more(const struct search *f)
{
	return f->next != NULL && f->started < CANDIDATES;
}

static void
begin(struct search *f)
{
	struct attempt *a = &f->attempts[f->started++];

	a->search = f;
	a->protocol = f->next->ai_protocol;
	memcpy(&a->to.name, f->next->ai_addr, f->next->ai_addrlen);
	a->to.size = f->next->ai_addrlen;
	f->next = f->next->ai_next;
	f->running++;
	eddy_prepare(&a->task, attempt, "attempt");
	(void)eddy_spawn(&f->task, &a->task); /* cannot fail here */
}

static eddy_step
do_connect(struct eddy_task *self)
{
	unsigned i;

	EDDY_BEGIN(self, struct search, f);
	EDDY_TRY(look_up(self, f, 0));
	f->next = first(f);
	interleave(f->next);
	eddy_event_init(&f->ended);
	while (f->fd < 0 && (more(f) || f->running != 0)) {
		eddy_event_clear(&f->ended);
		if (more(f))
			begin(f);
		EDDY_AWAIT(f->rc,
		    eddy_timeout(self, more(f) ? HEAD_START : EDDY_FOREVER,
			eddy_event_wait(self, &f->ended)));
		if (f->rc < 0 && f->rc != -ETIME)
			EDDY_RETURN(f->rc);
	}
	for (i = 0; i < f->started; i++)
		eddy_cancel(&f->attempts[i].task, "another connected");
	EDDY_RETURN(f->fd >= 0 ? f->fd : f->error);
	EDDY_FINALLY;
	if (f->fd >= 0 && self->result < 0)
		eddy_close(self->loop, f->fd);
	if (f->list != NULL)
		freeaddrinfo(f->list);
	EDDY_END;
}

static EDDY_ASYNC
start(struct eddy_task *self, eddy_task_fn *fn, const char *host,
    const char *service, int backlog)
{
	struct search f = {
	    .host = host, .service = service, .backlog = backlog, .fd = -1};

	return eddy_call(self, eddy_new_(&f, sizeof(f), fn, "net"));
}

EDDY_ASYNC
eddy_net_listen(
    struct eddy_task *self, const char *host, const char *service, int backlog)
{
	return start(self, do_listen, host, service, backlog);
}

EDDY_ASYNC
eddy_net_connect(struct eddy_task *self, const char *host, const char *service)
{
	return start(self, do_connect, host, service, 0);
}

int
eddy_net_pair(int ret_fds[2])
{
	return eddy__stream_pair(ret_fds);
}
