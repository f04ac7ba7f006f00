/* SPDX-License-Identifier: ISC */
/*
 * check_cluster: bench/cluster.c with a real gearmand on 127.0.0.1, and with one
 * in a network namespace whose link goes down.
 */
#include "census.h"

#if __has_include(<libgearman/gearman.h>)
#include <libgearman/gearman.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench/cluster.h"

enum { WORKERS = 2, PATIENCE = 20000 /* ms */ };

struct bytes {
	int in, out;
};

/* What workers say, in memory that they inherit. */
static struct {
	int runs, pid;
	bool late; /* the late worker may begin */
} * seen;

static int
twice(void *arg)
{
	struct bytes *b = arg;

	__atomic_add_fetch(&seen->runs, 1, __ATOMIC_SEQ_CST);
	b->out = 2 * b->in;
	return b->in;
}

static int
crash(void *arg)
{
	(void)arg;
	return *(volatile int *)NULL;
}

/* Until somebody kills its worker or the test lets it go (in: 0). */
static int
linger(void *arg)
{
	struct bytes *b = arg;

	__atomic_add_fetch(&seen->runs, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&seen->pid, getppid(), __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&seen->pid, __ATOMIC_SEQ_CST) != 0)
		usleep(1000);
	b->out = 7;
	return 0;
}

static int
linger_again(void *arg)
{
	return linger(arg);
}

static int
tell(void *arg)
{
	eddy_job_progress(40);
	usleep(20000);
	eddy_job_progress(80);
	usleep(20000);
	return twice(arg);
}

static int
nowhere(void *arg)
{
	return twice(arg);
}

static const struct cluster_function table[] = {{"twice", twice, false},
    {"crash", crash, false}, {"linger", linger, false},
    {"linger_again", linger_again, true}, {"tell", tell, false},
    {"nowhere", nowhere, false}, {NULL, NULL, false}};
static const struct cluster_function old_table[] = {
    {"twice", twice, false}, {NULL, NULL, false}};

/* A server, workers, a loop and the executor. */

static struct rig {
	char servers[32];
	int port;
	pid_t server, workers[WORKERS];
	struct eddy_loop *loop;
	struct cluster cluster;
	int heard;
} rig;

static pid_t
start(void (*run)(void))
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run();
		_exit(1);
	}
	return pid;
}

static void
end(pid_t *pid)
{
	if (*pid == 0)
		return;
	kill(*pid, SIGKILL);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

static void
run_server(void)
{
	char port[8];
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDERR_FILENO);
	snprintf(port, sizeof(port), "%d", rig.port);
	execl("/usr/sbin/gearmand", "gearmand", "--listen", "127.0.0.1",
	    "--port", port, "--job-retries", "1", "--log-file", "stderr",
	    (char *)NULL);
}

static void
run_worker(void)
{
	cluster_serve(rig.servers, table);
}

/* Forked before the first thread. */
static void
run_late_worker(void)
{
	while (!__atomic_load_n(&seen->late, __ATOMIC_SEQ_CST))
		usleep(1000);
	run_worker();
}

static void
run_old_worker(void)
{
	cluster_serve(rig.servers, old_table);
}

/* Answers with less than it has to. */
static void *
reply_short(gearman_job_st *job, void *context, size_t *ret_size,
    gearman_return_t *ret_code)
{
	(void)job;
	(void)context;
	*ret_size = 3;
	*ret_code = GEARMAN_SUCCESS;
	return calloc(1, 3);
}

static void
run_liar(void)
{
	gearman_worker_st *worker = gearman_worker_create(NULL);

	gearman_worker_add_servers(worker, rig.servers);
	gearman_worker_add_function(worker, "twice", 0, reply_short, NULL);
	for (;;)
		gearman_worker_work(worker);
}

static bool
server_answers(void)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)rig.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answers = connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0;

	close(fd);
	return answers;
}

static void
start_server(void)
{
	int ms;

	rig.server = start(run_server);
	for (ms = 0; ms < PATIENCE && !server_answers(); ms += 10)
		usleep(10000);
	ck_assert_int_eq(waitpid(rig.server, NULL, WNOHANG), 0);
}

/* A number that was free a moment ago. */
static int
free_port(void)
{
	struct sockaddr_in name = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, size), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &size), 0);
	close(fd);
	return ntohs(name.sin_port);
}

