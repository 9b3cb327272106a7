"""The re-rankers of a placement over one catalogue, and what the knobs of a request make of them.

[home]
rerankers = ["calibrated", { kind = "fatigue", after = 2 }, { kind = "safety", blocked = ["sku-17"] }]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from zhiyin.base.arrays import Bool
from zhiyin.data.requests import Requests
from zhiyin.models.rerank.knobs import DEPTH, knobs
from zhiyin.models.rerank.registry import reranker_of
from zhiyin.models.rerank.reranker import RerankerSpec, reranked
from zhiyin.models.rerank.safety import Safety
from zhiyin.models.rerank.traits import Traits
from zhiyin.models.roles import Reranker

if TYPE_CHECKING:
    from zhiyin.pipeline.placement import Placement
    from zhiyin.pipeline.shelf import Shelf

_TURNED_BY = {"mmr": "diversity", "dpp": "diversity", "novelty": "novelty"}


def specs_of(placement: Placement | None) -> tuple[RerankerSpec, ...]:
    """What a placement names; raises ``ConfigError`` with the nearest name for what is no re-ranker."""
    return () if placement is None else tuple(reranker_of(named, f"placement '{placement.name}'") for named in placement.rerankers)


@dataclass(frozen=True, eq=False)
class Chains:
    """The re-rankers of placements, each made once over the traits of one catalogue."""

    traits: Traits
    _made: dict[str, tuple[tuple[str, Reranker], ...]] = field(default_factory=dict, repr=False)

    def of(self, placement: Placement | None, *, diversity: float | None = None, novelty: float | None = None) -> tuple[Reranker, ...]:
        """Those of the placement, in its order. A knob of the request takes the place of what it turns (``diversity`` of mmr and
        dpp, ``novelty`` of novelty; 0 = the model's own order) and goes before the others, so that what must not be shown is
        looked at last. Raises ``ConfigError`` where the items lack what one reads."""
        said = {name for name, value in (("diversity", diversity), ("novelty", novelty)) if value is not None}
        own = tuple(reranker for kind, reranker in self._own(placement) if _TURNED_BY.get(kind) not in said)
        return (*knobs(self.traits, diversity=diversity, novelty=novelty), *own) if said else own

    def allowed(self, placement: Placement | None) -> Bool | None:
        """What safety lists leave, (n_items,), None = everything: for the retrievers, so that full lists come back."""
        masks = [reranker.allowed for _, reranker in self._own(placement) if isinstance(reranker, Safety)]
        return reduce(np.logical_and, masks) if masks else None

    def _own(self, placement: Placement | None) -> tuple[tuple[str, Reranker], ...]:
        if placement is None or not placement.rerankers:
            return ()
        if placement.name not in self._made:
            self._made[placement.name] = tuple((spec.kind, spec.over(self.traits)) for spec in specs_of(placement))
        return self._made[placement.name]


def in_front(chains: Chains, placement: Placement, requests: Requests, n: int, stand: Callable[[Requests, int], Shelf]) -> Shelf:
    """The shelf of a placement through its re-rankers: ``stand`` fills it, deeper than it will be."""
    chain = chains.of(placement)
    if not chain:
        return stand(requests, n)
    asked = replace(allowed_by_chains(chains, placement, requests), n=n)
    shelf = stand(asked, max(n, DEPTH))
    return replace(shelf, slates=reranked(chain, asked, shelf.slates).top(n))


def allowed_by_chains(chains: Chains, placement: Placement | None, requests: Requests) -> Requests:
    """The requests without what the placement's safety lists hold back; they have one filter in common."""
    allowed = chains.allowed(placement)
    if allowed is None:
        return requests
    return replace(requests, allowed=allowed if requests.allowed is None else allowed & requests.allowed)
