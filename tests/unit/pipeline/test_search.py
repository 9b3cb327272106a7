"""Searching for settings: what is tried, what a budget is, what an interruption leaves, what is never seen."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zhiyin.base.errors import ConfigError, FitError, MissingExtraError
from zhiyin.data.cut import Split
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.data.split import default_split
from zhiyin.data.truth import ndcg_at
from zhiyin.models.registry import RETRIEVERS, spec_of
from zhiyin.models.retrieve.ease import EaseSpec
from zhiyin.pipeline.build import quick_spec, read_spec
from zhiyin.pipeline.search import search, searched
from zhiyin.pipeline.search_found import Budget, write_found
from zhiyin.pipeline.search_space import SPACES, Between, OneOf, Whole
from zhiyin.testing.small import small_world


@pytest.fixture(scope="module")
def data() -> Dataset:
    return small_world()


@pytest.fixture(scope="module")
def cut(data: Dataset) -> Split:
    return default_split(data)


def quality(spec: Any, cut: Split) -> float:
    model = spec.fit(cut.train, Run())
    return float(np.nanmean(ndcg_at(model.retrieve(cut.validation.requests, 10), cut.validation.truth)))


@pytest.mark.parametrize("kind", SPACES)
def test_the_table_fits_the_specs(kind: str) -> None:
    """Every knob is a setting, holds the default, and both its ends are allowed."""
    default = RETRIEVERS.get(kind)()
    for name, knob in SPACES[kind].items():
        value = getattr(default, name)
        ends = knob.values if isinstance(knob, OneOf) else (knob.low, knob.high)
        assert value in ends if isinstance(knob, OneOf) else knob.low <= value <= knob.high, (name, value)
        assert isinstance(knob, OneOf | Between | Whole)
        for end in ends:
            assert getattr(RETRIEVERS.get(kind).parse({name: end}), name) == end


@pytest.mark.parametrize(
    ("said", "budget"),
    [("30", Budget(30)), ("20m", Budget(None, 20.0)), ("1.5h", Budget(None, 90.0)), ("30, 20min", Budget(30, 20.0))],
)
def test_budgets(said: str, budget: Budget) -> None:
    assert Budget.parse(said) == budget


@pytest.mark.parametrize("said", ["", "0", "-3", "many", "1.5", "20s", "0m", "30,,20m"])
def test_what_is_no_budget(said: str) -> None:
    with pytest.raises(ConfigError, match=r"is no budget \(E300\)\. Say a number of trials \(30\), CPU minutes \(20m\), or both"):
        Budget.parse(said)


def test_it_finds_what_it_says_it_found(cut: Split) -> None:
    """The default comes first; the value reported is that of the settings, measured anew; they never lose to the default."""
    found = search(EaseSpec(), cut.train, cut.validation, Budget(12), Run(seed=1))
    assert found.tried[0].settings == {"l2": 200.0, "history_decay": 0.8} and found.tried[0].how == "done"
    part = found.parts[0]
    assert part.default == quality(EaseSpec(), cut) == found.tried[0].value
    assert part.best == max(t.value for t in found.tried if t.value is not None) == quality(found.spec, cut)
    assert part.best > part.default  # 40 people with few events need far less than l2 = 200
    assert len(found.tried) == 12 and found.cpu_s == sum(t.cpu_s for t in found.tried)
    assert "12 trials (0 pruned as hopeless)" in found.to_text() and "the test was not looked at" in found.to_text()


def test_equal_seeds_search_alike_and_others_do_not(cut: Split) -> None:
    def values(seed: int) -> list[Mapping[str, Any]]:
        return [t.settings for t in search(EaseSpec(), cut.train, cut.validation, Budget(8), Run(seed=seed)).tried]

    assert values(0) == values(0) != values(1)


def test_the_test_part_is_not_there_to_be_seen(data: Dataset) -> None:
    """Another future changes nothing of what is found."""
    cut = default_split(data)
    other = np.array(data.events.item_ix)
    late = data.events.time_us >= cut.test.requests.now_us.min()
    other[late] = np.random.default_rng(0).permutation(other[late])
    changed = replace(data, events=replace(data.events, item_ix=other))
    found = [searched(d, EaseSpec(), Budget(5), split=default_split, run=Run()) for d in (data, changed)]
    assert late.sum() > 20
    assert [t.settings for t in found[0].tried] == [t.settings for t in found[1].tried]
    assert [t.value for t in found[0].tried] == [t.value for t in found[1].tried]


def test_an_interrupted_search_goes_on(cut: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = search(EaseSpec(), cut.train, cut.validation, Budget(9), Run(folder=tmp_path / "whole"))
    fits: list[EaseSpec] = []
    fit = EaseSpec.fit

    def stopped_at_the_fourth(self: EaseSpec, given: Dataset, run: Run) -> Any:
        fits.append(self)
        if len(fits) == 4:
            raise KeyboardInterrupt
        return fit(self, given, run)

    monkeypatch.setattr(EaseSpec, "fit", stopped_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        search(EaseSpec(), cut.train, cut.validation, Budget(9), Run(folder=tmp_path / "cut"))
    again = search(EaseSpec(), cut.train, cut.validation, Budget(9), Run(folder=tmp_path / "cut"))
    assert len(fits) == 4 + 6  # the three that were done are not made again
    assert [t.settings for t in again.tried] == [t.settings for t in whole.tried]
    assert [t.value for t in again.tried] == [t.value for t in whole.tried]
    assert again.spec == whole.spec
    # Asked for less than was done, nothing is fitted; another seed is another question.
    assert search(EaseSpec(), cut.train, cut.validation, Budget(5), Run(folder=tmp_path / "cut")).spec == whole.spec
    assert len(fits) == 10
    search(EaseSpec(), cut.train, cut.validation, Budget(2), Run(seed=5, folder=tmp_path / "cut"))
    assert len(fits) == 12


def test_what_a_person_set_stays_and_what_was_tried_costs_nothing(cut: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    spec_class = RETRIEVERS.get("popular")
    fit = spec_class.fit

    def counting(self: Any, given: Dataset, run: Run) -> Any:
        fits.append(self.half_life_days)
        return fit(self, given, run)

    monkeypatch.setattr(spec_class, "fit", counting)
    found = search(spec_class(window_days=90.0), cut.train, cut.validation, Budget(None, 5.0), Run())
    assert len(fits) == len(set(fits)) <= 8  # five minutes are never used up: the space is
    assert found.tried[-1].how == "repeated"
    assert found.spec.window_days == 90.0
    with pytest.raises(ConfigError, match=r"model 'popular' has no settings left to search"):
        search(spec_class(half_life_days=3.0), cut.train, cut.validation, Budget(3), Run())


def test_the_parts_of_a_blend_one_after_another(cut: Split, tmp_path: Path) -> None:
    spec = spec_of({"kind": "zhiyin", "parts": [{"kind": "transitions"}, {"kind": "transitions", "reach": 1}, {"kind": "ease", "l2": 3.0}]})
    with pytest.raises(ConfigError, match=r"4 trials are too few for the 3 models to search \(E300\)\. Give 6 at least"):
        search(spec, cut.train, cut.validation, Budget(4), Run())
    found = search(spec, cut.train, cut.validation, Budget(12), Run())
    assert [p.name for p in found.parts] == ["transitions", "transitions 2", "ease"]
    assert [p["kind"] for p in found.spec.parts] == ["transitions", "transitions", "ease"]
    assert found.spec.parts[1]["reach"] == 1 and found.spec.parts[2]["l2"] == 3.0
    assert all(p.best >= p.default for p in found.parts) and len(found.tried) == 12
    write_found(found, tmp_path)
    assert read_spec(str(tmp_path / "best.toml")) == found.spec
    assert tomllib.loads((tmp_path / "best.toml").read_text())["parts"][0]["kind"] == "transitions"
    assert (tmp_path / "trials.csv").read_text().count("\n") == 13


def test_of_two_stages_the_first_is_searched(cut: Split, tmp_path: Path) -> None:
    spec = spec_of({"kind": "two-stage", "first": {"kind": "zhiyin", "parts": [{"kind": "ease"}, {"kind": "popular"}]}})
    found = search(spec, cut.train, cut.validation, Budget(6), Run())
    assert [p.name for p in found.parts] == ["ease", "popular"]
    assert "Of the two stages only the first was searched" in found.to_text()
    assert found.spec.kind == "two-stage" and found.spec.first["parts"][0]["l2"] != 200.0
    write_found(found, tmp_path)
    assert read_spec(str(tmp_path / "best.toml")) == found.spec


def test_quick_two_stages_leave_the_search_its_settings(data: Dataset) -> None:
    quick = quick_spec(spec_of({"kind": "two-stage", "first": {"kind": "ease", "l2": 3.0}}), data)
    assert quick.first == {"kind": "ease", "l2": 3.0}
    found = searched(data, quick, Budget(3), split=default_split, run=Run())
    assert found.spec.first["l2"] == 3.0 and {"history_decay"} == set(found.tried[0].settings)
    first = quick_spec(spec_of({"kind": "two-stage", "first": {"kind": "sequence"}}), data).first
    assert first["epochs"] == 12 and "layers" not in first


def test_what_python_switched_off_stays_off(cut: Split) -> None:
    default = RETRIEVERS.get("sequence")()
    chosen = {name: getattr(default, name) for name in SPACES["sequence"]}  # nothing left to search in this part
    spec = spec_of({"kind": "zhiyin", "parts": [{"kind": "ease"}, {"kind": "sequence", "memory": None, **chosen}]})
    assert search(spec, cut.train, cut.validation, Budget(2), Run()).spec.parts[1]["memory"] is None


def test_hopeless_trials_are_pruned_and_failures_are_told(cut: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake that validates while it learns: the first half of an epoch is enough to see that l2 is far off."""
    epochs: list[int] = []

    def learns(self: EaseSpec, given: Dataset, run: Run) -> Any:
        if len(epochs) == 5:
            epochs.append(0)
            raise FitError("the loss is nan", "Lower learning_rate.")
        epochs.append(0)
        for epoch in range(1, 11):
            run.report({"stage": "fake", "epoch": epoch, "validation": epoch / (1 + abs(np.log(self.l2 / 200))), "step": epoch, "of": 10})
            epochs[-1] = epoch
        return original(self, given, run)

    original = EaseSpec.fit
    monkeypatch.setattr(EaseSpec, "fit", learns)
    rows: list[Mapping[str, Any]] = []
    found = search(EaseSpec(history_decay=0.8), cut.train, cut.validation, Budget(14), Run(report=rows.append))
    how = [t.how for t in found.tried]
    assert how[5] == "the loss is nan (E600). Lower learning_rate." and found.tried[5].value is None
    assert "pruned" in how and min(epochs[i] for i, h in enumerate(how) if h == "pruned") < 10
    assert all(epochs[i] == 10 for i, h in enumerate(how) if h == "done")
    assert {row["trial"] for row in rows if row["stage"] == "fake"} >= {0, 1}
    assert [row["step"] for row in rows if row["stage"] == "search ease"] == list(range(1, 15))


