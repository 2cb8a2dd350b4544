#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what seep costs beside a bare forwarding preload and heaptrack, and prints it as Markdown.

Run by scripts/bench, which builds what it needs.

All tools take turns within a run, so that a machine that slows down slows down for all; figures are medians.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import real_programs  # noqa: E402
import redis  # noqa: E402
import reports  # noqa: E402
import tools  # noqa: E402
from tools import (EMPTY, EXACT, EXACT_ON_REQUEST, FORWARD, HEAPTRACK, HEAPTRACK_ALONE,  # noqa: E402
                   LEAK_SANITIZER, NOTHING, SAMPLED)

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **real_programs.REPRODUCIBLE}
SIZES = {"sqlite3": {"rows": 200_000}, "python3": {"items": 150_000}, "perl": {"items": 400_000},
         "git": {"commits": 300}}


class Bench:
    """Figures as {(row, tool name): [values]}, in a scratch directory."""

    def __init__(self, runs, scratch):
        self.runs = runs
        self.scratch = pathlib.Path(scratch)
        self.values = {}

    def add(self, row, tool, value):
        self.values.setdefault((row, tool.name), []).append(value)

    def median(self, row, tool):
        values = self.values.get((row, tool.name))
        return statistics.median(values) if values else None

    def out(self):
        return pathlib.Path(tempfile.mkdtemp(prefix="out.", dir=self.scratch))

    def heaptrack(self, *others, alone=False):
        """The given tools, and heaptrack where it is installed."""
        return [*others, HEAPTRACK_ALONE if alone else HEAPTRACK] if tools.has_heaptrack() else list(others)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def number(value, form="{:.2f}"):
    return "" if value is None else form.format(value)


def run(tool, command, out, stdin=b"", cwd=None):
    """Runs a command under a tool: (seconds, peak resident KiB). A peer may fail: None."""
    said = tempfile.TemporaryFile()
    peak = out.with_suffix(".peak")
    # The tool's environment is for the command, not for what measures it.
    environment = [f"{name}={value}" for name, value in tool.with_environment({}, out).items()]
    words = [tools.BUILD / "tests/bench/peak", peak, "env", *environment, *tool.command(command, out)]
    started = time.perf_counter()
    with subprocess.Popen(words, env=ENVIRONMENT, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          stderr=said) as process:
        process.communicate(stdin)
    seconds = time.perf_counter() - started
    with said:
        if process.returncode != 0:
            said.seek(0)
            print(f"bench: {command[0]} under {tool.name} ended with {process.returncode}:\n"
                  + said.read().decode(errors="replace"), file=sys.stderr)
            if tool is HEAPTRACK:
                return None
            sys.exit(1)
    return seconds, int(peak.read_text())


def pairs(bench):
    """Nanoseconds that a malloc/free pair takes, and what each tool adds."""
    compared = bench.heaptrack(NOTHING, FORWARD, SAMPLED, EXACT)
    for _ in range(bench.runs):
        for tool in compared:
            out = bench.out()
            results = out / "pairs.json"
            run(tool, [tools.BUILD / "tests/bench/pairs", "--benchmark_min_time=0.3", "--benchmark_out_format=json",
                       f"--benchmark_out={results}"], out)
            for result in json.loads(results.read_text())["benchmarks"]:
                # Of the threads' own time, so that two threads on one processor do not count twice.
                bench.add(result["name"].split("/")[0], tool, result["cpu_time" if "w2" not in result["name"]
                                                                     else "real_time"] * result.get("threads", 1))
    rows = []
    for tool in compared:
        cells = []
        for row in ("w1", "w2", "w3"):
            bare, value = bench.median(row, NOTHING), bench.median(row, tool)
            cells.append(f"{value:.1f} ns" if tool is NOTHING else f"{value - bare:+.1f} ns")
        rows.append([tool.name, *cells])
    return table(["a malloc/free pair (16 to 256 B)", "one thread", "two threads", "at depth 50"], rows)


def cc1plus_command():
    found = subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True, check=True)
    return [found.stdout.strip(), "-quiet", "-O2", "source.cpp", "-o", "source.s", "-D_GNU_SOURCE"]


def prepare_programs(directory):
    """{name: Program}, single processes: heaptrack does not follow children."""
    prepared = {}
    for name in ("cc1plus", "python3", "sqlite3", "perl", "git"):
        place = directory / name
        place.mkdir()
        program = real_programs.PROGRAMS["g++" if name == "cc1plus" else name](place, **SIZES.get(name, {}))
        if name == "cc1plus":
            program.command = cc1plus_command()
        if name == "git":
            subprocess.run(program.command, cwd=place, env=ENVIRONMENT, check=True, capture_output=True)
            program.command = ["git", "-C", "repository", "log", "-p", "--stat"]
        prepared[name] = program
    return prepared


