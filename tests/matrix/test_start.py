# SPDX-License-Identifier: Apache-2.0
"""Start and end: from before the first constructor to after the last destructor, and every way to die."""
import matrix


class Start(matrix.MatrixTest):
    group = "start"



if __name__ == "__main__":
    matrix.main()
