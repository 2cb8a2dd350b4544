#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what seep costs beside its peers, and prints it as Markdown: a part each of pairs, instructions, programs,
and so on; and what was aimed at.

Run by scripts/bench, which builds what it needs. All tools take turns within a run, so that a machine that slows down
slows down for all; figures are medians. They can be kept as JSON, from which tables and plot are made again.
"""
import argparse
import datetime
import importlib
import json
import os
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import figures  # noqa: E402
import plot  # noqa: E402
import tools  # noqa: E402

PARTS = [name for name in ("pairs", "instructions", "programs", "servers", "memory", "startup", "snapshots", "reports",
                           "pause") if (HERE / f"{name}.py").exists()]


def measure(part, runs):
    """What was measured of a part, and when and where."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="seep-bench.") as scratch:
        bench = figures.Bench(runs, scratch)
        text = measuring_function(part)(bench)
    print(f"bench: {part}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    heading = f"Medians of {runs} interleaved runs on {tools.machine()}, {datetime.date.today():%-d %B %Y}."
    return {"heading": heading, "text": text, **bench.saved()}


def measuring_function(part):
    """A part's module has `measure` and `tables`; or a function of its own name, which returns the tables as text."""
    module = importlib.import_module(part)
    return getattr(module, "measure", None) or getattr(module, part)


def measure_all(arguments):
    """{part: its figures}, kept after each part; in a file that has others, these stay."""
    file, measured = arguments.json, {}
    for part in arguments.only or PARTS:
        measured[part] = measure(part, arguments.runs)
        if file:
            kept = {**(json.loads(file.read_text()) if file.exists() else {}), **measured}
            ordered = {name: kept[name] for name in PARTS if name in kept}
            file.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    return measured


def show(results):
    """Markdown: the tables of each part, with a heading where that is another than before; and the aims."""
    texts, aims, heading = [], [], None
    for part, saved in results.items():
        module, bench = importlib.import_module(part), figures.Bench(saved=saved)
        texts += [saved["heading"]] if saved["heading"] != heading else []
        heading = saved["heading"]
        texts.append(saved["text"] or module.tables(bench))
        aims += getattr(module, "aims", lambda bench: ())(bench)
    return "\n\n".join(texts + ([figures.aims_table(aims)] if aims else []))


def warn():
    if tools.missing():
        print(f"bench: not installed, so not compared: {', '.join(tools.missing())}", file=sys.stderr)
    if os.getloadavg()[0] > 0.5:
        print(f"bench: this machine has other work (load {os.getloadavg()[0]:.1f}): expect noise", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Prints seep's figures as Markdown.")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part only (may be repeated)")
    parser.add_argument("--runs", type=int, default=3, help="interleaved runs, of which medians are taken (3)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE",
                        help="keep the figures there, beside those of other parts")
    parser.add_argument("--from", type=pathlib.Path, metavar="FILE", dest="saved", help="measure nothing: show these")
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE", help="draw the plot of pairs there, as SVG")
    arguments = parser.parse_args()
    if not arguments.saved:
        warn()
    results = json.loads(arguments.saved.read_text()) if arguments.saved else measure_all(arguments)
    print(show(results))
    if arguments.plot and "pairs" in results:
        arguments.plot.write_text(plot.svg(figures.Bench(saved=results["pairs"])))


if __name__ == "__main__":
    main()
