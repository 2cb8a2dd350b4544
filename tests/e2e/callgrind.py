# SPDX-License-Identifier: Apache-2.0
"""Reads what callgrind counted: instructions of each function itself, and how often it was called. Used by
tests/contract and tests/bench.

Of the format (Valgrind's manual, "Callgrind Format Specification") as `--compress-strings=no --compress-pos=no` write
it: names stand where they change, each line of costs is `LINE INSTRUCTIONS`, and the one behind `calls=` is what the
callee cost, which is its own.
"""
import collections
import pathlib


class Counts(collections.Counter):
    """{(name of the object's file, function): instructions of its own}; `calls` has how often each was called."""

    def __init__(self):
        super().__init__()
        self.calls = collections.Counter()

    def of(self, library):
        """{function: instructions} of one object."""
        return {function: count for (object_name, function), count in self.items() if object_name == library}


def counts_of(path):
    counts = Counts()
    here = {"ob": "", "fn": ""}
    callee = {}
    in_call = False
    for line in pathlib.Path(path).read_text(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and key in ("ob", "fn"):
            here[key] = object_name(value) if key == "ob" else value
        elif equals and key in ("cob", "cfn"):
            callee[key] = object_name(value) if key == "cob" else value
        elif equals and key == "calls":
            counts.calls[callee.get("cob", here["ob"]), callee["cfn"]] += int(value.split()[0])
            callee, in_call = {}, True
        elif line[:1].isdigit() and not in_call:
            counts[here["ob"], here["fn"]] += int(line.split()[1])
        elif line[:1].isdigit():
            in_call = False
    return counts


def object_name(path):
    return pathlib.PurePath(path).name


def total_of(path):
    """All instructions that were counted."""
    for line in pathlib.Path(path).read_text(errors="replace").splitlines():
        if line.startswith(("summary:", "totals:")):
            return int(line.split()[1])
    raise ValueError(f"{path}: no sum of instructions")