static void
open_cluster(int64_t silence)
{
	struct cluster_options options = {
	    .servers = rig.servers, .table = table, .silence = silence};

	rig.loop = census_loop();
	ck_assert_int_eq(cluster_open(&rig.cluster, rig.loop, &options), 0);
}

/* How many workers of a kind; before the first thread. */
static void
begin(void (*run)(void), int workers)
{
	memset(&rig, 0, sizeof(rig));
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	rig.port = free_port();
	snprintf(rig.servers, sizeof(rig.servers), "127.0.0.1:%d", rig.port);
	start_server();
	while (workers > 0)
		rig.workers[--workers] = start(run);
	open_cluster(0);
}

static void
finish(void)
{
	int i;

	ck_assert_int_eq(
	    eddy_executor_close(&rig.cluster.executor, EDDY_S(20)), 0);
	while (eddy_loop_step(rig.loop, 0) > 0)
		;
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	for (i = 0; i < WORKERS; i++)
		end(&rig.workers[i]);
	end(&rig.server);
	munmap(seen, sizeof(*seen));
}

static void
on_done(struct eddy_loop *loop, struct eddy_job *job)
{
	(void)job;
	rig.heard++;
	eddy_loop_stop(loop);
}

static void
submit(struct eddy_job *job)
{
	ck_assert_int_eq(
	    eddy_submit(&rig.cluster.executor, job, rig.loop, on_done), 0);
}

static void
hear(int count)
{
	while (rig.heard < count)
		ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
}

/* The loop turns until a worker runs a job: its pid. */
static pid_t
await_runs(int count)
{
	while (__atomic_load_n(&seen->runs, __ATOMIC_SEQ_CST) < count ||
	       __atomic_load_n(&seen->pid, __ATOMIC_SEQ_CST) == 0)
		ck_assert_int_ge(eddy_loop_step(rig.loop, EDDY_MS(1)), 0);
	return __atomic_load_n(&seen->pid, __ATOMIC_SEQ_CST);
}

static void
let_go(void)
{
	__atomic_store_n(&seen->pid, 0, __ATOMIC_SEQ_CST);
}

START_TEST(a_job_runs_there_and_its_bytes_come_back)
{
	struct bytes b[20];
	struct eddy_job jobs[20];
	int i;

	begin(run_worker, 2);
	for (i = 0; i < 20; i++) {
		b[i].in = i;
		jobs[i] = (struct eddy_job)EDDY_JOB(twice, &b[i]);
		submit(&jobs[i]);
	}
	hear(20);
	for (i = 0; i < 20; i++) {
		ck_assert_int_eq(jobs[i].outcome, EDDY_RETURNED);
		ck_assert_int_eq(jobs[i].result, i);
		ck_assert_int_eq(b[i].out, 2 * i);
	}
	ck_assert_int_eq(seen->runs, 20);
	finish();
}
END_TEST

START_TEST(what_is_not_in_the_table_or_too_big_is_refused)
{
	struct bytes b = {1, 0};
	struct eddy_job job = EDDY_JOB(twice, &b);

	begin(run_worker, 0);
	job.fn = NULL;
	ck_assert_int_eq(
	    eddy_submit(&rig.cluster.executor, &job, rig.loop, on_done),
	    -EINVAL);
	job.fn = (eddy_job_fn *)(uintptr_t)on_done;
	ck_assert_int_eq(
	    eddy_submit(&rig.cluster.executor, &job, rig.loop, on_done),
	    -ENOENT);
	job.fn = twice;
	job.size = CLUSTER_MOST + 1;
	ck_assert_int_eq(
	    eddy_submit(&rig.cluster.executor, &job, rig.loop, on_done),
	    -EMSGSIZE);
	finish();
}
END_TEST

START_TEST(a_crash_costs_one_job)
{
	struct bytes b = {21, 0};
	struct eddy_job bad = EDDY_JOB(crash, &b), good = EDDY_JOB(twice, &b);

	begin(run_worker, 1);
	submit(&bad);
	hear(1);
	ck_assert_int_eq(bad.outcome, EDDY_CRASHED);
	ck_assert_int_eq(bad.result, SIGSEGV);
	ck_assert_int_eq(eddy_job_rc(&bad), -EOWNERDEAD);
	submit(&good);
	hear(2);
	ck_assert_int_eq(b.out, 42);
	finish();
}
END_TEST

