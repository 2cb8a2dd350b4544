# SPDX-License-Identifier: Apache-2.0
"""Servers under load: redis-server (Debian's is linked with jemalloc) and nginx, each a single process, how many
requests they answer in a second and how much of the processor they take for each.

The server's processor time is what the kernel says that its threads ran, and what stands beside it (heaptrack's
interpreter) is in it, since it is part of the cost.
"""
import contextlib
import pathlib
import statistics
import subprocess

import callgrind
import figures
import measuring
import nginx
import redis
import tools
from tools import EXACT, FORWARD, HEAPTRACK, NOTHING, NOTHING_AGAIN, SAMPLED

TOOLS = (NOTHING, NOTHING_AGAIN, FORWARD, SAMPLED, tools.JEMALLOC, tools.JEMALLOC_SAMPLED, EXACT, tools.LSAN_PRELOADED,
         HEAPTRACK, tools.TCMALLOC, tools.TCMALLOC_PROFILER, tools.VALGRIND)
COUNTED = (NOTHING, NOTHING_AGAIN, FORWARD, SAMPLED)
REQUESTS = {"redis": 30_000, "nginx": 30_000}  # Of each of five kinds, of two.
COUNTED_REQUESTS = 3_000
# Of the same kinds as redis-benchmark's.
SCRIPT = """
for i = 1, tonumber(ARGV[1]) do
  local key, text = i * 7919 % 2000, string.rep(i, 200 / #tostring(i))
  redis.call('SET', 'key:' .. key, text)
  redis.call('GET', 'key:' .. key)
  redis.call('LPUSH', 'list', text)
  redis.call('HSET', 'hash', 'field:' .. key, text)
  redis.call('SADD', 'set', 'element:' .. key)
end
return 'done'
"""
NAMES = {"redis": "redis-server (jemalloc)", "nginx": "nginx"}


# ---- Measuring.

def measure(bench):
    for turn in range(bench.runs):
        for name in NAMES:
            for tool in tools.installed(*TOOLS):
                if turn < bench.turns(tool) and not bench.failed(name, tool):
                    load_once(bench, name, tool)
            for tool in COUNTED if tools.VALGRIND.is_installed() else ():
                count_instructions(bench, name, tool)


def load_once(bench, name, tool):
    out = bench.out()
    try:
        with server(name, tool, bench, out) as (port, process):
            before = processor_ns(process.pid)
            rates = load(name, port, REQUESTS[name] // (10 if tool.slow else 1))
            after = processor_ns(process.pid)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        measuring.give_up(bench, name, tool, str(error))
        return
    requests = len(rates) * REQUESTS[name] // (10 if tool.slow else 1)
    bench.add(f"{name} time", tool, statistics.mean(1e6 / rate for rate in rates))
    bench.add(f"{name} processor", tool, (after - before) / requests / 1000)


def server(name, tool, bench, out):
    environment = tool.with_environment(measuring.ENVIRONMENT, out)
    if name == "nginx":
        return nginx.server_under(tool.command([], out), out, environment)
    return redis.server_under(tool.command([], out), out, environment, stop_by_command=True)


def load(name, port, requests):
    """Requests in a second, of each kind of request."""
    if name == "nginx":
        return nginx.benchmark(port, measuring.ENVIRONMENT, requests)
    lines = redis.benchmark(port, measuring.ENVIRONMENT, requests)
    return [float(line.split(",")[1].strip('"')) for line in lines if not line.startswith('"test"')]


def processor_ns(pid):
    """What the threads of a process and of all that it started have run."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
            total += sum(processor_ns(int(child)) for child in (task / "children").read_text().split())
    return total


def count_instructions(bench, name, tool):
    """Of twice as many requests less so many, so that the beginning and the end do not count. What redis does by the
    clock would: it gets them as one script, which nothing interrupts, and looks at its clients once a second; nginx gets
    them from one client, one at a time."""
    totals = []
    for requests in (COUNTED_REQUESTS, 2 * COUNTED_REQUESTS):
        out = bench.out()
        with server(name, tools.callgrind(tool, out), bench, out) as (port, _):
            if name == "redis":
                run_script(port, requests)
            else:
                nginx.benchmark(port, measuring.ENVIRONMENT, requests, clients=1)
        totals.append(callgrind.total_of(out / "callgrind"))
    kinds = len(nginx.HEADERS) if name == "nginx" else 5
    bench.add(f"{name} instructions", tool, (totals[1] - totals[0]) / (COUNTED_REQUESTS * kinds))


def run_script(port, requests):
    for command, answer in ((["CONFIG", "SET", "hz", "1"], "OK"), (["EVAL", SCRIPT, "0", str(requests)], "done")):
        said = subprocess.run(["redis-cli", "-p", str(port), *command], env=measuring.ENVIRONMENT, capture_output=True,
                              text=True, check=True, timeout=300).stdout
        if said.strip() != answer:
            raise RuntimeError(f"redis did not do {command[0]}: {said}")


# ---- Showing.

def tables(bench):
    return "\n\n".join([request_table(bench), instructions_table(bench)])


def request_table(bench):
    head = [f"{title}: {what}" for title in NAMES.values() for what in ("throughput", "processor time")]
    rows = []
    for tool in TOOLS:
        if not bench.has(tool):
            continue
        cells = [request_cell(bench, name, key, tool) for name in NAMES for key in ("time", "processor")]
        rows.append([tool.name, *cells])
    return figures.table(["a request, ratio", *head], rows)


def request_cell(bench, name, key, tool):
    if tool is NOTHING:
        return figures.number(bench.median(f"{name} {key}", tool), "{:.1f} µs")
    ratio = bench.ratio(f"{name} {key}", tool)
    return bench.cell(name, tool, 1 / ratio if ratio and key == "time" else ratio, "{:.3g}")


def instructions_table(bench):
    rows = []
    for tool in COUNTED:
        cells = []
        for name in NAMES:
            row = f"{name} instructions"
            cells.append(figures.number(bench.median(row, tool), "{:,.0f}") if tool is NOTHING else
                         figures.number(bench.ratio(row, tool), "{:.4f}"))
        rows.append([tool.name, *cells])
    return figures.table(["instructions for a request, ratio", *NAMES.values()], rows)


def aims(bench):
    slowest, again = (figures.worst(bench.ratio(f"{name} time", tool) for name in NAMES)
                      for tool in (SAMPLED, NOTHING_AGAIN))
    noise = f"nothing, again: {figures.number(again and 1 / again)}"
    yield figures.Aim(f"servers, throughput: {SAMPLED.name} ({noise})", 0.99, slowest and 1 / slowest, "{:.3f}",
                      at_least=True)
    yield figures.Aim(f"servers, instructions for a request: {SAMPLED.name}", 1.01,
                      figures.worst(bench.ratio(f"{name} instructions", SAMPLED) for name in NAMES), "{:.3f}")
