/* SPDX-License-Identifier: ISC */
/*
 * trace: what a loop and its jobs did when, for a viewer.
 *
 * Events go to a ring; the oldest are lost.  Who submits, runs or hears of a
 * job writes, too, so there is a lock; and as a worker may be about to, the
 * ring lives as long as the loop.
 */
#include <eddy/trace.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <eddy/task.h>

#include "executor_impl.h"
#include "sys.h"
#include "task_impl.h"
#include "text.h"

#pragma weak eddy__task_ring /* only tasks need it */

enum { EVENTS = 65536 };

struct event {
	int64_t at, duration; /* ns */
	const void *id;       /* of a job; or the function of a callback */
	const char *kind;     /* static */
	int what;             /* a note, or SLICE */
	int thread;
	const struct eddy_site *site; /* static: where a task is; or NULL */
	char name[32];
};
enum { SLICE = -1 };

struct trace {
	struct observer observer;
	struct eddy_loop *loop;
	pthread_mutex_t lock; /* guards what follows */
	struct event *events; /* the ring */
	unsigned size;
	uint64_t count; /* ever */
	bool on;
};

static struct trace *
trace_of(struct observer *observer)
{
	return CONTAINER_OF(observer, struct trace, observer);
}

static void
record(struct trace *trace, const struct event *event)
{
	pthread_mutex_lock(&trace->lock);
	if (trace->on)
		trace->events[trace->count++ % trace->size] = *event;
	pthread_mutex_unlock(&trace->lock);
}

/* A callback that is about to be run, and may free itself. */
static void
identify(struct event *event, struct eddy_ready *ready)
{
	const struct kind *kind = eddy__kind_of(ready->run);
	const struct eddy_task *task;

	event->kind = kind->name;
	memcpy(&event->id, (const char *)ready + kind->fn, sizeof(event->id));
	event->site = NULL;
	snprintf(event->name, sizeof(event->name), "%s", kind->name);
	if (strcmp(kind->name, "task") != 0)
		return;
	task = ready->run == eddy__task_ring
	           ? task_of_alarm(due_of(ready)->alarm)
	           : CONTAINER_OF(ready, struct eddy_task, use.ready);
	if (task->name != NULL)
		snprintf(event->name, sizeof(event->name), "%s", task->name);
	event->site = task->at;
}

/* Run the batch, in place of the loop. */
static void
run_batch(struct observer *observer)
{
	struct trace *trace = trace_of(observer);
	struct eddy_loop *loop = trace->loop;
	struct event turn = {.what = SLICE, .kind = "loop", .name = "turn"};
	struct event event = {.what = SLICE};
	struct eddy_ready *ready;

	turn.at = event.at = eddy_now();
	turn.thread = event.thread = eddy__gettid();
	while ((ready = list_pop(&loop->batch)) != NULL) {
		identify(&event, ready);
		loop->called = ready;
		ready->run(loop, ready);
		event.duration = eddy_now() - event.at;
		record(trace, &event);
		event.at += event.duration;
	}
	turn.duration = event.at - turn.at;
	if (turn.duration != 0)
		record(trace, &turn);
}

/* Any thread, while the loop is open. */
static void
note(struct observer *observer, enum loop_note what, int thread,
    const struct eddy_job *job)
{
	struct event event = {.at = eddy_now(), .what = (int)what, .id = job};

	event.thread = thread != 0 ? thread : eddy__gettid();
	event.kind = job != NULL ? "job" : "stall";
	snprintf(event.name, sizeof(event.name), "%s",
	    job != NULL ? job_name(job) : "stall");
	record(trace_of(observer), &event);
}

/* As the inside of a JSON string, without the rest of a UTF-8 character that was
 * cut, here or before. */
static const char *
escape(char *to, size_t size, const char *from)
{
	size_t n = 0, tail = 0;

	for (; from != NULL && *from != '\0' && n + 3 < size; from++) {
		if (*from == '"' || *from == '\\')
			to[n++] = '\\';
		to[n++] = (unsigned char)*from < ' ' ? ' ' : *from;
	}
	while (tail < n && tail < 3 && (to[n - 1 - tail] & 0xc0) == 0x80)
		tail++;
	/* The first byte says with ones how many there are. */
	if (tail < n && (to[n - 1 - tail] & 0xff) >= 0x100 - (0x40 >> tail))
		n -= tail + 1;
	to[n] = '\0';
	return to;
}

/* One event in a phase of the format; the caller ends it. */
static void
write_phase(struct text *text, const struct event *event, char phase)
{
	char name[2 * sizeof(event->name)];

	/* No %f: in some locales that has a comma. */
	eddy__print(text,
	    ",\n{\"ph\":\"%c\",\"pid\":%d,\"tid\":%d,\"ts\":%" PRId64
	    ".%03d,\"cat\":\"%s\",\"name\":\"%s\"",
	    phase, eddy__getpid(), event->thread, event->at / 1000,
	    (int)(event->at % 1000), event->kind,
	    escape(name, sizeof(name), event->name));
}

