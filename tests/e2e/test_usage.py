# SPDX-License-Identifier: Apache-2.0
"""The command line and SEEP_OPTIONS: what is asked for wrongly is said in one line, and the program is unharmed."""
import os
import signal
import stat
import subprocess

import tap
from seep_test import CASES, PRELOAD, SEEP, SeepTest, clean_environment, only_stream


class CommandLine(SeepTest):
    def assert_wrong_usage(self, result, *words):
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assert_one_line(result.stderr, *words)

    def test_no_subcommand(self):
        self.assert_wrong_usage(self.seep())

    def test_unknown_subcommand(self):
        self.assert_wrong_usage(self.seep("reprot"), "reprot")

    def test_no_command_to_run(self):
        self.assert_wrong_usage(self.seep("run"))
        self.assert_wrong_usage(self.seep("run", "--exact", "--"))

    def test_unknown_option(self):
        self.assert_wrong_usage(self.seep("run", "--exakt", "true"), "--exakt")
        self.assert_wrong_usage(self.seep("report", "--josn", "."), "--josn")

    def test_nonsensical_values(self):
        self.assert_wrong_usage(self.seep("run", "--sample", "plenty", "true"), "plenty")
        self.assert_wrong_usage(self.seep("report", "--format", "papyrus", "."), "papyrus")
        self.assert_wrong_usage(self.seep("run", "--interval", "-3", "true"), "-3")

    def test_options_after_the_command_are_the_commands(self):
        result = self.seep("run", "-o", self.directory / "r", "echo", "--exact", "-o", "x")
        self.assertEqual((result.returncode, result.stdout), (0, "--exact -o x\n"))

    def test_version_and_help_with_an_example(self):
        self.assertRegex(self.seep("--version").stdout, r"\b0\.1\.0\b")
        for arguments in ([], ["run"], ["report"], ["compress"], ["preload"]):
            result = self.seep(*arguments, "--help")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertRegex(result.stdout, r"(?i)example", f"seep {arguments} --help")

    def test_preload_prints_a_path(self):
        result = self.seep("preload")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertTrue(os.path.samefile(result.stdout.strip(), PRELOAD))


class Running(SeepTest):
    def test_not_found_is_127_and_leaves_nothing(self):
        path, result = self.record(["no-such-program"])
        self.assertEqual(result.returncode, 127)
        self.assert_one_line(result.stderr, "no-such-program")
        self.assertFalse(path.exists())

    def test_not_executable_is_126_and_leaves_nothing(self):
        program = self.directory / "text"
        program.write_text("not a program\n")
        path, result = self.record([program])
        self.assertEqual(result.returncode, 126)
        self.assert_one_line(result.stderr, "text")
        self.assertFalse(path.exists())

    def test_exit_status_is_the_commands(self):
        self.assertEqual(self.record(["sh", "-c", "exit 7"])[1].returncode, 7)
        self.assertEqual(self.record(["sh", "-c", "kill -TERM $$"])[1].returncode, 128 + signal.SIGTERM)
        self.assertEqual(self.record(["sh", "-c", "kill -KILL $$"])[1].returncode, 128 + signal.SIGKILL)

    def test_output_is_the_commands_and_comes_first(self):
        _, result = self.record(["sh", "-c", "cat; echo out; echo err >&2"], stdin=b"in\n")
        self.assertEqual(result.stdout, "in\nout\n")
        self.assertTrue(result.stderr.startswith("err\n"), result.stderr)

    def test_forwards_sigterm(self):
        path = self.new_recording_path()
        with subprocess.Popen([SEEP, "run", "-o", path, "--", "sh", "-c", "trap 'exit 9' TERM; echo up; "
                               "while :; do sleep 0.05; done"], env=clean_environment(), stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, cwd=self.directory) as running:
            self.assertEqual(running.stdout.readline(), b"up\n")
            running.send_signal(signal.SIGTERM)
            self.assertEqual(running.wait(30), 9)

    def test_a_directory_in_use_is_refused_unless_forced(self):
        path, _ = self.record([CASES / "no_leak"])
        before = sorted(file.name for file in path.iterdir())
        marker = self.directory / "ran"
        result = self.seep("run", "-o", path, "--", "touch", marker)
        self.assertEqual(result.returncode, 2)
        self.assert_one_line(result.stderr, str(path))
        self.assertFalse(marker.exists())
        self.assertEqual(sorted(file.name for file in path.iterdir()), before)
        self.assertEqual(self.seep("run", "--force", "-o", path, "--", CASES / "ends").returncode, 4)
        report = self.report(path)
        self.assertEqual([os.path.basename(process["executable"]) for process in report["processes"]], ["ends"])

    def test_an_unwritable_directory_is_said_before_the_command_starts(self):
        marker = self.directory / "ran"
        result = self.seep("run", "-o", "/dev/null/recording", "--", "touch", marker)
        self.assertEqual(result.returncode, 2)
        self.assert_one_line(result.stderr, "/dev/null/recording")
        self.assertFalse(marker.exists())

    def test_report_without_a_path_takes_the_newest_here(self):
        self.assertEqual(self.seep("run", "--", CASES / "no_leak").returncode, 0)
        for stream in self.directory.glob("seep.no_leak.*/*.seep"):
            os.utime(stream, (1, 1))
        self.assertEqual(self.seep("run", "--", CASES / "ends").returncode, 4)
        names = sorted(path.name.rsplit(".", 1)[0] for path in self.directory.glob("seep.*"))
        self.assertEqual(names, ["seep.ends", "seep.no_leak"])
        self.assertIn("ends", self.report()["processes"][0]["executable"])

    def test_report_of_what_is_not_there(self):
        result = self.seep("report")
        self.assertIn(result.returncode, (2, 3))
        self.assert_one_line(result.stderr)
        result = self.seep("report", "no/such/recording")
        self.assertEqual(result.returncode, 3)
        self.assert_one_line(result.stderr, "no/such/recording")


