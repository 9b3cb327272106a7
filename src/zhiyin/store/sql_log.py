"""The event log in a database: SQLite when other programs shall query the events, PostgreSQL when several machines write."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future

import msgspec
import sqlalchemy as sa

from zhiyin.base.errors import StoreError
from zhiyin.data.record import EventRecord
from zhiyin.store.event_log import Batch, LogStatus, Packed, each, packed, unpacked
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
_Row = tuple[str, str | None, str | None, bytes]
"""Id, user, session, payload."""


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
        """See ``EventLog.read``."""
        return each(self.batches(after))

    def batches(self, after: int = 0) -> Iterator[Batch]:
        """See ``EventLog.batches``. A page at a time: no transaction stays open between two of them."""
        if self._closed:
            raise StoreError(f"{self._name} is closed", "Open it again.")
        page = sa.select(_EVENTS.c.position, _EVENTS.c.payload).order_by(_EVENTS.c.position).limit(_PAGE)
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(page.where(_EVENTS.c.position > after)).all()
            if rows:
                after = rows[-1].position
                yield [row.position for row in rows], [_read_back(row.payload, row.position, self._name) for row in rows]
            if len(rows) < _PAGE:
                return

    def erase(self, *, users: Collection[str] = (), sessions: Collection[str] = ()) -> int:
        """See ``EventLog.erase``. Backups and archived logs of the database are its operator's."""
        removed = 0
        with self._database.writing() as connection:
            for some in chunks(list(users)):
                removed += connection.execute(sa.delete(_EVENTS).where(_EVENTS.c.user_id.in_(some))).rowcount
            for some in chunks(list(sessions)):
                theirs = _EVENTS.c.session_id.in_(some) & _EVENTS.c.user_id.is_(None)
                removed += connection.execute(sa.delete(_EVENTS).where(theirs)).rowcount
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

    def _commit(self, events: Packed) -> list[bool]:
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


def _insert(connection: sa.Connection, events: Packed) -> tuple[list[bool], int]:
    """Which events were new, and the last position now (0 if none was)."""
    first: dict[str, _Row] = {}
    for name, record, payload in zip(events.ids, events.records, events.payloads, strict=True):
        first.setdefault(name, (name, record.user, record.session, payload))
    if not first:
        return [], 0
    insert = _insert_sqlite if connection.dialect.name == "sqlite" else _insert_postgresql
    new, end = insert(connection, first)
    left = dict.fromkeys(new, True)
    return [left.pop(name, False) for name in events.ids], end


def _insert_sqlite(connection: sa.Connection, events: Mapping[str, _Row]) -> tuple[list[str], int]:
    """Ids that were new. The driver's own calls: they cost a third of SQLAlchemy's for rows by the hundred."""
    asked = "SELECT event_id FROM zhiyin_events WHERE event_id IN (SELECT value FROM json_each(?))"
    known = set(connection.exec_driver_sql(asked, (msgspec.json.encode(list(events)).decode(),)).scalars())
    rows = [row for name, row in events.items() if name not in known]
    if not rows:
        return [], 0
    connection.exec_driver_sql("INSERT INTO zhiyin_events (event_id, user_id, session_id, payload) VALUES (?, ?, ?, ?)", rows)
    return [row[0] for row in rows], int(connection.exec_driver_sql("SELECT max(position) FROM zhiyin_events").scalar_one())


def _insert_postgresql(connection: sa.Connection, events: Mapping[str, _Row]) -> tuple[list[str], int]:
    """Ids that were new, in one statement."""
    insert = """
        INSERT INTO zhiyin_events (event_id, user_id, session_id, payload)
        SELECT e, u, s, p FROM unnest(%s::text[], %s::text[], %s::text[], %s::bytea[]) WITH ORDINALITY AS given(e, u, s, p, n) ORDER BY n
        ON CONFLICT (event_id) DO NOTHING RETURNING event_id, position"""
    rows = connection.exec_driver_sql(insert, tuple(map(list, zip(*events.values(), strict=True)))).all()
    return [row[0] for row in rows], max((row[1] for row in rows), default=0)


def _probe(connection: sa.Connection) -> None:
    """Write, where no reader looks, so that the commit has something to flush."""
    connection.execute(sa.insert(_EVENTS), {"position": -1, "event_id": "", "payload": b""})
    connection.execute(sa.delete(_EVENTS).where(_EVENTS.c.position == -1))


def _read_back(payload: bytes, position: int, name: str) -> EventRecord:
    try:
        return unpacked(payload)
    except ValueError:
        raise StoreError(f"{name} is damaged at position {position}: this is no event", "Restore the database from a backup.") from None
