"""Every registered re-ranker keeps every promise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.rerank.registry import RERANKERS, reranker_of
from zhiyin.models.rerank.reranker import RerankerSpec
from zhiyin.models.rerank.traits import Traits
from zhiyin.testing.contracts import ContractError
from zhiyin.testing.reranker_contracts import RERANKER_CHECKS, RerankerCase, check_reranker, small_shop

SETTINGS: dict[str, dict[str, Any]] = {
    "provider": {"column": "seller", "floor": 0.8},
    "safety": {"blocked": ["i3", "i7", "not there yet"], "at_most": {"tea": 1, "books": 0}},
}
MORE: dict[str, dict[str, Any]] = {
    "mmr off": {"kind": "mmr", "diversity": 0.0},
    "mmr all": {"kind": "mmr", "diversity": 1.0},
    "mmr categories": {"kind": "mmr", "likeness": "categories", "diversity": 0.7},
    "dpp all": {"kind": "dpp", "diversity": 1.0},
    "dpp categories": {"kind": "dpp", "likeness": "categories"},
    "calibrated all": {"kind": "calibrated", "strength": 1.0},
    "tail all": {"kind": "tail", "share": 1.0},
    "provider equal": {"kind": "provider", "column": "seller", "fair": "equal", "floor": 1.0},
    "provider named": {"kind": "provider", "column": "seller", "floors": {"east": 0.4, "south": 0.3}},
}


@cache
def case(name: str) -> RerankerCase:
    return RerankerCase(reranker_of(MORE.get(name) or {"kind": name, **SETTINGS.get(name, {})}), small_shop())


@pytest.mark.parametrize("check", RERANKER_CHECKS)
@pytest.mark.parametrize("name", [*RERANKERS.names(), *MORE])
def test_contract(name: str, check: str) -> None:
    RERANKER_CHECKS[check](case(name))


@dataclass(frozen=True)
class _Shuffles:
    """Wrong in two ways: its order depends on what it did before, and scores travel with items."""

    rng: np.random.Generator

    def rerank(self, requests: Requests, slates: Slates) -> Slates:
        order = np.lexsort((self.rng.random(len(slates.item_ix)), slates.items.rows))
        columns = {name: column[order] for name, column in slates.columns.items()}
        return Slates(slates.offsets, slates.item_ix[order], slates.score[order], columns)


class _ShuffleSpec(RerankerSpec):
    kind = "shuffle"

    def over(self, traits: Traits) -> _Shuffles:
        return _Shuffles(np.random.default_rng(0))


@pytest.mark.parametrize(("check", "promise"), [("well_formed", "scores descend"), ("deterministic", "equal lists give equal lists")])
def test_a_broken_promise_is_named(check: str, promise: str) -> None:
    with pytest.raises(ContractError, match=f"re-ranker 'shuffle' breaks its contract: {promise}"):
        RERANKER_CHECKS[check](RerankerCase(_ShuffleSpec(), small_shop()))


def test_the_whole_suite_on_a_spec_of_ones_own() -> None:
    check_reranker(reranker_of("novelty"))
