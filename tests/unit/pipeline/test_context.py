"""What is told with a question changes the answer: the context a ranker was measured with is there when it serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import UnknownNameError
from zhiyin.base.units import US_PER_HOUR
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.schema import Repeat
from zhiyin.data.truth import Holdout, Truth
from zhiyin.models.retrieve.popular import PopularSpec
from zhiyin.models.two_stage import BASE, TwoStageSpec
from zhiyin.pipeline.batch import Batch
from zhiyin.pipeline.recommender import Recommender
from zhiyin.testing.small import small_world

WORK, HOME = 3, 8


@pytest.fixture(scope="module")
def served() -> Recommender:
    """At work everybody takes item 3, at home item 8, and now and then something else."""
    rng = np.random.default_rng(0)
    world = small_world("time")
    n = 4_000
    scene = rng.choice(["work", "home"], n)
    item = np.where(rng.random(n) < 0.2, rng.integers(0, 20, n), np.where(scene == "work", WORK, HOME))
    events = Events.of(rng.integers(0, world.n_users, n), item, 10**15 + np.arange(n) * US_PER_HOUR, context=pl.DataFrame({"scene": scene}))
    told = world.manifest.events.model_copy(update={"context": ("scene",)})
    manifest = world.manifest.model_copy(update={"repeat": Repeat(policy="allow"), "events": told})
    data = replace(world, events=events, manifest=manifest)
    rows = np.arange(n - 600, n)
    e = data.events
    asked = Requests.of(data.history(e.user_ix[rows], e.time_us[rows]), e.user_ix[rows], e.time_us[rows], context={"scene": scene[rows]})
    run = Run(threads=1, holdout=Holdout(asked, Truth(Ragged.of([[i] for i in e.item_ix[rows]]))))
    first = {"kind": "zhiyin", "parts": [{"kind": "popular"}, {"kind": "buy-again"}]}
    trees = {"kind": "trees", "base": BASE, "n_trees": 40, "leaves": 7}
    past: Dataset = data.take(slice(0, n - 600))
    return Recommender(TwoStageSpec(first=first, ranker=trees, folds=2).fit(past, run), PopularSpec().fit(past, Run()), data)


def test_the_scene_decides(served: Recommender, tmp_path: Path) -> None:
    again = Recommender.load(served.save(tmp_path / "model"))
    for one in (served, again):
        best = {scene: one.recommend("u1", n=1, context={"scene": scene}).ids[0] for scene in ("work", "home")}
        assert best == {"work": f"i{WORK}", "home": f"i{HOME}"}


def test_what_nobody_knows_is_said_and_left_out(served: Recommender) -> None:
    answer = served.recommend("u1", n=3, context={"scnee": "work"})
    assert any("context 'scnee' is unknown, left out. Did you mean 'scene'?" in note for note in answer.notes)
    assert answer.ids == served.recommend("u1", n=3).ids
    assert len(served.recommend("u1", n=3, context={"scene": "never seen"})) == 3


def test_lists_for_everybody_in_one_scene(served: Recommender, tmp_path: Path) -> None:
    out = {scene: tmp_path / f"{scene}.parquet" for scene in ("work", "home")}
    for scene, path in out.items():
        Batch(served, n=1, context={"scene": scene}).write(path)
    best = {scene: set(pl.read_parquet(path)["item_id"]) for scene, path in out.items()}
    assert best == {"work": {f"i{WORK}"}, "home": {f"i{HOME}"}}
    assert set(served.recommend_users(["u1", "u2"], 1, context={"scene": "home"})["item_id"]) == {f"i{HOME}"}
    assert Batch(served, context={"scene": "work"}).question() != Batch(served, context={"scene": "home"}).question()
    with pytest.raises(UnknownNameError, match=r"no context column is named 'scnee'.*Did you mean 'scene'"):
        Batch(served, context={"scnee": "work"}).write(tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet.parts").exists()
