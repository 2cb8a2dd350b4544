# SPDX-License-Identifier: Apache-2.0
"""Reads a stream as a stranger would: with the schema, any protobuf library, and proto/seep.proto's comments.

Shares no code with the analyzer: it is what the analyzer is checked against.
"""
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

from seep_test import SOURCE

SYNC = 0xF5A7C35EEB1EA4D7


def load_schema(directory):
    """The module that protoc makes of proto/seep.proto."""
    subprocess.run(["protoc", f"-I{SOURCE / 'proto'}", f"--python_out={directory}", "seep.proto"], check=True)
    specification = importlib.util.spec_from_file_location("seep_pb2", pathlib.Path(directory) / "seep_pb2.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["seep_pb2"] = module
    specification.loader.exec_module(module)
    return module


def schema():
    """The same, once for a process."""
    if "seep_pb2" not in sys.modules:
        with tempfile.TemporaryDirectory() as directory:
            load_schema(directory)
    return sys.modules["seep_pb2"]


def crc32c_table():
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC32C_TABLE = crc32c_table()


def crc32c(data):
    """CRC-32C as RFC 3720 has it: 32 bytes of zeros give 0x8A9136AA."""
    value = 0xFFFFFFFF
    for byte in data:
        value = CRC32C_TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def varint(data, position):
    """(value, position behind it), or None at the end of the data."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            return None
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a varint of more than ten bytes")


def delimited(data):
    """(end in the file, bytes) of each whole message of a stream without damage."""
    position = 0
    while (head := varint(data, position)) is not None:
        length, begin = head
        if begin + length > len(data):
            return
        position = begin + length
        yield position, data[begin:position]


def messages(data):
    """(end in the file, Message) of each whole message."""
    for end, raw in delimited(data):
        message = schema().Message()
        message.ParseFromString(raw)
        yield end, message
