# SPDX-License-Identifier: ISC
"""One measured run of asyncio, or uvloop, and a ThreadPoolExecutor; the words of
the command line are those of pool_child.c.  A hundredth of the jobs suffices."""
import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor

peer, workers, window, jobs, work, *_ = map(int, sys.argv[2:11])
jobs = max(window, jobs // 100)


def job():
    until = time.monotonic_ns() + work
    while work and time.monotonic_ns() < until:
        pass


async def chain(loop, pool, left):
    while left[0] > 0:
        left[0] -= 1
        await loop.run_in_executor(pool, job)


async def run(pool, n):
    left = [n]
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(chain(loop, pool, left) for _ in range(window)))


async def main():
    with ThreadPoolExecutor(workers) as pool:
        await run(pool, 4 * window)  # workers start
        used, began = time.process_time_ns(), time.monotonic_ns()
        await run(pool, jobs)
        began = time.monotonic_ns() - began
        used = time.process_time_ns() - used
    print(began / jobs, used / jobs, 0, 0)


if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.install()
asyncio.run(main())
