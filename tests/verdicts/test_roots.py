# SPDX-License-Identifier: Apache-2.0
"""Every place where a pointer keeps a block alive, and beside it the same place when it does so no more."""
import verdicts

READ_ONLY = "Valgrind looks into writable memory alone"


class Roots(verdicts.VerdictsTest):
    group = "roots"
    valgrind_differs = {
        "module_data": READ_ONLY,
        "mappings": READ_ONLY,
        "thread_locals": "a thread points into the middle of its table of dynamic TLS, a block of the loader's",
        "registers": "Valgrind does not look into vector registers",
        "kernel_held": "Valgrind does not ask the kernel",
        "regions": "LeakSanitizer's functions are not there",
    }

    def test_module_data(self):
        self.check("module_data")

    def test_library_data(self):
        self.check("library_data", *(self.program(f"library_data_library_{i}.so") for i in (1, 2, 3)))

    def test_thread_locals(self):
        self.check("thread_locals", self.program("thread_locals_library.so"))

    def test_thread_keys(self):
        self.check("thread_keys")

    def test_registers(self):
        self.check("registers")

    def test_stacks(self):
        self.check("stacks")

    def test_fibers(self):
        self.check("fibers")

    def test_mappings(self):
        self.check("mappings")

    def test_kernel_held(self):
        self.check("kernel_held")

    def test_library_keeps(self):
        self.check("library_keeps")

    def test_regions(self):
        self.check("regions")

    def test_without_ptrace(self):
        """Other threads are stopped by a signal then."""
        for name in ("registers", "stacks", "thread_keys"):
            reports = self.check(name, ways=[verdicts.AT_EXIT, verdicts.ON_REQUEST], with_valgrind=False,
                                 prefix=[verdicts.PROGRAMS / "without_ptrace"])
            for report in reports.values():
                self.assertEqual({process["scan"]["stop"] for process in report["processes"] if process["scan"]},
                                 {"signal"})


if __name__ == "__main__":
    verdicts.main()
