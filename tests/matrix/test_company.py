# SPDX-License-Identifier: Apache-2.0
"""Company: other allocators and preloads, sanitizers, sandboxes, valgrind: each as it is without seep, or one line.

Programs that are static, set-user-id or have an allocator of their own are in e2e/test_not_observed.py, every function
of each allocator in e2e/test_allocators.py.
"""
import glob
import json
import os
import pathlib
import re
import shutil

import matrix
from matrix import EVERY_WAY, EXACT, HERE
from seep_test import CASES, PRELOAD, SEEP, clean_environment, needs
from surroundings import IS_ROOT, need, why_no_unshare

NOBODY = 65534


def library(pattern):
    """A library of the system by its name's pattern, or None."""
    found = sorted(glob.glob(f"/usr/lib/*-linux-gnu/{pattern}"))
    return found[0] if found else None


class Company(matrix.MatrixTest):
    group = "company"

    def run_both(self, command, way=EXACT, preload=None, **environment):
        """(outcome without seep, outcome with it, the recording). `preload` as in check."""
        chain = preload or (lambda ours: ours)
        plain = dict(environment, LD_PRELOAD=chain(None)) if chain(None) else environment
        recording = self.new_recording_path()
        bare = self.outcome(command, clean_environment(**plain), pathlib.Path(f"{recording}.bare.truth"))
        seen = self.outcome(command, self.environment_of(way, recording, chain(PRELOAD), **environment),
                            pathlib.Path(f"{recording}.truth"))
        return bare, seen, recording

    def assert_not_observed(self, recording, *words):
        """What is there says that it saw nothing, and is not mistaken for a clean one."""
        result = self.seep("report", recording)
        self.assertEqual(result.returncode, 3, result.stdout)
        for word in ("observed", *words):
            self.assertIn(word, result.stdout + result.stderr)

    # ---- Allocators.

    ALLOCATORS = ("libjemalloc.so.2", "libtcmalloc.so.4", "libtcmalloc_minimal.so.4", "libmimalloc.so.2")

    def test_allocators_preloaded_behind_seep(self):
        for name in self.ALLOCATORS:
            path = library(name)
            if path is not None:
                self.check("allocates_plainly", preload=lambda ours, path=path: f"{ours}:{path}" if ours else path)

    def test_allocators_preloaded_before_seep(self):
        """It is found before seep: nothing can be seen, and that is said."""
        for name in self.ALLOCATORS:
            path = library(name)
            for way in EVERY_WAY if path is not None else ():
                with self.subTest(allocator=name, way=way):
                    bare, seen, recording = self.run_both(
                        [self.program("allocates_plainly")], way,
                        lambda ours, path=path: f"{path}:{ours}" if ours else path)
                    self.assertEqual(seen, bare)
                    self.assert_not_observed(recording, "malloc is defined in", name)

    def linked_programs(self, suffix):
        programs = sorted(path for path in self.program("").glob(f"allocates_plainly_*{suffix}") if path.is_file())
        programs = [path for path in programs if path.name.endswith("_static") == (suffix == "_static")]
        if not programs:
            self.skipTest("not run: no allocator's library is installed")
        return programs

    def test_allocators_linked(self):
        for program in self.linked_programs(""):
            self.check(program.name)

    def test_allocators_in_the_program(self):
        for program in self.linked_programs("_static"):
            for way in EVERY_WAY:
                with self.subTest(program=program.name, way=way):
                    bare, seen, recording = self.run_both([program], way)
                    self.assertEqual(seen, bare)
                    self.assert_not_observed(recording, "malloc is defined in", program.name)

    # ---- Libraries.

    def test_deep_binding(self):
        report = self.check("deep_binding", self.program("deep_binding_plugin.so"), whole=False)[EXACT]
        sums = self.sums_by_function(report)["allocates_in_the_program"]
        self.assertEqual((sums["alloc_blocks"], sums["alloc_bytes"]), (2000, 2000 * 1700))

    def test_faketime(self):
        path = library("faketime/libfaketimeMT.so.1")
        if path is None:
            self.skipTest("not run: libfaketime is not installed (package faketime)")
        for chain in (lambda ours: f"{ours}:{path}" if ours else path, lambda ours: f"{path}:{ours}" if ours else path):
            for faked in ("2001-02-03 04:05:06", "@2030-01-01 00:00:00 x100"):
                self.check("allocates_plainly", preload=chain, FAKETIME=faked)

    def test_audit(self):
        self.check("allocates_plainly", LD_AUDIT=self.program("audit_library.so"))

    def test_bound_at_start(self):
        self.check("allocates_plainly", LD_BIND_NOW=1)

    def test_wraps_malloc(self):
        """A malloc in the program, which calls ours: recorded truly or not at all."""
        for way in EVERY_WAY:
            bare, seen, recording = self.run_both([self.program("wraps_malloc")], way)
            self.assertEqual(seen, bare)
            self.assert_not_observed(recording, "wraps_malloc")

    def test_wrapping_library(self):
        wrapper = self.program("wrapping_library.so")
        self.check("allocates_plainly", preload=lambda ours: f"{ours}:{wrapper}" if ours else wrapper)
        bare, seen, recording = self.run_both([self.program("allocates_plainly")],
                                              preload=lambda ours: f"{wrapper}:{ours}" if ours else wrapper)
        self.assertEqual(seen, bare)
        self.assert_not_observed(recording, "wrapping_library.so")

    def test_changes_environment(self):
        nothing = self.program("nothing_library.so")
        for what in ("clear", "set"):
            report = self.check("changes_environment", what, nothing)[EXACT]
            self.assertNotIn("allocates_last", self.sums_by_function(report))
        for way in EVERY_WAY:  # With "prepend" the program sees us in LD_PRELOAD, as it must.
            bare, seen, recording = self.run_both([self.program("changes_environment"), "prepend", nothing], way)
            self.assertEqual((seen.status, seen.stdout, seen.stderr), (0, b"more preloaded\n", b""))
            self.assertEqual(bare.status, 0)
            report = self.report_of(recording, way)
            if report is not None:
                self.assert_true(report, seen.truth, way)

    # ---- Sandboxes and rights.

    def test_sandboxes_itself(self):
        for how in ("prctl", "syscall", "libseccomp", "strict"):
            for others in ("alone", "threads"):
                if (how, others) != ("strict", "threads"):  # A thread cannot end there without ending all.
                    self.check_sandbox(how, others)

    def check_sandbox(self, how, others):
        regions = self.new_recording_path()
        regions.mkdir()
        for way in EVERY_WAY:
            for interval in ("10s", "1ms"):
                with self.subTest(how=how, others=others, way=way, interval=interval):
                    bare = self.outcome([self.program("sandboxes_itself"), how, others], clean_environment(),
                                        self.directory / "bare.truth")
                    if bare.status == 3:
                        self.skipTest(f"not run: no filter by {how}")
                    self.assertEqual((bare.status, bare.stdout), (0, b"in the sandbox\nends well\n"))
                    recording = self.new_recording_path()
                    environment = self.environment_of(way, recording, options=f"region={regions}:interval={interval}")
                    seen = self.outcome([self.program("sandboxes_itself"), how, others], environment,
                                        pathlib.Path(f"{recording}.truth"))
                    self.assertEqual(seen[:3], bare[:3])
                    left = list(regions.iterdir())
                    if way == EXACT:
                        report = (self.report(regions, options=["--orphans"]) if left else self.report(recording))
                        self.assert_true(report, seen.truth, way, whole=False)
                        after = self.sums_by_function(report)["allocates_after"]["alloc_blocks"]
                        coverage = report["coverage"]
                        wanted = 500 * (4 if others == "threads" else 1)
                        self.assertGreaterEqual(after + coverage["dropped_records"], wanted, coverage)
                        if after < wanted:
                            self.assertLess(coverage["fraction"], 1)
                    for path in left:
                        path.unlink(missing_ok=True)

    def test_sandboxes_itself_under_seep_run(self):
        """It cannot write its recording any more: the parent does."""
        recording = self.new_recording_path()
        truth = pathlib.Path(f"{recording}.truth")
        result = self.seep("run", "-o", recording, "--", self.program("sandboxes_itself"), "syscall", "threads",
                           env=clean_environment(MATRIX_TRUTH=truth))
        self.assertEqual((result.returncode, result.stdout), (0, "in the sandbox\nends well\n"))
        self.assert_true(self.report(recording), matrix.read_truth(truth), EXACT, whole=False)

    # What seep may call, by the number of x86-64, but for what no program runs without.
    CALLS = {"poll": 7, "rt_sigprocmask": 14, "pread64": 17, "sched_yield": 24, "madvise": 28, "getpid": 39,
             "clone": 56, "uname": 63, "flock": 73, "ftruncate": 77, "getcwd": 79, "readlink": 89, "fchmod": 91,
             "rt_sigpending": 127, "prctl": 157, "gettid": 186, "mkdirat": 258, "unlinkat": 263, "renameat": 264,
             "readlinkat": 267, "fallocate": 285, "prlimit64": 302, "process_vm_readv": 310, "getrandom": 318}

    def test_denied_calls(self):
        if os.uname().machine != "x86_64":
            self.skipTest("not run: the numbers of the system calls are x86-64's")
        one_by_one = list(self.CALLS.values())
        together = [number for name, number in self.CALLS.items() if name not in ("rt_sigprocmask", "clone")]
        for error in (1, 38):  # EPERM, ENOSYS
            for calls in [[number] for number in one_by_one] + [together]:
                with self.subTest(error=error, calls=calls):
                    command = [self.program("denied_calls"), error, *calls]
                    bare, seen, recording = self.run_both(command)
                    self.assertIn(bare.status, (5, 127))
                    self.assertEqual(seen, bare)
                    result = self.seep("report", "--format", "json", recording)
                    self.assertIn(result.returncode, (0, 3), result.stderr)
                    if result.returncode == 0 and seen.truth:
                        report = json.loads(result.stdout)
                        # By size: without readlink nobody can say which file the program is, nor name its functions.
                        found = sum(site["alloc_blocks"] for site in report["sites"]
                                    if site["alloc_bytes"] == 1900 * site["alloc_blocks"])
                        self.assertGreaterEqual(found + report["coverage"]["dropped_records"],
                                                seen.truth["allocates_denied"].alloc_blocks)

    def test_changes_its_rights(self):
        for what in ("dumpable", "user", "mount", "pid", "no-new-privileges"):
            self.check("changes_its_rights", what)

    @needs("setpriv")
    def test_changes_its_rights_as_nobody(self):
        if not IS_ROOT:
            self.skipTest("not run: to become another user needs root; it was run as this one")
        self.directory.chmod(0o777)
        for what in ("dumpable", "user", "no-new-privileges"):
            self.check("changes_its_rights", what,
                       prefix=["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"])

    @needs("unshare")
    def test_unshare(self):
        for options in (["--mount"], ["--pid", "--fork"], ["--user", "--map-root-user"], ["--ipc", "--uts", "--net"]):
            need(self, why_no_unshare(*options))
            self.check("changes_its_rights", "no-new-privileges", prefix=["unshare", *options])

    def test_preload_of_what_cannot_be(self):
        """Static and set-user-id programs under a bare preload: the loader is not there, or refuses."""
        bare, seen, _ = self.run_both([CASES / "static_program"])
        self.assertEqual(seen, bare)
        if IS_ROOT and shutil.which("setpriv") and os.path.exists("/usr/bin/mount"):
            bare, seen, _ = self.run_both(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                                           "/usr/bin/mount", "--version"])
            self.assertEqual(seen.status, bare.status)
            self.assertEqual(seen.stdout, bare.stdout)

    def test_shell_script_with_pipes(self):
        script = self.directory / "script"
        script.write_text("#!/bin/sh\nseq 2000 | sort -rn | head -3 | tr '\\n' ' ' ; echo error >&2\n"
                          "echo $(echo inner | cat) | while read line; do echo \"got $line\"; done\nexit 7\n")
        script.chmod(0o755)
        bare = self.run_command([script])
        recording = self.new_recording_path()
        result = self.seep("run", "-o", recording, "--", script)
        self.assertEqual((result.returncode, result.stdout), (bare.returncode, bare.stdout))
        self.assertTrue(result.stderr.startswith(bare.stderr), result.stderr)
        report = self.report(recording)
        self.assertEqual(report["coverage"]["dropped_records"], 0)
        executables = {os.path.basename(process["executable"]) for process in report["processes"]}
        self.assertLessEqual({"seq", "sort", "head", "tr", "cat"}, executables)

    # ---- Sanitizers.

    def compiled(self, compiler, *options):
        program = self.directory / f"under_sanitizer_{compiler}_{'_'.join(options)}"
        result = self.run_command([compiler, "-O1", "-g", "-std=c++17", "-pthread", *options,
                                   HERE / "company/under_sanitizer.cpp", "-o", program])
        return program if result.returncode == 0 and self.run_command([program]).returncode in (0, 66) else None

    def check_sanitizer(self, compiler, *options, faults):
        """Bare: as in the company of a library that does nothing. Under `seep run`: as alone, with one line more."""
        program = self.compiled(compiler, *options)
        if program is None:
            return False
        nothing = self.program("nothing_library.so")
        for fault in ("", *faults):
            with self.subTest(compiler=compiler, options=options, fault=fault):
                command = [program, *([fault] if fault else [])]
                alone = self.run_command(command)
                _, seen, _ = self.run_both(command)
                other = self.outcome(command, clean_environment(LD_PRELOAD=nothing), self.directory / "other.truth")
                self.assertEqual(seen.status, other.status, (seen, other))
                self.assertEqual(seen.stdout, other.stdout)
                self.assertEqual(len(seen.stderr.splitlines()) > 0, len(other.stderr.splitlines()) > 0, seen.stderr)
                run = self.seep("run", "-o", self.new_recording_path(), "--", *command)
                self.assertEqual((run.returncode, run.stdout), (alone.returncode, alone.stdout), run.stderr)
                if options[0] != "-fsanitize=undefined":  # Which has no allocator of its own: that is recorded.
                    said = [line for line in run.stderr.splitlines() if line.startswith("seep: ")]
                    self.assertIn("cannot be observed", said[0] if said else run.stderr)
        return True

    def check_sanitizers(self, faults, *options, other_runtimes=()):
        ran = [self.check_sanitizer(compiler, *options, *runtime, faults=faults)
               for compiler, runtimes in (("g++", [[], *other_runtimes]), ("clang++", [[]]))
               if shutil.which(compiler) for runtime in runtimes]
        if not any(ran):
            self.skipTest("not run: no compiler has this sanitizer, or its programs do not run here")

    def test_under_sanitizer_address(self):
        self.check_sanitizers(["leak", "overflow"], "-fsanitize=address", other_runtimes=[["-static-libasan"]])

    def test_under_sanitizer_thread(self):
        self.check_sanitizers(["race"], "-fsanitize=thread", other_runtimes=[["-static-libtsan"]])

    def test_under_sanitizer_leak(self):
        self.check_sanitizers(["leak"], "-fsanitize=leak")

    def test_under_sanitizer_undefined(self):
        self.check_sanitizers(["shift"], "-fsanitize=undefined")

    # ---- Valgrind.

    @needs("valgrind")
    def test_valgrind(self):
        """Inert, with one line; and valgrind finds what it finds without."""
        for tool in ("memcheck", "callgrind"):
            with self.subTest(tool=tool):
                log = self.directory / f"log.{tool}"
                command = ["valgrind", f"--tool={tool}", f"--log-file={log}", "--error-exitcode=9",
                           *(["--leak-check=full"] if tool == "memcheck" else ["--callgrind-out-file=/dev/null"]),
                           self.program("changes_environment"), "end", "none"]
                bare = self.outcome(command, clean_environment(), self.directory / "bare.truth")
                found = self.valgrinds_summary(log)
                recording = self.new_recording_path()
                seen = self.outcome(command, self.environment_of(EXACT, recording), self.directory / "seen.truth")
                self.assertEqual((seen.status, seen.stdout), (bare.status, bare.stdout))
                self.assert_one_line(seen.stderr.decode(), "valgrind")
                if tool == "memcheck":
                    self.assertEqual(self.valgrinds_summary(log), found)
                # The script that starts valgrind was recorded, the program was not, and it is said of which.
                report = self.report(recording)
                self.assertEqual(report["coverage"]["unobserved_processes"], 1)
                self.assertNotIn("allocates_last", self.sums_by_function(report))
                self.assertIn("valgrind", self.seep("report", recording).stdout.split("Not seen")[-1])

    def valgrinds_summary(self, log):
        lines = [re.sub(r"==\d+==", "", line) for line in log.read_text().splitlines()]
        figures = re.compile(r"total heap usage|ERROR SUMMARY|lost:|reachable:|in use at exit")
        return [line for line in lines if figures.search(line)]


if __name__ == "__main__":
    matrix.main()
