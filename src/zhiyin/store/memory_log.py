"""An event log in memory: the test double, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future

from zhiyin.base.errors import StoreError
from zhiyin.data.record import EventRecord
from zhiyin.store.event_log import Batch, LogStatus, each, packed


class MemoryLog:
    """An ``EventLog`` that keeps nothing. Use it in tests; set ``failing`` to a sentence to make appends raise it."""

    def __init__(self) -> None:
        self.failing = ""
        self._events: dict[int, EventRecord] = {}
        self._positions: dict[str, int] = {}
        self._end = 0
        self._closed = False
        self._lock = threading.Lock()

    def submit(self, records: Sequence[EventRecord]) -> Future[list[bool]]:
        """See ``EventLog.submit``; the answer is there at once."""
        packed(records)
        future: Future[list[bool]] = Future()
        with self._lock:
            if self._closed:
                raise StoreError("the event log is closed", "Open it again.")
            if self.failing:
                future.set_exception(StoreError(self.failing, "Nothing of this call was kept."))
            else:
                future.set_result([self._added(record) for record in records])
        return future

    def append(self, records: Sequence[EventRecord]) -> list[bool]:
        """See ``EventLog.append``."""
        return self.submit(records).result()

    def read(self, after: int = 0) -> Iterator[tuple[int, EventRecord]]:
        """See ``EventLog.read``."""
        return each(self.batches(after))

    def batches(self, after: int = 0) -> Iterator[Batch]:
        """See ``EventLog.batches``."""
        if self._closed:
            raise StoreError("the event log is closed", "Open it again.")
        with self._lock:
            found = {position: record for position, record in self._events.items() if position > after}
        if found:
            yield [*found], [*found.values()]

    def erase(self, *, users: Collection[str] = (), sessions: Collection[str] = ()) -> int:
        """See ``EventLog.erase``."""
        with self._lock:
            gone = {p: r for p, r in self._events.items() if r.user in users or (r.user is None and r.session in sessions)}
            for position, record in gone.items():
                del self._events[position]
                del self._positions[record.event_id]
        return len(gone)

    def status(self) -> LogStatus:
        """See ``EventLog.status``."""
        return LogStatus(self._end, self.failing)

    def close(self) -> None:
        """See ``EventLog.close``."""
        self._closed = True

    def _added(self, record: EventRecord) -> bool:
        if record.event_id in self._positions:
            return False
        self._end += 1
        self._events[self._end] = record
        self._positions[record.event_id] = self._end
        return True
