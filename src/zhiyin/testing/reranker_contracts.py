"""What every re-ranker promises, as checks that any registered or private one can be run against.

    from zhiyin.testing.reranker_contracts import check_reranker
    check_reranker(MySpec())

A broken promise raises ContractError and says which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Ragged, offsets_of
from zhiyin.base.digest import digest_arrays
from zhiyin.base.errors import ConfigError
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.schema import ItemsTable
from zhiyin.data.slates import Slates
from zhiyin.models.rerank.registry import reranker_of
from zhiyin.models.rerank.reranker import RerankerSpec
from zhiyin.models.rerank.traits import Traits
from zhiyin.models.roles import Reranker
from zhiyin.testing.contracts import ContractError
from zhiyin.testing.small import small_world

__all__ = ["RERANKER_CHECKS", "RerankerCase", "check_reranker", "small_lists", "small_shop"]

_WANTED = 6
KINDS = ("tea", "cups", "books", "lamps", "music")
SELLERS = ("north", "south", "east")


def small_shop(n_items: int = 30, *, seed: int = 0) -> Dataset:
    """A small world with the list column "kinds", the column "seller" and prices; the last two items have neither."""
    rng = np.random.default_rng(seed)
    world = small_world(n_items=n_items, seed=seed)
    kinds = [[KINDS[k] for k in sorted(rng.choice(len(KINDS), rng.integers(1, 3), replace=False))] for _ in range(n_items - 2)]
    seller = [SELLERS[int(s)] for s in rng.choice(len(SELLERS), n_items - 2, p=(0.7, 0.2, 0.1))]
    table = world.catalog.table.with_columns(
        pl.Series("kinds", [*kinds, None, None], dtype=pl.List(pl.String)),
        pl.Series("seller", [*seller, None, None], dtype=pl.String),
        pl.Series("price", np.round(rng.uniform(1, 100, n_items), 2)),
    )
    items = ItemsTable(id="item_id", title="title", columns={"kinds": "list", "seller": "category", "price": "price"})
    manifest = world.manifest.model_copy(update={"items": items})
    return replace(world, manifest=manifest, catalog=replace(world.catalog, table=table))


def small_lists(data: Dataset, n_lists: int = 40, *, seed: int = 0) -> tuple[Requests, Slates]:
    """Known people with candidates from none to all items; the column "item" repeats the row number."""
    rng = np.random.default_rng(seed)
    lengths = np.concatenate([[0, 1, 3, data.n_items], rng.integers(0, data.n_items + 1, max(n_lists - 4, 0))])
    items = np.concatenate([rng.permutation(data.n_items)[:length] for length in lengths]).astype(np.int32)
    score = np.concatenate([np.sort(rng.standard_normal(length))[::-1] for length in lengths]).astype(np.float32)
    slates = Slates(offsets_of(lengths), items, score, {"item": items.astype(np.float32)})
    users = rng.integers(0, data.n_users, len(lengths)).astype(np.int32)
    now = int(data.events.time_us[-1]) + 1
    return Requests.of(data.history(users), users, now, n=_WANTED), slates


@dataclass(frozen=True)
class RerankerCase:
    """A spec over a small shop, or over ``data`` of your own with the columns it reads."""

    spec: RerankerSpec
    data: Dataset
    seed: int = 0

    @cached_property
    def traits(self) -> Traits:
        return Traits.of(self.data)

    @cached_property
    def reranker(self) -> Reranker:
        return self.spec.over(self.traits)

    @cached_property
    def given(self) -> tuple[Requests, Slates]:
        return small_lists(self.data, seed=self.seed)

    @cached_property
    def result(self) -> Slates:
        return self.reranker.rerank(*self.given)

    def of(self, rows: AnyArray) -> Slates:
        requests, slates = self.given
        return self.reranker.rerank(requests.take(rows), slates.take(rows))

    def require(self, kept: bool, promise: str) -> None:
        if not kept:
            raise ContractError(f"re-ranker '{self.spec.kind}' breaks its contract: {promise}", "See zhiyin.testing.reranker_contracts.")


def _equal(one: Slates, other: Slates) -> bool:
    same = np.array_equal(one.offsets, other.offsets) and np.array_equal(one.item_ix, other.item_ix)
    return same and np.array_equal(one.score, other.score) and set(one.columns) == set(other.columns)


def invents_nothing(case: RerankerCase) -> None:
    """Every item was a candidate of its list and stands once; what is not said to drop loses none; nothing given is changed."""
    requests, slates = case.given

    def mark() -> str:
        return digest_arrays(slates.offsets, slates.item_ix, slates.score, slates.columns["item"], requests.history.item_ix)

    before = mark()
    result = case.result
    case.require(len(result) == len(slates), "one list per request")
    for row in range(len(slates)):
        mine, theirs = result.items[row], slates.items[row]
        case.require(len(np.unique(mine)) == len(mine), "an item stands once in a list")
        case.require(bool(np.isin(mine, theirs).all()), "it invents nothing")
        case.require(case.spec.drops or len(mine) == len(theirs), "it drops nothing (drops = True says that it may)")
    case.require(mark() == before, "requests and slates stay as they were")


def well_formed(case: RerankerCase) -> None:
    """Scores fall from place to place, and the columns go with their items."""
    result = case.result
    rows = result.items.rows
    falls = np.diff(result.score)[rows[1:] == rows[:-1]] <= 0
    case.require(result.item_ix.dtype == np.int32 and result.score.dtype == np.float32, "int32 items and float32 scores")
    case.require(bool(falls.all()), "scores descend")
    case.require(bool((result.columns["item"] == result.item_ix).all()), "columns stay with their items")


def deterministic(case: RerankerCase) -> None:
    """The same lists twice, also by one that is made anew."""
    case.require(_equal(case.result, case.reranker.rerank(*case.given)), "equal lists give equal lists")
    case.require(_equal(case.result, case.spec.over(Traits.of(case.data)).rerank(*case.given)), "made anew it answers the same")


def batch_of_one(case: RerankerCase) -> None:
    """A list alone gets what it gets among others, and order of requests does not matter."""
    alone = Slates.concatenated([case.of(np.array([i])) for i in range(len(case.given[1]))])
    case.require(_equal(case.result, alone), "a batch of one equals its row of the batch")
    back = np.arange(len(case.given[1]))[::-1].copy()
    case.require(_equal(case.result.take(back), case.of(back)), "requests in another order get the same")


def nothing_to_do(case: RerankerCase) -> None:
    """No requests, empty lists, lists shorter than wanted, more wanted than anybody has."""
    requests, slates = case.given
    case.require(len(case.of(np.zeros(0, np.int64))) == 0, "no requests give no lists")
    none = case.reranker.rerank(requests, slates.top(0))
    case.require(len(none) == len(requests) and not len(none.item_ix), "empty lists stay empty")
    for wanted in (1, 1000):
        found = case.reranker.rerank(replace(requests, n=wanted), slates)
        case.require(bool((found.lengths <= slates.lengths).all()), f"n = {wanted} adds nothing")
        case.require(case.spec.drops or bool((found.lengths == slates.lengths).all()), f"n = {wanted} drops nothing")


def strangers(case: RerankerCase) -> None:
    """People without a history, and histories of items that are newer than the re-ranker."""
    requests, slates = case.given
    nobody = Requests.of(Histories.empty(len(requests)), now_us=requests.now_us, n=requests.n)
    newer = Histories.of_items(Ragged.of([[len(case.data.catalog) + 5]] * len(requests)))
    for asked in (nobody, replace(nobody, history=newer)):
        found = case.reranker.rerank(asked, slates)
        case.require(case.spec.drops or bool((found.lengths == slates.lengths).all()), "strangers get whole lists")


def level_scores(case: RerankerCase) -> None:
    """Scores that are all equal, or as far apart as floats go, are no mistake."""
    requests, slates = case.given
    for value in (0.0, -3e38, 3e38):
        flat = replace(slates, score=np.full_like(slates.score, value))
        case.require(bool(np.isfinite(case.reranker.rerank(requests, flat).score).all()), "level scores give finite scores")
    wide = np.where(np.arange(len(slates.score)) == np.repeat(slates.offsets[:-1], slates.lengths), 3e38, -3e38).astype(np.float32)
    case.require(bool(np.isfinite(case.reranker.rerank(requests, replace(slates, score=wide)).score).all()), "finite scores")


def grown_catalogue(case: RerankerCase) -> None:
    """Made over a longer catalogue it answers as before; where it looks items up, it refuses newer ones instead of guessing."""
    table = case.data.catalog.table.head(2).with_columns(item_id=pl.Series(["new one", "new two"]))
    grown = case.traits.with_catalog(case.data.catalog.with_rows(["new one", "new two"], table))
    case.require(_equal(case.result, case.spec.over(grown).rerank(*case.given)), "items nobody asked about change nothing")
    requests, slates = case.given
    shifted = replace(slates, item_ix=(slates.item_ix + 2).astype(np.int32))
    case.spec.over(grown).rerank(requests, shifted)
    try:
        case.reranker.rerank(requests, shifted)
    except ConfigError as error:
        case.require("newer" in error.message, "the error says that an item is newer")


def described(case: RerankerCase) -> None:
    """The spec comes back from its description."""
    case.require(reranker_of(case.spec.described()) == case.spec, "reranker_of(spec.described()) is the spec")


RERANKER_CHECKS: dict[str, Callable[[RerankerCase], None]] = {
    check.__name__: check
    for check in (
        invents_nothing,
        well_formed,
        deterministic,
        batch_of_one,
        nothing_to_do,
        strangers,
        level_scores,
        grown_catalogue,
        described,
    )
}
"""Every promise by name: a test may run them one by one on one RerankerCase."""


def check_reranker(spec: RerankerSpec, data: Dataset | None = None) -> None:
    """Run every check on a spec; raises ContractError at the first broken promise. ``data`` None = a small shop."""
    case = RerankerCase(spec, small_shop() if data is None else data)
    for check in RERANKER_CHECKS.values():
        check(case)
