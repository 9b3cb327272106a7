"""The event log: what people did, in the order in which it was taken. It is the truth; all live state is a fold over it.

Four stores keep the same promises (``zhiyin.testing.store_contracts``):

* ``SegmentLog(folder)``: files on this machine; the fastest, needs nothing beside it. The default.
* ``SqlLog("sqlite:///...")``: one database file; when other programs shall query the events.
* ``SqlLog("postgresql://...")``: several machines write one log.
* ``MemoryLog()``: the test double; gone with the process.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import msgspec

from zhiyin.base.errors import DataError
from zhiyin.data.record import EventRecord
from zhiyin.store.names import all_plain, check_id

MAX_EVENT_BYTES = 1 << 20
"""The largest event a log takes, packed. It also bounds what a damaged length can claim."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(EventRecord).decode


@dataclass(frozen=True)
class LogStatus:
    """How a log is doing: position of its newest durable event, why the latest write failed ("" when it did not), and
    what was found damaged, cut off or put right since it was opened, a sentence each."""

    end: int
    failing: str = ""
    notes: tuple[str, ...] = ()


Batch = tuple[Sequence[int], list[EventRecord]]
"""Positions, ascending, and the events that stand there."""


class EventLog(Protocol):
    """Events by position: 1, 2, 3, ... with gaps where events were erased. All methods may be called by many threads."""

    def submit(self, records: Sequence[EventRecord]) -> Future[list[bool]]:
        """Hand in events; the answer comes once all are durable: True for a new one, False for an ``event_id`` known before.

        All callers that wait share one flush of the disk. The future raises StoreError when none of these events was kept:
        the same call may be made again, and counts once. Without events it asks whether a failing store can write again.
        Raises DataError at once for an event no store can keep, StoreBusyError when too much is waiting.
        """
        ...

    def append(self, records: Sequence[EventRecord]) -> list[bool]:
        """``submit`` and wait."""
        ...

    def read(self, after: int = 0) -> Iterator[tuple[int, EventRecord]]:
        """Durable events beyond a position, oldest first, up to those that are there when the reading gets to them."""
        ...

    def batches(self, after: int = 0) -> Iterator[Batch]:
        """What ``read`` gives, as many at a time as is cheap and never none: for whoever folds them all."""
        ...

    def erase(self, *, users: Collection[str] = (), sessions: Collection[str] = ()) -> int:
        """Remove every event of these users for good, and those of these sessions that name no user; say how many.

        Other events keep their positions, also those of somebody else who was known in the same session.
        Covers what was answered before the call. An erased ``event_id`` is forgotten too: sent again, it is new.
        When it raises StoreError some may be left: call it again.
        """
        ...

    def status(self) -> LogStatus:
        """How the log is doing; costs next to nothing."""
        ...

    def close(self) -> None:
        """Write what is waiting, then let go of files and connections. Later appends raise StoreError."""
        ...


@dataclass(frozen=True, slots=True)
class Packed:
    """Events on their way to the disk, in columns: the id of each, all of it as msgpack, and itself."""

    ids: list[str]
    payloads: list[bytes]
    records: list[EventRecord]
    size: int
    """Bytes of all payloads."""

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int]) -> Packed:
        """Some of them, in the order of ``rows``."""
        payloads = [self.payloads[row] for row in rows]
        return Packed([self.ids[row] for row in rows], payloads, [self.records[row] for row in rows], sum(map(len, payloads)))


def joined(parts: Sequence[Packed]) -> Packed:
    """All of several, one after another."""
    if len(parts) == 1:
        return parts[0]
    ids, payloads, records = ([*chain.from_iterable(c)] for c in zip(*((p.ids, p.payloads, p.records) for p in parts), strict=True))
    return Packed(ids, payloads, records, sum(part.size for part in parts))


def packed(records: Sequence[EventRecord]) -> Packed:
    """Events as bytes. Raises DataError for one that no store can keep, so that it fails alone and not in a group."""
    ids = [record.event_id for record in records]
    users = [record.user for record in records if record.user is not None]
    sessions = [record.session for record in records if record.session is not None]
    if not all_plain([*ids, *users, *sessions]):
        for what, names in (("event_id", ids), ("user of an event", users), ("session of an event", sessions)):
            for name in names:
                check_id(what, name)
    try:
        payloads = list(map(_encode, records))
    except (TypeError, ValueError, OverflowError, RecursionError):
        payloads = list(map(_encoded, records))  # says which one it is
    if max(map(len, payloads), default=0) > MAX_EVENT_BYTES:
        large, size = next((name, len(payload)) for name, payload in zip(ids, payloads, strict=True) if len(payload) > MAX_EVENT_BYTES)
        raise DataError(f"event '{large}' has {size:,} bytes, more than {MAX_EVENT_BYTES:,}", "Shorten its context.")
    return Packed(ids, payloads, list(records), sum(map(len, payloads)))


def each(batches: Iterable[Batch]) -> Iterator[tuple[int, EventRecord]]:
    """The events of batches, one by one."""
    for positions, records in batches:
        yield from zip(positions, records, strict=True)


def unpacked(payload: bytes | memoryview) -> EventRecord:
    """The event of these bytes. Raises msgspec.DecodeError (a ValueError) if they are none."""
    return _decode(payload)


def _encoded(record: EventRecord) -> bytes:
    try:
        return _encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"event '{record.event_id}' cannot be stored: {error}", "Use text, numbers, lists and tables of them.") from None
