"""Maximal marginal relevance: the next item is relevant and unlike what stands above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zhiyin.base.arrays import Float64, Int32, Int64
from zhiyin.data.requests import Requests
from zhiyin.models.rerank.likeness import Directions, Likeness, directions
from zhiyin.models.rerank.reranker import ByList, RerankerSpec, Share
from zhiyin.models.rerank.traits import Traits
from zhiyin.models.roles import Reranker


class MmrSpec(RerankerSpec):
    """A varied list: each next item is relevant and unlike those above it.

    It has the highest (1 - diversity) * relevance - diversity * (likeness to the nearest item above).
    ``diversity`` 0 leaves the order, 1 looks at likeness alone. Choose it where a list must not repeat itself
    next to itself; ``dpp`` looks at all items above together and costs a little more. (Carbonell and
    Goldstein, SIGIR 1998.)
    """

    kind: ClassVar[str] = "mmr"
    diversity: Share = 0.3
    likeness: Likeness = "auto"
    vectors: str = "text"
    category: str | None = None

    def over(self, traits: Traits) -> Reranker:
        return Mmr(traits, directions(traits, self.likeness, self.vectors, self.category), self.diversity)


@dataclass(frozen=True)
class Mmr(ByList):
    directions: Directions
    diversity: float

    def front(self, requests: Requests, row: int, items: Int32, level: Float64, n: int) -> Int64:
        if not self.diversity:
            return np.arange(n)
        return mmr(self.directions(items), level, self.diversity, n)


def mmr(rows: Float64, level: Float64, diversity: float, n: int) -> Int64:
    """Positions of the n chosen of m, in order; ``rows`` (m, dim) unit or zero rows, ``level`` (m,). Ties: the earlier one."""
    gain = (1 - diversity) * level
    closest = np.full(len(level), -np.inf)
    chosen = np.zeros(n, np.int64)
    left = gain.copy()
    for step in range(n):
        at = int(np.argmax(left))
        chosen[step] = at
        gain[at] = -np.inf
        np.maximum(closest, rows @ rows[at], out=closest)
        left = gain - diversity * closest
    return chosen
