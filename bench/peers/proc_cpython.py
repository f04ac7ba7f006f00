# SPDX-License-Identifier: ISC
"""CPython's ProcessPoolExecutor: the jobs of proc.h, and its way to recover.

Fields as in struct proc_load and struct proc_host; prints ns.
"""
import collections
import concurrent.futures
import os
import signal
import sys
import time

FREE, TWO_CPUS, ONE_CPU = range(3)


def work(data):
    return data


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def run(pool, n, window, data):
    out = collections.deque()
    for _ in range(n):
        out.append(pool.submit(work, data))
        if len(out) >= window:
            out.popleft().result()
    while out:
        out.popleft().result()


def jobs(peer, workers, depth, window, n, size, place):
    if place == ONE_CPU:
        os.sched_setaffinity(0, {0})
    data = bytes(size)
    with concurrent.futures.ProcessPoolExecutor(workers) as pool:
        run(pool, 4 * window, window, data)
        if place == TWO_CPUS:
            for task in os.listdir("/proc/self/task"):
                os.sched_setaffinity(int(task), {0})
            for pid in pool._processes:
                os.sched_setaffinity(pid, {1})
        began = time.perf_counter_ns()
        run(pool, n, window, data)
        return (time.perf_counter_ns() - began) / n


def crash(mib, late, n):
    memory = bytearray(b"\1") * (mib << 20)
    pool = concurrent.futures.ProcessPoolExecutor(1)
    total = 0
    for _ in range(n):
        pool.submit(work, None).result()
        began = time.perf_counter_ns()
        try:
            pool.submit(die).result()
        except concurrent.futures.process.BrokenProcessPool:
            pool.shutdown()
            pool = concurrent.futures.ProcessPoolExecutor(1)
        pool.submit(work, None).result()
        total += time.perf_counter_ns() - began
    pool.shutdown()
    del memory
    return total / n


print({"jobs": jobs, "crash": crash}[sys.argv[1]](*map(int, sys.argv[2:])))