def programs(bench):
    """Wall time of whole programs, their peak memory, the recordings' sizes, and the time to report."""
    compared = bench.heaptrack(NOTHING, FORWARD, SAMPLED, EXACT)
    prepared = prepare_programs(bench.scratch)
    failed = set()
    for turn in range(bench.runs):
        for name, program in prepared.items():
            for tool in compared:
                out = bench.out()
                if (name, tool.name) in failed:
                    continue
                measured = run(tool, program.command, out, program.stdin, bench.scratch / name)
                if measured is None:
                    failed.add((name, tool.name))
                    continue
                seconds, peak_kib = measured
                bench.add(f"{name} time", tool, seconds)
                bench.add(f"{name} size", tool, tools.recording_bytes(out))
                if tool is not HEAPTRACK:
                    bench.add(f"{name} memory", tool, peak_kib)
                elif turn == 0:  # Its script runs the interpreter beside the program: the preload alone tells.
                    alone = bench.out()
                    bench.add(f"{name} memory", tool, run(HEAPTRACK_ALONE, program.command, alone, program.stdin,
                                                          bench.scratch / name)[1])
                time_report(bench, name, tool, out)
    return "\n\n".join([times_table(bench, compared, prepared), cost_table(bench, compared, prepared)])


def time_report(bench, name, tool, out):
    command = tools.report_command(tool, out)
    if command is None or not any(out.iterdir()):
        return
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    bench.add(f"{name} report", tool, time.perf_counter() - started)


def times_table(bench, compared, prepared):
    rows = []
    for tool in compared:
        cells = []
        for name in prepared:
            value, bare = bench.median(f"{name} time", tool), bench.median(f"{name} time", NOTHING)
            cells.append("failed" if value is None else f"{value:.2f} s" if tool is NOTHING else f"{value / bare:.2f}")
        rows.append([tool.name, *cells])
    return table(["wall time, ratio", *prepared], rows)


def cost_table(bench, compared, prepared):
    rows = []
    for tool in compared:
        if tool in (NOTHING, FORWARD):
            continue
        for label, key, scale, form in (("memory added", "memory", 1024, "{:+.1f} MiB"),
                                        ("size of the recording", "size", 1024, "{:,.0f} KiB"),
                                        ("time to report", "report", 1, "{:.2f} s")):
            cells = []
            for name in prepared:
                value = bench.median(f"{name} {key}", tool)
                if key == "memory" and value is not None:
                    value -= bench.median(f"{name} memory", NOTHING)
                cells.append(number(None if value is None else value / scale, form))
            rows.append([f"{tool.name}: {label}", *cells])
    return table(["cost", *prepared], rows)


def startup(bench):
    """Microseconds that a process takes from spawn to its end, over an empty preload."""
    compared = bench.heaptrack(EMPTY, FORWARD, SAMPLED, EXACT, alone=True)
    commands = {"/bin/true": ["/bin/true"], "a tiny C++ program": [tools.BUILD / "tests/bench/tiny"]}
    out = bench.out()
    for _ in range(max(30, bench.runs * 30)):
        for row, command in commands.items():
            for tool in compared:
                words = [str(word) for word in command]
                started = time.perf_counter_ns()
                pid = os.posix_spawn(words[0], words, tool.with_environment(ENVIRONMENT, out))
                os.waitpid(pid, 0)
                bench.add(row, tool, (time.perf_counter_ns() - started) / 1000)
    rows = []
    for tool in compared:
        cells = []
        for row in commands:
            value, bare = bench.median(row, tool), bench.median(row, EMPTY)
            cells.append(f"{value:.0f} µs" if tool is EMPTY else f"{value - bare:+.0f} µs")
        rows.append([tool.name, *cells])
    return table(["start-up and end of", *commands], rows)


def server(bench):
    """Microseconds that redis-server takes for a request of redis-benchmark."""
    compared = bench.heaptrack(NOTHING, FORWARD, SAMPLED, EXACT)
    for _ in range(bench.runs):
        for tool in compared:
            out = bench.out()
            with redis.server_under(tool.command([], out), bench.scratch,
                                    tool.with_environment(ENVIRONMENT, out), stop_by_command=True) as (port, _):
                lines = redis.benchmark(port, ENVIRONMENT, requests=30_000)
            rates = [float(line.split(",")[1].strip('"')) for line in lines if not line.startswith('"test"')]
            bench.add("redis", tool, statistics.mean(1e6 / rate for rate in rates))
    bare = bench.median("redis", NOTHING)
    rows = [[tool.name, f"{bench.median('redis', tool):.1f} µs" if tool is NOTHING
             else f"{bench.median('redis', tool) / bare:.2f}"] for tool in compared]
    return table(["redis-server (jemalloc), ratio of time per request", "20 clients"], rows)


