"""What the rules of a check share: the data set, and the counts each would otherwise make again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl

from zhiyin.base.arrays import Bool, Float64, Int64
from zhiyin.data.clean import LoadReport
from zhiyin.data.columns import blank_to_null
from zhiyin.data.dataset import Dataset
from zhiyin.data.tables import Tables

UnknownShare = Callable[[Sequence[str]], float]


@dataclass(frozen=True)
class Look:
    """One look at a data set."""

    data: Dataset
    report: LoadReport | None = None
    tables: Tables | None = None
    unknown_share: UnknownShare | None = None

    @property
    def timed(self) -> bool:
        return self.data.manifest.order == "time" and len(self.data.events) > 0

    @cached_property
    def n_pairs(self) -> int:
        """Distinct user-item pairs. (Sorting is several times faster than hashing for millions.)"""
        e = self.data.events
        key = np.sort(e.user_ix.astype(np.int64) * self.data.n_items + e.item_ix)
        return int((np.diff(key) != 0).sum()) + min(len(key), 1)

    @cached_property
    def tied(self) -> Bool:
        """Events (n,) at the same time as another of the same user."""
        rows, _ = self.data.by_user
        user, time = self.data.events.user_ix[rows], self.data.events.time_us[rows]
        same = (np.diff(user) == 0) & (np.diff(time) == 0)
        out = np.zeros(len(rows), np.bool_)
        out[rows[:-1][same]] = True
        out[rows[1:][same]] = True
        return out

    @cached_property
    def per_user(self) -> Int64:
        """Events of each user who has any."""
        counts = np.bincount(self.data.events.user_ix)
        return counts[counts > 0].astype(np.int64)

    @cached_property
    def per_item(self) -> Int64:
        """Events of each item that has any."""
        counts = self.data.item_counts
        return counts[counts > 0]

    def strangers(self, table: Literal["items", "users"]) -> Bool:
        """Items or users that events name and their table does not: (n,). Rows of the table come first.

        Without a report of the loading, rows of which only the id is known are taken for such.
        """
        frame = self.data.catalog.table if table == "items" else self.data.users_table
        if self.report is not None and table in self.report.kept:
            known = self.report.kept[table] - self.report.rows("merged", table)
            return np.arange(frame.height) >= known
        rest = frame.columns[1:]
        empty = frame.select(pl.all_horizontal(pl.col(rest).is_null())).to_series() if rest else pl.repeat(False, frame.height, eager=True)
        return np.asarray(empty.to_numpy(), dtype=np.bool_)

    @cached_property
    def item_types(self) -> dict[str, str]:
        m = self.data.manifest
        if m.items is None:
            return {}
        extra: dict[str, str] = {} if m.items.title is None else {m.items.title: "text"}
        return {**extra, **m.items.columns}

    @cached_property
    def numeric(self) -> dict[str, Float64]:
        """The numbers of the events: value and context columns, NaN where absent."""
        e = self.data.events
        out = {} if bool(np.isnan(e.value).all()) else {self.data.manifest.events.value or "value": e.value.astype(np.float64)}
        for name in e.context.columns:
            if e.context[name].dtype.is_numeric():
                out[name] = np.asarray(e.context[name].cast(pl.Float64).fill_null(np.nan).to_numpy(), dtype=np.float64)
        return out

    @cached_property
    def columns(self) -> pl.DataFrame:
        """One row per column that is used: table, column, type, missing_share, n_distinct."""
        d, m = self.data, self.data.manifest
        rows: list[tuple[str, str, str, float, int]] = []
        if m.events.value is not None:
            rows.append(_row("events", m.events.value, "number", pl.Series(d.events.value).fill_nan(None)))
        if m.events.place is not None:
            places = pl.Series(d.events.place_ix)
            rows.append(_row("events", m.events.place, "place", places.set(places < 0, None)))
        rows += [_row("events", series.name, "context", series) for series in d.events.context]
        for table, frame, types in (
            ("items", d.catalog.table, self.item_types),
            ("users", d.users_table, m.users.columns if m.users else {}),
        ):
            rows += [_row(table, c, types.get(c, "id" if i == 0 else ""), frame[c]) for i, c in enumerate(frame.columns)]
        schema = {"table": pl.String, "column": pl.String, "type": pl.String, "missing_share": pl.Float64, "n_distinct": pl.Int64}
        return pl.DataFrame(rows, schema=schema, orient="row")


def _row(table: str, column: str, type_: str, series: pl.Series) -> tuple[str, str, str, float, int]:
    given = series if series.dtype.is_nested() else blank_to_null(series)
    missing = given.null_count() / max(len(given), 1)
    return table, column, type_, missing, int(given.drop_nulls().n_unique())
