"""The newest events as this process wrote them, so that memory follows the log without reading the disk.

They are those of the segment that still grows: whatever is erased stands in a full one, so nothing erased is ever here.
"""

from __future__ import annotations

from typing import NamedTuple

from zhiyin.data.record import EventRecord

MOST, MOST_WRITES = 4096, 16
"""So many events are kept, of so many writes; those of the newest write always."""


class _Written(NamedTuple):
    segment: int
    position: int  # of the first
    records: list[EventRecord]


class Recent:
    """One thread adds, others look at any time: what they see is one tuple, swapped whole."""

    def __init__(self) -> None:
        self._written: tuple[_Written, ...] = ()

    def add(self, segment: int, position: int, records: list[EventRecord]) -> None:
        """Events that are durable now, from ``position`` on; what does not lead up to them is forgotten."""
        written = self._written
        if written and (written[-1].segment != segment or written[-1].position + len(written[-1].records) != position):
            written = ()
        room = MOST - len(records)
        written = written[1 - MOST_WRITES :]
        first = len(written)
        while first and (room := room - len(written[first - 1].records)) >= 0:
            first -= 1
        self._written = (*written[first:], _Written(segment, position, records))

    def since(self, segment: int, after: int) -> list[tuple[int, list[EventRecord]]]:
        """Events right after a position, by the position of the first of each list, if ``segment`` is still theirs; or none."""
        written = self._written
        if not written or written[0].segment != segment or written[0].position > after + 1:
            return []
        found = []
        for _, position, records in reversed(written):
            if position + len(records) <= after + 1:
                break
            gone = max(after + 1 - position, 0)
            found.append((position + gone, records[gone:] if gone else records))
        return found[::-1]
