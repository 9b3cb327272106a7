"""Ranked lists, the one currency from retrieval to route."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, Float64, Int32, Int64, Ragged, flat_positions, offsets_of, row_of_flat


@dataclass(frozen=True, slots=True, eq=False)
class Slates:
    """n lists of items laid flat, best first, with aligned float32 columns (NaN = absent)."""

    offsets: Int64  # (n + 1,)
    item_ix: Int32  # (n_flat,)
    score: Float32  # (n_flat,), descending within each list
    columns: Mapping[str, Float32] = field(default_factory=dict)  # "score.ease", "rank.sequence", ...

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def items(self) -> Ragged:
        return Ragged(self.offsets, self.item_ix)

    @property
    def lengths(self) -> Int64:
        return self.offsets[1:] - self.offsets[:-1]

    def _flat(self, positions: AnyArray, offsets: Int64) -> Slates:
        columns = {name: column[positions] for name, column in self.columns.items()}
        return Slates(offsets, self.item_ix[positions], self.score[positions], columns)

    def take(self, rows: AnyArray) -> Slates:
        return self._flat(*flat_positions(self.offsets, rows))

    def top(self, n: int) -> Slates:
        """The first n of each list."""
        lengths = np.minimum(self.lengths, n)
        offsets = offsets_of(lengths)
        positions = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1] - offsets[:-1], lengths)
        return self._flat(positions, offsets)

    def reordered(self, score: Float32) -> Slates:
        """The same items with new scores (n_flat,), best first; ties by item number."""
        lists = np.repeat(np.arange(len(self)), self.lengths)
        order = np.lexsort((self.item_ix, -score, lists))
        columns = {name: column[order] for name, column in self.columns.items()}
        return Slates(self.offsets, self.item_ix[order], score[order].astype(np.float32, copy=False), columns)

    def standardised(self, values: AnyArray) -> Float64:
        """Values of the flat rows with mean 0 and deviation 1 in each list, 0 where they are all alike: (n_flat,)."""
        rows, n = row_of_flat(self.offsets), np.maximum(self.lengths, 1)
        apart = values - (np.bincount(rows, weights=values, minlength=len(self)) / n)[rows]
        spread = np.sqrt(np.bincount(rows, weights=apart * apart, minlength=len(self)) / n)
        return np.asarray(apart / np.maximum(spread, 1e-9)[rows], np.float64)

    def with_column(self, name: str, values: AnyArray) -> Slates:
        return Slates(self.offsets, self.item_ix, self.score, {**self.columns, name: values.astype(np.float32, copy=False)})

    def with_columns(self, names: Sequence[str], values: Float32) -> Slates:
        """More columns at once: ``values`` (n_flat, n_names)."""
        more = {name: values[:, i] for i, name in enumerate(names)}
        return Slates(self.offsets, self.item_ix, self.score, {**self.columns, **more})

    def matrix(self, names: Sequence[str]) -> Float32:
        """Columns side by side, in this order: (n_flat, n_names)."""
        if not names:
            return np.zeros((len(self.item_ix), 0), np.float32)
        return np.stack([self.columns[name] for name in names], axis=1)

    @classmethod
    def concatenated(cls, parts: Iterable[Slates]) -> Slates:
        """Batches one after another; only columns that all of them have are kept."""
        given = list(parts)
        if not given:
            return cls(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
        if len(given) == 1:
            return given[0]
        names = [name for name in given[0].columns if all(name in p.columns for p in given)]
        return cls(
            offsets_of(np.concatenate([p.lengths for p in given])),
            np.concatenate([p.item_ix for p in given]),
            np.concatenate([p.score for p in given]),
            {name: np.concatenate([p.columns[name] for p in given]) for name in names},
        )
