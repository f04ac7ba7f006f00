/* SPDX-License-Identifier: ISC */
/*
 * example: tasks in C++.  Two of them, an offload and a timeout.
 *
 * A frame is a struct whose first member is its task; its coroutine is a static
 * member function, and its constructor calls eddy_prepare.  From the root of
 * the repository, with g++ or clang++, C++11 or later:
 *   g++ -std=c++17 -Wall -Wextra -pedantic -Iinclude test/cxx/example.cc \
 *       build/libeddy.a -pthread
 */
#include <eddy.h>

#include <cctype>
#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace
{

/* What a job works on is flat, in C++ too: no std::string in here. */
struct words {
	char text[64];
	int count;
};

int
count_words(void *arg)
{
	words *w = static_cast<words *>(arg);
	bool inside = false;

	for (const char *p = w->text; *p != '\0'; p++) {
		bool letter = std::isalpha(static_cast<unsigned char>(*p)) != 0;

		w->count += letter && !inside;
		inside = letter;
	}
	return 0;
}

int
dawdle(void *)
{
	while (!eddy_job_stop_requested())
		;
	return -ECANCELED;
}

struct ticker {
	eddy_task task;
	std::string name; /* has a destructor: the frame is a good place */
	int ticks = 0;

	explicit ticker(const char *n) : name(n)
	{
		eddy_prepare(&task, run, "ticker");
	}

	static eddy_step
	run(eddy_task *self)
	{
		EDDY_BEGIN(self, ticker, f);
		for (;;) {
			EDDY_TRY(eddy_sleep(self, EDDY_MS(1)));
			f->ticks++;
		}
		EDDY_FINALLY;
		std::printf("%s: left after %s\n", f->name.c_str(),
		    f->ticks > 0 ? "ticking" : "nothing");
		EDDY_END;
	}
};

struct app {
	eddy_task task;
	ticker tick{"tick"};
	words job = {"one two three", 0};
	char nothing = 0;
	int rc = 0;

	app()
	{
		eddy_prepare(&task, run, "app");
	}

	/* No await in a try block, and no exception leaves a coroutine. */
	int
	check() const
	{
		try {
			if (job.count != 3)
				throw std::logic_error("cannot count");
		} catch (const std::exception &e) {
			std::printf("%s\n", e.what());
			return -EINVAL;
		}
		return 0;
	}

	static eddy_step
	run(eddy_task *self)
	{
		EDDY_BEGIN(self, app, f);
		EDDY_TRY(eddy_complete(self, eddy_spawn(self, &f->tick.task)));
		EDDY_TRY(eddy_offload(self, nullptr, count_words, &f->job));
		EDDY_TRY(eddy_complete(self, f->check()));
		EDDY_AWAIT(f->rc,
		    eddy_timeout(self, EDDY_MS(20),
			eddy_offload(self, nullptr, dawdle, &f->nothing)));
		std::printf("%d words; then %s\n", f->job.count,
		    f->rc == -ETIME ? "too late" : "in time");
		eddy_cancel(&f->tick.task, "all is done");
		EDDY_AWAIT(f->rc, eddy_join(self, &f->tick.task));
		EDDY_RETURN(f->rc == -ECANCELED ? 0 : -EPROTO);
		EDDY_END;
	}
};

} /* namespace */

int
main()
{
	app f;

	return eddy_run(&f.task) < 0;
}
