"""The event log: what people did, in the order in which it was taken. It is the truth; all live state is a fold over it.

Four stores keep the same promises (``zhiyin.testing.store_contracts``):

* ``SegmentLog(folder)``: files on this machine; the fastest, needs nothing beside it. The default.
* ``SqlLog("sqlite:///...")``: one database file; when other programs shall query the events.
* ``SqlLog("postgresql://...")``: several machines write one log.
* ``MemoryLog()``: the test double; gone with the process.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from zhiyin.base.errors import DataError
from zhiyin.data.record import EventRecord
from zhiyin.store.names import check_id

MAX_EVENT_BYTES = 1 << 20
"""The largest event a log takes, packed. It also bounds what a damaged length can claim."""

_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(EventRecord).decode


@dataclass(frozen=True)
class LogStatus:
    """How a log is doing: position of its newest durable event, why the latest write failed ("" when it did not), and
    what was found damaged, cut off or put right since it was opened, a sentence each."""

    end: int
    failing: str = ""
    notes: tuple[str, ...] = ()


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


class Packed(NamedTuple):
    """An event on its way to the disk: its id, and all of it as msgpack."""

    event_id: str
    payload: bytes
    record: EventRecord


def packed(records: Sequence[EventRecord]) -> list[Packed]:
    """Events as bytes. Raises DataError for one that no store can keep, so that it fails alone and not in a group."""
    return [_packed(record) for record in records]


def unpacked(payload: bytes | memoryview) -> EventRecord:
    """The event of these bytes. Raises msgspec.DecodeError (a ValueError) if they are none."""
    return _decode(payload)


def _packed(record: EventRecord) -> Packed:
    check_id("event_id", record.event_id)
    if record.user is not None:
        check_id("user of an event", record.user)
    if record.session is not None:
        check_id("session of an event", record.session)
    try:
        payload = _encoder.encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"event '{record.event_id}' cannot be stored: {error}", "Use text, numbers, lists and tables of them.") from None
    if len(payload) > MAX_EVENT_BYTES:
        raise DataError(f"event '{record.event_id}' has {len(payload):,} bytes, more than {MAX_EVENT_BYTES:,}", "Shorten its context.")
    return Packed(record.event_id, payload, record)
