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

static unsigned char load[CLUSTER_MOST];

static int
invert(void *arg)
{
	unsigned char *byte = arg, *end = byte + sizeof(load);

	while (byte < end)
		*byte++ ^= 0xff;
	return 0;
}

static const struct cluster_function table[] = {{"twice", twice, false},
    {"crash", crash, false}, {"linger", linger, false},
    {"linger_again", linger_again, true}, {"tell", tell, false},
    {"invert", invert, false}, {"nowhere", nowhere, false},
    {NULL, NULL, false}};
static const struct cluster_function old_table[] = {
    {"twice", twice, false}, {NULL, NULL, false}};

/* A server, workers, a loop and the executor. */

static struct rig {
	char servers[64];
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

/* A connection to the server, or -1. */
static int
reach_server(void)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)rig.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool
server_answers(void)
{
	int fd = reach_server();

	close(fd);
	return fd >= 0;
}

/* How many connections the server has, with this one. */
static int
connections(void)
{
	FILE *server = fdopen(reach_server(), "r+");
	char line[256];
	int count = 0;

	fputs("workers\n", server);
	fflush(server);
	while (fgets(line, sizeof(line), server) != NULL && line[0] != '.')
		count++;
	fclose(server);
	return count;
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
	seen = census_share(sizeof(*seen));
	rig.port = free_port();
	snprintf(rig.servers, sizeof(rig.servers), "127.0.0.1:%d", rig.port);
	start_server();
	while (workers > 0)
		rig.workers[--workers] = start(run);
	open_cluster(0);
}

static void
end_rig(void)
{
	int i;

	while (eddy_loop_step(rig.loop, 0) > 0)
		;
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	for (i = 0; i < WORKERS; i++)
		end(&rig.workers[i]);
	end(&rig.server);
	munmap(seen, sizeof(*seen));
}

