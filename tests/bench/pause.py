# SPDX-License-Identifier: Apache-2.0
"""How long a leak check keeps other threads from running, beside a clone of the process that does nothing: pause.c."""
import json
import subprocess
import sys

import figures
import measuring
import tools
from tools import EXACT_ON_REQUEST, LSAN_LINKED, NOTHING, SAMPLED

HEAP_BYTES = {"0.1 GB": 100_000_000, "1 GB": 1_000_000_000, "4 GB": 4_000_000_000}
CHECKS = {"0.1 GB": 5, "1 GB": 3, "4 GB": 1}  # That a process makes of one heap.
TOOLS = (NOTHING, EXACT_ON_REQUEST, SAMPLED, LSAN_LINKED)
CHECKERS = TOOLS[1:]
SEEP = (EXACT_ON_REQUEST, SAMPLED)


def measure(bench):
    for turn in range(bench.runs):
        for heap, size in HEAP_BYTES.items():
            if size * 1.5 < tools.available_bytes() and turn < (1 if heap == "4 GB" else bench.runs):
                for tool in TOOLS:
                    check(bench, tool, heap, size)


def check(bench, tool, heap, size):
    out = bench.out()
    command = [str(word) for word in (tool.program("pause"), size, CHECKS[heap])]
    said = subprocess.run(command, env=tool.with_environment(measuring.ENVIRONMENT, out), capture_output=True,
                          text=True, check=False)
    lines = said.stdout.splitlines()
    if said.returncode != 0 or len(lines) != CHECKS[heap]:
        sys.exit(f"bench: {command[0]} under {tool.name} ended with {said.returncode}:\n{said.stderr}")
    for line in lines:
        took_ns, gap_ns, idle_ns = map(int, line.split())
        bench.add(f"{heap} took", tool, took_ns)
        bench.add(f"{heap} gap", tool, gap_ns)
        bench.add(f"{heap} idle", NOTHING, idle_ns)
    if tool in SEEP:
        add_searched(bench, tool, heap, out)


def add_searched(bench, tool, heap, out):
    reported = subprocess.run([str(tools.SEEP), "report", "--format", "json", str(out)], capture_output=True,
                              check=True)
    scan = json.loads(reported.stdout)["processes"][0]["scan"]
    if not scan["in_copy"]:
        sys.exit(f"bench: the scan under {tool.name} was not made in a copy: {scan}")
    bench.add(f"{heap} searched", tool, scan["searched_bytes"] / (scan["duration_ns"] - scan["pause_ns"]))


def tables(bench):
    """The clone's row is its caller's time in the call: other threads go on meanwhile."""
    heaps = [heap for heap in HEAP_BYTES if bench.median(f"{heap} took", NOTHING) is not None]

    def row(name, key, tool, scale, form):
        cells = []
        for heap in heaps:
            value, clone = bench.median(f"{heap} {key}", tool), bench.median(f"{heap} took", NOTHING)
            cells.append("" if value is None else form.format(value / scale, value / clone))
        return [name, *cells]

    rows = [row("the clone alone", "took", NOTHING, 1e6, "{:.1f} ms")]
    rows += [row(f"{tool.name}: others stand still", "gap", tool, 1e6, "{:.1f} ms ({:.1f})") for tool in CHECKERS]
    rows.append(row("the longest gap when nothing is done", "idle", NOTHING, 1e6, "{:.1f} ms"))
    rows += [row(f"{tool.name}: until the verdict", "took", tool, 1e9, "{:.2f} s") for tool in CHECKERS]
    rows += [row(f"{tool.name}: searched", "searched", tool, 1, "{:.2f} GB/s") for tool in SEEP]
    return figures.table(["a leak check of a heap of (ratio to the clone)", *heaps], rows)
