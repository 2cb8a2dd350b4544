# SPDX-License-Identifier: Apache-2.0
"""Runs a unittest module and, where SEEP_TAP is set (meson does), says each result in TAP, so that single cases count.

Must never print anything else on stdout: what a failing test says goes to stderr.
"""
import os
import sys
import unittest


class TapResult(unittest.TestResult):
    """One `ok` or `not ok` line for each test when it is over; what went wrong on stderr."""

    def __init__(self):
        super().__init__()
        self.number = 0
        self.problems_before = 0
        self.skip_reason = None

    def startTest(self, test):
        super().startTest(test)
        self.problems_before = len(self.failures) + len(self.errors)
        self.skip_reason = None

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skip_reason = reason

    def stopTest(self, test):
        super().stopTest(test)
        self.number += 1
        name = test.id().split(".", 1)[-1]
        problems = len(self.failures) + len(self.errors) - self.problems_before
        if problems:
            for failed, text in (self.failures + self.errors)[-problems:]:
                print(f"{failed}\n{text}", file=sys.stderr, flush=True)
            print(f"not ok {self.number} {name}", flush=True)
        elif self.skip_reason is not None:
            print(f"ok {self.number} {name} # SKIP {self.skip_reason}", flush=True)
        else:
            print(f"ok {self.number} {name}", flush=True)


def main():
    """To be called at the end of a test file."""
    if not os.environ.get("SEEP_TAP"):
        unittest.main(module="__main__")
        return
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = TapResult()
    print(f"1..{suite.countTestCases()}", flush=True)
    suite.run(result)
    for failed, text in result.errors:
        if not isinstance(failed, unittest.TestCase):  # setUpClass: its tests never ran, so the plan does not hold.
            print(f"{failed}\n{text}", file=sys.stderr, flush=True)
