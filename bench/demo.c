/* SPDX-License-Identifier: ISC */
/*
 * demo: the same blocking job inline on the loop, on threads, on processes.
 *
 * Every regular file below a directory is one job (open, read, hash) while a
 * heartbeat task wants to run each millisecond.  How late it is tells what the
 * jobs did to the loop.  The last pass adds a job that crashes and one that
 * hangs, and nobody else may notice.  --stall tells who blocks the loop.
 * Built with cluster.c, it can go through job servers, too.
 *
 * usage: demo [--stall] [--trace FILE] [--tsv FILE] [--servers HOST:PORT,...]
 *     [DIR]
 *        demo --worker HOST:PORT,...
 */
#include <eddy.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster.h"

#pragma weak cluster_open
#pragma weak cluster_serve

#define DEFAULT_DIR "/usr/bin" /* every Debian machine has it, and big files */
#define BEAT        EDDY_MS(1)
#define HANG_LIMIT  EDDY_MS(200)
#define STALL       EDDY_MS(10)

enum { PATH_SIZE = 4096, CHUNK = 32 << 10, BAR = 32 };

/* The job: flat bytes in, flat bytes out, plain blocking code. */

struct digest {
	char path[PATH_SIZE];
	uint64_t sum, bytes;
};

static int
hash_file(void *arg)
{
	struct digest *d = arg;
	unsigned char chunk[CHUNK];
	uint64_t sum = 0xcbf29ce484222325; /* 64-bit FNV-1a */
	ssize_t n, i;
	int error = 0, fd = open(d->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	d->bytes = 0;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		for (i = 0; i < n; i++)
			sum = (sum ^ chunk[i]) * 0x100000001b3;
		d->bytes += (uint64_t)n;
	}
	if (n < 0)
		error = errno;
	close(fd);
	d->sum = sum;
	return -error;
}

static int
crash(void *arg)
{
	(void)arg;
	return *(volatile int *)NULL;
}

static int
hang(void *arg)
{
	volatile bool for_ever = true;

	(void)arg;
	while (for_ever)
		;
	return 0;
}

static const struct cluster_function functions[] = {
    {"hash_file", hash_file, true}, {NULL, NULL, false}};

/* What there is to do. */

static char **paths; /* nftw's callback has no argument */
static size_t path_count;

static int
add_path(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	char **more;

	(void)ftw;
	if (type != FTW_F || !S_ISREG(st->st_mode) || strlen(path) >= PATH_SIZE)
		return 0;
	if ((path_count & (path_count - 1)) == 0) { /* double at powers of 2 */
		more = realloc(paths, (path_count * 2 + 1) * sizeof(*paths));
		if (more == NULL)
			return ENOMEM;
		paths = more;
	}
	paths[path_count] = strdup(path);
	return paths[path_count++] != NULL ? 0 : ENOMEM;
}

/* 0, or the reason why there is nothing to do. */
static const char *
find_files(const char *dir)
{
	DIR *open_dir = opendir(dir);

	if (open_dir == NULL)
		return strerror(errno);
	closedir(open_dir);
	if (nftw(dir, add_path, 32, FTW_PHYS) != 0)
		return strerror(ENOMEM);
	return path_count != 0 ? NULL : "no regular file below it";
}

/* One pass over the files. */

struct way {
	const char *name;
	struct eddy_executor *executor; /* NULL: inline */
	bool hostile;
	unsigned limit; /* files at once */

	unsigned files, unreadable, failed;
	uint64_t bytes, digest;
	double seconds;
	int64_t slowest; /* ns one file took, from start to result */
	int hostile_rc[2];
	struct eddy_job hostile_job[2];
	uint32_t *beats; /* us late, each beat */
	size_t beat_count, beat_room;
};

static void
draw_progress(const struct way *way)
{
	static int drawn = -1;
	int full = (int)((way->files + way->unreadable) * BAR / path_count);

	if (full == drawn || !isatty(STDERR_FILENO))
		return;
	drawn = full;
	fprintf(stderr, "\r%-10s [%.*s%*s]%s", way->name, full,
	    "################################", BAR - full, "",
	    full == BAR ? "\r\033[K" : "");
}

