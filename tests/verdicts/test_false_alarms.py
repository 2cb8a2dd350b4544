# SPDX-License-Identifier: Apache-2.0
"""What is not leaked, though it is hard to see: in memory that a copy does not get, in blocks of every kind, and in the
hands of threads that go on until the scan stops them. The roots each have a place in test_roots.py."""
import verdicts

# How often the program with sixteen threads is run in each way.
RUNS = 100 if verdicts.LONG else 10
ENDED = "Valgrind ends the other threads before it looks"


class FalseAlarms(verdicts.VerdictsTest):
    group = "false_alarms"
    valgrind_differs = {"hands_over": ENDED, "moves": ENDED}

    def test_copied_memory(self):
        self.check("copied_memory")

    def test_large_blocks(self):
        self.check("large_blocks")

    def test_hands_over(self):
        for run in range(RUNS // 2):
            self.check("hands_over", with_valgrind=run == 0)

    def test_moves(self):
        """The same verdict each time, and no hang."""
        for run in range(RUNS):
            self.check("moves", 20000 + 3000 * (run % 10), with_valgrind=run == 0)


if __name__ == "__main__":
    verdicts.main()
