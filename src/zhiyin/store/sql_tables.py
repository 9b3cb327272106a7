"""Tables in a database: SQLite beside the server, PostgreSQL for several machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from zhiyin.store.sql import Database, PageKey, chunks
from zhiyin.store.tables import Body, Change, Row, check_version, checked, from_json, to_json, with_part

_METADATA = sa.MetaData()
_ROWS = sa.Table(
    "zhiyin_rows",
    _METADATA,
    sa.Column("collection", sa.Text, primary_key=True),
    sa.Column("id", PageKey, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False, unique=True),
    sa.Column("body", sa.Text),  # JSON; null once deleted
)
_VERSION = sa.Table(
    "zhiyin_version",
    _METADATA,
    sa.Column("only", sa.Integer, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
)
_LOCK = 0x7A68_7462  # of these tables' writers, in PostgreSQL


class SqlTables:
    """A ``TableStore`` in the tables ``zhiyin_rows`` and ``zhiyin_version``; several processes may use it.

    Raises StoreError when the database cannot be opened; ``wait_s`` bounds every wait for a lock or a connection.
    """

    def __init__(self, url: str, *, wait_s: float = 5) -> None:
        self._database = Database(url, _METADATA, lock=_LOCK, wait_s=wait_s)
        self._insert = _insert_for(self._database)

    def put(self, collection: str, rows: Mapping[str, Body], *, partial: bool = False, if_version: int | None = None) -> dict[str, int]:
        """See ``TableStore.put``."""
        checked(collection, list(rows))
        whole = {} if partial else {row_id: to_json(row_id, body) for row_id, body in rows.items()}
        with self._database.writing() as connection:
            if partial or if_version is not None:
                old = _found(connection, collection, list(rows))
                for row_id in rows:
                    check_version(row_id, old[row_id][0] if row_id in old else 0, if_version)
                if partial:
                    whole = {row_id: to_json(row_id, with_part(old[row_id][1], rows[row_id])) for row_id in rows if row_id in old}
            return self._write(connection, collection, whole)

    def get(self, collection: str, ids: Sequence[str]) -> dict[str, Row]:
        """See ``TableStore.get``."""
        checked(collection, ids)
        with self._database.reading() as connection:
            found = _found(connection, collection, list(ids))
        return {row_id: Row(row_id, found[row_id][0], from_json(found[row_id][1])) for row_id in ids if row_id in found}

    def delete(self, collection: str, ids: Sequence[str], *, forget: bool = False) -> int:
        """See ``TableStore.delete``. Backups and archived logs of the database are its operator's."""
        checked(collection, ids)
        with self._database.writing() as connection:
            there = list(_found(connection, collection, list(ids)))
            self._write(connection, collection, dict.fromkeys(there))
            if forget:
                for some in chunks(list(ids)):
                    connection.execute(sa.delete(_ROWS).where(_ROWS.c.collection == collection, _ROWS.c.id.in_(some)))
        if forget:
            self._database.clean(_ROWS.name)
        return len(there)

    def page(self, collection: str, after: str = "", n: int = 100) -> list[Row]:
        """See ``TableStore.page``."""
        checked(collection, [])
        asked = (
            sa.select(_ROWS.c.id, _ROWS.c.version, _ROWS.c.body)
            .where(_ROWS.c.collection == collection, _ROWS.c.id > after, _ROWS.c.body.is_not(None))
            .order_by(_ROWS.c.id)
            .limit(n)
        )
        with self._database.reading() as connection:
            return [Row(row_id, version, from_json(body)) for row_id, version, body in connection.execute(asked)]

    def changes(self, since: int = 0, n: int = 1000) -> list[Change]:
        """See ``TableStore.changes``."""
        asked = (
            sa.select(_ROWS.c.collection, _ROWS.c.id, _ROWS.c.version, _ROWS.c.body)
            .where(_ROWS.c.version > since)
            .order_by(_ROWS.c.version)
            .limit(n)
        )
        with self._database.reading() as connection:
            return [Change(c, i, v, None if body is None else from_json(body)) for c, i, v, body in connection.execute(asked)]

    def version(self) -> int:
        """See ``TableStore.version``."""
        with self._database.reading() as connection:
            return _version(connection)

    def close(self) -> None:
        """See ``TableStore.close``."""
        self._database.close()

    def _write(self, connection: sa.Connection, collection: str, texts: Mapping[str, str | None]) -> dict[str, int]:
        """Rows with versions of their own; writers come one at a time, so that versions are committed in their order."""
        if not texts:
            return {}
        first = _version(connection) + 1
        versions = {row_id: first + i for i, row_id in enumerate(texts)}
        insert = self._insert(_ROWS)
        upsert = insert.on_conflict_do_update(
            index_elements=["collection", "id"], set_={"version": insert.excluded.version, "body": insert.excluded.body}
        )
        connection.execute(upsert, [{"collection": collection, "id": i, "version": versions[i], "body": texts[i]} for i in texts])
        newest = self._insert(_VERSION).values(only=1, version=first + len(texts) - 1)
        connection.execute(newest.on_conflict_do_update(index_elements=["only"], set_={"version": newest.excluded.version}))
        return versions


def _insert_for(database: Database) -> Any:
    """``INSERT ... ON CONFLICT`` as the database says it; the words of the other one are not imported."""
    if database.sqlite:
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
    return insert


def _found(connection: sa.Connection, collection: str, ids: list[str]) -> dict[str, tuple[int, str]]:
    """Version and JSON of those of the rows that are there."""
    found: dict[str, tuple[int, str]] = {}
    for some in chunks(ids):
        asked = sa.select(_ROWS.c.id, _ROWS.c.version, _ROWS.c.body).where(_ROWS.c.collection == collection, _ROWS.c.id.in_(some))
        found.update((row_id, (version, body)) for row_id, version, body in connection.execute(asked) if body is not None)
    return found


def _version(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(_VERSION.c.version)).scalar() or 0)