static void
finish(void)
{
	ck_assert_int_eq(
	    eddy_executor_close(&rig.cluster.executor, EDDY_S(20)), 0);
	end_rig();
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

/* A loop that blocks on a server, or lingers at a close, does so for seconds. */
enum { LATE = 1000 /* ms; a busy machine is late by less */ };

static struct {
	struct eddy_timer timer;
	int64_t worst; /* ns behind its time */
} beat;

static void
on_beat(struct eddy_loop *loop, struct eddy_timer *timer)
{
	int64_t late = eddy_now() - timer->alarm.deadline;

	beat.worst = late > beat.worst ? late : beat.worst;
	eddy_timer_start(loop, timer, eddy_after(EDDY_MS(1)));
}

static void
start_beat(void)
{
	beat.worst = 0;
	eddy_timer_init(&beat.timer, on_beat);
	eddy_timer_start(rig.loop, &beat.timer, eddy_after(EDDY_MS(1)));
}

static void
end_beat(void)
{
	eddy_timer_stop(rig.loop, &beat.timer);
	ck_assert_int_lt(beat.worst, EDDY_MS(LATE));
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
	struct eddy_job big = EDDY_JOB(invert, &load);

	begin(run_worker, 0);
	start_beat();
	rig.cluster.options.silence = EDDY_MS(300);
	kill(rig.server, SIGSTOP);
	submit(&job);
	submit(&big); /* more than the server's kernel takes */
	hear(2);
	ck_assert_int_eq(job.outcome, EDDY_LOST);
	ck_assert_int_eq(job.result, -ETIMEDOUT);
	ck_assert_int_eq(big.result, -ETIMEDOUT);
	end_beat();
	kill(rig.server, SIGCONT);
	finish();
}
END_TEST

START_TEST(a_job_of_the_largest_size_goes_there_and_back)
{
	struct eddy_job jobs[4];
	size_t i;

	begin(run_worker, 1);
	memset(load, 0x5a, sizeof(load));
	for (i = 0; i < 3; i++) { /* three inversions, one after the other */
		jobs[i] = (struct eddy_job)EDDY_JOB(invert, &load);
		submit(&jobs[i]);
		hear((int)i + 1);
		ck_assert_int_eq(eddy_job_rc(&jobs[i]), 0);
	}
	for (i = 0; i < sizeof(load); i++)
		ck_assert_uint_eq(load[i], 0xa5);
	finish();
}
END_TEST

START_TEST(an_idle_connection_that_has_ended_costs_no_job)
{
	struct bytes b = {4, 0};
	struct eddy_job job = EDDY_JOB(twice, &b);

	begin(run_worker, 1);
	submit(&job);
	hear(1);
	end(&rig.server);
	start_server();
	b.out = 0;
	submit(&job);
	hear(2);
	ck_assert_int_eq(job.outcome, EDDY_RETURNED);
	ck_assert_int_eq(b.out, 8);
	finish();
}
END_TEST

START_TEST(another_server_takes_what_a_dead_one_would)
{
	struct bytes b = {5, 0};
	struct eddy_job job = EDDY_JOB(twice, &b);
	int i, dead = free_port();

	begin(run_worker, 1);
	ck_assert_int_eq(
	    eddy_executor_close(&rig.cluster.executor, EDDY_S(1)), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	snprintf(rig.servers, sizeof(rig.servers), "127.0.0.1:%d,127.0.0.1:%d",
	    dead, rig.port);
	open_cluster(0);
	for (i = 1; i <= 2; i++) {
		submit(&job);
		hear(i);
		ck_assert_int_eq(job.outcome, EDDY_RETURNED);
	}
	ck_assert_int_eq(seen->runs, 2);
	finish();
}
END_TEST

/* 20 jobs: the worker has one that runs and perhaps the next one, the server the
 * others of 16, and 4 wait here. */
START_TEST(a_cancelled_job_that_has_not_begun_never_runs)
{
	struct bytes b[20], last = {1, 0};
	struct eddy_job jobs[20], next = EDDY_JOB(twice, &last);
	struct eddy_executor_stats stats;
	int i, lost = 0;

	begin(run_worker, 1);
	for (i = 0; i < 20; i++) {
		b[i].out = 0;
		jobs[i] = (struct eddy_job)EDDY_JOB(linger, &b[i]);
		submit(&jobs[i]);
	}
	await_runs(1);
	eddy_executor_stats(&rig.cluster.executor, &stats);
	ck_assert_uint_eq(stats.submitted, 20);
	ck_assert_uint_eq(stats.running, 16);
	ck_assert_uint_eq(stats.queued, 4);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(eddy_job_cancel(&jobs[i]), 0);
	hear(20);
	for (i = 0; i < 20; i++) {
		ck_assert_int_eq(eddy_job_rc(&jobs[i]), -ECANCELED);
		ck_assert_int_eq(b[i].out, 0);
		lost += jobs[i].outcome == EDDY_LOST; /* it was out */
	}
	ck_assert_int_ge(lost, 1);
	ck_assert_int_eq(jobs[19].outcome, EDDY_CANCELLED);
	ck_assert_int_eq(eddy_job_cancel(&jobs[19]), -EALREADY);
	while (connections() > 3) /* it hears of that; the worker has two */
		usleep(1000);
	submit(&next);
	while (rig.heard < 21) {
		let_go();
		ck_assert_int_ge(eddy_loop_step(rig.loop, EDDY_MS(1)), 0);
	}
	ck_assert_int_le(seen->runs, 3);
	eddy_executor_stats(&rig.cluster.executor, &stats);
	ck_assert_uint_eq(stats.returned, 1);
	ck_assert_uint_eq(stats.failed + stats.cancelled, 20);
	ck_assert_uint_eq(stats.running + stats.queued, 0);
	finish();
}
END_TEST

/* What is out is waited for, for as long as there is time. */
START_TEST(a_close_waits_for_what_is_out)
{
	struct bytes b = {1, 0}, last = {2, 0};
	struct eddy_job job = EDDY_JOB(linger, &b);
	struct eddy_job next = EDDY_JOB(twice, &last);

	begin(run_worker, 1);
	submit(&job);
	await_runs(1);
	submit(&next);
	let_go();
	ck_assert_int_eq(
	    eddy_executor_close(&rig.cluster.executor, EDDY_S(20)), 0);
	hear(2);
	ck_assert_int_eq(b.out, 7);
	ck_assert_int_eq(next.outcome, EDDY_CANCELLED);
	end_rig();
}
END_TEST

static int closed;

static void
on_time(struct eddy_loop *loop, struct eddy_timer *timer)
{
	(void)timer;
	closed = eddy_executor_close(&rig.cluster.executor, EDDY_MS(20));
	eddy_loop_stop(loop);
}

/* Too early for the job that is out. */
static void
close_early(bool in_callback)
{
	struct bytes b = {1, 0};
	struct eddy_job job = EDDY_JOB(linger, &b);
	struct eddy_timer timer;

	begin(run_worker, 1);
	submit(&job);
	await_runs(1);
	eddy_timer_init(&timer, on_time);
	if (in_callback) {
		eddy_timer_start(rig.loop, &timer, eddy_now());
		ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	} else {
		on_time(rig.loop, &timer);
		ck_assert_int_eq(job.outcome, EDDY_LOST);
	}
	ck_assert_int_eq(closed, -ETIME);
	while (eddy_loop_step(rig.loop, 0) > 0)
		;
	ck_assert_int_eq(job.outcome, EDDY_LOST);
	ck_assert_int_eq(job.result, -ECANCELED);
	ck_assert_int_eq(rig.heard, 1);
	end_rig();
}

START_TEST(a_close_gives_up_what_takes_too_long)
{
	close_early(false);
}
END_TEST

START_TEST(a_close_in_a_callback_gives_up_at_once)
{
	close_early(true);
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
	struct eddy_job job = EDDY_JOB(twice, &b), out = job;
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
	submit(&out);
	for (ms = 0; ms < 100; ms++) /* no worker: it is there by then */
		eddy_loop_step(rig.loop, EDDY_MS(1));
	ck_assert_int_eq(sh("ip link set " NS " down"), 0);
	start_beat();
	submit(&job);
	hear(2);
	ck_assert_int_eq(out.outcome, EDDY_LOST);
	ck_assert_int_eq(out.result, -ETIMEDOUT);
	ck_assert_int_eq(job.outcome, EDDY_LOST);
	end_beat();
	ck_assert_int_eq(
	    eddy_executor_close(&rig.cluster.executor, EDDY_S(20)), 0);
	ck_assert_int_eq(eddy_loop_run(rig.loop), 0);
	ck_assert_int_eq(eddy_loop_close(rig.loop), 0);
	end(&rig.server);
	/* A socket that waits for the link keeps the namespace: take that away. */
	(void)sh("ip netns pids " NS " | xargs -r kill -9; ip netns del " NS
		 "; ip link del " NS " 2>/dev/null");
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
	    a_job_of_the_largest_size_goes_there_and_back,
	    an_idle_connection_that_has_ended_costs_no_job,
	    another_server_takes_what_a_dead_one_would,
	    a_cancelled_job_that_has_not_begun_never_runs,
	    a_close_waits_for_what_is_out, a_close_gives_up_what_takes_too_long,
	    a_close_in_a_callback_gives_up_at_once,
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
