"""RecBole's atomic files: NAME.inter, NAME.item, NAME.user, divided by tabs, each column typed in the header.

A header cell reads ``rating:float``; the types are token, token_seq, float and float_seq, a sequence is divided by
blanks, and nothing is in quotation marks. NAME.train.inter, NAME.valid.inter and NAME.test.inter are a published split.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from zhiyin.base.errors import ConfigError, DataError, MissingDataError, nearest
from zhiyin.data.encoding import content_of, to_utf8
from zhiyin.data.guess_columns import SPLITS
from zhiyin.data.guess_words import EVENT_ROLES, likeness
from zhiyin.data.importing.parts import Imported, context_of, is_prose, repeat_of, sensitive_of, title_of, types_of
from zhiyin.data.schema import EventsTable, ItemsTable, Manifest, Order, UsersTable
from zhiyin.data.tables import Tables
from zhiyin.data.times import FIRST

TYPES = ("token", "token_seq", "float", "float_seq")
OTHERS = (".kg", ".link", ".net")
USERS = ("user_id", "session_id")


def fits(folder: Path) -> bool:
    """There are files that end in .inter."""
    return any(p.suffix == ".inter" for p in folder.iterdir())


def read(folder: Path, name: str) -> Imported:
    """Interactions as events. ``timestamp`` is the time, or only the order where its numbers are too small for times.

    The item is ``item_id``, or in a set that calls it otherwise (``artist_id``) the first column of NAME.item.
    """
    left = {p.name: "relations of RecBole are not imported" for p in sorted(folder.iterdir()) if p.suffix in OTHERS}
    about = {kind: _only(folder, kind) for kind in (".item", ".user")}
    item_rows, item_types = atomic(about[".item"]) if about[".item"] else (None, {})
    user_rows, user_types = atomic(about[".user"]) if about[".user"] else (None, {})
    file, rows, types = _interactions(folder)
    user = next((c for c in USERS if c in types), next(iter(user_types), "user_id"))
    item = "item_id" if "item_id" in types else next(iter(item_types), "item_id")
    for column, what in ((user, "user"), (item, "item")):
        if column not in types:
            raise MissingDataError(f"{file} has no column '{column}:token', which names the {what}", nearest(column, types))
    items = None if item_rows is None or about[".item"] is None else _items(item_rows, item_types, about[".item"].name, left)
    users = None if user_rows is None or about[".user"] is None else _users(user_rows, user_types, about[".user"].name, left)
    manifest = _manifest(name, file, rows, types, (user, item), left)
    manifest = manifest.model_copy(update={"items": items, "users": users})
    tables = Tables(manifest, rows, None if item_rows is None else _split(item_rows, item_types), user_rows)
    files = {"events": file} | {role: p.name for role, p in (("items", about[".item"]), ("users", about[".user"])) if p is not None}
    return Imported("recbole", tables, files, left)


def atomic(path: Path) -> tuple[pl.DataFrame, dict[str, str]]:
    """The table of an atomic file and the type of each column; columns lose the type from their names.

    Raises ``DataError`` for a header cell without a known type, a row of another width, and for text in a float column.
    """
    content = to_utf8(content_of(path), path.name).replace(b"\r\n", b"\n").rstrip(b"\n")
    if not content:
        raise DataError(f"{path.name} is empty", "Its first line names the columns: user_id:token, item_id:token.")
    types: dict[str, str] = {}
    cells = content.split(b"\n", 1)[0].decode().split("\t")
    if len(cells) == 1 and cells[0].count(":") > 1:
        raise DataError(f"{path.name}: the header is not divided by tabs: '{cells[0][:60]}'", "Put a tab between any two columns.")
    for cell in cells:
        column, colon, type_ = cell.strip().rpartition(":")
        if not colon:
            raise DataError(
                f"{path.name}: '{type_[:60]}' in the header has no type", "RecBole writes user_id:token, rating:float; tabs divide."
            )
        if type_ not in TYPES:
            raise DataError(f"{path.name}: column '{column}' has the type '{type_}' in the header", nearest(type_, TYPES))
        if column in types:
            raise DataError(f"{path.name} has two columns named '{column}'", "Rename or remove one.")
        types[column] = type_
    _demand_width(path.name, content, len(types))
    rows = pl.read_csv(content, separator="\t", quote_char=None, infer_schema=False, new_columns=list(types))
    return rows.with_columns(_number(rows[c], path.name) for c, t in types.items() if t == "float"), types


def _demand_width(file: str, content: bytes, width: int) -> None:
    """Every row has as many fields as the header: a shorter one may be torn in the middle of an id."""
    letters = np.frombuffer(content, np.uint8)
    ends = np.append(np.flatnonzero(letters == ord("\n")), len(letters))
    fields = np.diff(np.searchsorted(np.flatnonzero(letters == ord("\t")), ends), prepend=0) + 1
    odd = np.flatnonzero(fields != width)
    if len(odd):
        raise DataError(f"{file} row {odd[0]:,} has {fields[odd[0]]} fields, the header has {width}", "Tabs divide the fields.")


def _number(column: pl.Series, file: str) -> pl.Series:
    text = column.str.strip_chars()
    values = text.cast(pl.Float64, strict=False)
    odd = (text.is_not_null() & (text != "") & values.is_null()).arg_true()
    if len(odd):
        said = f"{file} row {odd[0] + 1:,}, column '{column.name}': '{column[int(odd[0])]}' is not a number, but its header says float"
        raise DataError(said, f"Correct it, or write {column.name}:token.")
    return values


def _interactions(folder: Path) -> tuple[str, pl.DataFrame, dict[str, str]]:
    """All .inter files as one table; several must be the parts of a split, which becomes the column ``split``."""
    paths = sorted(p for p in folder.iterdir() if p.suffix == ".inter")
    if not paths:
        raise MissingDataError(f"the folder '{folder}' has no .inter file", "RecBole's interactions are in NAME.inter.")
    if len(paths) == 1:
        return paths[0].name, *atomic(paths[0])
    parts = {p.name.split(".")[-2]: p for p in paths}
    if not set(parts) <= SPLITS or len(parts) < len(paths):
        raise ConfigError(f"{paths[0].name} and {paths[1].name} are both there", "Keep one data set in a folder.")
    read_parts = {split: atomic(p) for split, p in parts.items()}
    (_, types), *others = read_parts.values()
    if any(t != types for _, t in others):
        raise DataError(f"{', '.join(p.name for p in paths)} have different headers", "The parts of a split have the same columns.")
    rows = pl.concat([rows.with_columns(split=pl.lit(split)) for split, (rows, _) in read_parts.items()])
    return paths[0].name, rows, types


def _only(folder: Path, suffix: str) -> Path | None:
    paths = sorted(p for p in folder.iterdir() if p.suffix == suffix)
    if len(paths) > 1:
        raise ConfigError(f"{paths[0].name} and {paths[1].name} are both there", "Keep one data set in a folder.")
    return paths[0] if paths else None


def _manifest(name: str, file: str, rows: pl.DataFrame, types: dict[str, str], ids: tuple[str, str], left: dict[str, str]) -> Manifest:
    floats = [c for c, t in types.items() if t == "float" and c != "timestamp"]
    liking = {c: likeness(c, EVENT_ROLES["value"]) for c in floats}
    value = max(liking, key=lambda c: liking[c], default=None)
    value = value if value is not None and liking[value] > 0.5 else None
    for column, type_ in types.items():
        if type_.endswith("_seq"):
            left[f"{file}:{column}"] = "holds a list per event"
    rest = [c for c, t in types.items() if t in ("token", "float") and c not in (*ids, value, "timestamp")]
    moments = rows["timestamp"].abs().max() if types.get("timestamp") == "float" else None
    order: Order = "none" if moments is None else "time" if float(moments) >= FIRST else "position"  # type: ignore[arg-type]
    when = {"time": {"time": "timestamp"}, "position": {"position": "timestamp"}, "none": {}}[order]
    events = EventsTable.parse(
        {
            "file": file,
            "user": ids[0],
            "item": ids[1],
            "value": value,
            "split": "split" if "split" in rows.columns and "split" not in types else None,
            "context": context_of(rows.select(rest), file, left),
            **when,
        }
    )
    label = value is not None and set(rows[value].drop_nulls().unique()) == {0.0, 1.0}
    return Manifest(name=name, order=order, events=events, positive_from=1 if label else None, repeat=repeat_of(rows, ids))


def _items(rows: pl.DataFrame, types: dict[str, str], file: str, left: dict[str, str]) -> ItemsTable:
    id_column, kept = next(iter(types)), _described(rows, types, file, left)
    columns = types_of(kept, file, left, [c for c, t in types.items() if t == "token_seq" and not is_prose(c)])
    return ItemsTable(file=file, id=id_column, title=title_of(columns, kept), columns=columns)


def _users(rows: pl.DataFrame, types: dict[str, str], file: str, left: dict[str, str]) -> UsersTable:
    columns = types_of(_described(rows, types, file, left), file, left)
    return UsersTable(file=file, id=next(iter(types)), columns=columns, sensitive=sensitive_of(columns))


def _described(rows: pl.DataFrame, types: dict[str, str], file: str, left: dict[str, str]) -> pl.DataFrame:
    """All columns but the first, which is the id, and vectors."""
    _, *rest = types
    left |= {f"{file}:{c}": "holds numbers in a row, as vectors do" for c in rest if types[c] == "float_seq"}
    return _split(rows, types).select(c for c in rest if types[c] != "float_seq")


def _split(rows: pl.DataFrame, types: dict[str, str]) -> pl.DataFrame:
    """Sequences of tokens as lists, but running text as it is."""
    return rows.with_columns(pl.col(c).str.split(" ") for c, t in types.items() if t == "token_seq" and not is_prose(c))
