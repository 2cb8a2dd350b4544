# SPDX-License-Identifier: Apache-2.0
"""What is leaked, though words that look like a pointer to it stand about: where the program cannot come by them any
more. Rings and blocks that point to themselves are in test_structures.py, overwritten registers in test_roots.py."""
import verdicts


class Misses(verdicts.VerdictsTest):
    group = "misses"
    valgrind_differs = {
        "ended_threads": "Valgrind takes the descriptors of threads that have ended for alive",
        "busy_recorder": "Valgrind ends the other threads before it looks",
    }

    def test_stale_stacks(self):
        self.check("stale_stacks")

    def test_ended_threads(self):
        self.check("ended_threads")

    def test_freed_memory(self):
        self.check("freed_memory")

    def test_neighbours(self):
        self.check("neighbours")

    def test_busy_recorder(self):
        for run in range(100 if verdicts.LONG else 10):
            self.check("busy_recorder", ways=[verdicts.AT_EXIT], with_valgrind=run == 0)


if __name__ == "__main__":
    verdicts.main()
