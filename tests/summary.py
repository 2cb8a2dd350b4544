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
            yield suite.get("name", ""), case.get("name", ""), state, said.strip()


def bad_tests_of(directory):
    """The names of the tests that meson itself calls bad: also those that crashed or hung between two cases."""
    names = []
    for line in (directory / "meson-logs/testlog.json").read_text().splitlines():
        test = json.loads(line)
        if test["result"] in BAD:
            names.append(test["name"].split(" / ")[-1])
    return names


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--failed-builds", type=int, default=0)
    parser.add_argument("directories", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    counts = {"passed": 0, "failed": arguments.failed_builds, "skipped": 0}
    missing = 0
    for directory in arguments.directories:
        if not (directory / "meson-logs/testlog.json").exists():
            print(f"{directory}: nothing ran")
            missing += 1
            continue
        failed_tests = set()
        for suite, name, state, said in cases_of(directory):
            counts[state] += 1
            if state == "failed":
                print(f"failed: {directory.name}: {name}")
                failed_tests.add(suite.split(".")[-1] if "." in suite else name)
            elif state == "skipped":
                reason = said if said.startswith("not run:") else f"not run: {said or 'no reason given'}"
                print(f"{reason}  [{name}]")
        for name in bad_tests_of(directory):
            if name not in failed_tests:
                print(f"failed: {directory.name}: {name} as a whole")
                counts["failed"] += 1
    counts["failed"] = max(counts["failed"], missing)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
