# SPDX-License-Identifier: Apache-2.0
"""What was measured: figures of one part, how they are kept as JSON, and how they become a Markdown table."""
import dataclasses
import math
import pathlib
import statistics
import tempfile
import typing


class Bench:
    """The figures of a part, {row: {tool: [values]}}, and what failed, {row: {tool: reason}}. While they are taken
    there are a number of runs and a scratch directory."""

    def __init__(self, runs=0, scratch=None, saved=None):
        self.runs = runs
        self.scratch = pathlib.Path(scratch) if scratch else None
        self.values = saved["values"] if saved else {}
        self.failures = saved["failures"] if saved else {}

    def saved(self):
        return {"values": self.values, "failures": self.failures}

    def out(self):
        return pathlib.Path(tempfile.mkdtemp(prefix="out.", dir=self.scratch))

    def add(self, row, tool, value):
        if not math.isnan(value):
            self.values.setdefault(row, {}).setdefault(tool.name, []).append(value)

    def fail(self, row, tool, reason):
        self.failures.setdefault(row, {})[tool.name] = reason

    def failed(self, row, tool):
        return self.failures.get(row, {}).get(tool.name)

    def median(self, row, tool):
        values = self.values.get(row, {}).get(tool.name)
        return statistics.median(values) if values else None

    def ratio(self, row, tool, base=None):
        """Of medians, to the tool's base unless another is given."""
        value, bare = self.median(row, tool), self.median(row, base or tool.base)
        return None if value is None or not bare else value / bare

    def added(self, row, tool, base=None):
        """What a tool adds to its base; None where one of the two was not measured."""
        value, bare = self.median(row, tool), self.median(row, base or tool.base)
        return None if value is None or bare is None else value - bare

    def cell(self, row, tool, value, form):
        """A table's cell: the value, or that it failed, or nothing."""
        return "failed" if value is None and self.failed(row, tool) else number(value, form)

    def turns(self, tool):
        """Of the runs, those in which a tool takes part."""
        return 1 if tool.slow else self.runs

    def has(self, tool):
        return any(tool.name in tools_of_row for tools_of_row in (*self.values.values(), *self.failures.values()))


@dataclasses.dataclass
class Aim:
    """What was aimed at, and what was measured: the worst, where there are several figures."""
    what: str
    bound: float
    value: typing.Optional[float]
    form: str = "{:.2f}"
    at_least: bool = False

    def row(self):
        met = self.value >= self.bound if self.at_least else self.value <= self.bound
        bound = ("at least " if self.at_least else "at most ") + self.form.format(self.bound)
        return [self.what, bound, self.form.format(self.value), "yes" if met else "no"]


def aims_table(aims):
    return table(["aimed at", "bound", "measured", "reached"], [aim.row() for aim in aims if aim.value is not None])


def worst(values):
    return max((value for value in values if value is not None), default=None)


def number(value, form="{:.2f}"):
    return "" if value is None else form.format(value)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
