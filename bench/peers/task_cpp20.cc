/* SPDX-License-Identifier: ISC */
/*
 * C++20 coroutines on eddy's loop, as lean as the language makes them: no
 * scopes, no cancellation, no errors.
 */
#include "task.h"

#include <algorithm>
#include <coroutine>
#include <exception>

#include "list.h"

namespace {

eddy_ready *queue;

/* Resumed by the loop, destroyed at its end. */
struct fiber {
	struct promise_type : eddy_ready {
		fiber get_return_object()
		{
			run = resume;
			return {this};
		}
		std::suspend_always initial_suspend() { return {}; }
		std::suspend_never final_suspend() noexcept { return {}; }
		void return_void() {}
		void unhandled_exception() { std::terminate(); }

		static void resume(eddy_loop *, eddy_ready *ready)
		{
			auto &self = static_cast<promise_type &>(*ready);

			std::coroutine_handle<promise_type>::from_promise(self)
			    .resume();
		}
	};
	eddy_ready *ready;
};

using fiber_handle = std::coroutine_handle<fiber::promise_type>;

struct yield {
	bool await_ready() { return false; }
	void await_suspend(fiber_handle h) { list_push(queue, &h.promise()); }
	void await_resume() {}
};

/* The compiler may not know that it is complete. */
struct complete {
	bool await_ready()
	{
		asm volatile("" : "+r"(done));
		return done;
	}
	void await_suspend(std::coroutine_handle<>) {}
	int await_resume() { return 0; }
	bool done = true;
};

/* Lazy: starts when awaited, returns to who awaits. */
struct task {
	struct promise_type {
		task get_return_object() { return {handle::from_promise(*this)}; }
		std::suspend_always initial_suspend() { return {}; }
		void return_void() {}
		void unhandled_exception() { std::terminate(); }

		struct give_back {
			bool await_ready() noexcept { return false; }
			std::coroutine_handle<> await_suspend(
			    std::coroutine_handle<promise_type> h) noexcept
			{
				return h.promise().caller;
			}
			void await_resume() noexcept {}
		};
		give_back final_suspend() noexcept { return {}; }
		std::coroutine_handle<> caller;
	};
	using handle = std::coroutine_handle<promise_type>;

	bool await_ready() { return false; }
	handle await_suspend(std::coroutine_handle<> caller)
	{
		me.promise().caller = caller;
		return me;
	}
	void await_resume() {}
	~task() { me.destroy(); }
	handle me;
};

/* The first one reads the clock, between its turns: n of them for everybody. */
fiber
yielder(long n, int64_t *ns)
{
	co_await yield{};
	if (ns != nullptr)
		*ns -= eddy_now();
	for (long i = 0; i < n; i++)
		co_await yield{};
	if (ns != nullptr)
		*ns += eddy_now();
}

fiber
completer(long n, int64_t *ns)
{
	*ns -= eddy_now();
	for (long i = 0; i < n; i++)
		co_await complete{};
	*ns += eddy_now();
}

[[gnu::noinline]] task
empty()
{
	co_return;
}

fiber
caller(long n, int64_t *ns)
{
	*ns -= eddy_now();
	for (long i = 0; i < n; i++)
		co_await empty();
	*ns += eddy_now();
}

[[gnu::noinline]] fiber
kid(long *left, eddy_ready *parent)
{
	if (--*left == 0)
		list_push(queue, parent);
	co_return;
}

/* Spawns a batch and suspends; the last kid to end resumes. */
struct batch {
	bool await_ready() { return false; }
	void await_suspend(fiber_handle h)
	{
		for (long i = left; i > 0; i--)
			list_push(queue, kid(&left, &h.promise()).ready);
	}
	void await_resume() {}
	long left;
};

fiber
spawner(long n, int64_t *ns)
{
	*ns -= eddy_now();
	for (long i = 0; i < n; i += TASK_BATCH)
		co_await batch{std::min(n - i, long{TASK_BATCH})};
	*ns += eddy_now();
}

struct on_loop {
	on_loop()
	{
		if (eddy_loop_open(&loop, nullptr) < 0)
			std::terminate();
		queue = task_queue(loop);
	}
	~on_loop() { eddy_loop_close(loop); }
	void start(fiber f) { list_push(queue, f.ready); }
	void run() { eddy_loop_run(loop); }
	eddy_loop *loop;
};

double
yields(long n)
{
	long turns = n / task_count + 1;
	int64_t ns = 0;
	on_loop l;

	for (long i = 0; i < task_count; i++)
		l.start(yielder(turns, i == 0 ? &ns : nullptr));
	l.run();
	return double(ns) / double(turns * task_count);
}

template <fiber (*body)(long, int64_t *)>
double
alone(long n)
{
	int64_t ns = 0;
	on_loop l;

	l.start(body(n, &ns));
	l.run();
	return double(ns) / double(n);
}

} // namespace

const task_peer task_cpp20 = {
    yields, alone<completer>, alone<caller>, alone<spawner>};
