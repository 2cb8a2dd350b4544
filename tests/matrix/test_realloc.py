# SPDX-License-Identifier: Apache-2.0
"""The functions of the family in every unusual way: what they return, what is live afterwards, what errno says."""
import matrix


class Realloc(matrix.MatrixTest):
    group = "realloc"

    def test_realloc_each_way(self):
        self.check("realloc_each_way")


if __name__ == "__main__":
    matrix.main()
