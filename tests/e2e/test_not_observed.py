# SPDX-License-Identifier: Apache-2.0
"""Programs that cannot be observed: they run as ever, one line says why, and nothing calls them free of leaks."""
import os
import shutil
import stat
import subprocess
import sys

import tap
from seep_test import BUILD, CASES, SEEP, SeepTest, clean_environment

NOBODY = 65534


class NotObserved(SeepTest):
    def check(self, recording, result, bare, *words):
        """The program was unharmed, one line said why, and the report says that nothing was seen."""
        self.assertEqual((result.returncode, result.stdout), (bare.returncode, bare.stdout))
        self.assertIn(bare.stderr, result.stderr)
        lines = [line for line in result.stderr.replace(bare.stderr, "").splitlines() if "observed" in line]
        self.assertEqual(len(lines), 1, result.stderr)
        for word in words:
            self.assertIn(word, lines[0])
        for options in ([], ["--full"], ["--format", "json"]):
            report = self.seep("report", *options, recording)
            self.assertEqual(report.returncode, 3, report.stdout + report.stderr)
            said = (report.stdout + report.stderr).lower()
            self.assertNotIn("no leak", said.replace("no leak\n", ""))
            if "json" in options:
                self.assertIn('"unobserved_processes":1', report.stdout.replace(" ", ""))
            else:
                self.assertIn("observed", said)

    def test_static(self):
        bare = self.run_command([CASES / "static_program"])
        recording, result = self.record([CASES / "static_program"])
        self.check(recording, result, bare, "static_program", "static")

    def test_own_malloc(self):
        bare = self.run_command([CASES / "own_malloc"])
        recording, result = self.record([CASES / "own_malloc"])
        self.check(recording, result, bare, "own_malloc", "malloc")

    def test_own_malloc_sampled(self):
        bare = self.run_command([CASES / "own_malloc"])
        recording, result = self.record([CASES / "own_malloc"], ["--sample", "512k"])
        self.check(recording, result, bare, "own_malloc", "malloc")

    def test_own_malloc_with_a_bare_preload(self):
        out = self.directory / "own.seep"
        result = self.run_command([CASES / "own_malloc"], env=clean_environment(
            LD_PRELOAD=BUILD / "src/preload/libseep.so", SEEP_OPTIONS=f"out={out}"))
        self.assertEqual((result.returncode, result.stdout), (0, "own malloc\n"))
        self.assertEqual(self.seep("report", out).returncode, 3)

    def test_set_user_id(self):
        program = self.set_user_id_program()
        as_other = self.as_other_user()
        if not os.access(SEEP, os.X_OK) or self.run_command([*as_other, SEEP, "--version"]).returncode != 0:
            self.skipTest("not run: another user cannot reach the build directory")
        home = self.directory / "writable"
        home.mkdir()
        self.directory.chmod(0o755)
        home.chmod(0o777)
        bare = self.run_command([*as_other, program, "--version"])
        recording = home / "recording"
        result = self.run_command([*as_other, SEEP, "run", "-o", recording, "--", program, "--version"])
        self.check(recording, result, bare, os.path.basename(program), "set-user-id")

    def set_user_id_program(self):
        for program in ("/usr/bin/mount", "/usr/bin/su", "/usr/bin/passwd"):
            if os.path.exists(program) and os.stat(program).st_mode & stat.S_ISUID:
                return program
        self.skipTest("not run: no set-user-id program is installed")

    def as_other_user(self):
        """A prefix under which a set-user-id program of root's changes its user: none is needed unless we are root."""
        if os.getuid() != 0:
            return []
        if not shutil.which("setpriv"):
            self.skipTest("not run: setpriv is not installed")
        return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

    def test_32_bit(self):
        source, program = self.directory / "small.c", self.directory / "small"
        source.write_text("int puts(const char*);\nint main(void) { return puts(\"32 bits\") < 0; }\n")
        if subprocess.run(["gcc", "-m32", source, "-o", program], capture_output=True, check=False).returncode != 0:
            self.skipTest("not run: gcc -m32 has no 32-bit libc here (package gcc-multilib)")
        bare = self.run_command([program])
        if bare.returncode != 0:
            self.skipTest("not run: this kernel runs no 32-bit programs")
        recording, result = self.record([program])
        self.check(recording, result, bare, "small", "32")

    def test_other_machine(self):
        """An executable for another machine cannot even be started: it is said so, and nothing is recorded."""
        program = self.directory / "foreign"
        image = bytearray((CASES / "no_leak").read_bytes())
        image[18:20] = (0xB7).to_bytes(2, sys.byteorder)  # e_machine: AArch64.
        program.write_bytes(image)
        program.chmod(0o755)
        recording, result = self.record([program])
        self.assertEqual(result.returncode, 126, result.stderr)
        self.assertIn("foreign", result.stderr)
        self.assertFalse(recording.exists() and any(recording.glob("*.seep"))
                         and self.seep("report", recording).returncode == 0)

    def test_one_unobserved_among_observed(self):
        recording, result = self.record([CASES / "runs_commands", CASES / "own_malloc", CASES / "no_leak"])
        self.assertEqual((result.returncode, result.stdout), (0, "own malloc\n"))
        report = self.report(recording)
        self.assertEqual(report["coverage"]["unobserved_processes"], 1)
        self.assertIn("own_malloc", self.seep("report", recording).stdout)


if __name__ == "__main__":
    tap.main()
