"""Stores that another process writes: everything can be read from them, and every write is refused with the reason."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

from zhiyin.base.errors import StoreError
from zhiyin.data.record import EventRecord
from zhiyin.store.event_log import Batch, EventLog, LogStatus
from zhiyin.store.tables import Body, Change, Row, TableStore

AGAIN = "Stop what holds it; this server tries again every second, and takes over by itself."


class ReadLog:
    """An ``EventLog`` that was opened for reading, because ``why`` keeps it from being written."""

    def __init__(self, log: EventLog, why: str) -> None:
        self.why = why
        self._log = log

    def submit(self, records: Sequence[EventRecord]) -> Future[list[bool]]:
        """Always ``StoreError``."""
        raise StoreError(f"nothing is stored: {self.why}", AGAIN)

    def append(self, records: Sequence[EventRecord]) -> list[bool]:
        """Always ``StoreError``."""
        return self.submit(records).result()

    def read(self, after: int = 0) -> Iterator[tuple[int, EventRecord]]:
        """See ``EventLog.read``."""
        return self._log.read(after)

    def batches(self, after: int = 0) -> Iterator[Batch]:
        """See ``EventLog.batches``."""
        return self._log.batches(after)

    def erase(self, *, users: Collection[str] = (), sessions: Collection[str] = ()) -> int:
        """Always ``StoreError``."""
        raise StoreError(f"nothing can be erased: {self.why}", AGAIN)

    def status(self) -> LogStatus:
        """That of the log, failing."""
        return replace(self._log.status(), failing=self.why)

    def close(self) -> None:
        """See ``EventLog.close``."""
        self._log.close()


class ReadTables:
    """A ``TableStore`` beside a ``ReadLog``: who may not write the one must not write the other."""

    def __init__(self, tables: TableStore, why: str) -> None:
        self.why = why
        self._tables = tables

    def put(self, collection: str, rows: Mapping[str, Body], *, partial: bool = False, if_version: int | None = None) -> dict[str, int]:
        """Always ``StoreError``."""
        raise StoreError(f"nothing is stored: {self.why}", AGAIN)

    def get(self, collection: str, ids: Sequence[str]) -> dict[str, Row]:
        """See ``TableStore.get``."""
        return self._tables.get(collection, ids)

    def delete(self, collection: str, ids: Sequence[str], *, forget: bool = False) -> int:
        """Always ``StoreError``."""
        raise StoreError(f"nothing is removed: {self.why}", AGAIN)

    def page(self, collection: str, after: str = "", n: int = 100) -> list[Row]:
        """See ``TableStore.page``."""
        return self._tables.page(collection, after, n)

    def changes(self, since: int = 0, n: int = 1000) -> list[Change]:
        """See ``TableStore.changes``."""
        return self._tables.changes(since, n)

    def version(self) -> int:
        """See ``TableStore.version``."""
        return self._tables.version()

    def close(self) -> None:
        """See ``TableStore.close``."""
        self._tables.close()
