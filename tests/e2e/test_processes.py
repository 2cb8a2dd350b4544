# SPDX-License-Identifier: Apache-2.0
"""Fork, exec, threads and every kind of end: each process image has a recording of its own, and it is right."""
import pathlib
import signal
import subprocess

import tap
from seep_test import CASES, PRELOAD, SeepTest, clean_environment, only_stream, own_frame

HELD_BLOCKS, HELD_BYTES = 7, 7000


def live_sites(report, function):
    """(blocks, bytes) of the sites that still hold something and whose own frame is in `function`."""
    return [(site["live_blocks"], site["live_bytes"]) for site in report["sites"]
            if site["live_blocks"] and function in own_frame(site)["function"]]


class Fork(SeepTest):
    def setUp(self):
        super().setUp()
        self.path, result = self.record([CASES / "forked_child"])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.streams = sorted(self.path.glob("*.seep"))
        self.assertEqual(len(self.streams), 2, self.streams)
        reports = [self.report(stream) for stream in self.streams]
        pids = [report["processes"][0]["pid"] for report in reports]
        self.child, self.parent = sorted(reports, key=lambda report: report["processes"][0]["ppid"] not in pids)

    def test_the_child_has_exactly_its_own_leak(self):
        live = [site for site in self.child["sites"] if site["live_blocks"]]
        self.assertEqual([(site["live_blocks"], site["live_bytes"]) for site in live], [(1, 333)], live)
        self.assertIn("leak_in_child", own_frame(live[0])["function"])

    def test_the_childs_inheritance_is_stated(self):
        child, parent = self.child["processes"][0], self.parent["processes"][0]
        self.assertEqual(child["ppid"], parent["pid"])
        self.assertEqual(parent["inherited_blocks"], 0)
        self.assertGreaterEqual(child["inherited_blocks"], 10)
        self.assertGreaterEqual(child["inherited_bytes"], 640)

    def test_the_parent_is_as_if_it_had_not_forked(self):
        self.assertEqual(live_sites(self.parent, "allocate_in_parent"), [(9, 576)])
        self.assertEqual(live_sites(self.parent, "leak_in_child"), [])

    def test_together_each_block_counts_once(self):
        both = self.report(self.path)
        self.assertEqual(live_sites(both, "allocate_in_parent"), [(9, 576)])
        self.assertEqual(live_sites(both, "leak_in_child"), [(1, 333)])
        for name in ("live_bytes", "live_blocks", "alloc_bytes", "alloc_blocks"):
            self.assertEqual(both["totals"][name], self.parent["totals"][name] + self.child["totals"][name], name)
            self.assertEqual(both["totals"][name], sum(site[name] for site in both["sites"]), name)


class Exec(SeepTest):
    def test_each_image_has_a_stream(self):
        path, result = self.record([CASES / "exec_chain", 3])
        self.assertEqual(result.returncode, 0, result.stderr)
        reports = [self.report(stream) for stream in path.glob("*.seep")]
        found = sorted((live_sites(report, "leak"), report["processes"][0]["ended"]) for report in reports)
        self.assertEqual(found, [([(1, 100)], "exit"), ([(1, 101)], "exec"), ([(1, 102)], "exec"),
                                 ([(1, 103)], "exec")])
        self.assertEqual(len({report["processes"][0]["pid"] for report in reports}), 1)

    def test_a_bare_preload_leaves_nothing_in_shared_memory(self):
        """The region outlives the exec, in case that fails; the next image removes it, or there is none that could."""
        for command in ([CASES / "exec_chain", 3], ["/usr/bin/env", "-i", CASES / "no_leak"],
                        ["/usr/bin/env", CASES / "static_program"], ["/bin/sh", "-c", "exec /bin/true"]):
            out = self.new_recording_path()
            environment = clean_environment(LD_PRELOAD=PRELOAD, SEEP_OPTIONS=f"sample=1:out={out}/%e.%p.seep")
            with subprocess.Popen([str(word) for word in command], env=environment, stdout=subprocess.DEVNULL) as process:
                self.assertEqual(process.wait(), 0, command)
            self.assertEqual(list(pathlib.Path("/dev/shm").glob(f"seep.{process.pid}.*")), [], command)
            self.assertNotEqual(list(out.glob("*.seep")), [], "nothing was recorded, so nothing is proved")

    def test_commands_run_by_a_child_are_recorded(self):
        path, result = self.record([CASES / "runs_commands", CASES / "no_leak", CASES / "ends"])
        self.assertEqual(result.returncode, 4, result.stderr)
        report = self.report(path)
        executables = sorted(process["executable"].rsplit("/", 1)[-1] for process in report["processes"])
        self.assertEqual([name for name in executables if name != "runs_commands"], ["ends", "no_leak"])
        self.assertEqual(live_sites(report, "hold"), [(HELD_BLOCKS, HELD_BYTES)])
        self.assert_whole(report)


