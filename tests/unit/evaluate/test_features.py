"""What each feature is worth, in a world where the hour decides: the family is named, the rest is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zhiyin.base.errors import DataError
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.cut import Split
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.split import default_split, time_shares
from zhiyin.data.truth import ndcg_at
from zhiyin.evaluate.features import FeatureReport, Shuffled, feature_report, kept_up, quick_two_stage
from zhiyin.models.features.leaks import Leak
from zhiyin.models.two_stage import BASE, TwoStage, TwoStageSpec, labelled
from zhiyin.testing.small import by_the_clock, per_event, small_world

FIRST = {"kind": "zhiyin", "parts": [{"kind": "buy-again"}, {"kind": "popular"}]}
TREES = {"kind": "trees", "base": BASE, "n_trees": 40, "min_leaf": 20, "leaves": 7}


@pytest.fixture(scope="module")
def cut() -> Split:
    data = by_the_clock(chance=0.4)
    split = time_shares(data)
    n = len(data.events)
    draw = np.random.default_rng(0)
    middle, last = (draw.choice(np.arange(int(n * a), int(n * b)), 300, replace=False) for a, b in ((0.8, 0.9), (0.9, 1.0)))
    return replace(split, validation=per_event(data, np.sort(middle)), test=per_event(data, np.sort(last)))


@pytest.fixture(scope="module")
def model(cut: Split) -> TwoStage:
    spec = TwoStageSpec(first=FIRST, ranker=TREES, folds=2, n_candidates=20)
    return spec.fit(cut.train, Run(holdout=cut.validation, threads=1))


@pytest.fixture(scope="module")
def found(model: TwoStage, cut: Split) -> FeatureReport:
    return feature_report(model, cut, Run(threads=1), 200)


def test_context_is_what_this_world_is_made_of(found: FeatureReport) -> None:
    assert found.n == 200 and found.trusted and found.ndcg.value > found.first.value + 0.05
    families = found.families
    assert set(families) == {"behaviour", "interest", "context"}  # nobody has friends here
    assert families["context"].drop.low > 0 and families["context"].drop.value > 0.05
    assert abs(families["interest"].drop.value) < 0.02 < families["context"].drop.value
    assert min(families["context"].older, families["context"].newer) > 0.02
    named = {column.name: column for column in found.columns}
    assert named["own.item.hour1.5"].family == "context" and named["text.mean"].family == "interest"
    best = max((c for c in found.columns if c.worth and c.name != BASE), key=lambda c: c.worth.drop.value if c.worth else 0)
    assert best.family == "context" and "hour" in best.name
    assert -1 <= found.stability <= 1
    assert found.leaks == ()


def test_coverage_drift_and_who_is_read(found: FeatureReport, model: TwoStage) -> None:
    named = {column.name: column for column in found.columns}
    assert named[BASE].coverage == 1.0 and named[BASE].worth is not None
    assert named["text.query"].coverage == 0.0  # nobody typed anything
    assert 0 < named["own.item.days_since"].coverage < 1
    assert all((column.worth is not None) == (column.name in (*model.ranker.columns, BASE)) for column in found.columns)
    # Time goes by between the halves, and it is seen; the share of an hour stays.
    assert named["item.days_since_first"].drift > 0.5 > 0.1 > named["own.item.hour1.5"].drift
    assert set(named) == set(
        model.stage.of(Requests.of(Dataset.history(by_the_clock(chance=0.4), [0]), [0], [20_030 * US_PER_DAY]), 3).columns
    )


def test_importance_is_the_loss_of_what_is_really_served(found: FeatureReport, model: TwoStage, cut: Split) -> None:
    served = ndcg_at(model.retrieve(cut.test.requests, 10), cut.test.truth, 10)
    whole = feature_report(model, cut, Run(threads=1), 1000)
    assert whole.n == 300 and whole.ndcg.value == pytest.approx(float(served.mean()))
    again = feature_report(model, cut, Run(threads=1), 200)
    assert again.to_dict() == found.to_dict()
    stage = model.stage.of(cut.test.requests, 20)
    shuffled = Shuffled(model, labelled(cut.test.requests, stage, cut.test.truth), cut.test.truth, 0)
    nothing = shuffled.worth(())
    assert nothing.drop.value == 0 and nothing.older == nothing.newer == 0
    everything = shuffled.worth(tuple(stage.columns))
    assert everything.drop.value > 0.7 * whole.ndcg.value - 0.2 and everything.drop.low > 0


def test_a_ranker_that_is_not_trusted_is_asked_alone(model: TwoStage, cut: Split) -> None:
    found = feature_report(replace(model, trust=0.0), cut, Run(threads=1), 100)
    assert not found.trusted and found.trust == 1.0
    assert "the ranker is not used (it did not help in validation): asked alone" in " ".join(found.to_text().split())


def test_page_and_text(found: FeatureReport, tmp_path: Path) -> None:
    text, page = found.to_text(), found.to_page()
    assert "small-time: global time" in text and "200 of them asked" in text
    assert "No feature shows a sign of a leak." in text and "more on the page" in text
    html = page.html()
    assert all(f">{column.name}<" in html for column in found.columns)
    assert "This data has nothing for: social." in html and "http://" not in html.replace("http://www.w3.org", "")
    leaking = replace(found, leaks=(Leak("own.events", "alone", 1.0, "'own.events' alone knows <everything>"),))
    assert "LEAK? 'own.events' alone knows" in leaking.to_text()
    assert "alone knows &lt;everything&gt;" in leaking.to_page().html()
    assert json.loads(json.dumps(found.to_dict(), default=float))["columns"][0]["name"] == found.columns[0].name
    assert page.save(tmp_path / "f.html").stat().st_size < 500_000


def test_a_quick_model_on_the_default_split() -> None:
    data = small_world("none", n_users=120, n_events=2500)
    split = default_split(data)
    model = quick_two_stage(split, Run(threads=1))
    found = feature_report(model, split, Run(threads=1), 60, serving=kept_up(model.stage, split.before_test))
    assert found.leaks == () and all(np.isnan(column.drift) for column in found.columns)
    assert "-" in found.to_text()


def test_too_few_requests(model: TwoStage, cut: Split) -> None:
    few = replace(cut, test=cut.test.take(np.arange(9)))
    with pytest.raises(DataError, match="9 test requests say nothing about features"):
        feature_report(model, few, Run())
