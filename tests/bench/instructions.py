# SPDX-License-Identifier: Apache-2.0
"""Instructions that a malloc/free pair takes, counted by callgrind: what is too little to be timed.

Not of exact mode: Valgrind hides the vDSO, without which it asks the kernel for the time of each event, and does not take
its fast path.
"""
import callgrind
import figures
import measuring
import tools
from tools import FORWARD, NOTHING, SAMPLED

TOOLS = (NOTHING, FORWARD, SAMPLED)
HOOKS = ("malloc", "free")
DEPTHS = (10, 50)
PAIRS = 200_000


def measure(bench):
    if not tools.VALGRIND.is_installed():
        return
    for tool in tools.installed(*TOOLS):
        for depth in DEPTHS:
            measure_once(bench, tool, depth)


def measure_once(bench, tool, depth):
    """Of twice as many pairs less so many, so that the beginning and the end do not count."""
    files = [count(bench, tool, depth, pairs) for pairs in (PAIRS, 2 * PAIRS)]
    if None in files:
        return
    totals = [callgrind.total_of(file) for file in files]
    bench.add(f"pair/{depth}", tool, (totals[1] - totals[0]) / PAIRS)
    counts = [callgrind.counts_of(file) for file in files]
    library = callgrind.object_name(tool.environment.get("LD_PRELOAD", ""))
    for hook in HOOKS:
        own, calls = (after[library, hook] - before[library, hook]
                      for before, after in (counts, [each.calls for each in counts]))
        if calls:
            bench.add(hook, tool, own / calls)


def count(bench, tool, depth, pairs):
    out = bench.out()
    under = tools.callgrind(tool, out)
    if measuring.run(bench, "instructions", under, [tool.program("fixed_pairs"), pairs, depth], out) is None:
        return None
    return out / "callgrind"


def tables(bench):
    rows = []
    for tool in TOOLS:
        if tool is NOTHING or not bench.has(tool):
            continue
        hooks = [bench.median(hook, tool) for hook in HOOKS]
        rows.append([tool.name, *(figures.number(value, "{:.1f}") for value in hooks),
                     *(bench.cell("instructions", tool, bench.added(f"pair/{depth}", tool), "{:+,.1f}")
                       for depth in DEPTHS)])
    return figures.table(["instructions added", "to malloc, on the fast path", "to free",
                          *(f"to a pair at depth {depth}, all in all" for depth in DEPTHS)], rows)


def aims(bench):
    added = {tool: [bench.median(hook, tool) for hook in HOOKS] for tool in (FORWARD, SAMPLED)}
    known = None not in added[FORWARD] + added[SAMPLED]
    yield figures.Aim(f"instructions added to malloc and free on the fast path: {SAMPLED.name} / {FORWARD.name}", 2,
                      sum(added[SAMPLED]) / sum(added[FORWARD]) if known else None)
