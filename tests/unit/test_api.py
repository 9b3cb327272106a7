"""Five lines of Python do the whole job."""

from __future__ import annotations

from pathlib import Path

import pytest

import zhiyin
from zhiyin.data.tables import write
from zhiyin.models.registry import spec_of
from zhiyin.testing.town import town


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(town(40, 3000, seed=3).tables(), tmp_path_factory.mktemp("api") / "town")


def test_load_compare_fit_recommend(folder: Path) -> None:
    data = zhiyin.load(folder)
    found = zhiyin.compare("popular", "ease", on=data, metrics=["ndcg@10"], split="time:0.2", repeat=zhiyin.Repeat(policy="allow"))
    assert found.models[0] == "ease" and "repeat allow" in found.note
    answer = zhiyin.fit(data, "ease").recommend("u3", n=5)
    assert len(answer) == 5 and answer.served_by == "ease"


def test_a_model_folder_is_no_data(folder: Path, tmp_path: Path) -> None:
    saved = zhiyin.fit(zhiyin.load(folder), "popular").save(tmp_path / "m")
    with pytest.raises(zhiyin.ZhiyinError, match=r"holds a model, not data.*Recommender\.load"):
        zhiyin.load(saved)
    assert zhiyin.Recommender.load(saved).recommend(n=3).served_by == "popular"


def test_names_in_tables_are_told_apart() -> None:
    from zhiyin.api import named

    assert list(named(["ease", spec_of({"kind": "ease", "l2": 5.0}), "popular"]))[0::2] == ["ease", "popular"]
    with pytest.raises(zhiyin.ZhiyinError, match="model 'ease' is given twice"):
        named(["ease", "ease"])
    with pytest.raises(zhiyin.ZhiyinError, match="there is no model to compare"):
        named([])


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'zhiyin' has no attribute 'trane'"):
        zhiyin.trane  # noqa: B018
    assert set(dir(zhiyin)) == set(zhiyin.__all__)
