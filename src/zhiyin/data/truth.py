"""What really happened after each request, and the part of it a model may look at while fitting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, Float64, Ragged, flat_positions
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The relevant items of each of n requests; ``gain`` (n_flat,) grades them (None = all 1)."""

    items: Ragged
    gain: Float32 | None = None

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: AnyArray) -> Truth:
        positions, offsets = flat_positions(self.items.offsets, rows)
        items = Ragged(offsets, self.items.values[positions])
        return Truth(items, None if self.gain is None else self.gain[positions])


Measure = Callable[[Slates, Truth], Float64]
"""Quality per request: (n,), NaN where it is undefined."""


@dataclass(frozen=True, slots=True, eq=False)
class Holdout:
    """Requests with their answers. In a Run it is the validation set: for early stopping and weights."""

    requests: Requests
    truth: Truth

    def __len__(self) -> int:
        return len(self.requests)

    def take(self, rows: AnyArray) -> Holdout:
        return Holdout(self.requests.take(rows), self.truth.take(rows))


def ndcg_at(slates: Slates, truth: Truth, k: int = 10) -> Float64:
    """Normalised discounted cumulative gain of the first k: (n,), NaN where nothing is relevant.

    DCG = sum of gain / log2(rank + 1); ideal = the same of the best possible order. It lives here
    because models stop early on it; ``evaluate`` offers this very function under the name ndcg.
    """
    top = slates.top(k)
    gain = np.ones(len(truth.items.values)) if truth.gain is None else truth.gain.astype(np.float64)
    rank = np.arange(len(top.item_ix)) - np.repeat(top.offsets[:-1], top.lengths)
    found = gains_of(top, truth)
    dcg = np.bincount(top.items.rows, weights=found / np.log2(rank + 2.0), minlength=len(truth))
    lists = truth.items.rows
    best = np.lexsort((-gain, lists))
    place = np.arange(len(best)) - np.repeat(truth.items.offsets[:-1], truth.items.lengths)
    ideal = np.bincount(lists, weights=np.where(place < k, gain[best] / np.log2(place + 2.0), 0.0), minlength=len(truth))
    out: Float64 = np.divide(dcg, ideal, out=np.full(len(truth), np.nan), where=ideal > 0)
    return out


def gains_of(slates: Slates, truth: Truth) -> Float64:
    """The gain of every flat slate row, 0 where the item is not relevant: (n_flat,)."""
    if not len(truth.items.values) or not len(slates.item_ix):
        return np.zeros(len(slates.item_ix))
    width = int(max(truth.items.values.max(), slates.item_ix.max())) + 1
    wanted = truth.items.rows * width + truth.items.values
    order = np.argsort(wanted)
    given = slates.items.rows * width + slates.item_ix
    at = np.minimum(np.searchsorted(wanted[order], given), len(wanted) - 1)
    hit = wanted[order][at] == given
    gain = np.ones(len(wanted)) if truth.gain is None else truth.gain.astype(np.float64)
    return np.where(hit, gain[order][at], 0.0)
