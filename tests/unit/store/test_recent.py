"""What was just written, against a list of everything that was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zhiyin.data.record import EventRecord
from zhiyin.store.recent import MOST, MOST_WRITES, Recent
from zhiyin.testing.store_contracts import events

STEP = st.tuples(st.integers(1, 9), st.sampled_from([0, 0, 0, 0, 1, 3]), st.booleans())


@given(st.lists(STEP, max_size=30), st.integers(0, 200))
def test_what_it_gives_is_what_was_written_right_after(steps: list[tuple[int, int, bool]], after: int) -> None:
    """``skipped`` positions were written by somebody else; now and then a new segment begins."""
    recent, segment, position = Recent(), 1, 1
    log: dict[int, EventRecord] = {}
    for n, skipped, rolled in steps:
        position += skipped
        segment = position if rolled else segment
        recent.add(segment, position, events(n, position))
        log |= dict(enumerate(events(n, position), position))
        position += n
    found = {at: record for first, records in recent.since(segment, after) for at, record in enumerate(records, first)}
    assert recent.since(segment + 1, after) == []
    if found:
        assert found == {at: record for at, record in log.items() if at > after}
        assert min(found) == after + 1, "nothing is left out"


def test_it_is_bounded_and_keeps_the_newest_write_whole() -> None:
    recent = Recent()
    some = events(400)
    for i in range(100):
        recent.add(1, 1 + 400 * i, some)
    assert recent.since(1, 40_000 - MOST - 1) == []
    assert [len(records) for _, records in recent.since(1, 36_000)] == [400] * 10
    recent.add(1, 40_001, some * 20)
    assert [len(records) for _, records in recent.since(1, 40_000)] == [8_000]
    for i in range(100):
        recent.add(1, 48_001 + i, some[:1])
    assert recent.since(1, 48_099 - MOST_WRITES) == [] and len(recent.since(1, 48_100 - MOST_WRITES)) == MOST_WRITES
