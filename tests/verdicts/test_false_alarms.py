# SPDX-License-Identifier: Apache-2.0
"""What is not leaked, though it is hard to see: in memory that a copy does not get, in blocks of every kind, and in the
hands of threads that go on until the scan stops them. The roots each have a place in test_roots.py."""
import verdicts

# How often the program with sixteen threads is run in each way.
RUNS = 100 if verdicts.LONG else 10
ENDED = "Valgrind ends the other threads before it looks"


class FalseAlarms(verdicts.VerdictsTest):
    group = "false_alarms"
    valgrind_differs = {"hands_over": ENDED, "moves": ENDED,
                        "deep_binding": "Valgrind patches the code of libc's malloc, and so sees the library's block"}

    def test_copied_memory(self):
        self.check("copied_memory")

    def test_deep_binding(self):
        self.heap_as_roots = True
        self.check("deep_binding")

    def test_large_blocks(self):
        self.check("large_blocks")

    def repeat(self, name, runs, enough):
        """The same verdict each time, and no hang. `enough` of what the program does before its end in the first run, and
        under Valgrind, where all takes long; then more, each time a little."""
        self.check(name, enough)
        for run in range(1, runs):
            self.check(name, enough * (2 + run % 10), with_valgrind=False)

    def test_hands_over(self):
        self.repeat("hands_over", RUNS // 2, 300)

    def test_moves(self):
        self.repeat("moves", RUNS, 3000)


if __name__ == "__main__":
    verdicts.main()
