"""What was shown again and again without a click steps back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Bool, Float64, Int32, Int64, Ragged, flat_positions, row_of_flat
from zhiyin.base.units import US_PER_HOUR
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.rerank.reranker import RerankerSpec, rearranged, relevance
from zhiyin.models.rerank.traits import Traits


@dataclass(frozen=True, slots=True, eq=False)
class Impressions:
    """What each of n requesters was shown lately, laid flat, in any order."""

    offsets: Int64  # (n + 1,)
    item_ix: Int32  # (n_flat,)
    time_us: Int64  # (n_flat,)
    clicked: Bool  # (n_flat,)

    @classmethod
    def none(cls, n: int) -> Impressions:
        return cls(np.zeros(n + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.bool_))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def items(self) -> Ragged:
        return Ragged(self.offsets, self.item_ix)

    def take(self, rows: AnyArray) -> Impressions:
        at, offsets = flat_positions(self.offsets, rows)
        return Impressions(offsets, self.item_ix[at], self.time_us[at], self.clicked[at])


Seen = Callable[[Requests], Impressions]
"""Whoever remembers what was shown: impressions of each request, before its ``now_us``."""


class FatigueSpec(RerankerSpec):
    """What was shown again and again without a click steps back.

    From ``after`` showings on, an item's relevance is multiplied by ``keep``, once more for each further one. A
    showing counts half after ``half_life_hours``; a click makes the ones before it count as nothing. Without
    impressions (``Fatigue.seeing``) it changes nothing.
    """

    kind: ClassVar[str] = "fatigue"
    after: Annotated[float, Field(gt=0)] = 2.0
    keep: Annotated[float, Field(ge=0, le=1)] = 0.6
    half_life_hours: Annotated[float, Field(gt=0)] = 24.0

    def over(self, traits: Traits) -> Fatigue:
        return Fatigue(self)


def nothing_seen(requests: Requests) -> Impressions:
    return Impressions.none(len(requests))


@dataclass(frozen=True)
class Fatigue:
    spec: FatigueSpec = field(default_factory=FatigueSpec)
    seen: Seen = nothing_seen

    def seeing(self, seen: Seen | Impressions) -> Fatigue:
        """The same over impressions: those of one batch, row by row, or whoever can tell them for any batch."""
        return Fatigue(self.spec, (lambda _: seen) if isinstance(seen, Impressions) else seen)

    def rerank(self, requests: Requests, slates: Slates) -> Slates:
        return tired(slates, self.seen(requests), requests.now_us, self.spec)


def tired(slates: Slates, shown: Impressions, now_us: Int64, spec: FatigueSpec) -> Slates:
    """The lists with what their people were shown too often further down; ``now_us`` (n,)."""
    count = weariness(slates, shown, now_us, spec.half_life_hours)
    steps = np.where(count > spec.after - 1e-6, np.floor(count - spec.after + 1e-6) + 1, 0)
    worth = relevance(slates) * spec.keep**steps
    order = np.lexsort((np.arange(len(worth)), steps * (worth == 0), -worth, slates.items.rows))
    return rearranged(slates, order, slates.offsets)


def weariness(slates: Slates, shown: Impressions, now_us: Int64, half_life_hours: float) -> Float64:
    """Showings of each flat item to its person since the last click on it, older ones counting less: (n_flat,)."""
    if not len(shown.item_ix) or not len(slates.item_ix):
        return np.zeros(len(slates.item_ix))
    width = int(max(shown.item_ix.max(), slates.item_ix.max())) + 1
    lists = row_of_flat(shown.offsets)
    pair, which = np.unique(lists * width + shown.item_ix, return_inverse=True)
    last_click = np.full(len(pair), np.iinfo(np.int64).min)
    np.maximum.at(last_click, which[shown.clicked], shown.time_us[shown.clicked])
    age = np.maximum(now_us[lists] - shown.time_us, 0)
    counts = (shown.time_us > last_click[which]) & (shown.time_us < now_us[lists])
    total = np.bincount(which, np.where(counts, 0.5 ** (age / (half_life_hours * US_PER_HOUR)), 0.0), minlength=len(pair))
    wanted = slates.items.rows * width + slates.item_ix
    at = np.minimum(np.searchsorted(pair, wanted), len(pair) - 1)
    return np.where(pair[at] == wanted, total[at], 0.0)
