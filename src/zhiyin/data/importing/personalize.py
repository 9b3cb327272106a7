"""Amazon Personalize: the CSV files of an interactions, an items and a users data set, columns in capitals.

Required and reserved columns as in its developer guide ("Dataset and schema requirements"); every other column
is metadata of the person's own choice, categories with several values are divided by "|".
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.base.errors import MissingDataError
from zhiyin.data.files import read_table
from zhiyin.data.importing.parts import (
    Imported,
    context_of,
    demand,
    first_line,
    is_prose,
    repeat_of,
    sensitive_of,
    tables_in,
    title_of,
    types_of,
    weights_of,
)
from zhiyin.data.schema import EventsTable, ItemsTable, Manifest, UsersTable
from zhiyin.data.tables import Tables

IDS = ("USER_ID", "ITEM_ID")
REQUIRED = (*IDS, "TIMESTAMP")
ROLES = {"kind": "EVENT_TYPE", "value": "EVENT_VALUE", "trace": "RECOMMENDATION_ID"}


def fits(folder: Path) -> bool:
    """Some table has USER_ID and ITEM_ID, written like that."""
    return any(all(name in first_line(path) for name in IDS) for path in tables_in(folder).values())


def read(folder: Path, name: str) -> Imported:
    """Interactions as events in seconds since 1970; EVENT_TYPE is the kind, CREATION_TIMESTAMP when an item came.

    IMPRESSION (what was shown beside it) stays in the table without a role. A recommendation's id is the trace.
    """
    files, left = _files(folder), {}
    rows = read_table(folder / files["events"], text=IDS)
    demand(rows.columns, REQUIRED, files["events"], "every interactions data set of Personalize")
    roles = {role: column for role, column in ROLES.items() if column in rows.columns and rows[column].null_count() < rows.height}
    rest = [c for c in rows.columns if c not in (*REQUIRED, *ROLES.values(), "IMPRESSION")]
    if "IMPRESSION" in rows.columns:
        left[f"{files['events']}:IMPRESSION"] = "what was shown beside it stays in the table, but has no role"
    items, items_table = _items(folder, files, left)
    users, users_table = _users(folder, files, left)
    context = context_of(rows.select(rest), files["events"], left)
    manifest = Manifest(
        name=name,
        events=EventsTable(file=files["events"], user="USER_ID", item="ITEM_ID", time="TIMESTAMP", time_unit="s", context=context, **roles),
        items=items_table,
        users=users_table,
        weights=weights_of(rows["EVENT_TYPE"]) if "kind" in roles else {},
        repeat=repeat_of(rows, [*IDS, "EVENT_TYPE"] if "kind" in roles else IDS),
    )
    return Imported("personalize", Tables(manifest, rows, items, users), files, left)


def _files(folder: Path) -> dict[str, str]:
    """Which file is which, by a word in its name; "item-interactions" are interactions."""
    files: dict[str, str] = {}
    for stem, path in tables_in(folder).items():
        role = next((r for word, r in (("interaction", "events"), ("user", "users"), ("item", "items")) if word in stem), None)
        if role is not None:
            files.setdefault(role, path.name)
    if "events" not in files:
        raise MissingDataError(
            f"the folder '{folder}' has no file with 'interactions' in its name",
            "Personalize's data sets are interactions.csv, items.csv and users.csv.",
        )
    return files


def _items(folder: Path, files: dict[str, str], left: dict[str, str]) -> tuple[pl.DataFrame | None, ItemsTable | None]:
    if "items" not in files:
        return None, None
    file = files["items"]
    table = read_table(folder / file, text=("ITEM_ID",))
    demand(table.columns, ("ITEM_ID",), file, "every items data set of Personalize")
    rest = table.drop("ITEM_ID", "CREATION_TIMESTAMP", strict=False)
    types = types_of(rest, file, left, _several(rest))
    title = title_of(types, rest)
    publish = "CREATION_TIMESTAMP" if "CREATION_TIMESTAMP" in table.columns else None
    return table, ItemsTable(file=file, id="ITEM_ID", title=title, columns=types, publish=publish)


def _users(folder: Path, files: dict[str, str], left: dict[str, str]) -> tuple[pl.DataFrame | None, UsersTable | None]:
    if "users" not in files:
        return None, None
    file = files["users"]
    table = read_table(folder / file, text=("USER_ID",))
    demand(table.columns, ("USER_ID",), file, "every users data set of Personalize")
    rest = table.drop("USER_ID")
    types = types_of(rest, file, left, _several(rest))
    return table, UsersTable(file=file, id="USER_ID", columns=types, sensitive=sensitive_of(types))


def _several(table: pl.DataFrame) -> list[str]:
    """Categories that may have several values in a row."""
    words = [c for c in table.columns if table[c].dtype == pl.String and not is_prose(c)]
    return [c for c in words if table[c].str.contains("|", literal=True).any()]
