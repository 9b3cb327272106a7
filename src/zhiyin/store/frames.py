"""How events stand in a segment file: found again, checked, and put right when one bit flipped.

    mark 4 bytes | crc32 4 | length 4 | position 8 | payload        little endian; the crc covers all that follows it

``position`` is that of the first event in the payload (``frame_events``), the others follow it one by one; in version 1
there was only one. The mark is no valid UTF-8, so text never looks like it: after damage the next frame is found by its mark.
A single flipped bit anywhere in a frame is found and turned back, for its crc says which one it was; anything worse
is told as a gap, never as events.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from zhiyin.store.event_log import MAX_EVENT_BYTES

MARK = b"\xffZ\xfe2"
MARKS = (MARK, b"\xffZ\xfe1")
"""The mark that is written, and all that are read."""
MAX_PAYLOAD = MAX_EVENT_BYTES + 16
"""The largest event and what makes a list of it; bounds what a damaged length can claim."""
HEADER = struct.Struct("<4sIIQ")
_CHECKED = struct.Struct("<IQ")
_CRC = struct.Struct("<I")
_POLYNOMIAL = 0xEDB88320  # of zlib.crc32, bits reversed


class Frame(NamedTuple):
    """A whole frame and where it stands; ``repaired`` if a bit had to be turned."""

    start: int
    end: int
    position: int
    payload: bytes
    repaired: bool


class Gap(NamedTuple):
    """Bytes between ``start`` and ``end`` that are no frame."""

    start: int
    end: int


def framed(position: int, payload: bytes) -> bytes:
    """The bytes to append for a payload."""
    checked = _CHECKED.pack(len(payload), position) + payload
    return MARK + _CRC.pack(zlib.crc32(checked)) + checked


def scan(data: bytes, start: int = 0) -> Iterator[Frame | Gap]:
    """All frames from ``start`` on, and the gaps between them; a gap that reaches the end may be a torn write."""
    at = start
    while at < len(data):
        found = frame_at(data, at) or Gap(at, _next_frame(data, at + 1))
        yield found
        at = found.end


def frame_at(data: bytes, at: int) -> Frame | None:
    """The frame that starts at an offset; None if there is none, or it is damaged beyond one bit."""
    return _sound(data, at) or _repaired(data, at)


def _sound(data: bytes, at: int) -> Frame | None:
    if len(data) - at < HEADER.size:
        return None
    mark, crc, length, position = HEADER.unpack_from(data, at)
    end = at + HEADER.size + length
    if mark not in MARKS or end > len(data) or zlib.crc32(data[at + 8 : end]) != crc:
        return None
    return Frame(at, end, position, data[at + HEADER.size : end], False)


def _next_frame(data: bytes, at: int) -> int:
    """Where the next readable frame starts; the end of the data if none does."""
    while (at := data.find(MARK, at)) >= 0:
        if frame_at(data, at) is not None:
            return at
        at += 1
    return len(data)


def _repaired(data: bytes, at: int) -> Frame | None:
    """The frame with one bit turned back, if that makes its checksum right.

    A flip in the length is tried bit by bit, for it moves the end; any other is computed: unwinding the difference
    of the checksums one bit at a time leads to 1 where the flip is. Frames are so short that only one bit fits.
    """
    if len(data) - at < HEADER.size:
        return None
    mark, crc, said, _ = HEADER.unpack_from(data, at)
    if mark not in MARKS:
        meant = next((m for m in MARKS if (int.from_bytes(mark, "little") ^ int.from_bytes(m, "little")).bit_count() == 1), None)
        return None if meant is None else _turned(mark, meant, data, at)
    for bit in range(32):
        length = said ^ 1 << bit
        end = at + HEADER.size + length
        if length <= MAX_PAYLOAD and end <= len(data):
            checked = _CRC.pack(length) + data[at + 12 : end]
            if zlib.crc32(checked) == crc:
                return Frame(at, end, int.from_bytes(checked[4:12], "little"), checked[12:], True)
    end = at + HEADER.size + said
    if said > MAX_PAYLOAD or end > len(data):
        return None
    wrong = zlib.crc32(data[at + 8 : end]) ^ crc
    if wrong.bit_count() == 1:  # in the checksum itself
        return _turned(data[at + 4 : at + 8], _CRC.pack(crc ^ wrong), data, at)
    for back in range(1, 8 * (end - at - 8) + 1):
        wrong = ((wrong ^ _POLYNOMIAL) << 1 | 1) if wrong >> 31 else wrong << 1
        if wrong == 1:
            whole = bytearray(data[at + 8 : end])
            whole[-((back + 7) // 8)] ^= 1 << (-back % 8)
            return Frame(at, end, int.from_bytes(whole[4:12], "little"), bytes(whole[12:]), True)
    return None


def _turned(old: bytes, new: bytes, data: bytes, at: int) -> Frame | None:
    """The frame whose only damage is ``old`` in place of ``new``, in its first eight bytes."""
    head = data[at : at + 8].replace(old, new, 1)
    frame = _sound(head + data[at + 8 : at + HEADER.size + MAX_PAYLOAD], 0)
    return frame and Frame(at, at + frame.end, frame.position, frame.payload, True)
