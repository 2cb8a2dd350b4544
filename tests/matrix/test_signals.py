# SPDX-License-Identifier: Apache-2.0
"""Signals: handlers that allocate, leave by siglongjmp, run on small stacks; no hang, nothing goes blind."""
import matrix


class Signals(matrix.MatrixTest):
    group = "signals"



if __name__ == "__main__":
    matrix.main()
