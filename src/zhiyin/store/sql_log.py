"""The event log in a database: SQLite when other programs shall query the events, PostgreSQL when several machines write."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future

import sqlalchemy as sa

from zhiyin.base.errors import StoreError
from zhiyin.data.record import EventRecord
from zhiyin.store.event_log import LogStatus, Packed, packed, unpacked
from zhiyin.store.group_commit import GroupCommit
from zhiyin.store.sql import Database, chunks

_METADATA = sa.MetaData()
_EVENTS = sa.Table(
    "zhiyin_events",
    _METADATA,
    sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.Text, nullable=False, unique=True),
    sa.Column("user_id", sa.Text, index=True),
    sa.Column("session_id", sa.Text, index=True),
    sa.Column("payload", sa.LargeBinary, nullable=False),  # the whole event as msgpack
    sqlite_autoincrement=True,  # a position is never given twice, not even after the newest event was erased
)
_LOCK = 0x7A68_6C6F  # of this table's writers, in PostgreSQL
_PAGE = 1000


class SqlLog:
    """An ``EventLog`` in the table ``zhiyin_events``. Several processes may write it; all that wait in one share a commit.

    Raises StoreError when the database cannot be opened; ``wait_s`` bounds every wait for a lock or a connection.
    """

    def __init__(self, url: str, *, wait_s: float = 5, max_waiting_bytes: int = 64 << 20) -> None:
        self._database = Database(url, _METADATA, lock=_LOCK, wait_s=wait_s)
        self._name = f"event log '{self._database.name}'"
        self._failing = ""
        self._closed = False
        self._end = self._last()
        self._group = GroupCommit(self._commit, name=self._name, max_waiting_bytes=max_waiting_bytes)

    def submit(self, records: Sequence[EventRecord]) -> Future[list[bool]]:
        """See ``EventLog.submit``."""
        return self._group.submit(packed(records))

    def append(self, records: Sequence[EventRecord]) -> list[bool]:
        """See ``EventLog.append``."""
        return self.submit(records).result()

    def read(self, after: int = 0) -> Iterator[tuple[int, EventRecord]]:
        """See ``EventLog.read``. A page at a time: no transaction stays open between two of them."""
        if self._closed:
            raise StoreError(f"{self._name} is closed", "Open it again.")
        page = sa.select(_EVENTS.c.position, _EVENTS.c.payload).order_by(_EVENTS.c.position).limit(_PAGE)
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(page.where(_EVENTS.c.position > after)).all()
            for position, payload in rows:
                after = position
                yield position, _read_back(payload, position, self._name)
            if len(rows) < _PAGE:
                return

    def erase(self, *, users: Collection[str] = (), sessions: Collection[str] = ()) -> int:
        """See ``EventLog.erase``. Backups and archived logs of the database are its operator's."""
        removed = 0
        with self._database.writing() as connection:
            for column, names in ((_EVENTS.c.user_id, users), (_EVENTS.c.session_id, sessions)):
                for some in chunks(list(names)):
                    removed += connection.execute(sa.delete(_EVENTS).where(column.in_(some))).rowcount
        if removed:
            self._database.clean(_EVENTS.name)
        return removed

    def status(self) -> LogStatus:
        """See ``EventLog.status``; ``end`` is what this process wrote or found last."""
        return LogStatus(self._end, self._failing)

    def close(self) -> None:
        """See ``EventLog.close``."""
        if not self._closed:
            self._closed = True
            self._group.close()
            self._database.close()

    def _commit(self, events: Sequence[Packed]) -> list[bool]:
        if not events and not self._failing:
            return []
        try:
            with self._database.writing() as connection:
                if not events:
                    _probe(connection)
                answers, end = _insert(connection, events)
        except StoreError as error:
            self._failing = error.message
            raise
        self._failing = ""
        self._end = max(self._end, end)
        return answers

    def _last(self) -> int:
        with self._database.reading() as connection:
            return int(connection.execute(sa.select(sa.func.max(_EVENTS.c.position))).scalar() or 0)


def _insert(connection: sa.Connection, events: Sequence[Packed]) -> tuple[list[bool], int]:
    """Which events were new, and the last position now (0 if none was)."""
    first: dict[str, Packed] = {}
    for event in events:
        first.setdefault(event.event_id, event)
    for some in chunks(list(first)):
        known = connection.execute(sa.select(_EVENTS.c.event_id).where(_EVENTS.c.event_id.in_(some))).scalars()
        for event_id in known:
            del first[event_id]
    rows = [
        {"event_id": e.event_id, "user_id": e.record.user, "session_id": e.record.session, "payload": e.payload} for e in first.values()
    ]
    end = 0
    if rows:
        connection.execute(sa.insert(_EVENTS), rows)
        end = connection.execute(sa.select(sa.func.max(_EVENTS.c.position))).scalar_one()
    return [first.pop(event.event_id, None) is not None for event in events], end


def _probe(connection: sa.Connection) -> None:
    """Write, where no reader looks, so that the commit has something to flush."""
    connection.execute(sa.insert(_EVENTS), {"position": -1, "event_id": "", "payload": b""})
    connection.execute(sa.delete(_EVENTS).where(_EVENTS.c.position == -1))


def _read_back(payload: bytes, position: int, name: str) -> EventRecord:
    try:
        return unpacked(payload)
    except ValueError:
        raise StoreError(f"{name} is damaged at position {position}: this is no event", "Restore the database from a backup.") from None
