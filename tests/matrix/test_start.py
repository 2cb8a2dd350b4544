# SPDX-License-Identifier: Apache-2.0
"""Start and end: from before the first constructor to after the last destructor, and every way to die."""
import signal

import matrix
from seep_test import SEEP, clean_environment

# Of program `ends`: how it is to end, and with what exit status or signal.
ENDS = {
    "return": 18, "exit": 12, "exit_in_worker": 12, "_exit": 13, "_exit_in_worker": 13, "_Exit": 14,
    "_exit_in_handler": 17, "quick_exit": 15, "quick_exit_in_worker": 15, "pthread_exit": 0,
}
DEATHS = {"abort": signal.SIGABRT, "abort_in_worker": signal.SIGABRT, "kill": signal.SIGKILL,
          "kill_in_worker": signal.SIGKILL, "segv": signal.SIGSEGV}
CHURN_THREADS = 8


class Start(matrix.MatrixTest):
    group = "start"

    def test_before_constructors(self):
        self.check("before_constructors")

    def test_before_constructors_bound_at_once(self):
        self.check("before_constructors", LD_BIND_NOW=1)

    def test_fixed_address(self):
        self.check("fixed_address")

    def test_bootstrap_blocks(self):
        self.check("bootstrap_blocks", same_truth=False)  # With seep there are more look-ups.

    def test_own_dlsym(self):
        self.check("own_dlsym")

    def test_dlsym_failures(self):
        self.check("dlsym_failures")


class End(matrix.MatrixTest):
    group = "start"

    def test_registered_early(self):
        self.check("registered_early", "exit")

    def test_registered_early_and_quick(self):
        self.check("registered_early", "quick_exit")

    def test_destructors(self):
        report = self.check("destructors")[matrix.EXACT]
        self.assertEqual(report["coverage"]["missed_frees"], 0, report["coverage"])

    def check_churn(self, report):
        """Each thread holds at most one block of what it makes."""
        churn = self.sums_by_function(report).get("churn")
        if churn is not None:
            self.assertIn(churn["live_blocks"], range(CHURN_THREADS + 1))

    def check_ends(self, way, **expected):
        for recorded_way, report in self.check("ends", way).items():
            if report is None:
                continue
            process, = report["processes"]
            self.assertEqual({field: process[field] for field in expected}, expected, f"{way}, {recorded_way}")
            if recorded_way == matrix.EXACT:
                self.check_churn(report)

    def test_ends(self):
        for way, status in ENDS.items():
            # at_quick_exit's handlers are not told the status.
            known = None if way.startswith("quick_exit") else status
            self.check_ends(way, ended="exit", exit_status=known, signal=None)

    def test_deaths(self):
        for way in DEATHS:
            self.check_ends(way, ended="unknown", exit_status=None, signal=None)

    def test_deaths_that_seep_run_sees(self):
        for way, number in DEATHS.items():
            with self.subTest(way=way):
                path = self.new_recording_path()
                truth_path = self.directory / f"truth.{way}"
                result = self.run_command([SEEP, "run", "--exact", "-o", path, "--", self.program("ends"), way],
                                          env=clean_environment(MATRIX_TRUTH=truth_path))
                self.assertEqual(result.returncode, 128 + number, result.stderr)
                report = self.report(path)
                self.assert_true(report, matrix.read_truth(truth_path), matrix.EXACT)
                self.check_churn(report)
                process, = report["processes"]
                self.assertEqual((process["ended"], process["signal"]), ("signal", number))


if __name__ == "__main__":
    matrix.main()
