"""Frames are found, checked and mended; nothing is ever read that was not written."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from zhiyin.store.event_log import MAX_EVENT_BYTES
from zhiyin.store.frames import HEADER, MARK, Frame, Gap, frame_at, framed, scan

PAYLOADS = [bytes(range(40)), b"", "知音".encode() * 9]
DATA = b"".join(framed(7 + i, payload) for i, payload in enumerate(PAYLOADS))


def events_in(data: bytes) -> list[tuple[int, bytes]]:
    return [(found.position, found.payload) for found in scan(data) if isinstance(found, Frame)]


WHOLE = events_in(DATA)


def test_what_is_written_is_read() -> None:
    assert [(7, PAYLOADS[0]), (8, b""), (9, PAYLOADS[2])] == WHOLE
    assert not any(found.repaired for found in scan(DATA) if isinstance(found, Frame))


def test_every_single_flipped_bit_is_turned_back() -> None:
    for bit in range(8 * len(DATA)):
        damaged = bytearray(DATA)
        damaged[bit // 8] ^= 1 << bit % 8
        assert events_in(bytes(damaged)) == WHOLE, f"bit {bit}"
        assert sum(found.repaired for found in scan(bytes(damaged)) if isinstance(found, Frame)) == 1


def test_every_cut_leaves_whole_events_and_one_gap() -> None:
    ends = [found.end for found in scan(DATA)]
    for size in range(len(DATA) + 1):
        assert events_in(DATA[:size]) == WHOLE[: sum(end <= size for end in ends)]
        gaps = [found for found in scan(DATA[:size]) if isinstance(found, Gap)]
        assert gaps == ([] if size in (0, *ends) else [Gap(max([0, *(end for end in ends if end <= size)]), size)])


@given(st.data())
def test_damage_never_becomes_an_event_and_spares_the_others(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(DATA) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=len(DATA) - start))
    damaged = DATA[:start] + junk + DATA[start + len(junk) :]
    frames = list(scan(DATA))
    spared = [pair for pair, frame in zip(WHOLE, frames, strict=True) if frame.end <= start or frame.start >= start + len(junk)]
    got = events_in(damaged)
    assert [pair for pair in got if pair in spared] == spared
    assert set(got) <= set(WHOLE)


def test_damage_of_a_large_event() -> None:
    payload = random.Random(0).randbytes(MAX_EVENT_BYTES // 8)
    data = bytearray(framed(1, payload) + framed(2, b"next"))
    data[5000] ^= 8
    assert events_in(bytes(data)) == [(1, payload), (2, b"next")]
    data[100_000] ^= 1
    assert events_in(bytes(data)) == [(2, b"next")]


def test_a_payload_that_looks_like_frames_is_no_event_of_its_own() -> None:
    inner = framed(99, b"inner")
    data = framed(1, inner) + framed(2, b"x")
    assert events_in(data) == [(1, inner), (2, b"x")]
    assert frame_at(MARK, 0) is None and frame_at(bytes(HEADER.size), 0) is None
