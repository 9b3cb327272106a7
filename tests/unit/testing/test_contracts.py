"""The contract suite finds models that break it: one mutant per promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.registry import RETRIEVERS
from zhiyin.models.retrieve.popular import Popular, PopularSpec
from zhiyin.models.roles import ModelSpec
from zhiyin.testing.contracts import ContractError, check_model, same_slates, small_world

calls = 0


@dataclass(frozen=True)
class Mutant(Popular):
    """Popularity with its answers spoilt."""

    def retrieve(self, requests: Requests, k: int) -> Slates:
        return self.spec.spoil(super().retrieve(requests, k), requests, k, self)


class MutantSpec(ModelSpec):
    kind: ClassVar[str] = "popular"
    spoil: ClassVar[Callable[..., Slates]]

    def fit(self, data: Any, run: Any) -> Any:
        return replace(Mutant(self, *self._parts(PopularSpec().fit(data, run))))

    def restore(self, state: Any, catalog: Any) -> Any:
        return Mutant(self, *self._parts(PopularSpec().restore(state, catalog)))

    @staticmethod
    def _parts(popular: Popular) -> tuple[Any, ...]:
        return popular.catalog, popular.counts, popular.by_segment, popular.segment_of_user


def keeps(slates: Slates, requests: Requests, k: int, model: Mutant) -> Slates:
    return slates


def jitters(slates: Slates, requests: Requests, k: int, model: Mutant) -> Slates:
    global calls
    calls += 1
    return replace(slates, score=slates.score * np.float32(1 + calls))


def ascends(slates: Slates, requests: Requests, k: int, model: Mutant) -> Slates:
    return replace(slates, score=-slates.score)


def not_finite(slates: Slates, requests: Requests, k: int, model: Mutant) -> Slates:
    return replace(slates, score=np.full_like(slates.score, np.inf))


def forgets_exclusions(slates: Slates, requests: Requests, k: int, model: Mutant) -> Slates:
    return Popular(PopularSpec(), *MutantSpec._parts(model)).retrieve(replace(requests, exclude=None), k)


def sees_batch(slates: Slates, requests: Requests, k: int, model: Mutant) -> Slates:
    return replace(slates, score=slates.score + np.float32(len(requests)))


def needs_history(slates: Slates, requests: Requests, k: int, model: Mutant) -> Slates:
    return slates.take(np.flatnonzero(requests.history.lengths > 0))


def spoils_input(slates: Slates, requests: Requests, k: int, model: Mutant) -> Slates:
    requests.now_us[:] += 1
    return slates


def grows_badly(slates: Slates, requests: Requests, k: int, model: Mutant) -> Slates:
    return replace(slates, score=slates.score * np.float32(len(model.catalog)))


MUTANTS: dict[Callable[..., Slates], str] = {
    ascends: "scores descend",
    not_finite: "finite scores",
    jitters: "equal seeds give equal lists",
    sees_batch: "a batch of one equals its row of the batch",
    needs_history: "an empty history gets a list",
    forgets_exclusions: "excluded items never come back",
    grows_badly: "old items keep their scores when the catalogue grows",
    spoils_input: "requests and data stay as they were",
}


def spec_of_mutant(spoil: Callable[..., Slates], monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    made = type("MutantSpec", (MutantSpec,), {"spoil": staticmethod(spoil), "__module__": __name__})
    monkeypatch.setattr(RETRIEVERS, "get", lambda _name: made)
    return made()


def test_a_model_that_keeps_its_promises_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_model(spec_of_mutant(keeps, monkeypatch), small_world("time"), folder=tmp_path)


@pytest.mark.parametrize("spoil", MUTANTS, ids=lambda f: f.__name__)
def test_a_broken_promise_is_named(spoil: Callable[..., Slates], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ContractError, match=f"model 'popular' breaks its contract: {MUTANTS[spoil]}"):
        check_model(spec_of_mutant(spoil, monkeypatch), small_world("time"), folder=tmp_path)


def test_slates_are_the_same_up_to_rounding() -> None:
    def slates(items: list[int], scores: list[float]) -> Slates:
        return Slates(np.array([0, len(items)]), np.array(items, np.int32), np.array(scores, np.float32))

    one = slates([3, 1, 2], [3.0, 2.0, 2.0])
    assert same_slates(one, slates([3, 2, 1], [3.0, 2.0, 2.0]))
    assert same_slates(one, slates([3, 1, 7], [3.0, 2.0, 2.00001]))
    assert not same_slates(one, slates([1, 3, 2], [3.0, 2.0, 2.0]))
    assert not same_slates(one, slates([9, 1, 2], [3.0, 2.0, 2.0]))
    assert not same_slates(one, slates([3, 1], [3.0, 2.0]))
