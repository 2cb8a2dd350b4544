# SPDX-License-Identifier: Apache-2.0
"""The gate's files and surroundings: what people write, damaged in ten ways; the baseline; jobs that run beside each
other, again in what others left, and that are called off.
"""
import os
import pathlib
import random
import signal
import subprocess

import tap
from gate_test import FAILED, LEAKS, NOT_JUDGED, PASSED, WRONG_USAGE, GateTest
from seep_test import CASES, SEEP, clean_environment, wait_until


def damaged(data, ways=10):
    """Ten ways in which a text file may be damaged, each of which no reader can take for what it was."""
    text = data.decode()
    lines = text.splitlines(keepends=True)
    middle = len(lines) // 2
    generator = random.Random(1)
    yield "an unknown key", text + "\nunheard_of = 1\n"
    yield "binary", "\x7fELF\x02\x01\x01\x00" + "".join(chr(generator.randrange(1, 32)) for _ in range(200))
    yield "no UTF-8", data[:len(data) // 2] + b"\n\xff\xfe = 1\n" + data[len(data) // 2:]
    yield "a line without an end", text + "\nkey = \"no end"
    yield "an equals sign in a line of its own", "".join(lines[:middle]) + "= =\n" + "".join(lines[middle:])
    yield "a bracket that is not closed", text + "\n[[table\n"
    yield "a conflict of a merge", "<<<<<<< HEAD\n" + text + ">>>>>>> main\n"
    yield "all on one line", text.replace("\n", " ")
    yield "a diff of it", "".join("+" + line for line in lines)
    yield "an error page", "<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n"


class BadFiles(GateTest):
    """Each file that a person writes, damaged in ten ways: one line with file and line, and nothing is overwritten."""

    def setUp(self):
        super().setUp()
        self.recording = self.recorded("leak")

    def check(self, option, name, text, *more):
        path = self.directory / name
        path.write_bytes(text)
        self.assertIn(self.gate(option, path, *more, self.recording).returncode, (PASSED, FAILED))
        for way, bad in damaged(text):
            with self.subTest(way=way):
                bad = bad if isinstance(bad, bytes) else bad.encode()
                path.write_bytes(bad)
                result = self.gate(option, path, *more, self.recording)
                self.assertEqual(result.returncode, WRONG_USAGE, result.stdout + result.stderr)
                self.assertEqual(result.stdout, "")
                self.assert_one_line(result.stderr)
                self.assertRegex(result.stderr, rf"^seep: {path}:[1-9]\d*: ")
                self.assertEqual(path.read_bytes(), bad)

    def test_policies(self):
        self.check("--policy", "seep.toml",
                   b'fail = ["definite"]\nmax_bytes = 3\n[[site_budget]]\nstack = "f"\nmax_blocks = 1\n')

    def test_suppressions_of_lsan(self):
        self.check("--suppressions", "known.supp", b"leak:make_message\nleak:open_list\n")

    def test_suppressions_of_valgrind(self):
        entry = b"{\n  name\n  Memcheck:Leak\n  fun:calloc\n  fun:open_list\n}\n"
        self.check("--suppressions", "valgrind.supp", entry + entry)

    def test_suppressions_of_seep(self):
        self.check("--suppressions", "known.toml", b'[[suppress]]\nstack = ["make_message", "main"]\nmax_blocks = 1\n')

    def test_baselines(self):
        path = self.directory / "made.toml"
        self.gate("--baseline", path, "--update", self.recording)
        self.check("--baseline", "leaks.toml", path.read_bytes(), "--update", "--accept")

    def test_files_that_are_not_there(self):
        for option in ("--policy", "--suppressions", "--baseline"):
            for path in ("no/such/file", self.directory):
                result = self.gate(option, path, self.recording)
                self.assertEqual(result.returncode, WRONG_USAGE)
                self.assert_one_line(result.stderr, str(path))

    def test_values_of_options(self):
        for options in (["--fail", "lost"], ["--max-bytes", "much"], ["--max-blocks", "-1"], ["--site-budget", "f"],
                        ["--allocation-budget", "f=1/2@0"], ["--min-coverage", "2"], ["--confidence", "1"],
                        ["--format", "papyrus"], ["--suppress", ""], ["--update"], ["--source-root", "no/such/place"],
                        ["--json", "no/such/place/f.json"]):
            result = self.gate(*options, self.recording)
            self.assertEqual(result.returncode, WRONG_USAGE, options)
            self.assert_one_line(result.stderr)


class Baselines(GateTest):
    def setUp(self):
        super().setUp()
        self.file = self.directory / "leaks.toml"

    def made_of(self, *acts):
        self.assertEqual(self.gate("--baseline", self.file, "--update", self.recorded(*acts)).returncode, PASSED)
        return self.file.read_text()

    def against(self, *acts, options=()):
        return self.gate("--baseline", self.file, *options, self.recorded(*acts))

    def test_old_leaks_pass_and_new_ones_fail(self):
        self.made_of("leak")
        self.assertEqual(self.against("leak").returncode, PASSED)
        self.assertEqual(self.against("keep").returncode, PASSED)
        result = self.against("leak", "leak")
        self.assertEqual(result.returncode, FAILED)
        self.assertIn("grown: +9.77 KiB, +10 blocks since the baseline", result.stdout)
        self.assertEqual(self.gate("--baseline", self.file, "--fail", "definite", self.recorded("leak", "maybe")).returncode,
                         PASSED)
        self.file.write_text(self.file.read_text().replace("[[leak]]", "[[leak]]\nnote = \"ticket 7\"", 1))
        self.assertEqual(self.against("leak").returncode, PASSED)

    def test_it_only_falls_unless_it_is_accepted(self):
        two = self.made_of("leak", "leak")
        one = self.made_of("leak")
        self.assertEqual(one, self.file.read_text())
        self.assertNotEqual(one, two)
        result = self.against("leak", "leak", options=["--update"])
        self.assertEqual((result.returncode, self.file.read_text()), (FAILED, one))
        result = self.against("leak", "leak", options=["--accept"])
        self.assertEqual((result.returncode, self.file.read_text()), (PASSED, two))
        self.assertEqual(self.against("keep", options=["--update"]).returncode, PASSED)
        self.assertNotIn("[[leak]]", self.file.read_text())

    def test_without_update_it_is_only_read(self):
        text = self.made_of("leak")
        self.file.chmod(0o444)
        for acts in (["leak"], ["keep"], ["leak", "leak"]):
            self.against(*acts)
            self.assertEqual(self.file.read_text(), text)

    def test_nothing_is_learned_of_what_was_not_judged(self):
        text = self.made_of("leak")
        script = ["sh", "-c", f"{CASES}/ends kill; exit 0"]
        result = self.run_gate(script, ["--baseline", self.file, "--update"])
        self.assertEqual((result.returncode, self.file.read_text()), (NOT_JUDGED, text))
        result = self.run_gate([CASES / "ends", "return"], ["--baseline", self.file, "--update"])
        self.assertEqual((result.returncode, self.file.read_text()), (4, text), "its test failed before it could leak")
        result = self.run_gate([CASES / "leaks", "keep"], ["--baseline", self.file, "--update"])
        self.assertEqual(result.returncode, PASSED)
        self.assertNotEqual(self.file.read_text(), text)

    def test_of_another_policy(self):
        self.made_of("leak")
        result = self.against("leak", options=["--fail", "definite,possible"])
        self.assertEqual(result.returncode, WRONG_USAGE)
        self.assert_one_line(result.stderr, str(self.file), "possible")

    def test_is_the_same_text_each_time(self):
        first = self.made_of("leak", "maybe")
        self.file.unlink()
        self.assertEqual(self.made_of("maybe", "leak"), first)


class Workspaces(GateTest):
    """Jobs that run beside each other, again in what others left, and that are called off."""

    def test_many_at_once_in_one_directory(self):
        commands = [([CASES / "leaks", "leak" if index % 3 == 0 else "keep"], LEAKS if index % 3 == 0 else PASSED)
                    for index in range(12)]
        running = [subprocess.Popen([SEEP, "run", "--gate", "--", *command], cwd=self.directory,
                                    env=clean_environment(), stderr=subprocess.DEVNULL) for command, _ in commands]
        self.assertEqual([process.wait(120) for process in running], [code for _, code in commands])
        self.assertEqual(len(self.left_here()), 4, "those of the four that leak")

    def test_again_where_a_job_was_killed_with_seep(self):
        for options in (["-o", "recording"], ["-o", "recording", "--force"], []):
            with subprocess.Popen([SEEP, "run", "--gate", *options, "--", "sh", "-c", f"{CASES}/leaks leak; sleep 30"],
                                  cwd=self.directory, env=clean_environment(), stderr=subprocess.DEVNULL,
                                  start_new_session=True) as running:
                self.wait_for_stream()
                os.killpg(running.pid, signal.SIGKILL)
            if options == ["-o", "recording"]:
                self.assertEqual(self.run_gate([CASES / "leaks", "keep"], options).returncode, WRONG_USAGE, "in use")
                options = options + ["--force"]
            result = self.run_gate([CASES / "leaks", "keep"], options)
            self.assertEqual(result.returncode, PASSED, result.stderr)

    def wait_for_stream(self):
        wait_until(lambda: list(self.directory.rglob("leaks.*.seep")), "something is recorded")

    def test_again_where_the_directory_is_gone_and_shared_memory_is_not(self):
        with subprocess.Popen([SEEP, "run", "--gate", "-o", "recording", "--", "sleep", "30"], cwd=self.directory,
                              env=clean_environment(), stderr=subprocess.DEVNULL, start_new_session=True) as running:
            self.wait_for_region()
            os.killpg(running.pid, signal.SIGKILL)
        subprocess.run(["rm", "-rf", self.directory / "recording"], check=True)
        result = self.run_gate([CASES / "leaks", "keep"], ["-o", "recording"])
        self.assertEqual(result.returncode, PASSED, result.stderr)

    def regions(self):
        name = os.fsencode(self.directory)
        found = []
        for region in pathlib.Path("/dev/shm").glob("seep.*.region"):
            try:
                with open(region, "rb") as file:
                    if name in file.read(1 << 16):
                        found.append(region)
            except OSError:
                continue
        return found

    def wait_for_region(self):
        wait_until(self.regions, "something is recorded")

    def test_a_name_that_is_in_use_gets_another(self):
        """A pid comes again: the recording of an old process of this number must not be in the way."""
        script = "mkdir seep.sh.$PPID seep.leaks.$$; touch seep.leaks.$$/old.seep; " \
                 f"exec {SEEP} run --gate -- {CASES}/leaks leak"
        self.assertEqual(self.run_command(["sh", "-c", script]).returncode, LEAKS)
        self.assertEqual(self.run_gate([CASES / "leaks", "leak"]).returncode, LEAKS)

    def test_a_job_that_is_called_off(self):
        """SIGTERM to `seep run` ends the program and all of seep; what was found so far can be looked at."""
        with subprocess.Popen([SEEP, "run", "--gate", "--", "sh", "-c", f"{CASES}/leaks leak; exec sleep 30"],
                              cwd=self.directory, env=clean_environment(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as running:
            self.wait_for_stream()
            self.wait_for_exec(running.pid)
            running.send_signal(signal.SIGTERM)
            stderr = running.communicate(timeout=60)[1].decode()
        self.assertEqual(running.returncode, 128 + signal.SIGTERM)
        self.assertIn("NOT JUDGED: process", stderr)
        self.assertIn("sleep was killed by SIGTERM", stderr)
        self.assertNotIn("PASSED", stderr)
        self.assertEqual(self.regions(), [])
        (name,) = self.left_here()
        self.assertEqual(self.gate(name).returncode, NOT_JUDGED)
        self.assertEqual(self.gate("--allow-unjudged", "sleep", name).returncode, FAILED)

    def wait_for_exec(self, pid):
        """Until the shell that seep runs has become sleep."""
        def is_sleep():
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            names = [pathlib.Path(f"/proc/{child}/comm").read_text().strip() for child in children]
            return "sleep" in names and len(self.regions()) == 1
        wait_until(is_sleep, "the shell has become sleep")


if __name__ == "__main__":
    tap.main()
