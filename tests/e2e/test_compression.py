# SPDX-License-Identifier: Apache-2.0
"""Compressed recordings: every command says of them what it says of the raw ones, byte for byte; what cannot be read is
named in one line; and `seep compress` replaces what is finished, and nothing else.

Bytes are cut and flipped here from outside; the analyzer's unit tests do so at every byte.
"""
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import stat
import subprocess

import tap
from plain_protobuf import messages
from seep_test import CASES, LONG, PRELOAD, SEEP, RegionTest, SeepTest, clean_environment, only_stream, wait_until

FINE, LEAKS, UNREADABLE = 0, 1, 3
MOST_MEMORY = 512 << 20
COMMAND = [CASES / "ten_sites", CASES / "ten_sites_plugin.so"]


def zstd(data, *options):
    """The bytes, compressed by zstd's own program."""
    return subprocess.run(["zstd", "-qc", *options], input=data, stdout=subprocess.PIPE, check=True).stdout


def files_in(directory):
    return sorted(path.name for path in pathlib.Path(directory).iterdir())


class CompressionTest(RegionTest):
    def compress(self, *paths, code=FINE):
        result = self.seep("compress", *paths)
        self.assertEqual((result.returncode, bool(result.stderr)), (code, code != FINE), result.stdout + result.stderr)
        return result.stdout + result.stderr


