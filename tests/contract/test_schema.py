# SPDX-License-Identifier: Apache-2.0
"""The wire schema is a promise to recordings that exist: a field keeps its number, type and name for ever.

schema.golden lists every field that was ever released or used. A new field is added there in the same commit; a line that
no longer holds breaks old recordings.
"""
import pathlib
import subprocess

from google.protobuf import descriptor_pb2

from seep_test import SOURCE, SeepTest
import tap

GOLDEN = pathlib.Path(__file__).parent / "schema.golden"


def fields(message, prefix):
    name = f"{prefix}{message.name}"
    for enum in message.enum_type:
        for value in enum.value:
            yield f"{name}.{enum.name}.{value.name} = {value.number}"
    for field in message.field:
        kind = descriptor_pb2.FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
        repeated = "repeated " if field.label == field.LABEL_REPEATED else ""
        yield f"{name}.{field.name} = {field.number} {repeated}{kind}{field.type_name and ' ' + field.type_name}"
    for nested in message.nested_type:
        yield from fields(nested, f"{name}.")


class Schema(SeepTest):
    def schema(self):
        output = self.directory / "set"
        subprocess.run(["protoc", f"-I{SOURCE}/proto", f"--descriptor_set_out={output}", "seep.proto"], check=True)
        described = descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes()).file[0]
        return described, [line for message in described.message_type for line in fields(message, "")]

    def test_every_field_is_as_it_was(self):
        _, now = self.schema()
        golden = [line for line in GOLDEN.read_text().splitlines() if line and not line.startswith("#")]
        self.assertEqual([line for line in golden if line not in now], [], "fields changed or gone")
        self.assertEqual([line for line in now if line not in golden], [], "new fields: add them to schema.golden")

    def test_the_sync_constant_is_first_and_the_crc_last(self):
        described, _ = self.schema()
        message = next(m for m in described.message_type if m.name == "Message")
        numbers = {field.name: (field.number, field.type) for field in message.field}
        self.assertEqual(numbers["sync"], (1, descriptor_pb2.FieldDescriptorProto.TYPE_FIXED64))
        self.assertEqual(numbers["crc32c"], (15, descriptor_pb2.FieldDescriptorProto.TYPE_FIXED32))
        self.assertEqual(max(number for number, _ in numbers.values()), 15)

    def test_every_message_is_specified(self):
        """Each message says what it is, in a comment above it; lists of one thing speak for themselves."""
        lines = (SOURCE / "proto/seep.proto").read_text().splitlines()
        lists = {"Modules", "Traces", "Counters", "ThreadName"}
        bare = [line for above, line in zip(lines, lines[1:])
                if line.startswith("message ") and line.split()[1] not in lists and not above.startswith("//")]
        self.assertEqual(bare, [])


if __name__ == "__main__":
    tap.main()
