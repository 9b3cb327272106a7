"""The items table and the users table on their way into a Dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from zhiyin.base.arrays import Bool, Int32
from zhiyin.base.errors import ConfigError, DataError
from zhiyin.data.catalog import Catalog
from zhiyin.data.clean import Ledger, Parser, Rows, clip_or_drop_outliers, doubles
from zhiyin.data.columns import Parsed, Source, mask, read_flags, read_ids, read_lists, read_numbers, read_text
from zhiyin.data.schema import Manifest
from zhiyin.data.times import iso, time_reader
from zhiyin.data.vocab import Vocabulary

DEGREES = {"latitude": 90.0, "longitude": 180.0}


@dataclass(frozen=True)
class Entities:
    """Things with ids (items or users): one row each, before those that only events know are added."""

    ids: pl.Series  # (n,) text
    table: pl.DataFrame  # n rows, the id column first
    root: Mapping[str, str] = field(default_factory=dict)  # variant id -> id of its parent


def _degrees(limit: float) -> Parser:
    def read(raw: pl.Series, place: str) -> Parsed:
        parsed = read_numbers(raw, place)
        out = (parsed.values.abs() > limit).fill_null(False)
        return parsed.without(out, parsed.values, f"lies outside -{limit:g} .. {limit:g} degrees")

    return read


def _reader(type_: str, zone: str) -> Parser:
    match type_:
        case "number" | "price":
            return read_numbers
        case "latitude" | "longitude":
            return _degrees(DEGREES[type_])
        case "time":
            return time_reader("auto", zone)
        case "list":
            return read_lists
        case _:
            return read_text


def _typed(rows: Rows, columns: Mapping[str, str], zone: str) -> dict[str, pl.Series]:
    """Each declared column by its type; times become UTC Datetime columns."""
    out = {}
    for name, type_ in columns.items():
        raw = rows.source.column(name, f"{rows.source.name}.columns")
        values = rows.settle(name, raw, _reader(type_, zone))
        if type_ in ("number", "price"):
            values = clip_or_drop_outliers(rows, name, values)
        out[name] = values.cast(pl.Datetime("us", "UTC")) if type_ == "time" else values
    return {**out, **rows.flags}


def _entities(rows: Rows, id_column: str, typed: dict[str, pl.Series], ids: pl.Series) -> Entities:
    typed = {id_column: ids, **{k: v for k, v in typed.items() if k != id_column}}
    if rows.clean.dedupe != "none":
        plain = {k: v.list.join("|") if v.dtype == pl.List else v for k, v in typed.items()}
        rows.discard(doubles(plain, rows.keep), "", "says the same as an earlier row")
    kept = np.flatnonzero(rows.keep)
    frame = pl.DataFrame({k: v.gather(kept).alias(k) for k, v in typed.items()})
    again = mask(~frame[id_column].is_first_distinct())
    if again.any():
        second = int(np.flatnonzero(again)[0])
        id_ = frame[id_column][second]
        first = int((frame[id_column] == id_).arg_max() or 0)
        raise DataError(
            f"{rows.source.file} has '{id_}' twice in column '{id_column}', in rows {kept[first] + 1:,} and {kept[second] + 1:,}"
            f" ({int(again.sum()):,} such rows)",
            'Keep one row per id; [clean] dedupe = "exact" drops rows that are equal in every column.',
        )
    rows.done()
    return Entities(frame[id_column], frame)


def _ids(rows: Rows, column: str, key: str) -> pl.Series:
    return rows.settle(column, rows.source.column(column, key), read_ids, needed=True).cast(pl.String)


def read_items(manifest: Manifest, source: Source, ledger: Ledger) -> Entities:
    """The items table; with ``collapse_variants`` one row per parent, under the parent's id."""
    spec = manifest.items
    if spec is None:
        raise ConfigError("an items table was given, but the manifest has no [items]", "Add [items] with the name of the id column.")
    rows = Rows(source, manifest.clean, ledger)
    ids = _ids(rows, spec.id, "items.id")
    columns: dict[str, str] = {} if spec.title is None else {spec.title: "text"}
    columns |= spec.columns
    columns |= {c: "time" for c in (spec.publish, spec.expire) if c is not None}
    typed = _typed(rows, {c: t for c, t in columns.items() if c != spec.id}, manifest.time_zone)
    if spec.available is not None:
        typed[spec.available] = rows.settle(spec.available, source.column(spec.available, "items.available"), read_flags)
    if spec.parent is not None:
        parents = rows.settle(spec.parent, source.column(spec.parent, "items.parent"), read_ids).cast(pl.String)
        typed[spec.parent] = parents
    entities = _entities(rows, spec.id, typed, ids)
    return _collapsed(entities, spec.id, spec.parent, ledger) if manifest.collapse_variants else entities


