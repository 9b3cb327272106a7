"""What is known of the items when lists are judged beyond accuracy: taken from training data only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from zhiyin.base.arrays import Bool, Float32, Float64, Int64
from zhiyin.data.catalog import Catalog
from zhiyin.data.categories import category_column, category_shares
from zhiyin.data.dataset import Dataset
from zhiyin.data.popularity import in_tail, padded, people_of, self_information


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
        people, n_users = people_of(train)
        vectors = items.vectors.get("text")
        column = category or category_column(train)
        names, shares = ((), None) if column is None else category_shares(items, column)
        return cls(
            padded(people, len(items)),
            padded(train.positive.item_counts, len(items)),
            n_users,
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
        return self_information(self.people, self.n_users)

    @cached_property
    def in_tail(self) -> Bool:
        """(n_items,) True outside the most popular items that hold the first 80% of events."""
        return in_tail(self.events)

    @cached_property
    def popularity_share(self) -> Float64:
        """(n_items,) 1 for the most popular item, 0 for the least, linear in rank; equal counts share a rank."""
        counts, place = np.unique(-self.events, return_inverse=True)
        first = np.searchsorted(np.sort(-self.events), counts)
        return 1.0 - first[place] / max(self.n_items - 1, 1)
