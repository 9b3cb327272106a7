"""What re-rankers ask about items: vectors, categories, how known they are, whose they are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from zhiyin.base.arrays import Bool, Float64, Int32, Int64
from zhiyin.base.errors import ConfigError, nearest
from zhiyin.data.catalog import Catalog
from zhiyin.data.categories import category_column, category_shares, numbered
from zhiyin.data.dataset import Dataset
from zhiyin.data.popularity import in_tail, padded, people_of, self_information

if TYPE_CHECKING:
    import scipy.sparse as sp


@dataclass(frozen=True, eq=False)
class Traits:
    """Facts about the items of one catalogue, each worked out when it is first asked for and then kept.

    Several re-rankers share one. It never changes: counts that are newer, or more items, make another
    (``Traits.of``, ``with_catalog``), and re-rankers are made anew over it.
    """

    catalog: Catalog
    people: Int64  # (n_items,) distinct people who liked the item
    events: Int64  # (n_items,) events
    n_users: int  # people who liked anything
    category: str | None = None  # the column that "category" means where none is named
    _shares: dict[str, tuple[tuple[str, ...], sp.csr_matrix]] = field(default_factory=dict, repr=False)
    _owners: dict[str, tuple[Int32, tuple[str, ...]]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, data: Dataset) -> Self:
        people, n_users = people_of(data)
        n = data.n_items
        return cls(data.catalog, padded(people, n), padded(data.positive.item_counts, n), n_users, category_column(data))

    def with_catalog(self, catalog: Catalog) -> Self:
        """The same counts over a catalogue that has the old rows first; nobody knows the new items."""
        n = len(catalog)
        return replace(self, catalog=catalog, people=padded(self.people, n), events=padded(self.events, n), _shares={}, _owners={})

    @property
    def n_items(self) -> int:
        return len(self.people)

    @cached_property
    def surprise(self) -> Float64:
        """Self-information as a share of what an item of a single person has, 0 = everybody knows it: (n_items,)."""
        bits: Float64 = self_information(self.people, self.n_users) / np.log2(max(self.n_users, 2))
        return bits

    @cached_property
    def tail(self) -> Bool:
        """True outside the most popular items that hold 80% of events: (n_items,)."""
        return in_tail(self.events)

    def column(self, asked: str | None) -> str:
        """The column of categories; raises ``ConfigError`` where there is none."""
        found = asked or self.category
        if found is None:
            raise ConfigError("no column of the items has the type category or list", "Name a column in the re-ranker.")
        if found not in self.catalog.table.columns:
            raise ConfigError(f"the items have no column '{found}'", nearest(found, self.catalog.table.columns))
        return found

    def shares(self, asked: str | None = None) -> tuple[tuple[str, ...], sp.csr_matrix]:
        """Names and (n_items, n_categories) shares; each row sums to 1, or 0 where the item has none."""
        column = self.column(asked)
        if column not in self._shares:
            self._shares[column] = category_shares(self.catalog, column)
        return self._shares[column]

    def owners(self, asked: str) -> tuple[Int32, tuple[str, ...]]:
        """Number of each item's value in a column, -1 = none, (n_items,), and the values."""
        column = self.column(asked)
        if column not in self._owners:
            self._owners[column] = numbered(self.catalog, column)
        return self._owners[column]
