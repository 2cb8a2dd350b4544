# SPDX-License-Identifier: Apache-2.0
"""What the tests of the gate share: its exit codes, and how it is run."""
import json

from seep_test import CASES, RegionTest

PASSED, FAILED, WRONG_USAGE, NOT_JUDGED, LEAKS = 0, 1, 2, 3, 23


class GateTest(RegionTest):
    def gate(self, *arguments, **how):
        return self.seep("gate", *arguments, **how)

    def run_gate(self, command, options=(), **how):
        return self.seep("run", "--gate", *options, "--", *command, **how)

    def left_here(self):
        return sorted(path.name for path in self.directory.iterdir())

    def recorded(self, *acts, program="leaks"):
        path, result = self.record([CASES / program, *acts])
        self.assertEqual(result.returncode, 0, result.stderr)
        return path

    def verdict(self, *arguments):
        """The JSON of a gate."""
        return json.loads(self.gate("--format", "json", *arguments).stdout)