START_TEST(without_a_server_open_says_so)
{
	struct cluster_options options = {
	    .servers = rig.servers, .table = table};

	memset(&rig, 0, sizeof(rig));
	rig.loop = census_loop();
	snprintf(rig.servers, sizeof(rig.servers), "127.0.0.1:%d", free_port());
	ck_assert_int_eq(
	    cluster_open(&rig.cluster, rig.loop, &options), -ECONNREFUSED);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
}
END_TEST

START_TEST(a_job_whose_worker_is_lost_is_lost_and_not_run_again)
{
	struct bytes b = {1, 0};
	struct eddy_job job = EDDY_JOB(linger, &b);
	int i;

	begin(run_worker, 2);
	submit(&job);
	await_runs(1);
	for (i = 0; i < 2; i++)
		end(&rig.workers[i]);
	hear(1);
	ck_assert_int_eq(job.outcome, EDDY_LOST);
	ck_assert_int_eq(job.result, -ECONNRESET);
	ck_assert_int_eq(seen->runs, 1);
	ck_assert_int_eq(b.out, 0);
	finish();
}
END_TEST

START_TEST(an_idempotent_job_runs_again_and_is_answered_once)
{
	struct bytes b = {1, 0};
	struct eddy_job job = EDDY_JOB(linger_again, &b);

	begin(run_worker, 1);
	rig.workers[1] = start(run_late_worker);
	submit(&job);
	await_runs(1);
	end(&rig.workers[0]);
	let_go();
	__atomic_store_n(&seen->late, true, __ATOMIC_SEQ_CST);
	await_runs(2);
	let_go();
	hear(1);
	ck_assert_int_eq(job.outcome, EDDY_RETURNED);
	ck_assert_int_eq(b.out, 7);
	ck_assert_int_eq(seen->runs, 2);
	finish();
}
END_TEST

START_TEST(a_server_that_is_restarted_loses_what_is_out_and_nothing_else)
{
	struct bytes b = {1, 0}, later = {4, 0};
	struct eddy_job job = EDDY_JOB(linger, &b);
	struct eddy_job next = EDDY_JOB(twice, &later);

	begin(run_worker, 1);
	submit(&job);
	await_runs(1);
	end(&rig.server);
	hear(1);
	ck_assert_int_eq(job.outcome, EDDY_LOST);
	let_go();
	submit(&next); /* waits for a server */
	start_server();
	hear(2);
	ck_assert_int_eq(next.outcome, EDDY_RETURNED);
	ck_assert_int_eq(later.out, 8);
	finish();
}
END_TEST

START_TEST(a_job_that_no_worker_knows_expires)
{
	struct bytes b = {1, 0};
	struct eddy_job job = EDDY_JOB(nowhere, &b);

	begin(run_old_worker, 1);
	job.deadline = eddy_after(EDDY_MS(300));
	submit(&job);
	hear(1);
	ck_assert_int_eq(job.outcome, EDDY_EXPIRED);
	ck_assert_int_eq(seen->runs, 0);
	finish();
}
END_TEST

START_TEST(a_silent_server_counts_as_lost)
{
	struct bytes b = {1, 0};
	struct eddy_job job = EDDY_JOB(twice, &b);

	begin(run_worker, 0);
	rig.cluster.options.silence = EDDY_MS(300);
	kill(rig.server, SIGSTOP);
	submit(&job);
	hear(1);
	ck_assert_int_eq(job.outcome, EDDY_LOST);
	ck_assert_int_eq(job.result, -ETIMEDOUT);
	kill(rig.server, SIGCONT);
	finish();
}
END_TEST

START_TEST(a_job_that_waits_can_be_cancelled)
{
	struct bytes b[20];
	struct eddy_job jobs[20];
	int i;

	begin(run_worker, 1);
	rig.cluster.options.silence = EDDY_S(1);
	for (i = 0; i < 20; i++) {
		jobs[i] = (struct eddy_job)EDDY_JOB(linger, &b[i]);
		submit(&jobs[i]);
	}
	await_runs(1);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(eddy_job_cancel(&jobs[i]), 0);
	end(&rig.workers[0]);
	hear(20);
	for (i = 0; i < 20; i++)
		ck_assert_int_ne(jobs[i].outcome, EDDY_RETURNED);
	ck_assert_int_eq(jobs[19].outcome, EDDY_CANCELLED);
	ck_assert_int_eq(seen->runs, 1);
	finish();
}
END_TEST

