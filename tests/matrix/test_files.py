# SPDX-License-Identifier: Apache-2.0
"""Files and limits: the host's descriptors and files stay its own, and where there is no room it is not harmed."""
import matrix


class Files(matrix.MatrixTest):
    group = "files"



if __name__ == "__main__":
    matrix.main()
