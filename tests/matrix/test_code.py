# SPDX-License-Identifier: Apache-2.0
"""Code: libraries that come and go, fibers, code without unwind tables, exceptions, stack overflows."""
import matrix


class Code(matrix.MatrixTest):
    group = "code"



if __name__ == "__main__":
    matrix.main()