class Reading(CompressionTest):
    def setUp(self):
        super().setUp()
        self.path, result = self.record(COMMAND)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.raw = only_stream(self.path).read_bytes()

    def all_say(self, path, old):
        """What each command says of a recording: its exit status and its output."""
        said = {}
        for words in (["report"], ["report", "--full"], ["report", "--format", "json"], ["gate", "--full"],
                      ["gate", "--format", "sarif"], ["diff", old], ["diff", "--format", "json", old]):
            result = self.seep(*words, path)
            said[" ".join(map(str, words))] = (result.returncode, result.stdout, result.stderr)
        return said

    def test_every_command_says_the_same(self):
        old, result = self.record([CASES / "ends"])
        self.assertEqual(result.returncode, 4)
        raw = self.all_say(self.path, old)
        self.assertEqual([code for code, _, _ in raw.values()], [FINE, FINE, FINE, LEAKS, LEAKS, FINE, FINE], raw)
        size = len(self.raw)
        said = self.compress(self.path, old)
        self.assertRegex(said, r"\A2 streams compressed: [\d.]+ KiB before, [\d.]+ KiB after\n\Z")
        compressed = next(self.path.iterdir())
        self.assertEqual(compressed.suffixes[-2:], [".seep", ".zst"])
        self.assertLess(compressed.stat().st_size, size)
        self.assertEqual(stat.S_IMODE(compressed.stat().st_mode), 0o600)
        self.assertEqual(self.all_say(self.path, old), raw)
        self.assertEqual(subprocess.run(["zstd", "-qdc", compressed], stdout=subprocess.PIPE, check=True).stdout, self.raw)

    def test_the_newest_recording_may_be_compressed(self):
        for name in ("seep.old.1", "seep.new.2"):
            path = self.directory / name
            self.assertEqual(self.seep("run", "-o", path, *COMMAND).returncode, 0)
            os.utime(only_stream(path), (1, 1) if name == "seep.old.1" else None)
        self.compress(self.directory / "seep.old.1", self.directory / "seep.new.2")
        self.assertIn("seep.new.2", self.seep("report", "--top", "1").stdout)

    def test_a_file_is_known_by_its_bytes_whatever_its_name(self):
        whole = self.report(self.path)
        file = self.directory / "artifact"
        for data in (zstd(self.raw), zstd(self.raw[:1000]) + zstd(self.raw[1000:]), zstd(self.raw, "-19", "--long=27")):
            file.write_bytes(data)
            self.assertEqual(self.report(file), whole)
        named = self.directory / "raw.seep.zst"
        named.write_bytes(self.raw)
        self.assertEqual(self.report(named), whole)

    def assert_damage(self, data, *words, lines=1):
        """Reports of a file of these bytes, which must be named: the JSON object, if there is one."""
        file = self.directory / "damaged.seep.zst"
        file.write_bytes(data)
        result = subprocess.run([SEEP, "report", "--format", "json", file], capture_output=True, text=True, timeout=60,
                                env=clean_environment(), check=False,
                                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY)))
        self.assertEqual(result.returncode, UNREADABLE, result.stderr)
        said = result.stderr.splitlines()
        self.assertTrue(1 <= len(said) <= lines, result.stderr)
        for line in said:
            self.assertTrue(line.startswith(f"seep: {file}: "), line)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertEqual(self.seep("gate", file).returncode, UNREADABLE)
        return json.loads(result.stdout) if result.stdout.strip() else None

    def test_cut(self):
        """A frame for each message: what is before the cut one is there, and the cut is named."""
        ends = list(messages(self.raw))
        file, before, snapshots, start = b"", [], 0, 0
        for end, message in ends:
            frame = zstd(self.raw[start:end])
            before.append((file, frame, snapshots))
            file, start, snapshots = file + frame, end, snapshots + message.HasField("snapshot")
        for whole, frame, snapshots in before:
            length = len(whole) + max(4, len(frame) // 2)
            report = self.assert_damage(file[:length], f"at byte {length}: is cut here: the compressed stream goes on")
            self.assertEqual(report is None, not whole)
            if whole:
                self.assertEqual(report["processes"][0]["snapshots"], snapshots)

    def test_cut_inside_one_frame(self):
        data = zstd(self.raw)
        for length in range(4, len(data), 1 if LONG else max(1, len(data) // 30)):
            self.assert_damage(data[:length], f"at byte {length}: is cut here")

    def test_bits_flipped(self):
        data = zstd(self.raw)
        generator = random.Random(7)
        for _ in range(500 if LONG else 30):
            position = generator.randrange(6, len(data))
            self.assert_damage(data[:position] + bytes([data[position] ^ 1 << generator.randrange(8)]) + data[position + 1:],
                               lines=5)

    def test_garbage_behind(self):
        data = zstd(self.raw)
        report = self.assert_damage(data + b"garbage", f"at byte {len(data)}: is damaged: what follows")
        self.assertEqual(report["totals"], self.report(self.path)["totals"])

    def test_bombs(self):
        """100 MiB of nothing behind a good stream, and a window of a gigabyte: bounded memory, and what was before."""
        totals = self.report(self.path)["totals"]
        for data, words in ((zstd(self.raw + bytes(100 << 20)), "16 MiB and 64 times its size"),
                            (zstd(self.raw) + zstd(os.urandom(1 << 16), "--long=30", "--ultra", "-22"), "more than 128 MiB")):
            report = self.assert_damage(data, "is not read any further", words, lines=2)
            self.assertEqual(report["totals"], totals)

    def test_copies_and_others_of_the_same_name(self):
        whole = self.report(self.path)
        stream = only_stream(self.path)
        copy = self.path / (stream.name + ".zst")
        begins = next(messages(self.raw))[0]
        for data in (zstd(self.raw), zstd(self.raw[:begins]) + zstd(self.raw[begins:])[:-10]):
            copy.write_bytes(data)
            self.assertEqual(self.report(self.path), whole)
        self.compress(self.path)
        self.assertEqual(files_in(self.path), [copy.name])
        self.assertEqual(self.report(self.path), whole)
        another, _ = self.record([CASES / "ends"])
        shutil.copy(only_stream(another), stream)
        self.assertEqual(len(self.report(self.path)["processes"]), 2)
        self.compress(self.path)
        self.assertEqual(files_in(self.path), sorted([copy.name, stream.stem + ".2.seep.zst"]))
        self.assertEqual(len(self.report(self.path)["processes"]), 2)


class Replacing(CompressionTest):
    def start(self, recording, interval="10s"):
        """A program that obeys, recorded alone; ended at the end of the test, if not before."""
        program = subprocess.Popen([CASES / "obeys"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=clean_environment(LD_PRELOAD=PRELOAD, SEEP_OPTIONS=(
                                       f"sample=1:interval={interval}:out={recording}/%e.%p.seep")))
        self.addCleanup(program.communicate)
        self.addCleanup(program.kill)
        return program

    def order(self, program, letters):
        for letter in letters:
            program.stdin.write(letter)
            program.stdin.flush()
            self.assertEqual(program.stdout.readline(), b"done\n")

    def held(self, *paths):
        """The blocks that hold() has live, of recordings that are read without a complaint."""
        return sum(site["live_blocks"] for site in self.report(*paths)["sites"]
                   if any(frame["function"] == "hold" for frame in site["frames"]))

    def test_what_runs_is_left_until_it_has_ended(self):
        recording = self.new_recording_path()
        program = self.start(recording)
        self.order(program, [b"h"])
        self.assertEqual(self.seep("snapshot", program.pid).returncode, 0)
        stream = only_stream(recording)
        before = stream.read_bytes()
        for path in (recording, stream):
            self.assertEqual(self.compress(path), f"{stream}: left as it is: still running\n"
                                                  "0 streams compressed; 1 left as it is\n")
        self.assertEqual(stream.read_bytes(), before)
        self.order(program, [b"h"])
        program.communicate(b"x")
        self.compress(recording)
        self.assertEqual(files_in(recording), [stream.name + ".zst"])
        self.assertEqual(self.held(recording), 20)

    def killed(self):
        """The recording of a program that went on after its only snapshot, and left its region."""
        recording = self.new_recording_path()
        program = self.start(recording)
        self.order(program, [b"h"])
        self.assertEqual(self.seep("snapshot", program.pid).returncode, 0)
        self.order(program, [b"h"])
        program.kill()
        program.wait()
        return recording

    def test_of_one_that_was_killed_the_region_is_folded_before(self):
        recording = self.killed()
        self.assertRegex(self.compress(recording), r"\A1 stream compressed: ")
        self.assertEqual(self.held(recording), 20)

    def killed_and_compressed_by_hand(self):
        """A recording whose region is beside a compressed stream, and what that stream was called."""
        recording = self.killed()
        stream = only_stream(recording)
        subprocess.run(["zstd", "-q", "--rm", stream], check=True)
        return recording, stream

    def test_a_region_goes_on_behind_a_stream_that_was_compressed(self):
        recording, stream = self.killed_and_compressed_by_hand()
        compressed = pathlib.Path(f"{stream}.zst")
        before = compressed.read_bytes()
        self.assertEqual(self.held(compressed), 20, "a file by its name is left as it is, and its region read")
        self.assertEqual(compressed.read_bytes(), before)
        report = self.report(recording)
        self.assertEqual(files_in(recording), [stream.name], "and one in a directory goes on, raw")
        self.assert_whole(report)
        self.assertEqual(report["processes"][0]["snapshots"], 2)
        self.assertEqual(self.held(recording), 20)
        self.assertFalse(list(pathlib.Path("/dev/shm").glob(f"seep.{report['processes'][0]['pid']}.*")))

    def test_a_region_beside_one_that_is_damaged_says_it_all(self):
        recording, stream = self.killed_and_compressed_by_hand()
        compressed = pathlib.Path(f"{stream}.zst")
        compressed.write_bytes(compressed.read_bytes()[:-20])
        result = self.seep("report", "--format", "json", recording)
        self.assertEqual(result.returncode, UNREADABLE)
        self.assert_one_line(result.stderr, compressed.name, "is cut here")
        self.assertEqual(json.loads(result.stdout)["totals"]["live_blocks"], 20)
        self.assertEqual(files_in(recording), [stream.name, compressed.name])

    def test_run_compresses_at_the_end(self):
        recording, result = self.record(COMMAND, ["--compress"])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stderr, r"\nNext: .*\nseep: 1 stream compressed: [\d.]+ KiB before, [\d.]+ KiB after\n\Z")
        self.assertTrue(files_in(recording)[0].endswith(".seep.zst"), files_in(recording))
        self.assert_whole(self.report(recording))
        refused = self.seep("run", "-o", recording, *COMMAND)
        self.assertEqual(refused.returncode, 2)
        self.assert_one_line(refused.stderr, "--force")
        self.assertEqual(self.seep("run", "--force", "-o", recording, *COMMAND).returncode, 0)
        self.assertTrue(only_stream(recording).exists())
        self.assertEqual(len(files_in(recording)), 1, "what --force replaces may be compressed")

    def test_run_keeps_the_programs_status_and_a_passing_gate_leaves_nothing(self):
        self.assertEqual(self.record(["sh", "-c", "kill -KILL $$"], ["--compress"])[1].returncode, 128 + signal.SIGKILL)
        here = self.directory / "here"
        here.mkdir()
        result = self.seep("run", "--gate", "--compress", CASES / "no_leak", cwd=here)
        self.assertEqual((result.returncode, list(here.iterdir())), (0, []), result.stderr)
        self.assertNotIn("compressed", result.stderr)
        recording, result = self.record(COMMAND, ["--gate", "--compress"])
        self.assertEqual(result.returncode, 23, result.stderr)
        self.assertTrue(files_in(recording)[0].endswith(".seep.zst"), files_in(recording))

    def test_run_leaves_the_stream_of_a_child_that_goes_on(self):
        go_on = self.directory / "go_on"
        os.mkfifo(go_on)
        held_open = os.open(go_on, os.O_RDWR)
        self.addCleanup(os.close, held_open)
        recording, result = self.record(["sh", "-c", f"{CASES / 'obeys'} <{go_on} >/dev/null 2>&1 & echo h >{go_on}"],
                                        ["--compress"])
        self.assertEqual(result.returncode, 0, result.stderr)
        os.write(held_open, b"h\nx\n")
        streams = lambda: [path for path in recording.iterdir() if path.name.startswith("obeys")]
        wait_until(streams, "the child has written its stream")
        wait_until(lambda: self.report(recording)["processes"][-1]["ended"] == "exit", "the child has ended")
        self.assertFalse([path for path in streams() if path.suffix == ".zst"])
        self.compress(recording)
        self.assertFalse([name for name in files_in(recording) if not name.endswith(".zst")])
        self.assertEqual(self.held(recording), 20)

    def test_a_name_that_is_free_again(self):
        """As in a container whose program has the same number each time."""
        recording = self.directory / "same"
        environment = clean_environment(LD_PRELOAD=PRELOAD, SEEP_OPTIONS=f"sample=1:out={recording}/server.1.seep")
        for names in (["server.1.seep.zst"], ["server.1.2.seep.zst", "server.1.seep.zst"],
                      ["server.1.2.seep.zst", "server.1.3.seep.zst", "server.1.seep.zst"]):
            self.assertEqual(self.run_command([CASES / "obeys"], env=environment, stdin=b"h").returncode, 4)
            self.assertEqual(len(self.report(recording)["processes"]), len(names))
            self.compress(recording)
            self.assertEqual(files_in(recording), names)
            self.assertEqual(self.held(recording), 10 * len(names))

    def test_what_is_no_stream_of_ours_is_left(self):
        recording, _ = self.record(COMMAND)
        stream = only_stream(recording)
        (recording / "link.seep").symlink_to(stream)
        (recording / "other.seep").write_bytes(b"nothing that seep wrote")
        os.mkfifo(recording / "pipe.seep")
        said = self.compress(recording, self.directory / "absent", code=UNREADABLE)
        for words in ("link.seep: is a symbolic link", "other.seep: is not a seep recording",
                      "pipe.seep: is not a regular file", "absent: No such file", "1 stream compressed: ", "; 4 could not be"):
            self.assertIn(words, said)
        self.assertEqual(files_in(recording), sorted(["link.seep", "other.seep", "pipe.seep", stream.name + ".zst"]))
        self.assertEqual(self.seep("compress").returncode, 2)


class Limits(SeepTest):
    def test_a_full_disk_leaves_all_as_it_was(self):
        recording, _ = self.record(COMMAND)
        stream = only_stream(recording)
        before = stream.read_bytes()
        result = subprocess.run([SEEP, "compress", recording], capture_output=True, text=True, env=clean_environment(),
                                check=False, preexec_fn=lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
                                                                 resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))))
        self.assertEqual(result.returncode, UNREADABLE)
        self.assert_one_line(result.stderr, stream.name, "cannot be written")
        self.assertEqual((files_in(recording), stream.read_bytes()), ([stream.name], before))


if __name__ == "__main__":
    tap.main()
