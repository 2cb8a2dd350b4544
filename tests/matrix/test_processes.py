# SPDX-License-Identifier: Apache-2.0
"""Processes: every way to make one and to end one; each has a recording of its own, and each recording is true. One
program loads a plugin.
"""
import matrix
from seep_test import LONG


class ProcessTest(matrix.MatrixTest):
    """Programs that say which process did what (processes/process_truth.h)."""

    group = "processes"

    def check_processes(self, program, *arguments, ways=matrix.EVERY_WAY, **how):
        """As check; where it is exact, also the stream of each process that was told of: what it did is in it, and
        nothing of another's. {way: report}"""
        reports = self.check(program, *arguments, ways=ways, **how)
        for number, way in enumerate(ways, self.recordings - len(ways) + 1):
            if way == matrix.EXACT:
                recording = self.directory / f"recording.{number}"
                self.check_streams(recording, program, self.told(f"{recording}.truth.processes"))
        return reports

    def told(self, path):
        """{pid: {function: Truth}}"""
        found = {}
        with open(path, encoding="ascii") as lines:
            for line in lines:
                pid, function, *numbers = line.split()
                self.assertNotIn(function, found.setdefault(int(pid), {}), "told twice")
                found[int(pid)][function] = matrix.Truth(*map(int, numbers))
        return found

    def check_streams(self, recording, program, told):
        ours = {function for functions in told.values() for function in functions}
        for pid, functions in told.items():
            report = self.report(recording / f"{program}.{pid}.seep")
            sums = self.sums_by_function(report)
            seen = {function: matrix.Truth(*(sums[function][field] for field in matrix.Truth._fields))
                    for function in ours if function in sums}
            self.assertEqual(seen, functions, f"pid {pid}")


class Forks(ProcessTest):
    FORKS = 10_000 if LONG else 250
    limit_seconds = 3000 if LONG else 120

    def test_forks_amid_dlopen(self):
        plugin = self.program("plugin.so")
        for report in self.check("forks_amid_dlopen", plugin, self.FORKS, ways=(matrix.SAMPLED, matrix.EXACT),
                                 same_truth=False).values():
            self.assertTrue(report)

    def test_forks_in_threads(self):
        self.check_processes("forks_in_threads")

    def test_generations(self):
        self.check_processes("generations")


class Children(ProcessTest):
    def check_kind(self, kind, processes):
        report = self.check_processes("children", kind)[matrix.EXACT]
        self.assertEqual(len(report["processes"]), processes)
        self.assertEqual({process["ended"] for process in report["processes"]}, {"exit"})

    def test_fork(self):
        self.check_kind("fork", 11)

    def test_fork_without_handlers(self):
        self.check_kind("_Fork", 11)

    def test_raw_fork(self):
        self.check_kind("raw fork", 11)

    def test_clone(self):
        self.check_kind("clone", 11)

    def test_raw_clone(self):
        self.check_kind("raw clone", 11)

    def test_raw_clone3(self):
        self.check_kind("raw clone3", 11)

    def test_vfork(self):
        self.check_kind("vfork", 1)

    def test_clone_in_the_same_memory(self):
        self.check_kind("clone VM", 1)

    def test_clone_as_vfork(self):
        self.check_kind("clone VM VFORK", 1)


if __name__ == "__main__":
    matrix.main()
