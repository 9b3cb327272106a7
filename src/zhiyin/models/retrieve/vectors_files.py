"""Vectors from a table: an id and a list of numbers a row, whatever two-tower model wrote them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from zhiyin.base.arrays import Float32
from zhiyin.base.errors import DataError
from zhiyin.data.files import read_table
from zhiyin.data.vocab import Vocabulary

VECTOR = "vector"


def read_vectors(path: str | Path, ids: Vocabulary, id_column: str) -> Float32:
    """One row per id, zero where the file has none: (n_ids, dim). Ids nobody knows are left out.

    The file (Parquet, JSONL) has a column of ids (named as in the data, or ``id``, or the first) and one of
    lists, ``vector``; or one column per dimension (CSV). Raises ``DataError`` with row and remedy.
    """
    name = Path(path).name
    table = read_table(path, text=(id_column, "id"))
    key = next((c for c in (id_column, "id") if c in table.columns), table.columns[0])
    rows = _numbers(table.drop(key), name)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise DataError(f"{name} has a vector that is not finite in row {bad[0] + 1:,} ({len(bad):,} such rows)", "Leave such rows out.")
    given = table[key].cast(pl.String)
    if given.null_count() or given.n_unique() < len(given):
        what = "an id is missing" if given.null_count() else f"'{given.filter(given.is_duplicated())[0]}' stands twice"
        raise DataError(f"{name}: {what} in column '{key}'", "Keep one row per id.")
    at = ids.ix_of(given.to_arrow())
    known = at >= 0
    if not known.any():
        hint = f"The file says '{given[0]}', the data '{ids[0]}'." if len(given) and len(ids) else ""
        raise DataError(f"{name}: column '{key}' has no id that the data has", hint)
    found = np.zeros((len(ids), rows.shape[1]), np.float32)
    found[at[known]] = rows[known]
    return found


def _numbers(table: pl.DataFrame, name: str) -> Float32:
    """The vectors as they stand in the file: (n, dim)."""
    lists = [c for c in table.columns if isinstance(table[c].dtype, pl.List | pl.Array)]
    column = VECTOR if VECTOR in lists else lists[0] if len(lists) == 1 else None
    if column is not None:
        values = table[column].cast(pl.List(pl.Float32), strict=False)
        lengths = values.list.len().fill_null(0)
        if lengths.n_unique() != 1 or not lengths[0]:
            row = int((lengths != lengths[0]).arg_max() or 0)
            raise DataError(f"{name}: row {row + 1:,} of '{column}' has {lengths[row]} numbers, row 1 has {lengths[0]}", "Make them equal.")
        return np.asarray(values.explode().fill_null(float("nan")).to_numpy(), np.float32).reshape(len(values), int(lengths[0]))
    plain = [c for c in table.columns if table[c].dtype.is_numeric()]
    if lists or len(plain) < max(2, table.width):
        raise DataError(
            f"{name} has no column of vectors", f"Name the column of lists '{VECTOR}', or give one number column per dimension."
        )
    return np.asarray(table.cast(pl.Float32).fill_null(float("nan")).to_numpy(), np.float32)
