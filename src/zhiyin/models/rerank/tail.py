"""A floor under the long tail: some places of every list belong to items that are not hits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zhiyin.base.arrays import Float64, Int32, Int64
from zhiyin.data.requests import Requests
from zhiyin.models.rerank.reranker import ByList, RerankerSpec, Share
from zhiyin.models.rerank.traits import Traits
from zhiyin.models.roles import Reranker


class TailSpec(RerankerSpec):
    """At least a share of the places goes to items of the long tail, where the candidates hold that many.

    The tail are the items outside the most popular ones that together have 80% of the events. Of all lists
    that keep the floor it is the most relevant one: the last hits give way to the best tail items, and the
    order of what stays does not change.
    """

    kind: ClassVar[str] = "tail"
    share: Share = 0.2

    def over(self, traits: Traits) -> Reranker:
        return Tail(traits, self.share)


@dataclass(frozen=True)
class Tail(ByList):
    share: float

    def front(self, requests: Requests, row: int, items: Int32, level: Float64, n: int) -> Int64:
        return with_floor(self.traits.tail[items], int(np.ceil(self.share * n - 1e-9)), n)


def with_floor(member: np.ndarray, floor: int, n: int) -> Int64:
    """The first n positions of m, ascending, with at least ``floor`` where ``member`` (m,) holds, or all there are."""
    inside, outside = np.flatnonzero(member), np.flatnonzero(~member)
    wanted = max(int(member[:n].sum()), min(floor, len(inside), n))
    return np.sort(np.concatenate([inside[:wanted], outside[: n - wanted]]))
