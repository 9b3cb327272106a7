"""Variants of one thing (sizes, colours): which items have a parent in common, so that one of them speaks for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Bool, Int32, Ragged
from zhiyin.data.catalog import Catalog
from zhiyin.data.schema import Manifest


@dataclass(frozen=True, eq=False)
class Variants:
    """``family`` (n_items,) numbers the families: items of one parent, and the parent itself; an item without is its own."""

    family: Int32

    @classmethod
    def of(cls, catalog: Catalog, manifest: Manifest) -> Variants | None:
        """None where the manifest names no column with parents, or no two items have one in common."""
        column = manifest.items.parent if manifest.items else None
        if column is None or column not in catalog.table.columns:
            return None
        own = pl.Series(catalog.items.ids.to_pylist(), dtype=pl.String)
        parent = catalog.table[column].cast(pl.String)
        root = pl.select(pl.when(parent.fill_null("") == "").then(own).otherwise(parent)).to_series()
        family = (root.rank("dense") - 1).to_numpy().astype(np.int32)
        return cls(family) if len(family) and int(family.max()) + 1 < len(family) else None

    def firsts(self, items: AnyArray) -> Bool:
        """True for the first item of each family: (n,)."""
        out = np.zeros(len(items), np.bool_)
        out[np.unique(self.family[items], return_index=True)[1]] = True
        return out

    def count(self, items: AnyArray) -> int:
        """How many families some items are of: their numbers, or True for each."""
        return len(np.unique(self.family[items]))

    def firsts_of_lists(self, lists: Ragged, before: Bool | None = None) -> Bool:
        """The same within each list; those where ``before`` (n_flat,) holds go before the others: (n_flat,)."""
        key = lists.rows * (int(self.family.max()) + 1) + self.family[lists.values]
        order = np.arange(len(key)) if before is None else np.argsort(~before, kind="stable")
        out = np.zeros(len(key), np.bool_)
        out[order[np.unique(key[order], return_index=True)[1]]] = True
        return out

    def others(self, items: Iterable[int]) -> list[int]:
        """All items of the families of some, these included."""
        wanted: Sequence[int] = list(items)
        return np.flatnonzero(np.isin(self.family, self.family[wanted])).tolist() if len(wanted) else []
