"""What stands in a frame: some events, one after another, as a msgpack list; in a frame of version 1 one event alone.

Events that are made durable together share frames, so that hundreds cost one header and one checksum. A frame is kept
small, because damage that cannot be put right takes all of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from zhiyin.data.record import EventRecord

FRAME_EVENTS = 128
FRAME_BYTES = 64 << 10
"""A frame is closed at so many events or bytes; one that is larger has a frame of its own."""


class _Id(msgspec.Struct):
    event_id: str


_decode_ids = msgspec.msgpack.Decoder(list[_Id]).decode
_decode_events = msgspec.msgpack.Decoder(list[EventRecord]).decode
_decode_parts = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_LISTS = frozenset((*range(0x90, 0xA0), 0xDC, 0xDD))  # how a list of msgpack begins
_FEW, _FEW_MOST = 0x90, 15
_LENGTH = struct.Struct(">BH")


def parcels(payloads: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """What frames of these events hold, in their order: how many, and their bytes as one list."""
    for begun in range(0, len(payloads), FRAME_EVENTS):
        some = payloads[begun : begun + FRAME_EVENTS]
        while sum(map(len, some)) > FRAME_BYTES and len(some) > 1:
            ends = np.cumsum([len(payload) for payload in some])
            n = max(int(np.searchsorted(ends, FRAME_BYTES, "right")), 1)
            yield n, _listed(some[:n])
            some = some[n:]
        yield len(some), _listed(some)


def ids_in(payload: bytes) -> list[str]:
    """The ids of a frame's events. Raises ValueError for bytes that are no events."""
    return [event.event_id for event in _decode_ids(_as_list(payload))]


def events_in(payload: bytes) -> list[EventRecord]:
    """A frame's events. Raises ValueError for bytes that are none."""
    return _decode_events(_as_list(payload))


def parts_in(payload: bytes) -> list[bytes]:
    """The bytes of each of a frame's events. Raises ValueError for bytes that are none."""
    return [bytes(part) for part in _decode_parts(_as_list(payload))]


def _listed(payloads: Sequence[bytes]) -> bytes:
    n = len(payloads)
    return b"".join((bytes((_FEW | n,)) if n <= _FEW_MOST else _LENGTH.pack(0xDC, n), *payloads))


def _as_list(payload: bytes) -> bytes:
    """In version 1 an event stood alone."""
    return payload if payload[:1] and payload[0] in _LISTS else b"\x91" + payload
