"""What is known of the items when lists are judged beyond accuracy: taken from training data only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import scipy.sparse as sp

from zhiyin.base.arrays import Bool, Float32, Float64, Int64, offsets_of
from zhiyin.base.errors import MissingDataError, nearest
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset

TAIL_SHARE = 0.2
"""The tail = the least popular items that together hold this share of the training events."""


@dataclass(frozen=True, eq=False)
class ItemFacts:
    """Popularity, text vectors and categories of every item; a part that is absent is None."""

    people: Int64  # (n_items,) distinct users with the item in training
    events: Int64  # (n_items,) training events
    n_users: int  # users with at least one training event
    vectors: Float32 | None = None  # (n_items, dim) unit rows, zero rows where there is none
    categories: sp.csr_matrix | None = None  # (n_items, n_categories), each row sums to 1 or 0
    category_names: tuple[str, ...] = ()
    available: Bool | None = None  # (n_items,) what may be shown; None = all

    @classmethod
    def of(cls, train: Dataset, catalog: Catalog | None = None, category: str | None = None) -> ItemFacts:
        """From training data; ``category`` names a category or list column (the first one when None)."""
        items = catalog or train.catalog
        matrix = train.positive.matrix()
        people = _padded(matrix.getnnz(axis=0), len(items))
        vectors = items.vectors.get("text")
        column = category or _category_column(train)
        names, shares = ((), None) if column is None else category_shares(items, column)
        return cls(
            people,
            _padded(train.positive.item_counts, len(items)),
            int((np.diff(matrix.indptr) > 0).sum()),
            None if vectors is None else vectors.matrix,
            shares,
            names,
            items.available,
        )

    @property
    def n_items(self) -> int:
        return len(self.people)

    @cached_property
    def has_vector(self) -> Bool:
        """(n_items,) True where the item has a text vector."""
        return np.zeros(self.n_items, np.bool_) if self.vectors is None else np.asarray(self.vectors.any(axis=1))

    @cached_property
    def self_information(self) -> Float64:
        """-log2 of the share of people who have the item, in bits: (n_items,); nobody counts as one person."""
        return -np.log2(np.maximum(self.people, 1) / max(self.n_users, 1))

    @cached_property
    def in_tail(self) -> Bool:
        """(n_items,) True outside the most popular items that hold the first 80% of events."""
        order = np.argsort(-self.events, kind="stable")
        before = np.cumsum(self.events[order]) - self.events[order]
        tail = np.ones(self.n_items, np.bool_)
        tail[order[before < (1 - TAIL_SHARE) * self.events.sum()]] = False
        return tail

    @cached_property
    def popularity_share(self) -> Float64:
        """(n_items,) 1 for the most popular item, 0 for the least, linear in rank; equal counts share a rank."""
        counts, place = np.unique(-self.events, return_inverse=True)
        first = np.searchsorted(np.sort(-self.events), counts)
        return 1.0 - first[place] / max(self.n_items - 1, 1)


def _padded(counts: Int64, n: int) -> Int64:
    """Items added to the catalogue after training have nothing: (n,)."""
    out = np.zeros(n, np.int64)
    out[: len(counts)] = counts
    return out


def _category_column(data: Dataset) -> str | None:
    """The first category or list column of the manifest that the catalogue really has."""
    typed = data.manifest.items.columns if data.manifest.items else {}
    found = (c for c, kind in typed.items() if kind in ("category", "list") and c in data.catalog.table.columns)
    return next(found, None)


def category_shares(catalog: Catalog, column: str) -> tuple[tuple[str, ...], sp.csr_matrix]:
    """Names and the (n_items, n_categories) matrix that splits each item evenly over its categories."""
    if column not in catalog.table.columns:
        raise MissingDataError(f"the items have no column '{column}'", nearest(column, catalog.table.columns))
    values = catalog.table[column]
    lists = values if isinstance(values.dtype, pl.List) else values.reshape((len(values), 1)).cast(pl.List(values.dtype))
    frame = pl.DataFrame({"item": np.arange(len(values)), "name": lists.cast(pl.List(pl.String))})
    flat = frame.explode("name").filter(pl.col("name").is_not_null() & (pl.col("name") != "")).unique().sort("item", "name")
    names = flat["name"].unique().sort()
    at = flat["name"].replace_strict(names, np.arange(len(names)), return_dtype=pl.Int64).to_numpy()
    items = flat["item"].to_numpy()
    counts = np.bincount(items, minlength=len(values))
    return tuple(names.to_list()), sp.csr_matrix((1.0 / counts[items], at, offsets_of(counts)), shape=(len(values), len(names)))
