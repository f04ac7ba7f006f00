/* SPDX-License-Identifier: ISC */
#include "post.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <optional>

namespace asio = boost::asio;

static std::optional<asio::io_context> loop;

static void
open_loop()
{
	loop.emplace(1);
}

static void
post(unsigned, long)
{
	asio::post(*loop, [] {
		if (post_seen())
			loop->stop();
	});
}

static void
run()
{
	auto guard = asio::make_work_guard(*loop);

	loop->run();
}

static void
close_loop()
{
	loop.reset();
}

const struct post_peer post_asio = {open_loop, post, run, close_loop};