START_TEST(a_worker_that_answers_nonsense_costs_one_job)
{
	struct bytes b = {1, 0};
	struct eddy_job job = EDDY_JOB(twice, &b);

	begin(run_liar, 1);
	submit(&job);
	hear(1);
	ck_assert_int_eq(job.outcome, EDDY_PROTOCOL);
	ck_assert_int_eq(b.out, 0);
	finish();
}
END_TEST

static int64_t progress;

static void
on_progress(struct eddy_loop *loop, struct eddy_long_job *job)
{
	(void)loop;
	ck_assert_int_ge(job->progress, progress);
	progress = job->progress;
}

START_TEST(a_job_tells_its_progress)
{
	struct bytes b = {3, 0};
	struct eddy_long_job job = EDDY_LONG_JOB(tell, &b, on_progress);

	progress = 0;
	begin(run_worker, 1);
	submit(&job.job);
	hear(1);
	ck_assert_int_eq(b.out, 6);
	ck_assert_int_eq(progress, 80);
	finish();
}
END_TEST

/* A server behind a link of our own: two namespaces, as root. */
#define NS "eddy-cluster"

static int
sh(const char *command)
{
	return system(command) == 0 ? 0 : -1;
}

static void
run_far_server(void)
{
	char port[8];
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDERR_FILENO);
	snprintf(port, sizeof(port), "%d", rig.port);
	execlp("ip", "ip", "netns", "exec", NS, "/usr/sbin/gearmand",
	    "--listen", "10.211.7.2", "--port", port, "--log-file", "stderr",
	    (char *)NULL);
}

START_TEST(a_link_that_goes_down_costs_what_is_out)
{
	struct bytes b = {1, 0};
	struct eddy_job job = EDDY_JOB(twice, &b);
	struct cluster_options options = {
	    .servers = rig.servers, .table = table, .silence = EDDY_MS(500)};
	int ms, r = -1;

	memset(&rig, 0, sizeof(rig));
	if (sh("ip netns add " NS " 2>/dev/null && "
	       "ip link add " NS " type veth peer name eth0 netns " NS " && "
	       "ip addr add 10.211.7.1/30 dev " NS " && "
	       "ip link set " NS " up && ip -n " NS
	       " addr add 10.211.7.2/30 dev eth0 && ip -n " NS
	       " link set eth0 up") < 0) {
		fprintf(stderr, "skipped: no network namespaces here\n");
		(void)sh("ip netns del " NS " 2>/dev/null");
		return;
	}
	rig.port = free_port();
	snprintf(rig.servers, sizeof(rig.servers), "10.211.7.2:%d", rig.port);
	rig.server = start(run_far_server);
	rig.loop = census_loop();
	for (ms = 0; ms < PATIENCE && r < 0; ms += 10) {
		usleep(10000);
		r = cluster_open(&rig.cluster, rig.loop, &options);
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(sh("ip link set " NS " down"), 0);
	submit(&job);
	hear(1);
	ck_assert_int_eq(job.outcome, EDDY_LOST);
	ck_assert_int_eq(job.result, -ETIMEDOUT);
	ck_assert_int_eq(
	    eddy_executor_close(&rig.cluster.executor, EDDY_S(20)), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	end(&rig.server);
	(void)sh("ip netns pids " NS " | xargs -r kill -9; ip netns del " NS);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("cluster");
	TCase *tcase = census_case(suite, "gearmand", 60);

	if (access("/usr/sbin/gearmand", X_OK) != 0) {
		fprintf(stderr, "cluster: skipped, no gearman-job-server\n");
		return suite_main(suite);
	}
	census_add(tcase, a_job_runs_there_and_its_bytes_come_back,
	    what_is_not_in_the_table_or_too_big_is_refused,
	    a_crash_costs_one_job, without_a_server_open_says_so,
	    a_job_whose_worker_is_lost_is_lost_and_not_run_again,
	    an_idempotent_job_runs_again_and_is_answered_once,
	    a_server_that_is_restarted_loses_what_is_out_and_nothing_else,
	    a_job_that_no_worker_knows_expires, a_silent_server_counts_as_lost,
	    a_job_that_waits_can_be_cancelled,
	    a_worker_that_answers_nonsense_costs_one_job,
	    a_job_tells_its_progress, a_link_that_goes_down_costs_what_is_out);
	return suite_main(suite);
}
#else
int
main(void)
{
	fprintf(stderr, "cluster: skipped, no libgearman-dev\n");
	return suite_main(suite_create("cluster"));
}
#endif
