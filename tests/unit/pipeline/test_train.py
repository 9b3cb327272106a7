"""From data to a recommender: who reads, what is measured, what is served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zhiyin.base.errors import ConfigError, DataError, MissingDataError, UnknownNameError
from zhiyin.data.build import build
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.data.truth import ndcg_at
from zhiyin.models.registry import spec_of
from zhiyin.pipeline.build import quick_spec, read_spec
from zhiyin.pipeline.recommender import Recommender
from zhiyin.pipeline.train import contest, fit, readable, train
from zhiyin.testing.town import town


@pytest.fixture(scope="module")
def data() -> Dataset:
    return build(town(40, 3000, seed=3).tables())


@pytest.fixture(scope="module")
def content(data: Dataset) -> Recommender:
    return fit(data, "content")


def test_texts_are_read_once_and_by_whom_is_kept(data: Dataset, content: Recommender) -> None:
    vectors = content.catalog.vectors["text"]
    assert content.reader is not None and content.reader.fingerprint == vectors.fingerprint
    assert bool(vectors.present.all())
    assert "text" not in data.catalog.vectors  # the data given stays as it was


def test_a_text_finds_what_it_names_and_a_new_item_joins(content: Recommender) -> None:
    before = content.recommend(text="zeppelin workshop", n=3)
    row = {"item_id": "new", "title": "Quiet Espresso Corner", "description": "This calm place has latte, roast and beans, open every day."}
    grown = content.with_items([row])
    assert grown.recommend(text=row["title"], n=1).ids == ["new"]
    assert content.recommend(text="zeppelin workshop", n=3) == before
    old, new = content.catalog.vectors["text"].matrix, grown.catalog.vectors["text"].matrix
    assert np.array_equal(new[: len(old)], old) and bool(new[len(old)].any())
    shown = grown.recommend_users(grown.data.users.ids.to_pylist(), len(grown.catalog))
    assert "new" in set(shown["item_id"])
    assert grown.similar("new", 3).served_by == "text"


def test_a_text_respects_what_the_asker_must_not_see(content: Recommender) -> None:
    best = content.recommend(text="espresso", n=1).ids
    assert best[0] not in content.recommend(text="espresso", n=5, exclude=best).ids
    with pytest.raises(ConfigError, match="the text to search for is empty"):
        content.recommend(text="  ")


def test_reader_and_vectors_survive_the_disk(content: Recommender, tmp_path: Path) -> None:
    back = Recommender.load(content.save(tmp_path / "m"))
    assert "encoder" not in back.reader.__dict__  # opening loads no encoder
    assert back.recommend("u1", n=5) == content.recommend("u1", n=5)
    assert back.recommend(text="足球", n=5) == content.recommend(text="足球", n=5)
    assert back.reader.reason == content.reader.reason


def test_train_measures_a_fit_that_has_not_seen_the_test(data: Dataset) -> None:
    done = train(data, "popular")
    before_test = done.split.before_test.positive.item_counts
    assert done.measured.state().arrays["counts"].sum() < before_test.sum() < len(data.events)
    assert done.recommender.model.state().arrays["counts"].sum() == len(data.events)  # refitted on everything
    assert train(data, "popular", refit=False).recommender.model.state().arrays["counts"].sum() < before_test.sum()
    assert train(data, "popular", quick=True).recommender.model.spec == done.measured.spec


def test_a_model_that_validates_never_trains_on_its_validation(data: Dataset) -> None:
    """Served fits of such models learn up to the test and stop early on it."""
    seen: list[tuple[int, int]] = []
    spec = spec_of({"kind": "zhiyin", "parts": [{"kind": "popular"}, {"kind": "ease"}]})
    original = type(spec).fit

    def spy(self: object, given: Dataset, run: Run) -> object:
        seen.append((len(given.events), len(run.holdout) if run.holdout else 0))
        return original(spec, given, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(spec), "fit", spy)
        done = train(data, spec, refit=True)
    assert seen == [(len(done.split.train.events), len(done.split.validation)), (len(done.split.before_test.events), len(done.split.test))]


def test_contest_is_fair_and_gives_recommenders(data: Dataset) -> None:
    fought = contest(data, {"a": spec_of("popular"), "b": spec_of("ease")})
    quality = {
        n: float(np.nanmean(ndcg_at(m.retrieve(fought.split.test.requests, 10), fought.split.test.truth))) for n, m in fought.models.items()
    }
    assert min(quality.values()) > 0.05
    assert fought.models["a"].state().arrays["counts"].sum() == len(fought.split.train.events)
    assert set(fought.train_cpu_s) == {"a", "b"}
    assert fought.recommender("b").recommend("u1", n=3).served_by == "ease"


def test_no_events_no_training(data: Dataset) -> None:
    with pytest.raises(DataError, match=r"data set 'town' has no events to learn from"):
        train(data.take(slice(0, 0)), "popular")


def test_items_without_words_are_not_read(data: Dataset) -> None:
    manifest = data.manifest.model_copy(
        update={"items": data.manifest.items.model_copy(update={"title": None, "columns": {"price": "number"}})}
    )
    bare = Dataset(manifest, data.users, data.catalog.__class__(data.catalog.items, data.catalog.table), data.events)
    assert readable(bare) == (bare, None)


def test_specs_by_name_and_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('kind = "ease"\nl2 = 7.0\n')
    assert read_spec(str(file)) == spec_of({"kind": "ease", "l2": 7.0})
    assert read_spec("ease") == spec_of("ease")
    with pytest.raises(MissingDataError, match=r"there is no file '.*none.toml'"):
        read_spec(str(tmp_path / "none.toml"))
    file.write_text('l2 = "')
    with pytest.raises(ConfigError, match=r"mine.toml' is not TOML"):
        read_spec(str(file))
    file.write_text('kind = "easy"')
    with pytest.raises(UnknownNameError, match=r"no model is named 'easy'"):
        read_spec(str(file))


def test_quick_keeps_what_was_set_on_purpose(data: Dataset) -> None:
    quick = quick_spec(spec_of({"kind": "sequence", "epochs": 99}), data)
    assert quick.epochs == 99 and quick.dim < spec_of("sequence").dim
    assert quick_spec(spec_of("ease"), data) == spec_of("ease")
    parts = quick_spec(spec_of("zhiyin"), data).parts
    sequence = next(part for part in parts if part["kind"] == "sequence")
    assert sequence["dim"] == quick.dim and {"kind": "popular"} in parts
