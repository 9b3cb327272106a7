"""Which categories an item belongs to, as shares: the columns that people, rules and metrics sort items by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from zhiyin.base.arrays import Int32, offsets_of
from zhiyin.base.errors import MissingDataError, nearest
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset

if TYPE_CHECKING:
    import scipy.sparse as sp


def category_column(data: Dataset) -> str | None:
    """The first category or list column of the manifest that the catalogue really has."""
    typed = data.manifest.items.columns if data.manifest.items else {}
    found = (c for c, kind in typed.items() if kind in ("category", "list") and c in data.catalog.table.columns)
    return next(found, None)


def category_shares(catalog: Catalog, column: str) -> tuple[tuple[str, ...], sp.csr_matrix]:
    """Names and the (n_items, n_categories) matrix that splits each item evenly over its categories."""
    import scipy.sparse as sp  # here, because a server that sorts nothing by category should not wait for it

    values = _column(catalog, column)
    lists = values if isinstance(values.dtype, pl.List) else values.reshape((len(values), 1)).cast(pl.List(values.dtype))
    frame = pl.DataFrame({"item": np.arange(len(values)), "name": lists.cast(pl.List(pl.String))})
    flat = frame.explode("name").filter(pl.col("name").is_not_null() & (pl.col("name") != "")).unique().sort("item", "name")
    names = flat["name"].unique().sort()
    at = flat["name"].replace_strict(names, np.arange(len(names)), return_dtype=pl.Int64).to_numpy()
    items = flat["item"].to_numpy()
    counts = np.bincount(items, minlength=len(values))
    return tuple(names.to_list()), sp.csr_matrix((1.0 / counts[items], at, offsets_of(counts)), shape=(len(values), len(names)))


def numbered(catalog: Catalog, column: str) -> tuple[Int32, tuple[str, ...]]:
    """Number of each item's value in a column, -1 where empty, and the values in order: (n_items,). A list counts as its first."""
    values = _column(catalog, column)
    texts = (values.list.first() if isinstance(values.dtype, pl.List) else values).cast(pl.String)
    names = texts.drop_nulls().unique().sort()
    codes = texts.replace_strict(names, np.arange(len(names), dtype=np.int32), default=-1, return_dtype=pl.Int32)
    return codes.to_numpy().astype(np.int32), tuple(names.to_list())


def _column(catalog: Catalog, column: str) -> pl.Series:
    if column not in catalog.table.columns:
        raise MissingDataError(f"the items have no column '{column}'", nearest(column, catalog.table.columns))
    return catalog.table[column]
