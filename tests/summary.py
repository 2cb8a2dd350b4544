#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Counts what `meson test` has run in the given build directories, down to the single case, for scripts/test.

Prints a line `not run: why` for each case that was skipped, and as its last line `N passed, N failed, N skipped`.
A build directory without results counts as a failure. Must never count a test that did not run as passed.
"""
import argparse
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

BAD = {"FAIL", "ERROR", "TIMEOUT", "INTERRUPT", "UNEXPECTEDPASS"}


def short_name(name):
    """A test's name alone: meson writes "seep:unit / name.Group"."""
    return name.split(" / ")[-1].split(".")[0]


def reason_of(said):
    """The line of what a skipped case said that begins with `not run:`."""
    for line in said.splitlines():
        if line.strip().startswith("not run:"):
            return line.strip()
    return f"not run: {said.strip().splitlines()[-1] if said.strip() else 'no reason given'}"


def cases_of(directory):
    """Yields (test name, case name, "passed" | "failed" | "skipped", reason) for each case of a directory."""
    root = ElementTree.parse(directory / "meson-logs/testlog.junit.xml").getroot()
    for suite in root.iter("testsuite"):
        for case in suite.findall("testcase"):
            skipped = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                state = "failed"
            else:
                state = "passed" if skipped is None else "skipped"
            said = (skipped is not None and skipped.get("message")) or case.findtext("system-out") or ""
            test = suite.get("name", "") if "." in suite.get("name", "") else case.get("name", "")
            yield short_name(test), f"{suite.get('name')}.{case.get('name')}".split(" / ")[-1], state, said


def bad_tests_of(directory):
    """The names of the tests that meson itself calls bad: also those that crashed or hung between two cases."""
    names = []
    for line in (directory / "meson-logs/testlog.json").read_text().splitlines():
        test = json.loads(line)
        if test["result"] in BAD:
            names.append(short_name(test["name"]))
    return names


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directories", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for directory in arguments.directories:
        if not (directory / "meson-logs/testlog.json").exists():
            print(f"failed: {directory}: did not build, or nothing ran")
            counts["failed"] += 1
            continue
        failed_tests = set()
        for test, name, state, said in cases_of(directory):
            counts[state] += 1
            if state == "failed":
                print(f"failed: {directory.name}: {name}")
                failed_tests.add(test)
            elif state == "skipped":
                print(f"{reason_of(said)}  [{name}]")
        for name in bad_tests_of(directory):
            if name not in failed_tests:
                print(f"failed: {directory.name}: {name} as a whole")
                counts["failed"] += 1
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