def test_a_spent_budget_ends_a_trial_in_the_middle_but_not_the_default(cut: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr("zhiyin.pipeline.search.cpu_s", lambda: float(next(clock)))

    def slow(self: EaseSpec, given: Dataset, run: Run) -> Any:
        for _ in range(100):  # each look at the clock takes a second
            run.report({"stage": "fake", "loss": 1.0})
        return original(self, given, run)

    original = EaseSpec.fit
    monkeypatch.setattr(EaseSpec, "fit", slow)
    found = search(EaseSpec(), cut.train, cut.validation, Budget(None, 0.01), Run())
    assert [t.how for t in found.tried] == ["done"]
    clock = iter(range(10**6))
    found = search(EaseSpec(), cut.train, cut.validation, Budget(None, 3.0), Run())
    assert found.tried[0].how == "done" and found.tried[-1].how == "pruned"
    assert found.cpu_s < 200


def test_without_optuna_the_pip_command(cut: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r'needs optuna, which is not installed \(E500\)\. pip install "zhiyin\[search\]"'):
        search(EaseSpec(), cut.train, cut.validation, Budget(3), Run())


def test_nothing_to_judge_by(cut: Split) -> None:
    with pytest.raises(ConfigError, match="the split leaves no validation requests"):
        search(EaseSpec(), cut.train, cut.validation.take(np.zeros(0, np.int64)), Budget(3), Run())
