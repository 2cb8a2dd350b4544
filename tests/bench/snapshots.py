# SPDX-License-Identifier: Apache-2.0
"""What a snapshot with 10,000 sites takes of the thread that takes it, and of the stream: snapshot.cpp."""
import json

import figures
import measuring
import tools
from tools import EXACT, SAMPLED

WAYS = {EXACT: "exact", SAMPLED: "sampled"}
CASES = {"first/{}": "the first", "next/all_changed_{}": "each site has changed",
         "next/some_changed_{}": "100 have changed", "next/nothing_changed_{}": "nothing has changed"}


def measure(bench):
    for _ in range(bench.runs):
        out = bench.out()
        results = out / "snapshot.json"
        measuring.run(bench, "snapshot", tools.NOTHING, [tools.NOTHING.program("snapshot"),
                      "--benchmark_out_format=json", f"--benchmark_out={results}"], out)
        for result in json.loads(results.read_text())["benchmarks"]:
            for case in CASES:
                for tool, way in WAYS.items():
                    if result["run_name"].startswith(case.format(way)):
                        add(bench, case, tool, result)


def add(bench, case, tool, result):
    bench.add(f"{case} time", tool, result["cpu_time"] / 1000)
    if "site_bytes" in result:
        bench.add(f"{case} bytes", tool, result["site_bytes"])


def tables(bench):
    rows = []
    for tool in WAYS:
        for key, title, form in (("time", "of the thread", "{:.1f} ms"),
                                 ("bytes", "of the stream, for each site", "{:.1f} B")):
            rows.append([f"{tool.name}: {title}", *(figures.number(bench.median(f"{case} {key}", tool), form)
                                                    for case in CASES)])
    return figures.table(["a snapshot with 10,000 sites", *CASES.values()], rows)


def aims(bench):
    for tool in WAYS:
        yield figures.Aim(f"a snapshot with 10,000 sites, each changed: {tool.name}", 5,
                          bench.median("next/all_changed_{} time", tool), "{:.1f} ms")
        yield figures.Aim(f"of the stream, for each changed site: {tool.name}", 64, figures.worst(
            bench.median(f"next/{case}_changed_{{}} bytes", tool) for case in ("all", "some")), "{:.1f} B")
