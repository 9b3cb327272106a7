"""What frames hold: everything that was put in, in order, in few and small lists."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhiyin.store.event_log import packed, unpacked
from zhiyin.store.frame_events import FRAME_BYTES, FRAME_EVENTS, events_in, ids_in, parcels, parts_in
from zhiyin.testing.store_contracts import event, events


@given(st.lists(st.sampled_from([1, 40, 3_000, FRAME_BYTES // 2, FRAME_BYTES + 9]), max_size=12), st.sampled_from([1, 14, 200]))
def test_all_events_stand_in_order_in_small_frames(sizes: list[int], times: int) -> None:
    sizes = sizes if sum(sizes) > FRAME_BYTES else sizes * times
    records = [event(f"e{i}", place="x" * size) for i, size in enumerate(sizes)]
    payloads = packed(records).payloads
    found = list(parcels(payloads))
    assert [record for _, payload in found for record in events_in(payload)] == records
    assert [name for _, payload in found for name in ids_in(payload)] == [record.event_id for record in records]
    assert [part for _, payload in found for part in parts_in(payload)] == payloads
    for n, payload in found:
        assert len(ids_in(payload)) == n <= FRAME_EVENTS
        assert n == 1 or len(payload) <= FRAME_BYTES + 3
    most = -(-len(records) // FRAME_EVENTS) + 2 * sum(map(len, payloads)) // FRAME_BYTES
    assert len(found) <= most, "there are few frames"


def test_an_event_alone_is_how_version_1_stood() -> None:
    (payload,) = packed(events(1)).payloads
    assert events_in(payload) == events(1) == [unpacked(payload)] and ids_in(payload) == ["e0"] and parts_in(payload) == [payload]


@pytest.mark.parametrize("junk", [b"", b"\x91", b"\xc1", b"\x93\x01\x02\x03", msgspec.msgpack.encode([{"item": "i"}]), b"\xdc"])
def test_junk_is_no_event(junk: bytes) -> None:
    for read in (ids_in, events_in):
        with pytest.raises(ValueError, match=r"."):
            read(junk)
