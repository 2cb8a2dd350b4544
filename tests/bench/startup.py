# SPDX-License-Identifier: Apache-2.0
"""Microseconds that a process takes from spawn to its end, on the clock and of the processor, over an empty preload:
medians of many."""
import itertools
import os
import time

import figures
import measuring
import tools
from tools import EMPTY, EXACT, FORWARD, SAMPLED

TOOLS = (EMPTY, FORWARD, SAMPLED, EXACT, tools.JEMALLOC, tools.JEMALLOC_SAMPLED, tools.HEAPTRACK_ALONE,
         tools.LSAN_PRELOADED)
COMMANDS = {"/bin/true": ["/bin/true"], "a tiny C++ program": [tools.BUILD / "tests/bench/tiny"]}
CLOCKS = ("clock", "processor")
SPAWNS = 200  # Of each in each run.


def measure(bench):
    out = bench.out()
    for _ in range(bench.runs * SPAWNS):
        for row, command in COMMANDS.items():
            for tool in tools.installed(*TOOLS):
                spawn(bench, row, tool, [str(word) for word in command], out)


def spawn(bench, row, tool, words, out):
    started = time.perf_counter_ns()
    pid = os.posix_spawn(words[0], words, tool.with_environment(measuring.ENVIRONMENT, out))
    _, status, usage = os.wait4(pid, 0)
    took_us = (time.perf_counter_ns() - started) / 1000
    if status == 0:
        bench.add(f"{row}: clock", tool, took_us)
        bench.add(f"{row}: processor", tool, (usage.ru_utime + usage.ru_stime) * 1e6)
    elif not bench.failed(row, tool):
        measuring.give_up(bench, row, tool, f"ended with {status}")


def tables(bench):
    rows = []
    for tool in TOOLS:
        cells = []
        for command, what in itertools.product(COMMANDS, CLOCKS):
            row = f"{command}: {what}"
            value = bench.median(row, tool) if tool is EMPTY else bench.added(row, tool, base=EMPTY)
            cells.append(bench.cell(command, tool, value, "{:,.0f} µs" if tool is EMPTY else "{:+,.0f} µs"))
        rows.append([tool.name, *cells])
    head = [f"{command}, {what}" for command, what in itertools.product(COMMANDS, CLOCKS)]
    return figures.table(["start-up and end of", *head], rows)


def aims(bench):
    for tool in (SAMPLED, EXACT):
        yield figures.Aim(f"start-up and end of /bin/true and of a tiny C++ program: {tool.name}", 300, figures.worst(
            bench.added(f"{command}: clock", tool, base=EMPTY) for command in COMMANDS), "{:.0f} µs")
