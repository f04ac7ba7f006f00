/* SPDX-License-Identifier: ISC */
#include "pool.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <optional>
#include <vector>

namespace asio = boost::asio;

static asio::io_context loop(1);
static std::optional<asio::thread_pool> pool;

static void
submit(pool_unit *unit)
{
	asio::post(*pool, [unit] {
		pool_work(unit);
		asio::post(loop, [unit] {
			if (pool_again(unit))
				submit(unit);
			else if (pool_over())
				loop.stop();
		});
	});
}

void
pool_asio(const struct pool_load *load, bool first)
{
	auto guard = asio::make_work_guard(loop);
	std::vector<pool_unit> units(static_cast<size_t>(load->window));

	if (first)
		pool.emplace(static_cast<size_t>(load->workers));
	loop.restart();
	for (auto &unit : units) {
		pool_start(&unit, load);
		submit(&unit);
	}
	loop.run();
}
