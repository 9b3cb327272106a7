"""Less known items first, as far as they are relevant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zhiyin.base.arrays import Float64, Int32, Int64
from zhiyin.data.requests import Requests
from zhiyin.models.rerank.reranker import ByList, RerankerSpec, Share
from zhiyin.models.rerank.traits import Traits
from zhiyin.models.roles import Reranker


class NoveltySpec(RerankerSpec):
    """Less known items come first, as far as they are relevant.

    The order is that of (1 - novelty) * relevance + novelty * surprise. Surprise is the self-information of an
    item: 0 for one that everybody has, 1 for one that nobody has. Choose ``tail`` instead where a fixed number
    of places should go to the unknown and the rest stay as they are.
    """

    kind: ClassVar[str] = "novelty"
    novelty: Share = 0.3

    def over(self, traits: Traits) -> Reranker:
        return Novelty(traits, self.novelty)


@dataclass(frozen=True)
class Novelty(ByList):
    novelty: float

    def front(self, requests: Requests, row: int, items: Int32, level: Float64, n: int) -> Int64:
        worth = (1 - self.novelty) * level + self.novelty * self.traits.surprise[items]
        return np.argsort(-worth, kind="stable") if self.novelty else np.arange(n)
