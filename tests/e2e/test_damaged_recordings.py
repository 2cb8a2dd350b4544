# SPDX-License-Identifier: Apache-2.0
"""Files that are not what they were: one clear line, exit code 3, nothing before the damage lost, never a crash.

The analyzer's unit tests do this at every byte inside the process; here the command as a whole is asked.
"""
import json
import os
import random

import tap
from plain_protobuf import crc32c, messages, schema
from seep_test import CASES, LONG, SeepTest, only_stream

FINE, UNREADABLE = 0, 3


def numbers(of):
    """Totals or sites without their growth, which is told of processes that ended otherwise than well."""
    if isinstance(of, list):
        return [numbers(site) for site in of]
    return {name: value for name, value in of.items() if not name.startswith("growth_")}


class Damaged(SeepTest):
    def setUp(self):
        super().setUp()
        path, result = self.record([CASES / "ten_sites", CASES / "ten_sites_plugin.so"])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.data = only_stream(path).read_bytes()
        self.whole = self.report(path)
        self.file = self.directory / "damaged.seep"

    def read(self, data):
        """Reports on a file of these bytes: the result and, where there is one, the JSON object."""
        self.file.write_bytes(data)
        result = self.seep("report", "--format", "json", self.file)
        self.assertIn(result.returncode, (FINE, UNREADABLE), result.stderr)
        self.assertNotIn("Sanitizer", result.stderr)
        return result, json.loads(result.stdout) if result.stdout.strip() else None

    def assert_refused(self, data, *words):
        result, _ = self.read(data)
        self.assertEqual(result.returncode, UNREADABLE)
        self.assert_one_line(result.stderr, "damaged.seep", *words)

    def test_empty(self):
        self.assert_refused(b"", "empty")

    def test_not_a_recording(self):
        self.assert_refused(b"#!/bin/sh\necho hello, I am a script of some length\n" * 20, "not a seep recording")
        self.assert_refused(bytes(100), "not a seep recording")
        self.assert_refused((CASES / "no_leak").read_bytes(), "not a seep recording")

    def test_a_newer_version(self):
        message = schema().Message()
        end, first = next(messages(self.data))
        message.CopyFrom(first)
        message.header.version += 1
        message.ClearField("crc32c")
        raw = message.SerializeToString()
        message.crc32c = crc32c(raw)
        raw = message.SerializeToString()
        length = bytes([len(raw) & 0x7F | 0x80, len(raw) >> 7])
        self.assert_refused(length + raw + self.data[end:], str(message.header.version))

    def test_a_directory_without_streams_and_other_files(self):
        empty = self.directory / "empty"
        empty.mkdir()
        for path in (empty, "/dev/null", "/dev/zero", self.directory / "absent"):
            result = self.seep("report", path, timeout=60)
            self.assertEqual(result.returncode, UNREADABLE, f"{path}: {result.stderr}")
            self.assert_one_line(result.stderr, str(path))

    def test_a_pipe_is_refused_and_not_waited_for(self):
        pipe = self.directory / "pipe.seep"
        os.mkfifo(pipe)
        result = self.seep("report", pipe, timeout=60)
        self.assertEqual(result.returncode, UNREADABLE)
        self.assert_one_line(result.stderr, "pipe.seep")

    def test_truncated(self):
        """Every snapshot that is whole before the cut is read, and the cut is named."""
        ends = list(messages(self.data))
        step = 1 if LONG else max(1, len(self.data) // 60)
        for length in sorted({*range(1, len(self.data), step), *(end for end, _ in ends[:-1])}):
            before = [message for end, message in ends if end <= length]
            result, report = self.read(self.data[:length])
            if not before:
                self.assertEqual(result.returncode, UNREADABLE, f"cut at {length}")
                continue
            cut_inside = length not in {end for end, _ in ends}
            if cut_inside:
                self.assertIn("damaged.seep", result.stderr, f"cut at {length} is not said")
                self.assertEqual(result.returncode, UNREADABLE, f"cut at {length}")
            self.assertIsNotNone(report, f"cut at {length}: {result.stderr}")
            snapshots = sum(message.HasField("snapshot") for message in before)
            self.assertEqual(report["processes"][0]["snapshots"], snapshots, f"cut at {length}")
            if snapshots:
                self.assertEqual(numbers(report["sites"]), numbers(self.whole["sites"]), f"cut at {length}")

    def test_bit_flipped(self):
        """A damaged message is lost alone; what the others say is still there, and the damage is named."""
        generator = random.Random(2)
        ends = list(messages(self.data))
        for _ in range(1500 if LONG else 60):
            position, bit = generator.randrange(len(self.data)), generator.randrange(8)
            data = bytearray(self.data)
            data[position] ^= 1 << bit
            result, report = self.read(bytes(data))
            where = f"bit {bit} of byte {position}"
            self.assertEqual(result.returncode, UNREADABLE, where)
            self.assertIn("damaged.seep", result.stderr, where)
            hit = next(message for end, message in ends if position < end).WhichOneof("content")
            if hit == "end":
                self.assertEqual(numbers(report["totals"]), numbers(self.whole["totals"]), where)
            if hit == "header":
                continue
            self.assertIsNotNone(report, f"{where} in {hit}: {result.stderr}")
            self.assertEqual(report["processes"][0]["pid"], self.whole["processes"][0]["pid"], where)

    def test_garbage_in_between(self):
        for end, message in list(messages(self.data))[:-1]:
            result, report = self.read(self.data[:end] + os.urandom(300) + self.data[end:])
            self.assertEqual(result.returncode, UNREADABLE, f"garbage at {end}")
            self.assertEqual(numbers(report["totals"]), numbers(self.whole["totals"]), f"after {message.WhichOneof('content')}")

    def test_a_bad_stream_among_good_ones(self):
        good = self.directory / "good.seep"
        good.write_bytes(self.data)
        self.file.write_bytes(b"nonsense")
        result = self.seep("report", "--format", "json", good, self.file)
        self.assertEqual(result.returncode, UNREADABLE)
        self.assertIn("damaged.seep", result.stderr)
        self.assertEqual(numbers(json.loads(result.stdout)["totals"]), numbers(self.whole["totals"]))


if __name__ == "__main__":
    tap.main()
