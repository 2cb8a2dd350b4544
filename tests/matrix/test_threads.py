# SPDX-License-Identifier: Apache-2.0
"""Threads: many, short ones with small stacks, frees on other threads; the counts are the truth."""
import matrix


class Threads(matrix.MatrixTest):
    group = "threads"



if __name__ == "__main__":
    matrix.main()