struct file {
	struct eddy_task task;
	struct way *way;
	const char *path;
	struct digest digest;
	int64_t began;
	int rc;
};

static void
note_file(struct file *f)
{
	struct way *way = f->way;
	int64_t took = eddy_now() - f->began;

	if (f->rc == 0) {
		way->files++;
		way->bytes += f->digest.bytes;
		way->digest += f->digest.sum;
	} else if (f->rc == -EOWNERDEAD || f->rc == -ETIME ||
		   f->rc == -EPROTO || f->rc == -EPIPE) {
		way->failed++; /* the worker, not the file */
	} else {
		way->unreadable++;
	}
	if (took > way->slowest)
		way->slowest = took;
	draw_progress(way);
}

static eddy_step
file(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct file, f);
	strcpy(f->digest.path, f->path);
	f->began = eddy_now();
	if (f->way->executor == NULL)
		f->rc = hash_file(&f->digest);
	else
		EDDY_AWAIT(f->rc, eddy_offload(self, f->way->executor,
				      hash_file, &f->digest));
	note_file(f);
	EDDY_END;
}

struct culprit {
	struct eddy_task task;
	struct way *way;
	int which;
	char nothing[1];
};

static eddy_step
culprit(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct culprit, f);
	f->way->hostile_job[f->which] = (struct eddy_job){
	    .fn = f->which == 0 ? crash : hang,
	    .arg = f->nothing,
	    .size = sizeof(f->nothing)};
	EDDY_AWAIT(f->way->hostile_rc[f->which],
	    eddy_timeout(self, HANG_LIMIT,
		eddy_job_run(
		    self, f->way->executor, &f->way->hostile_job[f->which])));
	f->way->failed += f->way->hostile_rc[f->which] < 0;
	EDDY_END;
}

struct pass {
	struct eddy_task task;
	struct way *way;
	size_t i;
};

static eddy_step
pass(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct pass, f);
	for (f->i = 0; f->i < path_count; f->i++) {
		if (f->way->hostile && f->i == path_count / 3)
			eddy_spawn(
			    self, EDDY_NEW(culprit, .way = f->way, .which = 0));
		if (f->way->hostile && f->i == path_count / 2)
			eddy_spawn(
			    self, EDDY_NEW(culprit, .way = f->way, .which = 1));
		EDDY_TRY(eddy_throttle(self, f->way->limit));
		if (eddy_spawn(self,
			EDDY_NEW(file, .way = f->way, .path = paths[f->i])) < 0)
			EDDY_RETURN(-ENOMEM);
	}
	EDDY_TRY(eddy_join_all(self));
	EDDY_END;
}

struct beat {
	struct eddy_task task;
	struct way *way;
	int64_t due;
};

static int
note_beat(struct way *way, int64_t late)
{
	uint32_t *more;

	if (way->beat_count == way->beat_room) {
		way->beat_room = way->beat_room * 2 + 1024;
		more = realloc(way->beats, way->beat_room * sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		way->beats = more;
	}
	way->beats[way->beat_count++] = (uint32_t)(late / EDDY_US(1));
	return 0;
}

/* Each millisecond wants its beat; those that were missed count as late too. */
static eddy_step
beat(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct beat, f);
	f->due = eddy_now();
	for (;;) {
		int64_t now;

		f->due += BEAT;
		if (f->due > eddy_now())
			EDDY_TRY(eddy_sleep(self, f->due - eddy_now()));
		now = eddy_now();
		if (note_beat(f->way, now - f->due) < 0)
			EDDY_RETURN(-ENOMEM);
	}
	EDDY_END;
}

struct run {
	struct eddy_task task;
	struct way *way;
	struct pass pass;
	struct beat beat;
	int64_t began;
	int rc;
};

