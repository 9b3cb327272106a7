"""Gorse: feedback, items and users, as CSV (its dashboard's export) or JSONL (the objects of its REST API).

Columns are feedback_type, user_id, item_id, time_stamp in CSV and FeedbackType, UserId, ItemId, Timestamp in JSONL.
Labels are JSON (an object or a list), in older exports words divided by "|".
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from zhiyin.base.errors import DataError, MissingDataError
from zhiyin.data.files import read_table
from zhiyin.data.importing.parts import Imported, demand, first_line, repeat_of, sensitive_of, tables_in, title_of, types_of, weights_of
from zhiyin.data.schema import Cleaning, EventsTable, ItemsTable, Manifest, UsersTable
from zhiyin.data.tables import Tables
from zhiyin.data.times import time_reader

REQUIRED = {"feedback": ("feedback_type", "user_id", "item_id"), "items": ("item_id",), "users": ("user_id",)}
SEEN = ("read",)  # the feedback that only says that an item was seen
GO_TIME = r"^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2}(?:\.\d+)?) ([+-]\d{2}):?(\d{2})(?: \S+)?$"


def fits(folder: Path) -> bool:
    """A table named feedback says of what type each is."""
    path = tables_in(folder).get("feedback")
    return path is not None and any(name in first_line(path) for name in ("feedback_type", "FeedbackType"))


def read(folder: Path, name: str) -> Imported:
    """Feedback as events, its type as the kind (``read`` has weight 0 beside others); each label is a column of its own.

    Columns take the names of the CSV export. Hidden items are not available; an item's time is when it was published;
    its comment is what people read. A user's comment may name the person and is left aside.
    """
    files = {role: path for role, path in tables_in(folder).items() if role in REQUIRED}
    if "feedback" not in files:
        raise MissingDataError(
            f"the folder '{folder}' has no feedback.csv or feedback.jsonl", "Gorse's files are feedback, items and users."
        )
    left: dict[str, str] = {}
    rows = _demanded(files["feedback"], "feedback")
    timed = "time_stamp" in rows.columns and rows["time_stamp"].null_count() < rows.height
    valued = "value" in rows.columns and rows["value"].null_count() < rows.height and bool((rows["value"] != 0).any())
    some_untimed = timed and rows["time_stamp"].null_count() > 0
    items, items_table = _items(files.get("items"), left)
    users, users_table = _users(files.get("users"), left)
    manifest = Manifest(
        name=name,
        order="time" if timed else "none",
        events=EventsTable(
            file=files["feedback"].name,
            kind="feedback_type",
            time="time_stamp" if timed else None,
            value="value" if valued else None,
        ),
        items=items_table,
        users=users_table,
        weights=weights_of(rows["feedback_type"], SEEN),
        repeat=repeat_of(rows, REQUIRED["feedback"]),
        clean=Cleaning(missing={"time_stamp": "drop"} if some_untimed else {}),
    )
    named = {"feedback": "events", "items": "items", "users": "users"}
    return Imported("gorse", Tables(manifest, rows, items, users), {named[r]: p.name for r, p in files.items()}, left)


def _table(path: Path) -> pl.DataFrame:
    """A table with the column names of the CSV export, times as ISO text."""
    rows = read_table(path, text=("user_id", "item_id", "feedback_type", "UserId", "ItemId", "FeedbackType", "labels"))
    known = {"feedbacktype": "feedback_type", "userid": "user_id", "itemid": "item_id", "timestamp": "time_stamp", "ishidden": "is_hidden"}
    bare = {c: c.lower().replace("_", "") for c in rows.columns}
    rows = rows.rename({c: known.get(b, b) for c, b in bare.items()})
    return rows.with_columns(_times(rows["time_stamp"], path.name)) if "time_stamp" in rows.columns else rows


def _times(raw: pl.Series, file: str) -> pl.Series:
    """Times as ISO text instead of Go's print; the year 1, which Go writes where no time was given, as nothing."""
    text = raw.cast(pl.String).str.strip_chars().str.replace(GO_TIME, "${1}T${2}${3}:${4}")
    text = text.set(text.str.starts_with("0001-01-01").fill_null(False), None)
    # Checked here, because the rule that lets rows without a time go would let unreadable times go as well.
    for problem in time_reader("auto")(text, file).problems:
        row = int(np.flatnonzero(problem.rows)[0])
        raise DataError(f"{file} row {row + 1:,}, column 'time_stamp': '{raw[row]}' {problem.why}", problem.hint)
    return text


