"""Context values between tables and requests: a value reads the same in both, whatever is missing beside it."""

from __future__ import annotations

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray


def as_array(column: pl.Series) -> AnyArray:
    """The values of a column as requests carry them: (n,); with gaps, objects, so that a 1 does not become 1.0."""
    return np.array(column.to_list(), object) if column.null_count() else column.to_numpy()


def as_words(values: AnyArray | pl.Series) -> pl.Series:
    """Values of a table or a request as words, null where there is none: (n,)."""
    column = values if isinstance(values, pl.Series) else as_column(values)
    return (column.fill_nan(None) if column.dtype.is_float() else column).cast(pl.String)


def as_column(values: AnyArray) -> pl.Series:
    """What a request carries as a column again, null for None: (n,)."""
    given = np.asarray(values)
    return pl.Series(given.tolist(), strict=False) if given.dtype == object else pl.Series(values=given)
