"""What each re-ranker does to a list that shows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import ConfigError, DataError, MissingDataError
from zhiyin.data.catalog import Catalog
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.slates import Slates
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.rerank.knobs import Reranked, knobs
from zhiyin.models.rerank.provider import exposure
from zhiyin.models.rerank.registry import reranker_of
from zhiyin.models.rerank.reranker import OWN, reranked
from zhiyin.models.rerank.safety import SafetySpec
from zhiyin.models.rerank.traits import Traits
from zhiyin.testing.reranker_contracts import small_lists, small_shop

KIND = ["tea", "tea", "tea", "tea", "cup", "cup", "pot", "pot"]
MAKER = ["a", "a", "a", "a", "a", "b", "b", "c"]


def shelf(people: list[int] | None = None) -> Traits:
    """Eight items; the first are tea by one maker."""
    ids = [f"i{i}" for i in range(8)]
    table = pl.DataFrame({"item_id": ids, "kind": KIND, "maker": MAKER})
    counts = np.array(people or [100, 90, 80, 70, 5, 4, 3, 2])
    return Traits(Catalog(Vocabulary(ids), table), counts, counts, 100, "kind")


def asked(n: int = 4, history: list[int] | None = None) -> Requests:
    return Requests.of(Histories.of_items(Ragged.of([history or []])), now_us=10, n=n)


def ranked(items: list[int] | None = None) -> Slates:
    found = np.array(items or range(8), np.int32)
    return Slates(np.array([0, len(found)]), found, np.linspace(1, 0.3, len(found), dtype=np.float32))


def top(kind: str, n: int = 4, history: list[int] | None = None, **settings: object) -> list[int]:
    requests = asked(n, history)
    return reranker_of({"kind": kind, **settings}).over(shelf()).rerank(requests, ranked()).top(n).item_ix.tolist()


def test_mmr_and_dpp_do_not_repeat_a_kind() -> None:
    assert top("mmr", diversity=0.5, likeness="categories") == [0, 4, 6, 1]
    assert sorted(KIND[i] for i in top("dpp", n=3, diversity=0.5)) == ["cup", "pot", "tea"]
    assert top("mmr", diversity=0.0) == top("dpp", diversity=0.0) == [0, 1, 2, 3]


def test_a_calibrated_list_has_the_mix_of_the_history() -> None:
    kinds = [KIND[i] for i in top("calibrated", history=[0, 3, 5, 6], strength=0.9)]
    assert sorted(kinds) == ["cup", "pot", "tea", "tea"]
    assert top("calibrated", history=None, strength=0.9) == [0, 1, 2, 3]  # nobody knows what he likes


def test_novelty_and_tail_bring_what_few_know() -> None:
    assert top("novelty", novelty=1.0) == [7, 6, 5, 4] and top("novelty", novelty=0.0) == [0, 1, 2, 3]
    assert top("tail", share=0.5) == [0, 1, 4, 5] and top("tail", share=0.0) == [0, 1, 2, 3]
    assert top("tail", share=1.0) == [4, 5, 6, 7]


def test_every_maker_is_seen() -> None:
    found = top("provider", n=6, column="maker", fair="equal", floor=0.6)
    seen = {maker: sum(exposure(6)[i] for i, item in enumerate(found) if MAKER[item] == maker) for maker in "abc"}
    assert all(seen[maker] >= 0.2 * exposure(6).sum() for maker in "ab")
    assert seen["c"] > 0  # it has one item: more is not there
    assert top("provider", column="maker", floors={"c": 0.3}, floor=0.0) in ([0, 7, 1, 2], [7, 0, 1, 2])
    assert top("provider", column="maker", floor=0.0) == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match=r"no item has 'd' in the column 'maker'"):
        top("provider", column="maker", floors={"d": 0.2})
    with pytest.raises(ConfigError, match=r"the floors add up to 1.2"):
        top("provider", column="maker", floors={"a": 0.6, "b": 0.6})
    with pytest.raises(ConfigError, match=r"the items have no column 'makr'.*maker"):
        top("provider", column="makr")


def test_the_safety_list_holds(tmp_path: Path) -> None:
    words = tmp_path / "blocked.txt"
    words.write_text("i0  # recalled\n\ni99\n", encoding="utf-8")
    assert top("safety", n=8, file=str(words), blocked=["i6"], at_most={"tea": 1, "pot": 0}) == [1, 4, 5]
    table = tmp_path / "safety.csv"
    table.write_text("item_id,category,at_most\ni1,tea,2\n,cup,0\n", encoding="utf-8")
    assert top("safety", n=8, file=str(table)) == [0, 2, 6, 7]
    assert SafetySpec(at_most={"tea": 0}).over(shelf()).allowed.tolist() == [False] * 4 + [True] * 4


def test_a_safety_list_that_cannot_be_read_stops(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="there is no file"):
        top("safety", file=str(tmp_path / "none.txt"))
    table = tmp_path / "safety.csv"
    table.write_text("id\ni1\n", encoding="utf-8")
    with pytest.raises(DataError, match="neither a column 'item_id' nor 'category'"):
        top("safety", file=str(table))
    table.write_text("category,at_most\ntea,\n", encoding="utf-8")
    with pytest.raises(DataError, match="row 1: 'at_most' of category 'tea' is None"):
        top("safety", file=str(table))
    with pytest.raises(ConfigError, match="no item has the category 'teas' that the safety list limits"):
        top("safety", at_most={"teas": 1})


def test_blocked_before_it_exists() -> None:
    traits = shelf()
    table = pl.DataFrame({"item_id": ["new"], "kind": ["tea"], "maker": ["a"]})
    grown = traits.with_catalog(traits.catalog.with_rows(["new"], table))
    safety = reranker_of({"kind": "safety", "blocked": ["new"]}).over(grown)
    assert safety.rerank(asked(), ranked([8, 0])).item_ix.tolist() == [0]


def test_scores_belong_to_places_and_what_an_item_had_is_kept() -> None:
    given = ranked()
    found = reranker_of({"kind": "novelty", "novelty": 1.0}).over(shelf()).rerank(asked(), given)
    assert np.array_equal(found.score, given.score)
    assert np.array_equal(found.columns[OWN], given.score[found.item_ix])
    twice = reranked([reranker_of({"kind": "tail", "share": 1.0}).over(shelf())], asked(), found)
    assert np.array_equal(twice.columns[OWN], given.score[twice.item_ix])


def test_without_vectors_and_categories_nothing_is_diverse() -> None:
    bare = replace(shelf(), category=None)
    with pytest.raises(ConfigError, match="no column of the items has the type category or list"):
        knobs(bare, diversity=0.5)
    with pytest.raises(ConfigError, match="the items have no vectors 'image'"):
        reranker_of({"kind": "mmr", "likeness": "vectors", "vectors": "image"}).over(bare)
    with pytest.raises(ConfigError, match=r"novelty = 1.5 is outside 0 to 1"):
        knobs(bare, novelty=1.5)
    assert knobs(bare) == () and len(knobs(shelf(), diversity=0.2, novelty=0.3)) == 2


def test_the_knob_is_worth_its_name() -> None:
    """More diversity, less likeness within lists; more novelty, more surprise."""
    data = small_shop()
    requests, slates = small_lists(data, 60)
    traits = Traits.of(data)
    text = data.catalog.vectors["text"].matrix

    def alike(value: float) -> float:
        found = reranked(knobs(traits, diversity=value), requests, slates).top(requests.n)
        pairs = [text[items] @ text[items].T for items in (found.items[row] for row in range(len(found))) if len(items) > 1]
        return float(np.mean([p[np.triu_indices(len(p), 1)].mean() for p in pairs]))

    def surprise(value: float) -> float:
        return float(traits.surprise[reranked(knobs(traits, novelty=value), requests, slates).top(requests.n).item_ix].mean())

    assert alike(0.0) > alike(0.3) > alike(0.8)
    assert surprise(0.0) < surprise(0.3) < surprise(0.8)


def test_a_retriever_behind_re_rankers_gives_k() -> None:
    class _All:
        catalog = shelf().catalog

        def retrieve(self, requests: Requests, k: int) -> Slates:
            return ranked().top(k)

    model = Reranked(_All(), knobs(shelf(), novelty=1.0), depth=5)
    assert model.retrieve(asked(), 2).item_ix.tolist() == [4, 3]  # of five candidates
    assert len(model.retrieve(asked(), 8).item_ix) == 8 and model.catalog is _All.catalog
