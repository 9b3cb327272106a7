"""Relations between things: (head, relation, tail), such as who follows whom, or what goes with what.

A relation is a row of the tables whose id says all three, so that those of one head, and those of one kind, lie together
and a page of them is one look-up. Its columns are whatever else is known of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from zhiyin.base.errors import DataError
from zhiyin.store.tables import Row, TableStore

RELATIONS = "relations"
PERSON, GROUP = "user:", "group:"
"""How an end says that it is a person, or a group."""
NAMES = ("head", "relation", "tail")
_PARTED = "\x1f"
"""Stands between the three parts of an id: the "unit separator", which no id of people or items needs."""


class Relation(msgspec.Struct, frozen=True):
    """``head`` has ``relation`` to ``tail``."""

    head: str
    relation: str
    tail: str
    columns: dict[str, Any]


def id_of(head: str, relation: str, tail: str) -> str:
    """The id of the row. Raises ``DataError`` for parts that make none."""
    for name, part in zip(NAMES, (head, relation, tail), strict=True):
        if not part or _PARTED in part:
            raise DataError(f"the {name} of a relation is {part[:60]!r}", "Give text without control characters.")
    made = _PARTED.join((head, relation, tail))
    if len(made.encode(errors="replace")) > 512:
        raise DataError(f"the relation of '{head[:60]}' to '{tail[:60]}' has more than 510 bytes", "Use shorter ids.")
    return made


def parts_of(row_id: str) -> tuple[str, str, str]:
    """Head, relation and tail of the id of a row."""
    head, relation, tail = row_id.split(_PARTED)
    return head, relation, tail


def relation_of(row: Row) -> Relation:
    """The relation that a row keeps."""
    head, relation, tail = parts_of(row.id)
    return Relation(head, relation, tail, row.body)


def columns_of(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns as they are kept. Raises ``DataError`` for one that would hide a part of the relation."""
    wrong = next((name for name in NAMES if name in columns), None)
    if wrong is not None:
        raise DataError(f"a column of a relation cannot be named '{wrong}'", "Name it otherwise.")
    return dict(columns)


def page(tables: TableStore, after: str, n: int, head: str | None = None, relation: str | None = None) -> tuple[list[Relation], str | None]:
    """The next n relations beyond a cursor ("" = from the beginning), all or those of a head (of one kind), and the
    cursor of the next page, None at the end. ``relation`` counts only beside ``head``."""
    begin = ""
    if head is not None:
        begin = head + _PARTED + (relation + _PARTED if relation is not None else "")
    rows = tables.page(RELATIONS, max(after, begin), n)
    fit = [row for row in rows if row.id.startswith(begin)]
    return [relation_of(row) for row in fit], fit[-1].id if len(fit) == n else None


def touching(tables: TableStore, name: str) -> Iterator[Row]:
    """Every relation whose head or tail is somebody, written as his id or as ``user:ID``; reads all of them."""
    names, after = {name, PERSON + name}, ""
    while rows := tables.page(RELATIONS, after, 1_000):
        yield from (row for row in rows if names.intersection(row.id.split(_PARTED)[::2]))
        after = rows[-1].id
