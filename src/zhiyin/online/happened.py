"""What happened since the bundle was trained, in columns that grow: 28 bytes an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zhiyin.base.arrays import AnyArray

_FEWEST = 1024


class Deeds(NamedTuple):
    """What was done, without saying by whom, each column (n,). ``item_ix`` -1 = an item nobody knows (yet)."""

    item_ix: AnyArray  # int32
    kind_ix: AnyArray  # int32
    time_us: AnyArray  # int64
    place_ix: AnyArray  # int32
    weight: AnyArray  # float32

    @classmethod
    def of(cls, *columns: Sequence[float]) -> Deeds:
        """From lists of n, in the order above."""
        return cls(*(np.fromiter(column, dtype, len(column)) for column, dtype in zip(columns, _DTYPES, strict=True)))

    def take(self, rows: AnyArray) -> Deeds:
        """Some rows, in the order given."""
        return Deeds(*(column[rows] for column in self))


_DTYPES = (np.int32, np.int32, np.int64, np.int32, np.float32)


class Happened:
    """Rows in the order of arrival. One thread adds. What was done never changes, so others may read at any time: first
    which rows they want, then ``deeds``."""

    def __init__(self) -> None:
        self._n = 0
        self.deeds = Deeds(*(np.empty(_FEWEST, dtype) for dtype in _DTYPES))
        """The rows, and room for more behind them."""
        self._person = np.empty(_FEWEST, np.int32)

    def __len__(self) -> int:
        return self._n

    def add(self, deeds: Deeds) -> int:
        """More rows; gives the number of the first. ``sign`` says whose they are."""
        first, self._n = self._n, self._n + len(deeds.item_ix)
        if self._n > len(self._person):
            room = max(self._n, 2 * first)
            self.deeds = Deeds(*(_longer(column, first, room) for column in self.deeds))
            self._person = _longer(self._person, first, room)
        for place, values in enumerate(deeds):
            self.deeds[place][first : self._n] = values
        self._person[first : self._n] = -1
        return first

    def sign(self, first: int, persons: list[int]) -> None:
        """Say who did the rows from ``first`` on, as people are numbered now."""
        self._person[first : first + len(persons)] = persons

    def takers(self, item_ix: int, most: int) -> list[int]:
        """Who liked an item, by his number then, at most so many, the newest; looks through the newest rows first."""
        deeds, persons, end = self.deeds, self._person, self._n
        found: list[int] = []
        while end > 0 and len(found) < most:
            begin = max(end - (1 << 16), 0)
            hit = np.flatnonzero((deeds.item_ix[begin:end] == item_ix) & (deeds.weight[begin:end] > 0)) + begin
            found += persons[hit[::-1]].tolist()
            end = begin
        return [person for person in found[:most] if person >= 0]


def _longer(column: AnyArray, n: int, room: int) -> AnyArray:
    longer = np.empty(room, column.dtype)
    longer[:n] = column[:n]
    return longer
