# SPDX-License-Identifier: Apache-2.0
"""How leaked blocks hang together, chains of pointers to the start and into the middle, and the heuristics."""
import verdicts


class Structures(verdicts.VerdictsTest):
    group = "structures"
    valgrind_differs = {
        "shapes": "Valgrind may call a ring definite into which another leaked block points",
        "heuristics": "Valgrind does not know new T[0]",
    }

    def test_shapes(self):
        self.check("shapes")

    def test_chains(self):
        self.check("chains")

    def test_heuristics(self):
        self.check("heuristics")

    def test_old_strings(self):
        self.check("old_strings")


if __name__ == "__main__":
    verdicts.main()