def _collapsed(entities: Entities, id_column: str, parent: str | None, ledger: Ledger) -> Entities:
    if parent is None:
        raise ConfigError("collapse_variants = true needs items.parent, the name of the column with the parent's id")
    frame = entities.table.with_columns(pl.coalesce(parent, id_column).alias("zhiyin_root"))
    # The parent's own row speaks for all; where there is none, the first variant does, under the parent's id.
    own = pl.col("zhiyin_root") == pl.col(id_column)
    chosen = frame.with_row_index("zhiyin_row").sort(~own, "zhiyin_row").unique("zhiyin_root", keep="first", maintain_order=True)
    chosen = chosen.sort("zhiyin_row").with_columns(pl.col("zhiyin_root").alias(id_column))
    moved = frame.filter(~own)
    root = dict(zip(moved[id_column], moved["zhiyin_root"], strict=True))
    ledger.note("items", parent, "merged", "variants of one parent", frame.height - chosen.height)
    table = chosen.drop("zhiyin_root", "zhiyin_row")
    return Entities(table[id_column], table, root)


def read_users(manifest: Manifest, source: Source, ledger: Ledger) -> Entities:
    """The users table: one row per user."""
    spec = manifest.users
    if spec is None:
        raise ConfigError("a users table was given, but the manifest has no [users]", "Add [users] with the name of the id column.")
    rows = Rows(source, manifest.clean, ledger)
    ids = _ids(rows, spec.id, "users.id")
    typed = _typed(rows, {c: t for c, t in spec.columns.items() if c != spec.id}, manifest.time_zone)
    return _entities(rows, spec.id, typed, ids)


def number(codes: Int32, names: pl.Series, keep: Bool, known: Entities | None) -> tuple[Int32, Vocabulary]:
    """Codes (n,) of names -> row numbers and their vocabulary: entities first, then what else kept rows use."""
    used = np.bincount(codes[keep], minlength=len(names)).astype(np.bool_)
    ids = names.clear() if known is None else known.ids
    if known is not None and known.root:
        names = names.replace(dict(known.root))
    row_of = Vocabulary(ids.to_arrow()).ix_of(names.to_arrow()).copy()
    fresh = np.flatnonzero(used & (row_of < 0))
    row_of[fresh] = len(ids) + np.arange(len(fresh), dtype=np.int32)
    every = pl.concat([ids.alias("id"), names.gather(fresh).alias("id")])
    return np.append(row_of, np.int32(-1))[codes], Vocabulary(every.to_arrow())


def catalog_of(manifest: Manifest, items: Entities | None, vocabulary: Vocabulary, newest_us: int | None) -> Catalog:
    """The catalogue: rows of the items table first, then empty rows for items that only events know."""
    column = manifest.items.id if manifest.items else manifest.events.item
    table = grown(items, column, vocabulary)
    available = _available(manifest, table, newest_us)
    return Catalog(vocabulary, table, manifest.items.title if manifest.items else None, available=available)


def grown(known: Entities | None, column: str, vocabulary: Vocabulary) -> pl.DataFrame:
    """The table with one row per id of the vocabulary; rows nobody described are null."""
    ids = pl.Series(column, vocabulary.ids, dtype=pl.String)
    if known is None or known.table.height == len(ids):
        return pl.DataFrame({column: ids}) if known is None else known.table
    return pl.concat([known.table, pl.DataFrame({column: ids[known.table.height :]})], how="diagonal")


def _available(manifest: Manifest, table: pl.DataFrame, newest_us: int | None) -> Bool | None:
    """Items that may be shown as of the newest event; raises where that is none."""
    shown = available_at(manifest, table, newest_us)
    if shown is not None and not shown.any():
        at = f" at {iso(newest_us)}" if newest_us is not None else ""
        raise DataError(f"no item is available{at}", "Look at the columns items.available, publish and expire.")
    return shown


def available_at(manifest: Manifest, table: pl.DataFrame, now_us: int | None) -> Bool | None:
    """Items that are switched on, published and not expired: (n_items,), None where the manifest says nothing of it."""
    spec = manifest.items
    if spec is None or not (spec.available or spec.publish or spec.expire):
        return None
    shown = np.ones(table.height, np.bool_)
    if spec.available:
        shown &= mask(table[spec.available].fill_null(True))
    if now_us is not None:
        if spec.publish:
            shown &= mask((table[spec.publish].cast(pl.Int64) <= now_us).fill_null(True))
        if spec.expire:
            shown &= mask((table[spec.expire].cast(pl.Int64) > now_us).fill_null(True))
    return shown
