# SPDX-License-Identifier: Apache-2.0
"""Processes: every way to make one and to end one; each has a recording of its own, and each recording is true. One
program loads a plugin.
"""
import collections
import os
import unittest

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
        """{pid: {function: {counter: sum}}}. In two pid namespaces two processes may have one number."""
        found = {}
        with open(path, encoding="ascii") as lines:
            for line in lines:
                pid, function, *numbers = line.split()
                functions = found.setdefault(int(pid), collections.defaultdict(collections.Counter))
                functions[function].update(dict(zip(matrix.Truth._fields, map(int, numbers))))
        return found

    def check_streams(self, recording, program, told):
        ours = {function for functions in told.values() for function in functions}
        for pid, functions in told.items():
            streams = [recording / f"{program}.{pid}.seep", *recording.glob(f"{program}.{pid}.[2-9].seep")]
            sums = self.sums_by_function(self.report(*streams))
            seen = {function: {field: sums[function][field] for field in matrix.Truth._fields}
                    for function in ours if function in sums}
            self.assertEqual(seen, {name: dict(counts) for name, counts in functions.items()}, f"pid {pid}")


class Forks(ProcessTest):
    FORKS = 10_000 if LONG else 200
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

    def test_siblings(self):
        self.assertIsNotNone(self.check("siblings")[matrix.OFTEN_SAMPLED], "no child took a sample")


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

    CHILDREN = 2000 if LONG else 80

    def test_raw_child_with_threads(self):
        report = self.check_processes("raw_child_with_threads", self.CHILDREN)[matrix.EXACT]
        self.assertEqual(len(report["processes"]), self.CHILDREN + 1)

    def test_signalled_at_birth(self):
        for how in ([], ["raw"]):
            report = self.check_processes("signalled_at_birth", self.CHILDREN, *how)[matrix.EXACT]
            self.assertEqual(len(report["processes"]), self.CHILDREN + 1)
            self.assertEqual({process["ended"] for process in report["processes"]}, {"exit"})

    def test_vfork_first(self):
        process, = self.check_processes("vfork_first")[matrix.EXACT]["processes"]
        self.assertEqual((process["ppid"], process["ended"]), (os.getpid(), "exit"))


class Lives(ProcessTest):
    def ends(self, report):
        return sorted(process["ended"] for process in report["processes"])

    def test_exec_chain(self):
        report = self.check("exec_chain")[matrix.EXACT]
        self.assertEqual(self.ends(report), ["exec"] * 9 + ["exit"])
        self.assertEqual(len({process["pid"] for process in report["processes"]}), 1)

    def test_killed_children(self):
        report = self.check_processes("killed_children")[matrix.EXACT]
        self.assertEqual(len(report["processes"]), 11)

    def test_namespaces(self):
        self.check_processes("namespaces")

    def test_runs_commands(self):
        self.check_processes("runs_commands", same_truth=False)

    def test_daemonizes(self):
        self.check_processes("daemonizes")

    @unittest.skipIf(os.geteuid() != 0, "not run: only root may leave its root directory")
    def test_daemonizes_in_a_root_of_its_own(self):
        report = self.check_processes("daemonizes", self.directory)[matrix.EXACT]
        self.assertGreater(report["coverage"]["failed_writes"], 0, "it wrote where it should not have been able to")

    @unittest.skipIf(os.geteuid() != 0, "not run: only root may become another user")
    def test_changes_identity(self):
        self.directory.chmod(0o777)
        self.check_processes("changes_identity")


if __name__ == "__main__":
    matrix.main()
