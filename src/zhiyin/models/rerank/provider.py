"""Exposure that is shared out: every seller, creator or publisher gets its part of the places people look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from zhiyin.base.arrays import AnyArray, Float64, Int32, Int64
from zhiyin.base.errors import ConfigError, nearest
from zhiyin.data.requests import Requests
from zhiyin.models.rerank.reranker import ByList, RerankerSpec, Share
from zhiyin.models.rerank.traits import Traits
from zhiyin.models.roles import Reranker


class ProviderSpec(RerankerSpec):
    """Every seller, creator or publisher gets at least a part of the exposure that is fair.

    A place is worth 1 / log2(1 + place), and floors are shares of all that. ``column`` says whose an item is. A
    provider's fair part is that of its ``candidates``, or ``equal`` for all who have one; ``floor`` times that
    is guaranteed. ``floors`` names providers with a share of their own in place of it. A place is given away
    only when serving the neediest in all places after it would no longer keep the floors. A fair part that is
    worth less than the last place counts as nothing in one list, and items of nobody have no floor. Where the
    floors cannot all be kept, the neediest come first. (After Geyik, Ambler and Kenthapadi, KDD 2019, with
    exposure in place of counts.)
    """

    kind: ClassVar[str] = "provider"
    column: str
    floor: Share = 0.5
    fair: Literal["candidates", "equal"] = "candidates"
    floors: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _not_more_than_all(self) -> ProviderSpec:
        if sum(self.floors.values()) > 1 + 1e-9:
            raise ValueError(f"the floors add up to {sum(self.floors.values()):g}, more than all there is")
        return self

    def over(self, traits: Traits) -> Reranker:
        codes, names = traits.owners(self.column)
        for name in self.floors:
            if name not in names:
                raise ConfigError(f"no item has '{name}' in the column '{self.column}'", nearest(name, names))
        return Provider(traits, codes, {names.index(name): share for name, share in self.floors.items()}, self)


@dataclass(frozen=True)
class Provider(ByList):
    codes: Int32  # (n_items,), -1 = nobody's
    floors: dict[int, float]
    spec: ProviderSpec

    def front(self, requests: Requests, row: int, items: Int32, level: Float64, n: int) -> Int64:
        owners, first, whose = np.unique(self.codes[items], return_index=True, return_inverse=True)
        order = np.argsort(first)  # owners by their best item, so that equal needs are met in that order
        owners, whose = owners[order], np.argsort(order)[whose]
        known = owners >= 0
        counts = np.where(known, np.bincount(whose, minlength=len(owners)), 0)
        if self.spec.fair == "equal":
            counts = np.minimum(counts, 1)
        worth = exposure(n)
        floor = self.spec.floor * counts / max(int(counts.sum()), 1)
        floor[floor * worth.sum() < worth[-1:].sum()] = 0.0
        for code, share in self.floors.items():
            floor[owners == code] = share
        return shared_out(whose, floor / max(float(floor.sum()), 1.0), n)


def exposure(n: int) -> Float64:
    """What the places 1 to n are worth: (n,)."""
    out: Float64 = 1.0 / np.log2(np.arange(2, n + 2))
    return out


def shared_out(whose: AnyArray, floor: Float64, n: int) -> Int64:
    """Positions of the n chosen of m, in order: the best ones with which every owner still gets ``floor`` (n_owners,).

    ``whose`` (m,) numbers the owners, best item first. A place goes to the best item if serving the neediest
    owner in each of the places after it would keep every floor; else to the neediest owner's best item.
    """
    worth = exposure(n)
    left = np.bincount(whose, minlength=len(floor))
    most = np.concatenate([[0.0], np.cumsum(worth)])[np.minimum(left, n)]
    need = np.minimum(floor * worth.sum(), most)  # who has few items can only have the best places for them
    queues = [np.flatnonzero(whose == owner).tolist()[::-1] for owner in range(len(floor))]
    best = 0
    taken = np.zeros(len(whose), np.bool_)
    chosen = np.zeros(n, np.int64)
    for place in range(n):
        while taken[best]:
            best += 1
        owner = int(whose[best])
        if need.max() > _NOTHING:
            after, rest = need.copy(), left.copy()
            after[owner] -= worth[place]
            rest[owner] -= 1
            if not _kept(after, rest, worth[place + 1 :]):
                owner = int(np.argmax(np.where(left > 0, need, -np.inf)))
        at = queues[owner].pop()
        chosen[place], taken[at] = at, True
        need[owner] -= worth[place]
        left[owner] -= 1
    return chosen


_NOTHING = 1e-12


def _kept(need: Float64, left: AnyArray, worth: Float64) -> bool:
    """Whether giving each place to the neediest owner meets every need; changes what it is given."""
    for value in worth:
        owner = int(np.argmax(need))
        if need[owner] <= _NOTHING or not left[owner]:
            break
        need[owner] -= value
        left[owner] -= 1
    return float(need.max(initial=0.0)) <= _NOTHING
