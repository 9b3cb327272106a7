"""What every ranker promises, as checks that any registered or private ranker can be run against.

    from zhiyin.testing.ranker_contracts import check_ranker, small_examples
    check_ranker(MySpec(), folder=tmp_path)

A broken promise raises ContractError and says which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, Ragged, offsets_of
from zhiyin.base.digest import digest_arrays
from zhiyin.base.errors import ConfigError, FitError
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.models.rank.quality import auc
from zhiyin.models.rank.registry import ranker_of
from zhiyin.models.roles import RankerModel, RankerSpec, RankingExamples, State
from zhiyin.store.bundle import Bundle, read_bundle, write_bundle
from zhiyin.testing.contracts import ContractError
from zhiyin.testing.small import small_world

__all__ = ["RANKER_CHECKS", "RankerCase", "check_ranker", "small_examples"]


def small_examples(n_lists: int = 150, *, seed: int = 0) -> RankingExamples:
    """Lists of 2 to 20 items of a small world, chosen by a rule that every ranker can learn something of.

    The rule adds "liking", the product of "price" and "hour" (half of the prices are missing), and whether
    the item goes with the history (both even or both odd). "noise" says nothing.
    """
    rng = np.random.default_rng(seed)
    catalog = small_world().catalog
    offsets = offsets_of(rng.integers(2, 21, n_lists))
    n = int(offsets[-1])
    lists = np.repeat(np.arange(n_lists), np.diff(offsets))
    item = np.concatenate([rng.permutation(len(catalog) - 1)[:length] for length in np.diff(offsets)]).astype(np.int32)
    side = rng.integers(0, 2, n_lists)
    past = Ragged.of([2 * rng.integers(0, 14, rng.integers(1, 12)) + side[i] for i in range(n_lists)])
    liking, noise, price = rng.standard_normal((3, n))
    price[rng.random(n) < 0.5] = np.nan
    hour = rng.standard_normal(n_lists)[lists]
    logit = 1.5 * liking + np.nan_to_num(price) * hour + 1.5 * (item % 2 == side[lists]) - 2.5
    labels = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    columns = {"liking": liking, "price": price, "hour": hour, "noise": noise}
    slates = Slates(offsets, item, -np.arange(n, dtype=np.float32), {name: values.astype(np.float32) for name, values in columns.items()})
    requests = Requests.of(Histories.of_items(past), rng.integers(-1, 20, n_lists), now_us=1_000_000)
    return RankingExamples(requests, slates, labels, np.ones(n, np.float32), catalog)


@dataclass(frozen=True)
class RankerCase:
    """A spec on examples, fitted once for all checks."""

    spec: RankerSpec
    folder: Path
    seed: int = 0

    @cached_property
    def train(self) -> RankingExamples:
        return small_examples(seed=1)

    @cached_property
    def validation(self) -> RankingExamples:
        return small_examples(100, seed=2)

    @cached_property
    def test(self) -> RankingExamples:
        return small_examples(100, seed=3)

    def fitted(self) -> RankerModel:
        return self.spec.fit(self.train, Run(seed=self.seed, threads=1), self.validation)

    @cached_property
    def ranker(self) -> RankerModel:
        return self.fitted()

    @cached_property
    def scores(self) -> Float32:
        return self.ranker.score(self.test.requests, self.test.slates)

    def of(self, rows: AnyArray) -> Float32:
        some = self.test.take(rows)
        return self.ranker.score(some.requests, some.slates)

    def with_columns(self, change: Callable[[str, Float32], Float32]) -> Slates:
        slates = self.test.slates
        return replace(slates, columns={name: change(name, values) for name, values in slates.columns.items()})

    def require(self, kept: bool, promise: str) -> None:
        if not kept:
            raise ContractError(f"ranker '{self.spec.kind}' breaks its contract: {promise}", "See zhiyin.testing.ranker_contracts.")


def _level(one: Float32, other: Float32, tolerance: float = 1e-4) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=tolerance, atol=tolerance))


def one_score_each(case: RankerCase) -> None:
    """Every candidate gets one finite score; none is added, and nothing given is changed."""

    def mark() -> str:
        slates, history = case.test.slates, case.test.requests.history
        return digest_arrays(slates.offsets, slates.item_ix, slates.score, *slates.columns.values(), history.item_ix, history.weight)

    before = mark()
    scores = case.scores
    case.require(scores.dtype == np.float32 and scores.shape == case.test.slates.item_ix.shape, "one float32 score per candidate")
    case.require(bool(np.isfinite(scores).all()), "finite scores")
    case.require(mark() == before, "requests and slates stay as they were")
    case.require(set(case.ranker.columns) <= set(case.test.slates.columns), "its columns are columns of the examples")


def equal_seeds(case: RankerCase) -> None:
    """Equal seed, equal scores."""
    case.require(_level(case.scores, case.fitted().score(case.test.requests, case.test.slates), 1e-6), "equal seeds give equal scores")


def list_alone(case: RankerCase) -> None:
    """A list alone gets what it gets among others; no list and an empty one get nothing."""
    alone = np.concatenate([case.of(np.array([i])) for i in range(len(case.test.slates))])
    case.require(_level(case.scores, alone), "a batch of one equals its row of the batch")
    case.require(len(case.of(np.zeros(0, np.int64))) == 0, "no requests give no scores")
    empty = case.test.slates.take(np.array([0, 1])).top(0)
    case.require(len(case.ranker.score(case.test.requests.take(np.array([0, 1])), empty)) == 0, "empty lists give no scores")


def any_order(case: RankerCase) -> None:
    """The order in which candidates are given does not matter."""
    given = case.test.slates
    mixed = given.reordered(np.random.default_rng(0).random(len(given.item_ix)).astype(np.float32))
    mine = np.lexsort((given.item_ix, given.items.rows))
    theirs = np.lexsort((mixed.item_ix, mixed.items.rows))
    case.require(_level(case.scores[mine], case.ranker.score(case.test.requests, mixed)[theirs]), "order of candidates changes nothing")


def saved(case: RankerCase) -> None:
    """Saved and loaded through a bundle, it scores the same; its spec comes back from its description."""
    case.require(ranker_of(case.spec.described()) == case.spec, "ranker_of(spec.described()) is the spec")
    state = case.ranker.state()
    write_bundle(case.folder / "ranker", Bundle({"state": dict(state.meta)}, state.arrays))
    back = read_bundle(case.folder / "ranker")
    catalog = case.test.catalog or small_world().catalog
    restored = ranker_of(case.ranker.spec.described()).restore(State(back.arrays, back.meta["state"]), catalog)
    case.require(restored.columns == case.ranker.columns, "a saved ranker reads the same columns")
    case.require(_level(case.scores, restored.score(case.test.requests, case.test.slates), 1e-6), "a saved ranker scores as it did")


def gaps(case: RankerCase) -> None:
    """Missing and infinite values, unknown people, empty histories and new items give finite scores."""
    requests, slates = case.test.requests, case.test.slates
    for value in (np.nan, np.inf, -np.inf, 1e30):
        spoiled = case.with_columns(lambda _, values, value=value: np.full_like(values, value))  # type: ignore[misc]
        case.require(bool(np.isfinite(case.ranker.score(requests, spoiled)).all()), f"finite scores when every column is {value}")
    stranger = Requests.of(Histories.empty(len(requests)), now_us=1_000_000)
    case.require(bool(np.isfinite(case.ranker.score(stranger, slates)).all()), "strangers get finite scores")
    new = replace(slates, item_ix=(slates.item_ix + 10_000).astype(np.int32))
    case.require(bool(np.isfinite(case.ranker.score(requests, new)).all()), "new items get finite scores")


def learns(case: RankerCase) -> None:
    """What was planted is found, well beyond chance."""
    found = auc(case.test.labels, case.scores)
    case.require(found > 0.65, f"it learns a planted rule (AUC {found:.3f})")


def missing_column(case: RankerCase) -> None:
    """A column that is not there is named."""
    gone = case.ranker.columns[0]
    less = replace(case.test.slates, columns={k: v for k, v in case.test.slates.columns.items() if k != gone})
    try:
        case.ranker.score(case.test.requests, less)
    except ConfigError as error:
        case.require(f"'{gone}'" in error.message, "the error names the missing column")
    else:
        case.require(False, "a missing column is an error")


def one_kind(case: RankerCase) -> None:
    """Examples without anything chosen, or none at all, are refused."""
    nothing = replace(case.train, labels=np.zeros_like(case.train.labels))
    for examples in (nothing, case.train.take(np.zeros(0, np.int64))):
        try:
            case.spec.fit(examples, Run(seed=case.seed, threads=1), case.validation)
        except FitError:
            continue
        case.require(False, "examples it cannot learn from are a FitError")


RANKER_CHECKS: dict[str, Callable[[RankerCase], None]] = {
    check.__name__: check for check in (one_score_each, equal_seeds, list_alone, any_order, saved, gaps, learns, missing_column, one_kind)
}
"""Every promise by name: a test may run them one by one on one RankerCase."""


def check_ranker(spec: RankerSpec, *, folder: Path, seed: int = 0) -> None:
    """Run every check on a spec; raises ContractError at the first broken promise. ``folder`` receives a saved ranker."""
    case = RankerCase(spec, folder, seed)
    for check in RANKER_CHECKS.values():
        check(case)
