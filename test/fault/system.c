/* SPDX-License-Identifier: ISC */
/*
 * system: signals, programs, files and names.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "scenario.h"

/* The system: a signal, and a program. */

struct guest {
	struct eddy_task task;
	struct eddy_signal signal;
	struct eddy_child child;
	int rc, first;
};

static int
spawn_guest(struct guest *f)
{
	static char sh[] = "sh", c[] = "-c", script[] = "exit 3";
	char *argv[] = {sh, c, script, NULL};
	struct eddy_child_options options = {.argv = argv,
	    .in = EDDY_CHILD_NULL,
	    .out = EDDY_CHILD_PIPE,
	    .err = STDERR_FILENO};
	int r = eddy_child_spawn(&f->child, &options);

	must((r == 0) == (f->child.out >= 0));
	if (r == 0)
		close(f->child.out);
	return r;
}

static eddy_step
guest(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct guest, f);
	eddy_signal_init(&f->signal, NULL);
	f->rc = eddy_signal_start(self->loop, &f->signal, EDDY_SIGNAL(SIGUSR1));
	note(&f->first, f->rc);
	if (f->rc == 0) {
		must(kill(getpid(), SIGUSR1) == 0);
		EDDY_AWAIT(f->rc, eddy_signal_wait(self, &f->signal));
		must(f->rc == SIGUSR1);
	}
	must(eddy_signal_stop(self->loop, &f->signal) <= 0);
	f->rc = spawn_guest(f);
	note(&f->first, f->rc);
	if (f->rc == 0) {
		EDDY_AWAIT(f->rc, eddy_child_wait(self, &f->child));
		must(f->rc == 3 || f->rc < 0);
		note(&f->first, f->rc);
	}
	while (eddy_child_close(&f->child) == -EBUSY)
		usleep(1000); /* the wait failed */
	EDDY_END;
}

int
run_guest(void)
{
	struct guest f;
	int r = eddy_run(EDDY_INIT(&f, guest));
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	must(sigismember(&set, SIGUSR1) == 0);
	return r < 0 ? r : f.first;
}

/* Files and names: the first error of all, after each of them. */

struct visit {
	struct eddy_task task;
	char path[64], other[80], *names;
	struct stat stat;
	struct eddy_address address;
	struct eddy_name name;
	int fd, peer, pair[2], rc, first;
};

#define VISIT(op)                       \
	do {                            \
		EDDY_AWAIT(f->rc, op);  \
		note(&f->first, f->rc); \
	} while (0)

static eddy_step
visit_files(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct visit, f);
	VISIT(eddy_open(self, f->path, O_RDWR | O_CREAT, 0600));
	f->fd = f->rc;
	if (f->fd >= 0) {
		VISIT(eddy_pwrite(self, f->fd, "hello", 5, 0));
		VISIT(eddy_pread(self, f->fd, f->other, 5, 0));
		VISIT(eddy_fsync(self, f->fd));
		close(f->fd);
		snprintf(f->other, sizeof(f->other), "%s-2", f->path);
		VISIT(eddy_stat(self, f->path, &f->stat));
		VISIT(eddy_rename(self, f->path, f->other));
		VISIT(eddy_unlink(self, f->rc < 0 ? f->path : f->other));
	}
	VISIT(eddy_readdir(self, "/proc/self/task", &f->names));
	must((f->rc > 0) == (f->names != NULL));
	free(f->names);
	unlink(f->path); /* what a fault has left */
	unlink(f->other);
	EDDY_END;
}

static eddy_step
visit_names(struct eddy_task *self)
{
	socklen_t size = sizeof(struct sockaddr_in);

	EDDY_BEGIN(self, struct visit, f);
	note(&f->first, eddy_net_pair(f->pair));
	if (f->first == 0) {
		close(f->pair[0]);
		close(f->pair[1]);
	}
	VISIT(eddy_net_listen(self, "127.0.0.1", "0", 4));
	f->fd = f->rc;
	if (f->fd < 0)
		EDDY_RETURN(0);
	getsockname(f->fd, (struct sockaddr *)&f->address.name, &size);
	f->address.size = size;
	VISIT(eddy_getnameinfo(
	    self, &f->address, NI_NUMERICHOST | NI_NUMERICSERV, &f->name));
	if (f->rc == 0)
		VISIT(eddy_net_connect(self, f->name.host, f->name.service));
	if (f->rc > 0)
		close(f->rc);
	close(f->fd);
	EDDY_END;
}

static int
visit(eddy_task_fn *fn)
{
	struct visit f = {.fd = -1};
	int r;

	eddy_prepare(&f.task, fn, "visit");
	snprintf(f.path, sizeof(f.path), "/tmp/eddy-fault-%d", (int)getpid());
	r = eddy_run(&f.task);
	return r < 0 ? r : f.first;
}

int
run_files(void)
{
	return visit(visit_files);
}

int
run_names(void)
{
	return visit(visit_names);
}

/* A program with pipes, elsewhere and in a group, that is asked to end. */

struct filter {
	struct eddy_task task;
	struct eddy_child child;
	char byte;
	int rc;
};

static int
spawn_filter(struct eddy_child *child)
{
	static char cat[] = "cat";
	char *argv[] = {cat, NULL};
	struct eddy_child_options options = {.argv = argv,
	    .directory = "/",
	    .in = EDDY_CHILD_PIPE,
	    .out = EDDY_CHILD_PIPE,
	    .err = EDDY_CHILD_NULL,
	    .flags = EDDY_CHILD_GROUP};

	return eddy_child_spawn(child, &options);
}

static eddy_step
filter(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct filter, f);
	f->rc = spawn_filter(&f->child);
	if (f->rc < 0)
		EDDY_RETURN(f->rc);
	EDDY_TRY(eddy_write(self, f->child.in, "x", 1));
	EDDY_TRY(f->rc, eddy_read(self, f->child.out, &f->byte, 1));
	must(f->rc == 1 && f->byte == 'x');
	eddy_child_kill(&f->child, SIGTERM);
	EDDY_AWAIT(f->rc, eddy_child_wait(self, &f->child));
	must(f->rc == -EOWNERDEAD || f->rc == -ECHILD || fault->fired != 0);
	f->rc = f->rc == -EOWNERDEAD ? 0 : f->rc;
	EDDY_RETURN(f->rc);
	EDDY_FINALLY;
	if (f->child.pid > 0 && f->rc >= -4095) {
		eddy_close(self->loop, f->child.in);
		eddy_close(self->loop, f->child.out);
		eddy_child_kill(&f->child, SIGKILL);
		while (eddy_child_close(&f->child) == -EBUSY)
			usleep(1000);
	}
	EDDY_END;
}

int
run_filter(void)
{
	struct filter f = {.rc = 0};

	f.child.pid = 0;
	eddy_prepare(&f.task, filter, "filter");
	return eddy_run(&f.task);
}
