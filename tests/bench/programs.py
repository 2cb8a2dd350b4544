# SPDX-License-Identifier: Apache-2.0
"""Whole programs: time on the clock and of the processor, instructions, peak memory, the recordings' sizes and the time
to report.

All are single processes, since heaptrack does not follow children. Slow peers, and what counts instructions, run a
shorter one of each, and once. The compiler does not optimize: of a recording of `-O1` heaptrack's interpreter (1.4.0)
runs out of memory.
"""
import subprocess
import time

import callgrind
import figures
import measuring
import real_programs
import tools
from tools import EXACT, FORWARD, HEAPTRACK, HEAPTRACK_ALONE, NOTHING, NOTHING_AGAIN, SAMPLED

TOOLS = (NOTHING, NOTHING_AGAIN, FORWARD, SAMPLED, tools.JEMALLOC, tools.JEMALLOC_SAMPLED, EXACT, tools.LSAN_PRELOADED,
         HEAPTRACK, HEAPTRACK_ALONE)
SLOW_TOOLS = (NOTHING, tools.TCMALLOC, tools.TCMALLOC_PROFILER, tools.VALGRIND)
COUNTED = (NOTHING, FORWARD, SAMPLED)
NAMES = ("cc1plus", "python3", "sqlite3", "perl", "git")
SHORT_SOURCE = """
#include <algorithm>
#include <iostream>
#include <map>
#include <string>
int main(int argc, char** argv) {
  std::map<std::string, int> counts;
  for (int i = 1; i < argc; ++i) counts[argv[i]] += i;
  std::for_each(counts.begin(), counts.end(), [](const auto& each) { std::cout << each.first << each.second; });
}
"""
WHOLE = {"cc1plus": {}, "sqlite3": {"rows": 200_000}, "python3": {"items": 150_000}, "perl": {"items": 400_000},
         "git": {"commits": 300}}
SHORT = {"cc1plus": {"source": SHORT_SOURCE}, "sqlite3": {"rows": 30_000}, "python3": {"items": 40_000},
         "perl": {"items": 120_000}, "git": {"commits": 200}}


def prepare(directory, sizes):
    """{name: (Program, its directory)}."""
    prepared = {}
    for name in NAMES:
        place = directory / name
        place.mkdir(parents=True)
        program = real_programs.PROGRAMS["g++" if name == "cc1plus" else name](place, **sizes[name])
        if name == "cc1plus":
            program.command = cc1plus_command()
        if name == "git":
            subprocess.run(program.command, cwd=place, env=measuring.ENVIRONMENT, check=True, capture_output=True)
            program.command = ["git", "-C", "repository", "log", "-p", "--stat"]
        prepared[name] = program, place
    return prepared


def cc1plus_command():
    found = subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True, check=True)
    return [found.stdout.strip(), "-quiet", "source.cpp", "-o", "source.s", "-D_GNU_SOURCE"]


# ---- Measuring.

def measure(bench):
    whole, short = prepare(bench.scratch / "whole", WHOLE), prepare(bench.scratch / "short", SHORT)
    for turn in range(bench.runs):
        for name, prepared in whole.items():
            for tool in tools.installed(*TOOLS):
                run_whole(bench, name, prepared, tool)
        for name, prepared in short.items():
            for tool in tools.installed(*SLOW_TOOLS):
                if turn < bench.turns(tool):
                    run_short(bench, name, prepared, tool)
    for name, prepared in short.items():
        for tool in COUNTED if tools.VALGRIND.is_installed() else ():
            count_instructions(bench, name, prepared, tool)


def run_whole(bench, name, prepared, tool):
    program, place = prepared
    if bench.failed(name, tool):
        return
    out = bench.out()
    measured = measuring.run(bench, name, tool, program.command, out, program.stdin, place)
    if measured is None:
        return
    bench.add(f"{name} time", tool, measured.seconds)
    bench.add(f"{name} processor", tool, measured.processor_seconds)
    bench.add(f"{name} size", tool, tools.recording_bytes(out))
    bench.add(f"{name} memory", tool, measured.peak_kib)
    time_report(bench, name, tool, out)