HEAP_BYTES = {"0.1 GB": 100_000_000, "1 GB": 1_000_000_000, "4 GB": 4_000_000_000}
CHECKS = 5  # That a process makes of one heap.


def available_bytes():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def pause(bench):
    """How long a leak check keeps other threads from running, beside a clone of the process that does nothing."""
    program = tools.BUILD / "tests/bench/pause"
    compared = {NOTHING: program, EXACT_ON_REQUEST: program, SAMPLED: program,
                LEAK_SANITIZER: program.with_name("pause_lsan")}
    heaps = [name for name, size in HEAP_BYTES.items() if size * 1.5 < available_bytes()]
    for _ in range(bench.runs):
        for heap in heaps:
            for tool, command in compared.items():
                checks(bench, tool, heap, [command, HEAP_BYTES[heap], CHECKS])
    return pause_table(bench, heaps)


def checks(bench, tool, heap, command):
    out = bench.out()
    said = subprocess.run([str(word) for word in command], env=tool.with_environment(ENVIRONMENT, out),
                          capture_output=True, text=True, check=False)
    lines = said.stdout.splitlines()
    if said.returncode != 0 or len(lines) != CHECKS:
        sys.exit(f"bench: {command[0]} under {tool.name} ended with {said.returncode}:\n{said.stderr}")
    for line in lines:
        took_ns, gap_ns, idle_ns = map(int, line.split())
        bench.add(f"{heap} took", tool, took_ns)
        bench.add(f"{heap} gap", tool, gap_ns)
        bench.add(f"{heap} idle", NOTHING, idle_ns)
    if tool in (EXACT_ON_REQUEST, SAMPLED):
        reported = subprocess.run([str(tools.SEEP), "report", "--format", "json", str(out)], capture_output=True,
                                  check=True)
        scan = json.loads(reported.stdout)["processes"][0]["scan"]
        if not scan["in_copy"]:
            sys.exit(f"bench: the scan under {tool.name} was not made in a copy: {scan}")
        bench.add(f"{heap} searched", tool, scan["searched_bytes"] / (scan["duration_ns"] - scan["pause_ns"]))


def pause_table(bench, heaps):
    """The clone's row is its caller's time in the call: other threads go on meanwhile."""
    def row(name, key, tool, scale, form):
        cells = []
        for heap in heaps:
            value, clone = bench.median(f"{heap} {key}", tool), bench.median(f"{heap} took", NOTHING)
            cells.append(form.format(value / scale, value / clone))
        return [name, *cells]

    rows = [row("the clone alone", "took", NOTHING, 1e6, "{:.1f} ms")]
    for tool in (EXACT_ON_REQUEST, SAMPLED, LEAK_SANITIZER):
        rows.append(row(f"{tool.name}: others stand still", "gap", tool, 1e6, "{:.1f} ms ({:.1f})"))
    rows.append(row("the longest gap when nothing is done", "idle", NOTHING, 1e6, "{:.1f} ms"))
    for tool in (EXACT_ON_REQUEST, SAMPLED, LEAK_SANITIZER):
        rows.append(row(f"{tool.name}: until the verdict", "took", tool, 1e9, "{:.2f} s"))
    for tool in (EXACT_ON_REQUEST, SAMPLED):
        rows.append(row(f"{tool.name}: searched", "searched", tool, 1, "{:.2f} GB/s"))
    return table(["a leak check of a heap of (ratio to the clone)", *heaps], rows)


SECTIONS = {"pairs": pairs, "programs": programs, "server": server, "startup": startup,
            "reports": reports.reports, "pause": pause}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Prints seep's figures as Markdown.")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="this part only (may be repeated)")
    parser.add_argument("--runs", type=int, default=3, help="interleaved runs, of which medians are taken (3)")
    arguments = parser.parse_args()
    if not tools.has_heaptrack():
        print("bench: heaptrack is not installed, so it is not compared", file=sys.stderr)
    print(f"Medians of {arguments.runs} interleaved runs on {tools.machine()}.")
    for name in arguments.only or SECTIONS:
        with tempfile.TemporaryDirectory(prefix="seep-bench.") as scratch:
            print("\n" + SECTIONS[name](Bench(arguments.runs, scratch)), flush=True)


if __name__ == "__main__":
    main()
