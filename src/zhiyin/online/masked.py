"""People who were erased and still stand in a bundle: nobody reads their past there until it is trained anew.

Known by their number, because their ids are to be forgotten; and a number means somebody else in another bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zhiyin.store.tables import TableStore, every_row

MASKED = "masked"


def mask(tables: TableStore, version: str, number: int) -> None:
    """Mask a user of a bundle for good."""
    tables.put(MASKED, {f"{version}:{number}": {"bundle": version, "number": number}})


def masked(tables: TableStore, version: str) -> list[int]:
    """The numbers of those who were erased from a bundle."""
    return [number_of(row.id, row.body) for row in every_row(tables, MASKED) if row.body.get("bundle") == version]


def masked_versions(tables: TableStore) -> set[str]:
    """The versions of the bundles from which people were erased."""
    return {str(row.body.get("bundle")) for row in every_row(tables, MASKED)}


def renamed(tables: TableStore, old: str, new: str) -> None:
    """People erased from a bundle are erased from the same one under its new name."""
    for number in masked(tables, old):
        mask(tables, new, number)


def number_of(id_: str, body: Mapping[str, Any]) -> int:
    """Of whom a row speaks; before several bundles could be masked, its id was the number."""
    return int(body.get("number", id_))