def time_report(bench, name, tool, out):
    command = tools.report_command(tool, out)
    if command is None or not any(out.iterdir()):
        return
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    bench.add(f"{name} report", tool, time.perf_counter() - started)


def run_short(bench, name, prepared, tool):
    program, place = prepared
    measured = measuring.run(bench, f"{name} short", tool, program.command, bench.out(), program.stdin, place)
    if measured:
        bench.add(f"{name} short time", tool, measured.seconds)
        bench.add(f"{name} short processor", tool, measured.processor_seconds)


def count_instructions(bench, name, prepared, tool):
    program, place = prepared
    out = bench.out()
    if measuring.run(bench, name, tools.callgrind(tool, out), program.command, out, program.stdin, place):
        bench.add(f"{name} instructions", tool, callgrind.total_of(out / "callgrind"))


# ---- Showing.

def tables(bench):
    return "\n\n".join([ratio_table(bench, "time", "wall time, ratio", "{:.2f} s"),
                        ratio_table(bench, "processor", "user and system time, ratio", "{:.2f} s"),
                        instructions_table(bench), cost_table(bench)])


def ratio_table(bench, key, title, form):
    rows = []
    for tool in (*TOOLS, tools.TCMALLOC_PROFILER, tools.VALGRIND):
        if not bench.has(tool):
            continue
        run_of = {name: f"{name} short" if tool.slow else name for name in NAMES}
        if tool is NOTHING:
            cells = [figures.number(bench.median(f"{run} {key}", tool), form) for run in run_of.values()]
        else:
            cells = [bench.cell(run, tool, bench.ratio(f"{run} {key}", tool), "{:.3g}") for run in run_of.values()]
        rows.append([label(tool), *cells])
    return figures.table([title, *NAMES], rows)


def label(tool):
    notes = [f"over {tool.base.name}"] if tool.base not in (None, NOTHING) else []
    if tool.slow:
        notes.append("a shorter run, once")
    return ", ".join([tool.name, *notes])


def instructions_table(bench):
    rows = []
    for tool in COUNTED:
        cells = []
        for name in NAMES:
            if tool is NOTHING:
                count = bench.median(f"{name} instructions", tool)
                cells.append(figures.number(count and count / 1e6, "{:,.0f} million"))
            else:
                cells.append(figures.number(bench.ratio(f"{name} instructions", tool), "{:.4f}"))
        rows.append([tool.name, *cells])
    return figures.table(["instructions of a shorter run, ratio", *NAMES], rows)


def cost_table(bench):
    rows = []
    for tool in (SAMPLED, EXACT, HEAPTRACK):
        # Beside the program runs heaptrack's interpreter: what it takes of memory in there is the preload's.
        memory_of = HEAPTRACK_ALONE if tool is HEAPTRACK else tool
        for title, values, scale, form in (
                ("memory added", [bench.added(f"{name} memory", memory_of) for name in NAMES], 1024, "{:+.1f} MiB"),
                ("size of the recording", [bench.median(f"{name} size", tool) for name in NAMES], 1024, "{:,.0f} KiB"),
                ("time to report", [bench.median(f"{name} report", tool) for name in NAMES], 1, "{:.2f} s")):
            rows.append([f"{tool.name}: {title}", *(figures.number(value if value is None else value / scale, form)
                                                    for value in values)])
    return figures.table(["cost", *NAMES], rows)


def aims(bench):
    def of(key, tool, names=NAMES):
        return figures.worst(bench.ratio(f"{name} {key}", tool) for name in names)

    noise = f"nothing, again: {figures.number(of('processor', NOTHING_AGAIN))}"
    yield figures.Aim(f"whole programs, time of the processor: {SAMPLED.name} ({noise})", 1.01,
                      of("processor", SAMPLED), "{:.3f}")
    yield figures.Aim(f"whole programs, instructions: {SAMPLED.name}", 1.01, of("instructions", SAMPLED), "{:.3f}")
    yield figures.Aim(f"whole programs but python3, wall time: {EXACT.name}", 1.15,
                      of("time", EXACT, set(NAMES) - {"python3"}))
    yield figures.Aim(f"python3 with PYTHONMALLOC=malloc, wall time: {EXACT.name}", 1.7, of("time", EXACT, ["python3"]))