static void
write_slice(struct text *text, const struct event *event)
{
	const struct eddy_site *site = event->site;
	char operation[512], file[256];

	write_phase(text, event, 'X');
	eddy__print(text, ",\"dur\":%" PRId64 ".%03d", event->duration / 1000,
	    (int)(event->duration % 1000));
	if (site != NULL)
		eddy__print(text,
		    ",\"args\":{\"at\":\"%s:%d\",\"after\":\"%s\"}",
		    escape(file, sizeof(file), site->file), site->line,
		    escape(operation, sizeof(operation), site->text));
	else if (event->id != NULL)
		eddy__print(text, ",\"args\":{\"function\":\"%p\"}", event->id);
	eddy__print(text, "}");
}

/* A job is a span from submit to outcome, a slice where it runs, and a flow. */
static void
write_event(struct text *text, const struct event *event)
{
	static const char *const phases[] = {[JOB_OUT] = "bs",
	    [JOB_BEGUN] = "Bt",
	    [JOB_OVER] = "E",
	    [JOB_HEARD] = "ef",
	    [STALLED] = "i"};
	const char *phase;

	if (event->what == SLICE) {
		write_slice(text, event);
		return;
	}
	for (phase = phases[event->what]; *phase != '\0'; phase++) {
		write_phase(text, event, *phase);
		eddy__print(text, ",\"id\":\"%p\",\"bp\":\"e\"}", event->id);
	}
}

int
eddy_trace_write(struct eddy_loop *loop, int fd)
{
	struct text text = {.fd = fd};
	int r = eddy__loop_mine(loop);
	struct trace *trace;
	uint64_t i;

	if (r == 0 && loop->trace == NULL)
		r = -ENOENT;
	if (r < 0)
		return r;
	trace = trace_of(loop->trace);
	pthread_mutex_lock(&trace->lock);
	i = trace->count > trace->size ? trace->count - trace->size : 0;
	eddy__print(&text,
	    "{\"otherData\":{\"lost\":%" PRIu64 "},\"traceEvents\":[\n"
	    "{\"ph\":\"M\",\"pid\":%d,\"name\":\"process_labels\","
	    "\"args\":{\"labels\":\"eddy\"}}",
	    i, eddy__getpid());
	for (; text.error == 0 && i < trace->count; i++)
		write_event(&text, &trace->events[i % trace->size]);
	pthread_mutex_unlock(&trace->lock);
	eddy__print(&text, "\n]}\n");
	return eddy__print_end(&text);
}

static void
leave(struct observer *observer, bool here)
{
	struct trace *trace = trace_of(observer);

	/* A loop that is given up with jobs out keeps its record, too. */
	if (here && eddy__loop_jobs(trace->loop))
		return;
	trace->loop->trace = NULL;
	A_STORE(&trace->loop->door->trace, NULL);
	eddy__free(trace->events);
	eddy__free(trace);
}

int
eddy_trace_start(struct eddy_loop *loop, unsigned n)
{
	size_t size = n != 0 ? n : EVENTS;
	struct event *events, *old;
	struct trace *trace = NULL;
	int r = eddy__loop_mine(loop);

	if (r == 0 && loop->trace != NULL) {
		trace = trace_of(loop->trace);
		r = trace->on ? -EBUSY : 0;
	}
	if (r < 0)
		return r;
	events = size <= SIZE_MAX / sizeof(*events)
	             ? eddy__alloc(size * sizeof(*events))
	             : NULL;
	if (events != NULL && trace == NULL)
		trace = eddy__alloc(sizeof(*trace));
	if (events == NULL || trace == NULL) {
		eddy__free(events);
		return -ENOMEM;
	}
	if (loop->trace == NULL) {
		trace->observer = (struct observer){run_batch, leave, note};
		trace->loop = loop;
		pthread_mutex_init(&trace->lock, NULL);
		loop->trace = &trace->observer;
		A_RELEASE(&loop->door->trace, loop->trace);
	}
	pthread_mutex_lock(&trace->lock);
	old = trace->events;
	trace->events = events;
	trace->size = (unsigned)size;
	trace->count = 0;
	trace->on = true;
	pthread_mutex_unlock(&trace->lock);
	eddy__free(old);
	return 0;
}

int
eddy_trace_stop(struct eddy_loop *loop)
{
	int r = eddy__loop_mine(loop);
	struct trace *trace;

	if (r < 0 || loop->trace == NULL)
		return r;
	trace = trace_of(loop->trace);
	pthread_mutex_lock(&trace->lock);
	trace->on = false;
	pthread_mutex_unlock(&trace->lock);
	return 0;
}
