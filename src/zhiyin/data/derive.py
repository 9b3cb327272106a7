"""Items (or users) out of the events file itself: one row per id where every act repeats the description."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from zhiyin.base.errors import MissingDataError, nearest
from zhiyin.data.columns import blank_to_null


def described(events: pl.DataFrame, id_column: str, columns: Iterable[str]) -> pl.DataFrame:
    """One row per id with the commonest value of each column (of equals the one that comes first).

    Rows without an id are left out; blank text counts as nothing. ``variants`` says how many ids
    were described in several ways.
    """
    wanted = [c for c in dict.fromkeys(columns) if c != id_column]
    for name in (id_column, *wanted):
        if name not in events.columns:
            raise MissingDataError(f"the events table has no column '{name}'", nearest(name, events.columns))
    ids = blank_to_null(events[id_column])
    out = pl.DataFrame({id_column: ids.drop_nulls().unique(maintain_order=True)})
    for name in wanted:
        out = out.join(_counted(ids, events[name]).unique("id", keep="first"), left_on=id_column, right_on="id", how="left", coalesce=True)
        out = out.drop("n", "at").rename({"value": name})
    return out


def variants(events: pl.DataFrame, id_column: str, column: str) -> pl.DataFrame:
    """Ids with more than one value of a column: id, values (commonest first), most first."""
    counted = _counted(blank_to_null(events[id_column]), events[column])
    grouped = counted.group_by("id", maintain_order=True).agg(pl.col("value").alias("values"))
    many = grouped.filter(pl.col("values").list.len() > 1)
    return many.sort(pl.col("values").list.len(), descending=True, maintain_order=True)


def _counted(ids: pl.Series, values: pl.Series) -> pl.DataFrame:
    """Distinct pairs: id, value, n, at (first row); of each id the commonest first."""
    values = values.str.strip_chars() if values.dtype == pl.String else values
    pairs = pl.DataFrame({"id": ids, "value": blank_to_null(values)}).with_row_index("at").drop_nulls()
    counted = pairs.group_by("id", "value").agg(pl.len().alias("n"), pl.col("at").min())
    return counted.sort(["n", "at"], descending=[True, False])