static eddy_step
run(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct run, f);
	f->began = eddy_now();
	eddy_spawn(self, EDDY_INIT(&f->beat, beat, .way = f->way));
	EDDY_TRY(eddy_call(self, EDDY_INIT(&f->pass, pass, .way = f->way)));
	f->way->seconds = (double)(eddy_now() - f->began) / 1e9;
	eddy_cancel(&f->beat.task);
	EDDY_AWAIT(f->rc, eddy_join(self, &f->beat.task));
	EDDY_END;
}

enum { WARM_UP, INLINE, THREADS, PROCESSES, CLUSTER, HOSTILE, WAYS };

struct app {
	struct eddy_task task;
	struct eddy_zygote *zygote;
	struct eddy_executor *threads, *processes;
	const char *servers; /* NULL: none */
	struct cluster cluster;
	struct eddy_stall_watch *stall; /* NULL: none */
	const char *trace;              /* a file; NULL: none */
	unsigned cpus;
	struct way ways[WAYS];
	struct run run;
	int i, rc;
};

static int
open_executors(struct app *f)
{
	struct eddy_thread_pool_options threads = {.workers_max = f->cpus};
	struct eddy_process_pool_options processes = {
	    .zygote = f->zygote, .workers = f->cpus};
	int r = eddy_thread_pool_open(&f->threads, &threads);

	if (r == 0)
		r = eddy_process_pool_open(
		    &f->processes, f->task.loop, &processes);
	if (r == 0 && f->servers != NULL) {
		r = cluster_open(&f->cluster, f->task.loop,
		    &(struct cluster_options){
			.servers = f->servers, .table = functions});
		f->ways[CLUSTER] = (struct way){"cluster", &f->cluster.executor,
		    false, 2 * f->cpus, .files = 0};
	}
	f->ways[WARM_UP] = (struct way){
	    "warm-up", f->threads, false, 2 * f->cpus, .files = 0};
	f->ways[INLINE] = (struct way){"inline", NULL, false, 1, .files = 0};
	f->ways[THREADS] = (struct way){
	    "threads", f->threads, false, 2 * f->cpus, .files = 0};
	f->ways[PROCESSES] = (struct way){
	    "processes", f->processes, false, 2 * f->cpus, .files = 0};
	f->ways[HOSTILE] = (struct way){
	    "hostile", f->processes, true, 2 * f->cpus, .files = 0};
	return r;
}

/* Not all are there. */
static int
next_way(const struct way *ways, int i)
{
	while (++i < WAYS && ways[i].name == NULL)
		;
	return i;
}

static int
save_trace(struct eddy_loop *loop, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int r = fd < 0 ? -errno : eddy_trace_write(loop, fd);

	if (fd >= 0)
		close(fd);
	return r;
}

static eddy_step
app(struct eddy_task *self)
{
	EDDY_BEGIN(self, struct app, f);
	EDDY_TRY(eddy_complete(self, open_executors(f)));
	if (f->stall != NULL)
		EDDY_TRY(eddy_complete(
		    self, eddy_stall_start(self->loop, f->stall)));
	if (f->trace != NULL)
		EDDY_TRY(eddy_complete(self, eddy_trace_start(self->loop, 0)));
	for (f->i = 0; f->i < WAYS; f->i = next_way(f->ways, f->i))
		EDDY_TRY(eddy_call(
		    self, EDDY_INIT(&f->run, run, .way = &f->ways[f->i])));
	EDDY_FINALLY;
	if (f->trace != NULL)
		f->rc = save_trace(self->loop, f->trace);
	if (f->threads != NULL)
		eddy_executor_close(f->threads, EDDY_S(5));
	if (f->processes != NULL)
		eddy_executor_close(f->processes, EDDY_S(5));
	if (f->cluster.executor.ops != NULL)
		eddy_executor_close(&f->cluster.executor, EDDY_S(5));
	if (f->rc < 0)
		EDDY_RETURN(f->rc);
	EDDY_END;
}

/* What came of it. */

static int
ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* of a sorted way; p from 0 to 1 */
static uint32_t
beat_at(const struct way *way, double p)
{
	if (way->beat_count == 0)
		return 0;
	return way->beats[(size_t)(p * (double)(way->beat_count - 1))];
}

