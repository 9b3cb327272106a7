"""The knobs of a request, and a retriever whose lists have been through re-rankers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zhiyin.base.errors import ConfigError
from zhiyin.data.catalog import Catalog
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.rerank.mmr import MmrSpec
from zhiyin.models.rerank.novelty import NoveltySpec
from zhiyin.models.rerank.reranker import reranked
from zhiyin.models.rerank.traits import Traits
from zhiyin.models.roles import Reranker, Retriever

DEPTH = 200
"""Candidates that a list of ten is chosen from: fewer leave nothing to choose, more only add what nobody would want."""


def knobs(traits: Traits, *, diversity: float | None = None, novelty: float | None = None) -> tuple[Reranker, ...]:
    """The re-rankers behind ``diversity=`` and ``novelty=`` of a request, both between 0 (as the model says) and 1.

    ``diversity`` is that of ``mmr``. Items without vectors and categories cannot be diverse: ``ConfigError``.
    """
    for name, value in (("diversity", diversity), ("novelty", novelty)):
        if value is not None and not 0 <= value <= 1:
            raise ConfigError(f"{name} = {value:g} is outside 0 to 1", "0 is the model's own order.")
    out: list[Reranker] = []
    if novelty:
        out.append(NoveltySpec(novelty=novelty).over(traits))
    if diversity:
        out.append(MmrSpec(diversity=diversity).over(traits))
    return tuple(out)


@dataclass(frozen=True)
class Reranked:
    """Retrieves ``depth`` candidates, sends them through the re-rankers, and gives the first k."""

    model: Retriever
    rerankers: Sequence[Reranker]
    depth: int = DEPTH

    @property
    def catalog(self) -> Catalog:
        return self.model.catalog

    def retrieve(self, requests: Requests, k: int) -> Slates:
        asked = replace(requests, n=k)
        return reranked(self.rerankers, asked, self.model.retrieve(asked, max(k, self.depth))).top(k)
