"""Every re-ranker by name. Listing costs nothing; a module is imported when its re-ranker is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zhiyin.base.registry import Registry
from zhiyin.models.rerank.reranker import RerankerSpec

RERANKERS = Registry(
    "re-ranker",
    "zhiyin.rerankers",
    {
        "mmr": "zhiyin.models.rerank.mmr:MmrSpec",
        "dpp": "zhiyin.models.rerank.dpp:DppSpec",
        "calibrated": "zhiyin.models.rerank.calibrated:CalibratedMixSpec",
        "novelty": "zhiyin.models.rerank.novelty:NoveltySpec",
        "tail": "zhiyin.models.rerank.tail:TailSpec",
        "provider": "zhiyin.models.rerank.provider:ProviderSpec",
        "fatigue": "zhiyin.models.rerank.fatigue:FatigueSpec",
        "safety": "zhiyin.models.rerank.safety:SafetySpec",
    },
)


def reranker_of(values: Mapping[str, Any] | str, where: str = "") -> RerankerSpec:
    """``"mmr"`` or ``{"kind": "mmr", "diversity": 0.5}`` -> the spec; unknown names get the nearest."""
    spec: RerankerSpec = RERANKERS.spec(values, where)
    return spec
