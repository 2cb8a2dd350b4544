# SPDX-License-Identifier: Apache-2.0
"""How leaked blocks hang together, chains of pointers to the start and into the middle, and the heuristics."""
import shutil

import verdicts

# By which heuristics the block of a function is reachable; without them it is possible. A length that is that of the rest
# may as well be the count of an array of bytes.
HEURISTICS = {
    "heuristics": {"array": {"newarray"}, "with_length": {"length64", "newarray"},
                   "second_base": {"multipleinheritance"}},
    "old_strings": {"text_in_data": {"stdstring"}, "text_in_block": {"stdstring"}},
}


class Structures(verdicts.VerdictsTest):
    group = "structures"
    valgrind_differs = {
        "shapes": "Valgrind may call a ring definite into which another leaked block points",
        "heuristics": "Valgrind does not know new T[0]",
    }

    def test_shapes(self):
        reports = self.check("shapes")
        self.assertGreater(reports[verdicts.SAMPLED]["totals"]["definite_blocks"], 0)

    def test_chains(self):
        self.check("chains")

    def test_heuristics(self):
        self.check("heuristics")

    def test_old_strings(self):
        self.check("old_strings")

    def test_each_heuristic(self):
        """Each alone, and none."""
        for program in HEURISTICS:
            for enabled in ("none", "stdstring", "length64", "newarray", "multipleinheritance", "stdstring,length64"):
                with self.subTest(program=program, enabled=enabled):
                    self.check_heuristics(program, enabled)

    def check_heuristics(self, program, enabled):
        command = [self.program(program)]
        told, report = self.by_seep(command, verdicts.AT_EXIT, f"scan_heuristics={enabled}")
        found = [verdicts.seeps_sums(report, told.functions())[0]]
        if shutil.which("valgrind"):
            found.append(self.by_valgrind(command, heuristics=enabled)[1])
        for sums in found:
            for function, heuristics in HEURISTICS[program].items():
                expected = "reachable" if heuristics & set(enabled.split(",")) else "possible"
                self.assertIn((function, expected), sums)


if __name__ == "__main__":
    verdicts.main()
