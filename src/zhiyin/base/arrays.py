"""Arrays with names: the dtypes used everywhere, and lists of unequal length laid flat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
AnyArray = NDArray[Any]


def offsets_of(lengths: AnyArray) -> Int64:
    """Lengths (n,) -> offsets (n + 1,), starting at 0."""
    out = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=out[1:])
    return out


def row_of_flat(offsets: Int64) -> Int64:
    """For each flat position the number of the list it lies in: (n_flat,)."""
    return np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), offsets[1:] - offsets[:-1])


def flat_positions(offsets: Int64, rows: AnyArray) -> tuple[Int64, Int64]:
    """Positions of the given lists one after another, and the offsets of that new order."""
    at = np.asarray(rows)
    if at.dtype == np.bool_:
        at = np.flatnonzero(at)
    begin = offsets[:-1][at]
    lengths = offsets[1:][at] - begin  # of the lists asked for alone: there may be millions of others
    new = offsets_of(lengths)
    return np.repeat(begin - new[:-1], lengths) + np.arange(new[-1], dtype=np.int64), new


def named_under(prefix: str, arrays: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """The arrays with names that say where they belong: "index.rows" for ``rows`` under "index"."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def found_under(prefix: str, arrays: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """Those arrays again, by the names they had."""
    cut = len(prefix) + 1
    return {name[cut:]: array for name, array in arrays.items() if name.startswith(prefix + ".")}


@dataclass(frozen=True, slots=True)
class Ragged:
    """n integer lists laid flat: list i is ``values[offsets[i]:offsets[i + 1]]``."""

    offsets: Int64  # (n + 1,)
    values: Int32  # (n_flat,)

    @classmethod
    def of(cls, lists: Iterable[Sequence[int] | AnyArray]) -> Ragged:
        rows = [np.asarray(row, dtype=np.int32) for row in lists]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        values = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
        return cls(offsets_of(lengths), values.astype(np.int32, copy=False))

    @classmethod
    def empty(cls, n: int) -> Ragged:
        return cls(np.zeros(n + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> Int32:
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        i %= len(self)
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    @property
    def lengths(self) -> Int64:
        return self.offsets[1:] - self.offsets[:-1]  # what np.diff gives, in a fifth of its time for a request of one

    @property
    def rows(self) -> Int64:
        """List number of every flat value."""
        return row_of_flat(self.offsets)

    def take(self, rows: AnyArray) -> Ragged:
        positions, offsets = flat_positions(self.offsets, rows)
        return Ragged(offsets, self.values[positions])