class Preloading(SeepTest):
    def preload(self, command, options):
        return self.run_command(command, env=clean_environment(LD_PRELOAD=PRELOAD, SEEP_OPTIONS=options))

    def test_bare_preload_writes_a_private_stream(self):
        out = self.directory / "here.seep"
        result = self.preload([CASES / "no_leak"], f"sample=1:out={out}")
        self.assertEqual((result.returncode, result.stderr), (0, "no leak\n"))
        self.assertEqual(stat.S_IMODE(out.stat().st_mode), 0o600)
        self.assert_whole(self.report(out))

    def test_placeholders_and_names_in_use(self):
        out = f"{self.directory}/%e-%%.seep"
        for _ in range(3):
            self.assertEqual(self.preload([CASES / "no_leak"], f"sample=1:out={out}").returncode, 0)
        names = sorted(path.name for path in self.directory.iterdir())
        self.assertEqual(len(names), 3, names)
        self.assertIn("no_leak-%.seep", names)
        for name in names:
            self.assert_whole(self.report(self.directory / name))

    def test_an_escaped_colon(self):
        out = self.directory / "a:b.seep"
        escaped = str(out).replace(":", "\\:")
        self.assertEqual(self.preload([CASES / "no_leak"], f"out={escaped}:sample=1").returncode, 0)
        self.assertTrue(out.exists(), sorted(self.directory.iterdir()))

    def test_an_unknown_key_is_one_line_and_not_repeated_in_children(self):
        result = self.preload([CASES / "runs_commands", CASES / "no_leak", CASES / "no_leak"],
                              f"sampel=1:out={self.directory}/%e.%p.seep")
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        lines = result.stderr.splitlines()
        complaints = [line for line in lines if line.startswith("seep")]
        self.assertEqual(len(complaints), 1, result.stderr)
        self.assertIn("sampel", complaints[0])
        self.assertEqual([line for line in lines if line not in complaints], ["no leak", "no leak"])

    def test_a_nonsensical_value_is_one_line(self):
        result = self.preload([CASES / "ends", "return"], f"sample=many:out={self.directory}/%e.%p.seep")
        self.assertEqual((result.returncode, result.stdout), (4, ""))
        self.assert_one_line(result.stderr, "sample")

    def test_where_the_output_cannot_be_written_the_program_is_unharmed(self):
        result = self.preload([CASES / "ends", "return"], "sample=1:out=/dev/null/no/where.seep")
        self.assertEqual((result.returncode, result.stdout), (4, ""))
        self.assertLessEqual(len(result.stderr.splitlines()), 1, result.stderr)

    def test_a_sampled_process_without_a_sample_leaves_nothing(self):
        out = self.directory / "nothing.seep"
        self.assertEqual(self.preload([CASES / "ends", "return"], f"sample=1g:out={out}").returncode, 4)
        self.assertEqual(list(self.directory.iterdir()), [])


if __name__ == "__main__":
    tap.main()
