# SPDX-License-Identifier: Apache-2.0
"""What a malloc/free pair costs under each tool: pairs.cpp, at two depths of the stack, in one thread and in two."""
import json

import figures
import measuring
import tools
from tools import EXACT, FORWARD, HEAPTRACK, HEAPTRACK_ALONE, LSAN_FRAME_POINTERS, LSAN_LINKED, NOTHING, SAMPLED

TOOLS = (NOTHING, FORWARD, SAMPLED, tools.JEMALLOC, tools.JEMALLOC_SAMPLED, tools.TCMALLOC, tools.TCMALLOC_SAMPLED,
         EXACT, LSAN_LINKED, LSAN_FRAME_POINTERS, HEAPTRACK, HEAPTRACK_ALONE, tools.JEMALLOC_EXACT,
         tools.TCMALLOC_PROFILER, tools.VALGRIND)
TURNS = 3  # In each run: a turn is short.
DEPTHS = (10, 50)
KINDS = {"one_thread": "one thread", "two_threads": "two threads", "other_thread": "freed by another"}
ROWS = {f"{kind}/{depth}": f"depth {depth}, {text}" for depth in DEPTHS for kind, text in KINDS.items()}


def measure(bench):
    for turn in range(TURNS * bench.runs):
        for tool in tools.installed(*TOOLS):
            if turn < (1 if tool.slow else TURNS * bench.runs) and not bench.failed("pairs", tool):
                measure_once(bench, tool)


def measure_once(bench, tool):
    out = bench.out()
    results = out / "pairs.json"
    command = [tool.program("pairs"), f"--benchmark_min_time={0.02 if tool.slow else 0.05}",
               "--benchmark_out_format=json", f"--benchmark_out={results}"]
    if measuring.run(bench, "pairs", tool, command, out) is None:
        return
    for result in json.loads(results.read_text())["benchmarks"]:
        bench.add("/".join(result["name"].split("/")[:2]), tool, result["pair_ns"])


def tables(bench):
    return "\n\n".join([costs(bench), ratios(bench), scaling(bench)])


def costs(bench):
    rows = []
    for tool in TOOLS:
        if not bench.has(tool):
            continue
        cells = []
        for row in ROWS:
            if tool.base is None or tool in (tools.JEMALLOC, tools.TCMALLOC):
                cells.append(figures.number(bench.median(row, tool), "{:.1f} ns"))
            else:
                cells.append(bench.cell("pairs", tool, bench.added(row, tool), "{:+,.1f} ns"))
        note = f", over {tool.base.name}" if tool.base not in (None, NOTHING) else ""
        rows.append([tool.name + note, *cells])
    return figures.table(["added to a malloc/free pair (16 to 256 B)", *ROWS.values()], rows)


# What is to add to a pair at most how much of what another does. Whether the first holds, instructions tell: the clock
# does not see so little. LeakSanitizer brings an allocator of its own, to which freeing another thread's blocks costs
# less than glibc, so that there is nothing to compare with.
RATIOS = {(SAMPLED, FORWARD): 2, (EXACT, HEAPTRACK): 0.1, (EXACT, HEAPTRACK_ALONE): 0.1, (EXACT, LSAN_LINKED): 1,
          (EXACT, LSAN_FRAME_POINTERS): 1}
NOISE_NS = 1  # A difference below that is not one.


def added_ratio(bench, row, tool, other):
    """Of what two tools add to a pair; None where that is too little to be told from noise."""
    if row.startswith("other_thread") and other in (LSAN_LINKED, LSAN_FRAME_POINTERS):
        return None
    added, least = bench.added(row, tool), bench.added(row, other)
    return None if added is None or least is None or least < NOISE_NS else added / least


def ratios(bench):
    rows = []
    for tool, other in RATIOS:
        cells = [figures.number(added_ratio(bench, row, tool, other)) or "–" for row in ROWS]
        rows.append([f"{tool.name} / {other.name}", *cells])
    return figures.table(["ratio of what they add", *ROWS.values()], rows)


def two_over_one(bench, tool, depth):
    one, two = bench.median(f"one_thread/{depth}", tool), bench.median(f"two_threads/{depth}", tool)
    return two / one if one and two else None


def scaling(bench):
    shown = [tool for tool in (NOTHING, FORWARD, SAMPLED, EXACT, LSAN_LINKED, HEAPTRACK_ALONE) if bench.has(tool)]
    rows = []
    for tool in shown:
        cells = [figures.number(two_over_one(bench, tool, depth)) for depth in DEPTHS]
        rows.append([tool.name, *cells])
    head = [f"depth {depth}" for depth in DEPTHS]
    return figures.table(["a pair on two threads over one on one thread", *head], rows)


def aims(bench):
    for (tool, other), bound in RATIOS.items():
        if tool is EXACT:
            yield figures.Aim(f"added to a malloc/free pair: {tool.name} / {other.name}, the worst", bound,
                              figures.worst(added_ratio(bench, row, tool, other) for row in ROWS))
    yield figures.Aim(f"a pair on two threads over one on one: {EXACT.name}", 1.2, figures.worst(
        two_over_one(bench, EXACT, depth) for depth in DEPTHS))