static void
print_table(struct way *ways)
{
	int i;

	printf("                                     heartbeat late by, ms\n");
	printf("%-10s %8s %8s %8s %8s %8s %8s\n", "way", "files/s", "MB/s",
	    "seconds", "p50", "p99", "max");
	for (i = INLINE; i < WAYS; i = next_way(ways, i)) {
		struct way *way = &ways[i];

		printf("%-10s %8.0f %8.0f %8.2f %8.2f %8.2f %8.2f\n", way->name,
		    way->files / way->seconds,
		    (double)way->bytes / 1e6 / way->seconds, way->seconds,
		    beat_at(way, 0.5) / 1e3, beat_at(way, 0.99) / 1e3,
		    beat_at(way, 1) / 1e3);
	}
}

/* The share of beats in each range of lateness, one cell a range. */
static void
print_picture(const struct way *ways)
{
	static const uint32_t edges[] = {100, 250, 500, 1000, 2500, 5000, 10000,
	    25000, 50000, 100000, UINT32_MAX};
	static const char *const labels[] = {".1", ".25", ".5", "1", "2.5", "5",
	    "10", "25", "50", "100", "more"};
	static const char *const blocks[] = {
	    "   .  ", "   _  ", "   ▂  ", "   ▄  ", "   ▆  ", "   █  "};
	static const char *const ascii[] = {
	    "   .  ", "   -  ", "   =  ", "   +  ", "   *  ", "   #  "};
	bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	size_t e, b, n = sizeof(edges) / sizeof(edges[0]);
	int i;

	printf("\n%-10s", "beats, ms");
	for (e = 0; e < n; e++)
		printf("%5s ", labels[e]);
	putchar('\n');
	for (i = INLINE; i < WAYS; i = next_way(ways, i)) {
		const struct way *way = &ways[i];

		printf("%-10s", way->name);
		for (e = b = 0; e < n; e++) {
			size_t from = b;
			double share;
			int level;

			while (b < way->beat_count && way->beats[b] <= edges[e])
				b++;
			share = (double)(b - from) / (double)way->beat_count;
			level = share <= 0      ? 0
			        : share < 0.001 ? 1
			        : share < 0.01  ? 2
			        : share < 0.1   ? 3
			        : share < 0.5   ? 4
			                        : 5;
			fputs(utf8 ? blocks[level] : ascii[level], stdout);
		}
		putchar('\n');
	}
	printf("%s\n",
	    utf8 ? "(. none  _ under 0.1 %  ▂ 1 %  ▄ 10 %  ▆ 50 %  █ more)"
		 : "(. none  - under 0.1 %  = 1 %  + 10 %  * 50 %  # more)");
}

static int
write_tsv(const char *path, const struct way *ways)
{
	FILE *out = fopen(path, "w");
	int i, error;

	if (out == NULL)
		return -errno;
	fprintf(out, "way\tfiles\tbytes\tseconds\tdigest\tbeat_p50_us\t"
		     "beat_p99_us\tbeat_max_us\tfailed\n");
	for (i = INLINE; i < WAYS; i = next_way(ways, i))
		fprintf(out,
		    "%s\t%u\t%" PRIu64 "\t%.6f\t%016" PRIx64
		    "\t%u\t%u\t%u\t%u\n",
		    ways[i].name, ways[i].files, ways[i].bytes, ways[i].seconds,
		    ways[i].digest, beat_at(&ways[i], 0.5),
		    beat_at(&ways[i], 0.99), beat_at(&ways[i], 1),
		    ways[i].failed);
	error = ferror(out) ? EIO : 0;
	if (fclose(out) != 0)
		error = errno;
	return -error;
}

