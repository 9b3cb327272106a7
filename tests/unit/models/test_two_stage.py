"""Two stages: what the second adds, and that it is not believed where it adds nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zhiyin.base.errors import ConfigError, FitError, UnknownNameError
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.data.split import time_shares
from zhiyin.data.truth import Holdout, ndcg_at
from zhiyin.models.registry import spec_of
from zhiyin.models.roles import Model
from zhiyin.models.two_stage import BASE, TwoStageSpec
from zhiyin.testing.contracts import same_slates
from zhiyin.testing.small import by_the_clock, per_event, small_world

FIRST = {"kind": "zhiyin", "parts": [{"kind": "buy-again"}, {"kind": "popular"}]}
TREES = {"kind": "trees", "base": BASE, "n_trees": 60, "min_leaf": 20, "leaves": 7}


def parts() -> tuple[Dataset, Holdout, Holdout]:
    """The past, questions to learn from, questions to measure by."""
    data = by_the_clock(120, 60)
    n = len(data.events)
    return data.take(slice(0, n - 1_800)), per_event(data, np.arange(n - 1_800, n - 400)), per_event(data, np.arange(n - 400, n))


def ndcg(model: Model, holdout: Holdout) -> float:
    return float(np.nanmean(ndcg_at(model.retrieve(holdout.requests, 10), holdout.truth, 10)))


def test_the_hour_decides_where_the_first_stage_cannot_see_it() -> None:
    past, learn, test = parts()
    both = TwoStageSpec(first=FIRST, ranker=TREES, folds=2).fit(past, Run(threads=1, holdout=learn))
    assert both.trust > 0
    assert ndcg(both, test) > ndcg(both.stage.first, test) + 0.1
    assert {"own.item.hour1.5", "lift.item+hour", "text.nearest"} <= set(both.ranker.columns)


def test_a_ranker_that_only_harms_is_not_believed() -> None:
    """Trees that see nothing but a column of noise."""
    past, learn, test = parts()
    noise = {"kind": "trees", "columns": ["item.days_since_first"], "n_trees": 30, "min_leaf": 2, "leaves": 31}
    both = TwoStageSpec(first=FIRST, ranker=noise, folds=2).fit(past, Run(threads=1, holdout=learn))
    assert both.trust < 1
    assert max(both.figures) >= both.figures[0]
    assert ndcg(both, test) >= ndcg(both.stage.first, test) - 0.02
    unused, asked = replace(both, trust=0.0), test.requests.take(np.arange(50))
    assert same_slates(unused.retrieve(asked, 7), both.stage.first.retrieve(asked, 7))


def test_a_list_is_that_of_the_first_stage_in_another_order() -> None:
    split = time_shares(by_the_clock(120, 60), 0.02, 0.1)
    both = TwoStageSpec(first=FIRST, ranker=TREES, folds=2, n_candidates=12).fit(split.train, Run(threads=1, holdout=split.validation))
    asked = split.test.requests.take(np.arange(5))
    first, second = both.stage.first.retrieve(asked, 12), both.retrieve(asked, 12)
    for row in range(5):
        assert set(first.items[row]) == set(second.items[row])


def test_a_ranker_of_words_knows_them_with_new_items_too() -> None:
    past, learn, test = parts()
    spec = {"kind": "attention", "epochs": 1, "dim": 4, "hidden": [8]}
    both = TwoStageSpec(first=FIRST, ranker=spec, folds=2).fit(past, Run(threads=1, holdout=learn))
    catalog = past.catalog.with_rows(["new"], past.catalog.table.head(0).clear(1))
    grown = both.with_catalog(catalog)
    asked = test.requests.take(np.arange(3))
    assert same_slates(both.retrieve(asked, 5), grown.retrieve(asked, 5), 1e-3)


def test_refusals() -> None:
    split = time_shares(by_the_clock(120, 60), 0.02, 0.1)
    few = split.validation.take(np.arange(2))
    with pytest.raises(FitError, match="finds the answers of 2 validation requests only"):
        TwoStageSpec(first=FIRST, ranker=TREES).fit(split.train, Run(threads=1, holdout=few))
    assert spec_of("two-stage") == TwoStageSpec()


def test_mistakes_are_said_when_the_tables_are_read() -> None:
    for wrong, error, words in (
        ({"ranker": {"kind": "tres"}}, UnknownNameError, "Did you mean 'trees'"),
        ({"ranker": {"kind": "trees", "leaves": "many"}}, ConfigError, "'leaves' in two-stage.ranker"),
        ({"ranker": {"kind": "trees", "base": "score.frist"}}, ConfigError, r"reads column 'score.frist'.*Did you mean 'score.first'"),
        ({"ranker": {"kind": "calibrated", "ranker": {"kind": "linaer"}}}, UnknownNameError, "Did you mean 'linear'"),
        ({"ranker": {"kind": "calibrated", "ranker": {"kind": "trees", "base": "rank.frst"}}}, ConfigError, "reads column 'rank.frst'"),
        ({"first": {"kind": "popular"}, "ranker": {"kind": "trees", "base": "score.0.popular.z"}}, ConfigError, "neither the first stage"),
        ({"sources": ({"kind": "counts"}, {"kind": "histroy"})}, UnknownNameError, "Did you mean 'history'"),
        ({"sources": ({"kind": "counts", "half": 3},)}, ConfigError, r"unknown key 'half' in two-stage.sources\[0\]"),
        ({"sources": ({"kind": "interest"}, {"kind": "interest", "last": 5})}, ConfigError, "names 'interest' 2 times.*in one table"),
        ({"first": {"kind": "two-stage"}}, ConfigError, "two stages cannot be the first of two stages"),
    ):
        with pytest.raises(error, match=words):
            spec_of({"kind": "two-stage", "first": FIRST, **wrong})
    whole = {"kind": "trees", "base": "score.0.buy-again.share"}
    assert spec_of({"kind": "two-stage", "first": FIRST, "ranker": whole}).described()["ranker"] == whole


@pytest.mark.parametrize(
    ("order", "wrong", "words"),
    [
        ("none", {"sources": ({"kind": "history"},)}, "'history' would know the answer.*Use 'companions'"),
        ("time", {"sources": ({"kind": "counts"}, {"kind": "nearby"})}, "'nearby' needs the coordinates of items"),
        ("none", {"sources": ({"kind": "counts", "tables": [{"by": ["hour"]}]},)}, "nothing can be counted by 'hour' on this data"),
        ("none", {"sources": ({"kind": "counts", "tables": [{"by": ["previous"]}]},)}, "nothing can be counted by 'previous' on this data"),
        ("time", {"ranker": {"kind": "linear", "columns": ["own.item.n", "km.last"]}}, "reads column 'km.last', which neither"),
        ("time", {"ranker": {"kind": "cross", "embed": ["item", "n.itm"]}}, "reads column 'n.itm'.*Did you mean 'n.item'"),
    ],
)
def test_what_the_data_cannot_give_is_said_before_the_first_stage_is_fitted(order: Any, wrong: dict[str, Any], words: str) -> None:
    """An hour of training must not end in a misspelt column."""
    data = small_world(order)
    told: list[object] = []
    with pytest.raises(ConfigError, match=words):
        TwoStageSpec.parse({"first": FIRST, **wrong}).fit(data, Run(report=told.append))
    assert not told
