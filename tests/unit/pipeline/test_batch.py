"""Lists for everybody: the same as one by one, and the same bytes after any interruption."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from zhiyin.base.errors import ConfigError, ModelFileError, UnknownNameError
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.run import Run
from zhiyin.data.schema import Repeat
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.popular import PopularSpec
from zhiyin.pipeline.batch import Batch, fingerprint, kept, parts_folder
from zhiyin.pipeline.recommender import Recommender
from zhiyin.testing.small import small_world


def asker(seed: int = 0) -> Recommender:
    data = small_world(seed=seed)
    return Recommender(spec_of("transitions").fit(data, Run()), PopularSpec().fit(data, Run()), data).with_placements()


@pytest.fixture(scope="module")
def wise() -> Recommender:
    return asker()


class StoppedError(Exception):
    """What a person's ctrl-C is to this test."""


def stop_after(users: int) -> Any:
    def report(row: Mapping[str, Any]) -> None:
        if row["step"] >= users:
            raise StoppedError

    return report


@pytest.mark.parametrize("placement", ["home", "cart", "again"])
def test_lists_are_those_of_one_by_one(wise: Recommender, placement: str, tmp_path: Path) -> None:
    out = tmp_path / "lists.parquet"
    n_rows = Batch(wise, placement, n=4, part_users=7).write(out)
    table = pl.read_parquet(out)
    assert table.height == n_rows and table.columns == ["user_id", "rank", "item_id", "score"]
    for user in ("u0", "u6", "u7", "u39"):
        mine = table.filter(pl.col("user_id") == user)
        answer = wise.recommend(user, placement=placement, n=4)
        assert mine["item_id"].to_list() == answer.ids
        assert mine["rank"].to_list() == list(range(1, len(answer) + 1))
        assert mine["score"].to_list() == pytest.approx([i.score for i in answer])
    assert table["user_id"].unique(maintain_order=True).to_list() == [
        u for u in wise.data.users.ids.to_pylist() if u in set(table["user_id"])
    ]
    assert not parts_folder(out).exists() and [p.name for p in tmp_path.iterdir()] == ["lists.parquet"]


@pytest.mark.parametrize("at", [1, 14, 35, 40])
def test_interrupted_and_resumed_writes_the_same_bytes(wise: Recommender, at: int, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.parquet", tmp_path / "broken.parquet"
    batch = Batch(wise, "home", part_users=7)
    batch.write(whole)
    with pytest.raises(StoppedError):
        batch.write(broken, stop_after(at))
    assert not broken.exists() and f"{-(-at // 7)} finished parts are in" in kept(broken)
    steps: list[int] = []
    batch.write(broken, lambda row: steps.append(row["step"]))
    assert broken.read_bytes() == whole.read_bytes()
    assert steps[-1] == 40 and len(steps) == 6


def test_finished_parts_are_kept_and_torn_ones_made_anew(wise: Recommender, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "lists.parquet"
    batch = Batch(wise, "home", part_users=10)
    batch.write(whole)
    with pytest.raises(StoppedError):
        batch.write(out, stop_after(20))
    first, second = sorted(parts_folder(out).glob("part-*.parquet"))
    before = first.stat().st_mtime_ns
    second.write_bytes(second.read_bytes()[:50])
    seen: list[int] = []

    def look(row: Mapping[str, Any]) -> None:
        if row["step"] == 40:
            seen.append(first.stat().st_mtime_ns)

    batch.write(out, look)
    assert seen == [before] and out.read_bytes() == whole.read_bytes()


def test_another_question_does_not_go_on_with_these_parts(wise: Recommender, tmp_path: Path) -> None:
    out = tmp_path / "lists.parquet"
    with pytest.raises(StoppedError):
        Batch(wise, "home", part_users=10).write(out, stop_after(10))
    with pytest.raises(ConfigError, match=r"holds the parts of another job: its placement and n differ.*Delete the folder"):
        Batch(wise, "cart", 3, part_users=10).write(out)
    with pytest.raises(ConfigError, match="its model and now_us differ"):
        Batch(asker(seed=1), "home", part_users=10).write(out)
    with pytest.raises(ConfigError, match="its repeat differs"):
        Batch(wise, "home", part_users=10, repeat=Repeat(policy="allow")).write(out)
    (parts_folder(out) / "manifest.json").write_text("{")
    with pytest.raises(ModelFileError, match=r"manifest\.json' is damaged"):
        Batch(wise, "home", part_users=10).write(out)


def test_a_folder_of_somebody_else_is_left_alone(wise: Recommender, tmp_path: Path) -> None:
    own = parts_folder(tmp_path / "lists.parquet")
    own.mkdir()
    (own / "letter.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"lists\.parquet\.parts' holds other files"):
        Batch(wise).write(tmp_path / "lists.parquet")
    assert [path.name for path in own.iterdir()] == ["letter.txt"]


def test_a_saved_recommender_goes_on_with_the_parts(wise: Recommender, tmp_path: Path) -> None:
    assert fingerprint(Recommender.load(wise.save(tmp_path / "m"))) == fingerprint(wise)
    assert fingerprint(asker(seed=1)) != fingerprint(wise)
    sold_out = replace(wise.catalog, available=np.arange(len(wise.catalog)) > 0)
    assert fingerprint(replace(wise, data=wise.data.with_catalog(sold_out))) != fingerprint(wise)


def test_jobs_that_make_no_sense(wise: Recommender, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no placement is named 'crat'"):
        Batch(wise, "crat").write(tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match=r"lists are written as Parquet, and .*x\.csv' is named otherwise.*Name it x\.parquet"):
        Batch(wise).write(tmp_path / "x.csv")
    with pytest.raises(ConfigError, match="is a folder"):
        Batch(wise).write(tmp_path)
    with pytest.raises(ConfigError, match="placement 'search' answers words, and lists for everybody have none"):
        Batch(wise, "search").write(tmp_path / "x.parquet")
    data = small_world("none")
    untimed = Recommender(spec_of("popular").fit(data, Run()), PopularSpec().fit(data, Run()), data).with_placements()
    with pytest.raises(ConfigError, match="placement 'cart' answers given items, and lists for everybody have none"):
        Batch(untimed, "cart").write(tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="part_users = 0 makes no part"):
        Batch(wise, part_users=0).write(tmp_path / "x.parquet")
    base = small_world()
    nobody = Dataset(base.manifest, Vocabulary([]), base.catalog, Events.of([], [], []))
    empty = Recommender(wise.model, wise.fallback, nobody)
    with pytest.raises(ConfigError, match="this model knows no users"):
        Batch(empty).write(tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []
