"""A list whose mix of categories is that of the person's history: seven comedies in ten liked, seven shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from zhiyin.base.arrays import Float64, Int32, Int64, flat_positions
from zhiyin.data.requests import Requests
from zhiyin.models.rerank.reranker import ByList, RerankerSpec, Share, rows_of
from zhiyin.models.rerank.traits import Traits
from zhiyin.models.roles import Reranker

SMOOTHING = 0.01
"""Share of the history's mix in the list's, so that the divergence stays finite (as in the paper)."""


class CalibratedMixSpec(RerankerSpec):
    """A list with the mix of categories that the person's history has.

    Each next item raises (1 - strength) * sum of relevance - strength * KL(history's mix || list's mix) most.
    Models show the largest interest of a person more often than he has it; this gives the small ones their
    part. Who has no history, or one without categories, keeps the order. (Steck, RecSys 2018.)
    """

    kind: ClassVar[str] = "calibrated"
    strength: Share = 0.5
    category: str | None = None

    def over(self, traits: Traits) -> Reranker:
        return CalibratedMix(traits, traits.shares(self.category)[1], self.strength)


@dataclass(frozen=True)
class CalibratedMix(ByList):
    shares: Any  # csr (n_items, n_categories)
    strength: float

    def front(self, requests: Requests, row: int, items: Int32, level: Float64, n: int) -> Int64:
        history = requests.history
        past = slice(int(history.offsets[row]), int(history.offsets[row + 1]))
        good = history.item_ix[past][history.weight[past] > 0]
        at, _ = flat_positions(self.shares.indptr, good[good < self.traits.n_items])
        mix = np.bincount(self.shares.indices[at], self.shares.data[at], minlength=self.shares.shape[1])
        if not self.strength or not mix.any():
            return np.arange(n)
        wanted = np.flatnonzero(mix)
        return calibrated(rows_of(self.shares, items, wanted), level, mix[wanted] / mix.sum(), self.strength, n)


def calibrated(rows: Float64, level: Float64, mix: Float64, strength: float, n: int) -> Int64:
    """Positions of the n chosen of m, in order.

    ``mix`` (n_categories,) are the shares of the history, all above 0; ``rows`` (m, n_categories) those of the items.
    """
    relevant = (1 - strength) * level
    total = np.zeros(len(mix))
    chosen = np.zeros(n, np.int64)
    for step in range(n):
        listed = (total + rows) / (step + 1)
        # KL = sum of mix log mix - sum of mix log listed; the first sum is the same for every item.
        close = np.log((1 - SMOOTHING) * listed + SMOOTHING * mix) @ mix
        at = int(np.argmax(relevant + strength * close))
        chosen[step] = at
        relevant[at] = -np.inf
        total += rows[at]
    return chosen
