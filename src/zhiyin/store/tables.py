"""Tables of things that change: items, users, relations, tags, consent. Rows are JSON objects under an id.

Every change takes the next version of the store, so that "what changed since version v" has an answer: a model that was
being trained meanwhile catches up. ``SqlTables(url)`` keeps them in SQLite or PostgreSQL, ``MemoryTables()`` nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from zhiyin.base.errors import ConfigError, DataError, StoreConflictError
from zhiyin.store.names import check_id

Body = Mapping[str, Any]

MAX_ROW_BYTES = 1 << 20
"""The largest row, as JSON."""

_COLLECTION = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


class Row(NamedTuple):
    """A row as it is now, and the version of the change that made it so."""

    id: str
    version: int
    body: dict[str, Any]


class Change(NamedTuple):
    """The latest change of a row; without ``body`` it was deleted."""

    collection: str
    id: str
    version: int
    body: dict[str, Any] | None


class TableStore(Protocol):
    """Collections of rows by id. Calls are all or nothing, and durable when they return; any thread may make them.

    Raises StoreError when the store cannot be reached, DataError for ids and rows that cannot be kept.
    """

    def put(self, collection: str, rows: Mapping[str, Body], *, partial: bool = False, if_version: int | None = None) -> dict[str, int]:
        """Write rows and give the version of each.

        ``partial`` changes only the keys that are given (null removes one) and skips ids that are not there: they are
        absent from the answer. With ``if_version`` each row must be at that version now (0: must not be there), or
        StoreConflictError is raised.
        """
        ...

    def get(self, collection: str, ids: Sequence[str]) -> dict[str, Row]:
        """Those of the rows that are there."""
        ...

    def delete(self, collection: str, ids: Sequence[str], *, forget: bool = False) -> int:
        """Remove rows and say how many were there.

        Readers of ``changes`` learn of it; with ``forget`` they do not, and not even the id stays: for people who ask
        to be erased.
        """
        ...

    def page(self, collection: str, after: str = "", n: int = 100) -> list[Row]:
        """The next ``n`` rows by id (in the order of code points) beyond ``after``; fewer at the end."""
        ...

    def changes(self, since: int = 0, n: int = 1000) -> list[Change]:
        """The next ``n`` changes beyond a version, in order, each row once with its newest; fewer at the end."""
        ...

    def version(self) -> int:
        """Version of the newest change; 0 in a new store."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def checked(collection: str, ids: Sequence[str]) -> None:
    """Raises ConfigError for a name no collection can have, DataError for an id no row can have."""
    if not _COLLECTION.fullmatch(collection):
        raise ConfigError(f"{collection[:80]!r} is no name for a collection", "Use small letters, digits, '_', '.' and '-'.")
    for row_id in ids:
        check_id("id of a row", row_id)


def to_json(row_id: str, body: Body) -> str:
    """A row as text; its null values stay. Raises DataError for what JSON cannot say."""
    try:
        text = msgspec.json.encode(dict(body)).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"row '{row_id}' cannot be stored: {error}", "Use text, numbers, lists and tables of them.") from None
    if len(text) > MAX_ROW_BYTES:
        raise DataError(f"row '{row_id}' has {len(text):,} characters, more than {MAX_ROW_BYTES:,}", "Shorten it.")
    return text


def from_json(text: str) -> dict[str, Any]:
    """The row of a text written by ``to_json``."""
    return msgspec.json.decode(text, type=dict[str, Any])


def with_part(old: str, part: Body) -> dict[str, Any]:
    """An old row with the keys of ``part`` in place of its own; None removes a key."""
    merged = {**from_json(old), **part}
    return {key: value for key, value in merged.items() if value is not None or key not in part}


def check_version(row_id: str, version: int, expected: int | None) -> None:
    """Raises StoreConflictError if a row is not at the version that is expected."""
    if expected is not None and version != expected:
        found = f"is at version {version}" if version else "is not there"
        raise StoreConflictError(f"row '{row_id}' {found}, not at version {expected}", "Read it again, then repeat the change.")


def every_row(tables: TableStore, collection: str) -> Iterator[Row]:
    """All rows of a collection, by id."""
    after = ""
    while rows := tables.page(collection, after, 1_000):
        yield from rows
        after = rows[-1].id
