"""The first places of a list under quotas: at least so many of these, at most so many of those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Int64


@dataclass(frozen=True)
class Limit:
    """Of the first ``of`` places at least ``least`` and at most ``most`` hold members; ``member`` (m,) over the candidates."""

    number: int
    member: Bool
    least: int
    most: int
    of: int


@dataclass
class _Filling:
    """One list while its places are filled."""

    limits: Sequence[Limit]
    fixed: Mapping[int, int]
    n: int
    m: int

    def __post_init__(self) -> None:
        self.count = [0] * len(self.limits)
        self.free = np.ones(self.m, np.bool_)
        self.free[list(self.fixed.values())] = False

    def put(self, at: int, place: int) -> None:
        self.free[at] = False
        for q, limit in enumerate(self.limits):
            self.count[q] += place < limit.of and bool(limit.member[at])

    def pinned_later(self, q: int, place: int) -> int:
        limit = self.limits[q]
        return sum(place <= p < limit.of and bool(limit.member[at]) for p, at in self.fixed.items())

    def lacking(self, place: int) -> list[int]:
        """How many members each quota still needs from free places, as far as there are candidates."""
        return [
            max(0, min(limit.least - self.count[q] - self.pinned_later(q, place), int((limit.member & self.free).sum())))
            for q, limit in enumerate(self.limits)
        ]

    def allowed(self, place: int) -> Bool:
        """Candidates that break no upper limit at this place: (m,)."""
        out = self.free.copy()
        for q, limit in enumerate(self.limits):
            if place < limit.of and self.count[q] + self.pinned_later(q, place) >= limit.most:
                out &= ~limit.member
        return out

    def pressing(self, place: int, lacking: Sequence[int]) -> list[int]:
        """Quotas one of which would be missed if this place went to somebody else: those due first."""
        for horizon in sorted({limit.of for limit in self.limits}):
            due = [q for q, limit in enumerate(self.limits) if limit.of <= horizon and lacking[q]]
            places = sum(1 for p in range(place, min(horizon, self.n)) if p not in self.fixed)
            if due and sum(lacking[q] for q in due) >= places:
                return due
        return []

    def neediest(self, candidates: AnyArray, place: int) -> tuple[int, int] | None:
        """The candidate that a pressing quota needs, the one that serves most of all lacking ones, and that quota."""
        lacking = self.lacking(place)
        due = self.pressing(place, lacking)
        if not due:
            return None
        member = np.array([limit.member[candidates] for limit in self.limits])
        serves = member[np.flatnonzero(lacking)].sum(axis=0) * member[due].any(axis=0)
        if not serves.any():
            return None
        at = int(np.argmax(serves))
        return int(candidates[at]), next(self.limits[q].number for q in due if member[q, at])


def under_quotas(limits: Sequence[Limit], fixed: Mapping[int, int], n: int, m: int) -> tuple[Int64, dict[int, int]]:
    """Positions of the items at the first n places, best first as far as the limits allow, and which a quota raised.

    ``fixed`` place -> position keeps what is pinned (it counts, and no limit moves it). Of m candidates in order
    the first one is taken that breaks no upper limit; when as many places are left as quotas still lack, only
    members of those, the ones that serve most of them first. Quotas over distinct items are met wherever that is
    possible; overlapping ones as far as this finds. Upper limits are never broken: the list is shorter then.
    """
    filling = _Filling(limits, fixed, n, m)
    chosen: list[int] = []
    raised: dict[int, int] = {}
    for place in range(min(n, m)):
        if place in fixed:
            at = fixed[place]
        else:
            candidates = np.flatnonzero(filling.allowed(place))
            if not len(candidates):
                return _with_the_rest(chosen, fixed, place), raised
            at = int(candidates[0])
            needed = filling.neediest(candidates, place)
            if needed is not None and needed[0] != at:
                at, raised[needed[0]] = needed
        filling.put(at, place)
        chosen.append(at)
    return np.array(chosen, np.int64), raised


def _with_the_rest(chosen: Sequence[int], fixed: Mapping[int, int], place: int) -> AnyArray:
    """A list that ends early still has what is pinned to later places."""
    return np.array([*chosen, *(at for p, at in sorted(fixed.items()) if p >= place)], np.int64)
