"""What really happened after each request, and the part of it a model may look at while fitting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, Float64, Int64, Ragged, flat_positions, offsets_of
from zhiyin.base.errors import DataError
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

    def sample(self, n: int, seed: int) -> Holdout:
        """``n`` of them drawn without replacement, in their order; all where there are no more."""
        if len(self) <= n:
            return self
        return self.take(np.sort(np.random.default_rng(seed).choice(len(self), n, replace=False)))


FEW_ANSWERS = 16
"""Up to so many answers per request comparing all of them is quicker than a search (measured)."""


@dataclass(frozen=True, eq=False)
class Hits:
    """Where the relevant items of n requests stand in their lists; all that rank metrics need.

    Only the hits are kept, in list order, so a metric costs time in hits, not in list rows.
    Answers with gain 0 are not relevant.
    """

    row: Int64  # (n_hits,) request of each hit, ascending
    rank: Int64  # (n_hits,) place in its list, 0 = first
    gain: Float64  # (n_hits,)
    n_relevant: Int64  # (n,) how many answers a perfect list would hold
    lengths: Int64  # (n,) how many items were given
    truth: Truth  # relevant answers only

    def __len__(self) -> int:
        return len(self.n_relevant)

    @cached_property
    def ideal(self) -> tuple[Float64, Int64] | None:
        """Graded gains of all answers, best first within each request, and their places; None = all 1."""
        if self.truth.gain is None:
            return None
        items = self.truth.items
        order = np.lexsort((-self.truth.gain, items.rows))
        return self.truth.gain[order].astype(np.float64), np.arange(len(order)) - np.repeat(items.offsets[:-1], items.lengths)


def hits_of(slates: Slates, truth: Truth) -> Hits:
    """Match lists with answers, once for all metrics."""
    if len(slates) != len(truth):
        raise DataError(f"{len(slates)} lists cannot be measured against {len(truth)} answers", "Give one list per request.")
    if truth.gain is not None and bool((truth.gain <= 0).any()):
        kept = truth.gain > 0
        offsets = offsets_of(np.bincount(truth.items.rows[kept], minlength=len(truth)))
        truth = Truth(Ragged(offsets, truth.items.values[kept]), truth.gain[kept])
    found, answer = _matches(slates, truth.items)
    row = np.searchsorted(slates.offsets, found, side="right") - 1
    gain = np.ones(len(found)) if truth.gain is None else truth.gain[answer].astype(np.float64)
    return Hits(row, found - slates.offsets[row], gain, truth.items.lengths, slates.lengths, truth)


def _matches(slates: Slates, answers: Ragged) -> tuple[Int64, Int64]:
    """Flat positions of the hits in the lists, ascending, and of the equal answers."""
    if not len(answers.values) or not len(slates.item_ix):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    widest = int(answers.lengths.max())
    if widest > FEW_ANSWERS:
        return _by_search(slates, answers)
    found, answer, lengths = [], [], slates.lengths
    for nth in range(widest):
        at = np.minimum(answers.offsets[:-1] + nth, len(answers.values) - 1)
        item = np.where(answers.lengths > nth, answers.values[at], np.int32(-1))
        same = np.flatnonzero(slates.item_ix == np.repeat(item, lengths))
        found.append(same)
        answer.append(at[np.searchsorted(slates.offsets, same, side="right") - 1])
    if widest == 1:
        return found[0], answer[0]
    together = np.concatenate(found)
    order = np.argsort(together, kind="stable")
    return together[order], np.concatenate(answer)[order]


def _by_search(slates: Slates, answers: Ragged) -> tuple[Int64, Int64]:
    """The same for any number of answers: one sort and one search of (request, item) keys."""
    width = int(max(answers.values.max(), slates.item_ix.max())) + 1
    wanted = answers.rows * width + answers.values
    order = np.argsort(wanted, kind="stable")  # nearly sorted already: answers lie request by request
    given = slates.items.rows * width + slates.item_ix
    at = order[np.minimum(np.searchsorted(wanted, given, sorter=order), len(wanted) - 1)]
    found = np.flatnonzero(wanted[at] == given)
    return found, at[found]


def ndcg_of(hits: Hits, k: int) -> Float64:
    """Normalised discounted cumulative gain of the first k: (n,), NaN where nothing is relevant.

    DCG = sum of gain / log2(rank + 1), ranks from 1; ideal = the same of the best possible order.
    """
    n = len(hits)
    top = hits.rank < k
    dcg = np.bincount(hits.row[top], weights=hits.gain[top] / np.log2(hits.rank[top] + 2.0), minlength=n)
    if hits.ideal is None:
        best = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(k) + 2.0))])[np.minimum(hits.n_relevant, k)]
    else:
        gain, place = hits.ideal
        best = np.bincount(hits.truth.items.rows, weights=np.where(place < k, gain / np.log2(place + 2.0), 0.0), minlength=n)
    out: Float64 = np.divide(dcg, best, out=np.full(n, np.nan), where=best > 0)
    return out


def ndcg_at(slates: Slates, truth: Truth, k: int = 10) -> Float64:
    """``ndcg_of`` straight from lists. It lives here because models stop early on it."""
    return ndcg_of(hits_of(slates, truth), k)
