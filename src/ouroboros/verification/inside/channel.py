"""Frames on a byte stream: a length (4 bytes), a kind (1 byte), a body."""

from __future__ import annotations

import os
import struct

HEADER = struct.Struct("<IB")


def frame(kind: bytes, body: bytes = b"") -> bytes:
    return HEADER.pack(len(body), kind[0]) + body


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_exactly(descriptor: int, count: int) -> bytes:
    """Read `count` bytes.

    Raises:
        EOFError: the other side closed first.
    """
    chunks = []
    while count:
        chunk = os.read(descriptor, min(count, 1 << 20))
        if not chunk:
            raise EOFError
        chunks.append(chunk)
        count -= len(chunk)
    return b"".join(chunks)


def read_frame(descriptor: int, max_body: int) -> tuple[bytes, bytes]:
    """Read one (kind, body).

    Raises:
        EOFError: the other side closed.
        ValueError: a body longer than `max_body`.
    """
    length, kind = HEADER.unpack(read_exactly(descriptor, HEADER.size))
    if length > max_body:
        raise ValueError(f"a frame of {length} bytes")
    return bytes((kind,)), read_exactly(descriptor, length)
