"""A knob turned from 0 to 1: what is measured, against what, and how it is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import zhiyin
from zhiyin.api import sweep as swept
from zhiyin.base.errors import ConfigError, DataError, UnknownNameError
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run, silent
from zhiyin.data.split import default_split
from zhiyin.evaluate.protocol import evaluate
from zhiyin.evaluate.sweep import KNOBS, Sweep, sweep
from zhiyin.models.registry import spec_of
from zhiyin.models.rerank.knobs import Reranked
from zhiyin.models.rerank.registry import reranker_of
from zhiyin.models.rerank.traits import Traits
from zhiyin.testing.reranker_contracts import small_shop
from zhiyin.testing.small import small_world


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return small_shop(n_items=60)


def turned(shop: Dataset, knob: str, **settings: object) -> Sweep:
    cut = default_split(shop)
    models = {kind: spec_of(kind).fit(cut.train, Run(report=silent)) for kind in ("popular", "transitions")}
    return sweep(models, knob, cut.test, cut.train, values=(0.3, 0.6, 1), depth=40, k=5, note=cut.note, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_moves_its_metric(shop: Dataset, knob: str) -> None:
    found = turned(shop, knob)
    moved = found.metrics[1]
    assert found.metrics[0] == "ndcg@5" and moved == f"{KNOBS[knob].moves}@5" and found.values == (0.0, 0.3, 0.6, 1.0)
    path = [e[moved].value for e in found.estimates["transitions"]]
    assert path[-1] < path[0] if knob == "calibrated" else path[-1] > path[0]
    assert found.differences["transitions"][0] == {} and found.differences["transitions"][3][moved].n > 0


def test_at_zero_it_is_the_model_and_elsewhere_what_the_retriever_would_give(shop: Dataset) -> None:
    found = turned(shop, "novelty", metrics=["hr@3", "coverage@5", "ndcg@5"])
    assert found.metrics == ("hr@3", "novelty@5", "coverage@5", "ndcg@5")
    cut = default_split(shop)
    model = spec_of("transitions").fit(cut.train, Run(report=silent))
    own = evaluate(model, cut.test, ["hr@3", "coverage@5", "ndcg@5"])
    for name in ("hr@3", "ndcg@5"):
        assert np.array_equal(found.scores["transitions"][name][0], own[name], equal_nan=True)
    assert found.estimates["transitions"][0]["coverage@5"].value == own.mean("coverage@5")
    novel = Reranked(model, (reranker_of({"kind": "novelty", "novelty": 0.6}).over(Traits.of(cut.train)),), 40)
    there = evaluate(novel, cut.test, ["hr@3", "coverage@5", "ndcg@5"])
    assert np.array_equal(found.scores["transitions"]["ndcg@5"][2], there["ndcg@5"], equal_nan=True)
    assert found.estimates["transitions"][2]["coverage@5"].value == there.mean("coverage@5")


def test_it_is_told_as_text_page_and_json(shop: Dataset, tmp_path: Path) -> None:
    found = turned(shop, "tail")
    text = " ".join(str(found).split())
    assert "tail from 0 to 1 over 40 candidates" in text and re.search(r"change tail-share@5", text)
    assert max(map(len, found.to_text(80).splitlines())) <= 80
    page = found.to_page()
    assert len(page.save_plots(tmp_path)) and page.html().count("<svg") == len(found.metrics) - 1
    told = json.loads(found.to_json())
    assert [s["value"] for s in told["models"][0]["settings"]] == [0.0, 0.3, 0.6, 1.0]
    assert told["models"][0]["settings"][1]["difference"]["ndcg@5"]["p_holm"] is not None
    assert told["models"][0]["settings"][0]["difference"] == {} and "ndcg@5" not in told["models"][0]["settings"][0]["difference"]


def test_what_cannot_be_swept_says_why(shop: Dataset) -> None:
    with pytest.raises(UnknownNameError, match=r"no knob is named 'diversty'.*'diversity'"):
        swept("popular", on=shop, knob="diversty")
    with pytest.raises(ConfigError, match=r"sweeping 'calibrated' is measured by calibration-kl@5, which needs a category or list column"):
        turned(small_world(), "calibrated")
    cut = default_split(shop)
    model = {"popular": spec_of("popular").fit(cut.train, Run(report=silent))}
    with pytest.raises(ConfigError, match=r"a knob turns from 0 to 1, and 1\.5 was asked for"):
        sweep(model, "tail", cut.test, cut.train, values=(0.5, 1.5))
    with pytest.raises(DataError, match="there is nothing to sweep over"):
        sweep(model, "tail", cut.test.take(np.zeros(0, np.int64)), cut.train)


def test_from_models_by_name(shop: Dataset) -> None:
    found = swept("popular", on=shop, knob="tail", values=(0.5,), k=5, repeat=zhiyin.Repeat(policy="allow"))
    assert found.models == ("popular",) and "repeat allow" in found.note
    assert found.estimates["popular"][1]["tail-share@5"].value >= 0.5 - 1e-9
