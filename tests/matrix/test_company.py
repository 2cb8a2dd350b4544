# SPDX-License-Identifier: Apache-2.0
"""Company: other allocators and preloads, sanitizers, sandboxes, valgrind: each as it is without seep, or one line."""
import matrix


class Company(matrix.MatrixTest):
    group = "company"



if __name__ == "__main__":
    matrix.main()
