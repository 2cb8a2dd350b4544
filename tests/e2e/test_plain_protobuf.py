# SPDX-License-Identifier: Apache-2.0
"""A stream is what proto/seep.proto's comments say, read with nothing but Debian's python3-protobuf."""
import json

import tap
from plain_protobuf import SYNC, crc32c, delimited, messages, schema
from seep_test import CASES, EXACT, OFTEN_SAMPLED, SeepTest, only_stream


class PlainProtobuf(SeepTest):
    def stream(self, mode=EXACT, command=(CASES / "ten_sites", CASES / "ten_sites_plugin.so")):
        path, result = self.record(command, mode[1])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.path, self.truth = path, result.stdout
        return only_stream(path).read_bytes()

    def test_the_crc_is_the_one_of_the_rfc(self):
        self.assertEqual(crc32c(bytes(32)), 0x8A9136AA)

    def test_framing_sync_crc_and_sequence(self):
        for mode in (EXACT, OFTEN_SAMPLED):
            data = self.stream(mode)
            raw = list(delimited(data))
            self.assertEqual(raw[-1][0], len(data), "bytes behind the last message")
            for number, (_, message_bytes) in enumerate(raw):
                message = schema().Message()
                message.ParseFromString(message_bytes)
                self.assertEqual(message.sync, SYNC)
                self.assertEqual(message_bytes[0], 0x09, "the sync constant comes first")
                self.assertEqual(message_bytes[-5], 0x7D, "the CRC comes last")
                self.assertEqual(message.crc32c, crc32c(message_bytes[:-5]))
                self.assertEqual(message.sequence, number)

    def test_order_of_messages(self):
        kinds = [message.WhichOneof("content") for _, message in messages(self.stream())]
        self.assertEqual(kinds[0], "header")
        self.assertEqual(kinds[-1], "end")
        self.assertEqual(kinds.count("header"), 1)
        self.assertEqual(kinds[-2], "snapshot", kinds)

    def test_what_is_named_stands_before(self):
        modules, traces, threads = {0}, set(), set()
        for _, message in messages(self.stream()):
            modules.update(module.id for module in message.modules.modules)
            for trace in message.traces.traces:
                self.assertEqual(len(trace.modules), len(trace.offsets))
                self.assertLessEqual(set(trace.modules), modules)
                traces.add(trace.id)
            threads.update(name.id for name in message.counters.thread_names)
            for counters in message.counters.counters:
                self.assertIn(counters.trace_id, traces)
                self.assertLessEqual(set(counters.thread_name_ids), threads)
        self.assertEqual(traces, set(range(1, len(traces) + 1)))

    def test_the_sums_of_the_last_snapshot(self):
        counters, last = {}, None
        for _, message in messages(self.stream()):
            counters.update((row.trace_id, row) for row in message.counters.counters)
            if message.HasField("snapshot"):
                last = message.snapshot
        self.assertEqual(last.traces, len(counters))
        for name in ("alloc_blocks", "alloc_bytes", "free_blocks", "free_bytes"):
            self.assertEqual(getattr(last, name), sum(getattr(row, name) for row in counters.values()), name)
        for row in counters.values():
            self.assertEqual(sum(row.lifetime_blocks), row.free_blocks)
            self.assertEqual(sum(row.live_blocks_by_birth), row.alloc_blocks - row.free_blocks)
            self.assertEqual(sum(row.live_bytes_by_birth), row.alloc_bytes - row.free_bytes)
            self.assertLessEqual(row.alloc_bytes - row.free_bytes, row.peak_live_bytes)

    def test_the_program_s_own_truth_can_be_found_by_hand(self):
        """Traces through the program's main module, live blocks and bytes: as many as the program says."""
        modules, traces, counters = {}, {}, {}
        for _, message in messages(self.stream()):
            modules.update((module.id, module.path.decode()) for module in message.modules.modules)
            traces.update((trace.id, trace) for trace in message.traces.traces)
            counters.update((row.trace_id, row) for row in message.counters.counters)
        truth = json.loads(self.truth)
        found_bytes = [row.alloc_bytes - row.free_bytes for row in counters.values()
                       if row.alloc_blocks > row.free_blocks]
        for row in truth:
            self.assertIn(row["bytes"], found_bytes, f"no trace holds what {row} says")
        self.assertTrue(any(path.endswith("ten_sites_plugin.so") for path in modules.values()))
        self.assertTrue(all(traces))

    def test_the_header(self):
        data = self.stream(OFTEN_SAMPLED)
        header = next(messages(data))[1].header
        self.assertEqual(header.version, 2)
        self.assertEqual(len(header.recording_id), 16)
        self.assertEqual(header.sample_bytes, 4096)
        self.assertEqual(header.executable.decode(), str((CASES / "ten_sites").resolve()))
        self.assertEqual([word.decode() for word in header.command],
                         [str(CASES / "ten_sites"), str(CASES / "ten_sites_plugin.so")])
        self.assertEqual(header.architecture, self.run_command(["uname", "-m"]).stdout.strip())
        self.assertGreater(header.started_unix_ns, 1_700_000_000 * 10**9)
        self.assertFalse(header.HasField("not_observed"))

    def test_thread_names(self):
        names = {name.name.decode() for _, message in messages(self.stream(command=[CASES / "named_threads"]))
                 for name in message.counters.thread_names}
        self.assertLessEqual({"reader", "writer", "indexer"}, names)


if __name__ == "__main__":
    tap.main()