def _demanded(path: Path, role: str) -> pl.DataFrame:
    rows = _table(path)
    demand(rows.columns, REQUIRED[role], path.name, f"Gorse's table of {role}")
    return rows


def _items(path: Path | None, left: dict[str, str]) -> tuple[pl.DataFrame | None, ItemsTable | None]:
    if path is None:
        return None, None
    rows = _demanded(path, "items")
    made: list[pl.Series | pl.Expr] = []
    if "is_hidden" in rows.columns:
        hidden = pl.col("is_hidden").cast(pl.String).str.to_lowercase().is_in(["true", "1"])
        made.append((~hidden.fill_null(False)).alias("available"))
    if "categories" in rows.columns and rows["categories"].dtype == pl.String:
        made.append(pl.col("categories").str.split("|"))
    # Under another name than the events' time, which has a rule of its own.
    rows = rows.with_columns(made).rename({"time_stamp": "published"}, strict=False)
    rows = _with_labels(rows, path.name, left)
    described = rows.drop("item_id", "is_hidden", "available", "published", strict=False)
    types = types_of(described, path.name, left)
    spoken = [c for c in ("comment", "description") if c in types]
    types |= dict.fromkeys(spoken, "text")
    table = ItemsTable(
        file=path.name,
        title=spoken[0] if spoken else title_of(types, described),
        columns=types,
        publish="published" if "published" in rows.columns and rows["published"].null_count() < rows.height else None,
        available="available" if "available" in rows.columns and not rows["available"].all() else None,
    )
    return rows, table


def _users(path: Path | None, left: dict[str, str]) -> tuple[pl.DataFrame | None, UsersTable | None]:
    if path is None:
        return None, None
    rows = _demanded(path, "users")
    if "comment" in rows.columns:
        left[f"{path.name}:comment"] = "a note for people, which may name the person"
        rows = rows.drop("comment")
    rows = _with_labels(rows, path.name, left)
    types = types_of(rows.drop("user_id"), path.name, left)
    return rows, UsersTable(file=path.name, columns=types, sensitive=sensitive_of(types))


def _with_labels(rows: pl.DataFrame, file: str, left: dict[str, str]) -> pl.DataFrame:
    """Each label of a JSON object as a column (``label_NAME`` where the name is taken); a list stays the column ``labels``."""
    if "labels" not in rows.columns:
        return rows
    labels = rows["labels"] if rows["labels"].dtype.is_nested() else _parsed(rows["labels"], file)
    rest = rows.drop("labels")
    if not isinstance(labels.dtype, pl.Struct):
        return rest.with_columns(labels) if len(labels.drop_nulls()) else rest
    fields = {f"label_{f.name}" if f.name in rest.columns else f.name: labels.struct.field(f.name) for f in labels.dtype.fields}
    for name in [n for n, values in fields.items() if _is_vector(values.dtype)]:
        left[f"{file}:{name}"] = "holds numbers in a row, as vectors do"
        del fields[name]
    return rest.with_columns(values.alias(name) for name, values in fields.items())


def _is_vector(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.List) and dtype.inner.is_numeric()


def _parsed(labels: pl.Series, file: str) -> pl.Series:
    """Labels from text: JSON where it looks like that, else words divided by "|"."""
    text = labels.cast(pl.String).str.strip_chars()
    if not text.str.contains(r"^[\[{]").any():
        text = text.set(text.is_in(["", "null"]).fill_null(False), None)
        return text.str.split("|").alias("labels")
    rows = [_json(cell, number, file) for number, cell in enumerate(text.to_list(), 1)]
    content = "\n".join(json.dumps({"labels": row}) for row in rows).encode()
    try:
        return pl.read_ndjson(io.BytesIO(content), infer_schema_length=None).to_series()
    except pl.exceptions.PolarsError:
        said = "do not have the same kind of values under the same names"
        raise DataError(f"the labels of {file} {said}", "Give each label one kind: a text, a number or a list.") from None


def _json(cell: str | None, number: int, file: str) -> Mapping[str, Any] | list[Any] | None:
    try:
        found = json.loads(cell) if cell else None
    except ValueError:
        raise DataError(f"{file} row {number:,}, column 'labels': {cell!r:.60} is no JSON", "Labels are an object or a list.") from None
    return found if isinstance(found, dict | list) else None