/* True when everything came out as it must. */
static bool
judge(const struct way *ways)
{
	const struct way *hostile = &ways[HOSTILE];
	const struct eddy_job *crashed = &hostile->hostile_job[0];
	const struct way *last = &ways[PROCESSES];
	bool same = true, contained;
	int i;

	for (i = INLINE; i < WAYS; i = next_way(ways, i))
		same = same && ways[i].digest == ways[INLINE].digest &&
		       ways[i].files == ways[INLINE].files &&
		       ways[i].failed == (i == HOSTILE ? 2 : 0);
	contained = hostile->hostile_rc[0] == -EOWNERDEAD &&
	            crashed->outcome == EDDY_CRASHED &&
	            crashed->result == SIGSEGV &&
	            hostile->hostile_rc[1] == -ETIME;
	printf(
	    "\nThe slowest file took %.1f ms inline; %u could not be read.\n",
	    (double)ways[INLINE].slowest / 1e6, last->unreadable);
	printf("Digest %016" PRIx64 ": %s.\n", ways[INLINE].digest,
	    same ? "all ways agree" : "THE WAYS DISAGREE");
	printf("Hostile: one job crashed (%s, signal %d), one hung (%s);\n"
	       "%u of %u jobs failed.\n",
	    hostile->hostile_rc[0] == -EOWNERDEAD ? "-EOWNERDEAD" : "?",
	    crashed->result, hostile->hostile_rc[1] == -ETIME ? "-ETIME" : "?",
	    hostile->failed, hostile->files + hostile->unreadable + 2);
	return same && contained;
}

static int
complain(const char *what, const char *why)
{
	fprintf(stderr, "demo: %s: %s\n", what, why);
	return EXIT_FAILURE;
}

static int
report(struct app *f, const char *dir, const char *tsv)
{
	bool good;
	int i, r;

	for (i = 0; i < WAYS; i++)
		qsort(f->ways[i].beats, f->ways[i].beat_count, sizeof(uint32_t),
		    ascending);
	printf("%u files, %.1f MB below %s; %u CPUs, as many workers\n\n",
	    f->ways[INLINE].files, (double)f->ways[INLINE].bytes / 1e6, dir,
	    f->cpus);
	print_table(f->ways);
	print_picture(f->ways);
	good = judge(f->ways);
	r = tsv != NULL ? write_tsv(tsv, f->ways) : 0;
	if (r < 0)
		return complain(tsv, strerror(-r));
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"servers", required_argument, NULL, 'c'},
	    {"stall", no_argument, NULL, 's'},
	    {"trace", required_argument, NULL, 'r'},
	    {"tsv", required_argument, NULL, 't'},
	    {"worker", required_argument, NULL, 'w'}, {NULL, 0, NULL, 0}};
	static struct eddy_stall_watch stall = {.threshold = STALL};
	static struct app f;
	const char *dir, *why, *tsv = NULL;
	int c, r;

	setlocale(LC_CTYPE, "");
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 't')
			tsv = optarg;
		else if (c == 's')
			f.stall = &stall;
		else if (c == 'r')
			f.trace = optarg;
		else if (c == 'c' && cluster_open != NULL)
			f.servers = optarg;
		else if (c == 'w' && cluster_serve != NULL)
			return complain(optarg,
			    strerror(-cluster_serve(optarg, functions)));
		else
			return complain("usage",
			    "demo [--stall] [--trace FILE] [--tsv FILE] [DIR]; "
			    "--servers and --worker by make demo-cluster");
	}
	dir = optind < argc ? argv[optind] : DEFAULT_DIR;
	EDDY_INIT(&f, app, .cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
	    .stall = f.stall, .trace = f.trace, .servers = f.servers);
	/* Early: before big allocations and the first thread. */
	r = eddy_zygote_open(&f.zygote, 0);
	if (r < 0)
		return complain("zygote", strerror(-r));
	why = find_files(dir);
	r = why == NULL ? eddy_run(&f.task) : 0;
	eddy_zygote_close(f.zygote);
	if (why != NULL)
		return complain(dir, why);
	if (r < 0)
		return complain(
		    f.cluster.executor.ops == NULL && f.servers != NULL
			? f.servers
			: "run",
		    strerror(-r));
	r = report(&f, dir, tsv);
	for (c = 0; c < WAYS; c++)
		free(f.ways[c].beats);
	while (path_count > 0)
		free(paths[--path_count]);
	free(paths);
	return r;
}