class Ends(SeepTest):
    def check(self, how, status, process_end):
        path, result = self.record([CASES / "ends", how])
        self.assertEqual(result.returncode, status, result.stderr)
        report = self.report(path)
        pid = report["processes"][0]["pid"]
        self.assertEqual(list(pathlib.Path("/dev/shm").glob(f"seep.{pid}.*")), [], "the region is still there")
        self.assertEqual(live_sites(report, "hold"), [(HELD_BLOCKS, HELD_BYTES)], how)
        process = report["processes"][0]
        self.assertEqual((process["ended"], process.get("exit_status"), process.get("signal")), process_end, how)
        self.assert_whole(report)

    def test_return(self):
        self.check("return", 4, ("exit", 4, None))

    def test_exit(self):
        self.check("exit", 5, ("exit", 5, None))

    def test_underscore_exit(self):
        self.check("_exit", 6, ("exit", 6, None))

    def test_quick_exit(self):
        """Its handlers are not told the status, so only `seep run` could know it."""
        path, result = self.record([CASES / "ends", "quick_exit"])
        self.assertEqual(result.returncode, 7, result.stderr)
        report = self.report(path)
        self.assertEqual(live_sites(report, "hold"), [(HELD_BLOCKS, HELD_BYTES)])
        self.assertEqual(report["processes"][0]["ended"], "exit")

    def test_abort(self):
        self.check("abort", 128 + signal.SIGABRT, ("signal", None, signal.SIGABRT))

    def test_segmentation_fault(self):
        self.check("segv", 128 + signal.SIGSEGV, ("signal", None, signal.SIGSEGV))

    def test_kill(self):
        self.check("kill", 128 + signal.SIGKILL, ("signal", None, signal.SIGKILL))

    def test_term(self):
        self.check("term", 128 + signal.SIGTERM, ("signal", None, signal.SIGTERM))


class KilledAlone(SeepTest):
    def test_the_region_says_what_the_stream_does_not(self):
        """Without `seep run`, killed between two snapshots: what is in the region becomes the end of the stream."""
        script = ("import os, signal, time\n"
                  "stream = os.environ['STREAM_DIRECTORY']\n"
                  "while not os.path.isdir(stream) or not os.listdir(stream):\n"
                  "    blocks = [bytearray(500) for _ in range(99)]\n"
                  "kept = bytearray(7_654_321)\n"
                  "os.kill(os.getpid(), signal.SIGKILL)\n")
        recording = self.directory / "alone"
        environment = clean_environment(
            LD_PRELOAD=PRELOAD, STREAM_DIRECTORY=recording, PYTHONMALLOC="malloc",
            SEEP_OPTIONS=f"sample=1:interval=1ms:out={recording}/%p.seep")
        result = self.run_command(["/usr/bin/python3", "-c", script], env=environment)
        self.assertEqual(result.returncode, -signal.SIGKILL, result.stderr)
        stream = only_stream(recording)
        before = stream.read_bytes()
        report = self.report(stream)
        process = report["processes"][0]
        self.assertEqual(list(pathlib.Path("/dev/shm").glob(f"seep.{process['pid']}.*")), [])
        self.assertEqual(process["ended"], "unknown")
        self.assertEqual(max(site["live_bytes"] for site in report["sites"]), 7_654_322)
        self.assertTrue(stream.read_bytes().startswith(before))
        self.assertEqual(self.report(stream)["totals"], report["totals"])


class Threads(SeepTest):
    def test_blocks_of_all_threads(self):
        report = self.recorded_report([CASES / "named_threads"])
        self.assertEqual(live_sites(report, "work"), [(15, 300)])
        self.assert_whole(report)

    def test_names_are_in_the_text(self):
        path, _ = self.record([CASES / "named_threads"])
        text = self.seep("report", "--full", path).stdout
        for name in ("reader", "writer", "indexer"):
            self.assertIn(name, text)


if __name__ == "__main__":
    tap.main()
