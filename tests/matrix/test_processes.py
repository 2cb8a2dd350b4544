# SPDX-License-Identifier: Apache-2.0
"""Processes: fork, vfork, clone, exec, daemons; each has its own recording, and the parent's stays as it was."""
import matrix


class Processes(matrix.MatrixTest):
    group = "processes"



if __name__ == "__main__":
    matrix.main()
