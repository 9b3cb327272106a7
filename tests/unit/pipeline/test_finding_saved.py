"""Search that was learned when a model was saved finds what search learned anew finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.run import Run, silent
from zhiyin.data.schema import Manifest
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.registry import spec_of
from zhiyin.pipeline import finding_learned, finding_near
from zhiyin.pipeline.finding import Finder
from zhiyin.pipeline.finding_saved import finder_of
from zhiyin.pipeline.recommender import Recommender
from zhiyin.text.synonyms import Synonyms
from zhiyin.text.vectors import reader_for, with_text_vectors

KINDS = {
    "手机": ["苹果手机 iPhone 15", "华为手机 Mate", "老人手机 大字", "手机壳 透明", "手机充电器 快充", "游戏手机 高刷"],
    "books": ["Harry Potter and the Goblet of Fire", "The Hobbit", "A Game of Thrones", "The Lord of the Rings", "Dune", "A novel"],
    "tools": ["Cordless drill", "Claw hammer", "Wood screws box", "Measuring tape", "Impact drill set", "Pipe wrench"],
}
ROWS = [(title, kind) for kind, titles in KINDS.items() for title in titles]
MANIFEST = Manifest.parse({
    "name": "shop", "order": "none",
    "items": {"title": "title", "columns": {"title": "text", "kind": "category", "price": "price"}},
})  # fmt: skip
TYPED = ("苹果手机", "hary poter", "shouji", "sj", "a novel to read in the evening", "xyzzy", "borer", "the hobit", "drill")


def shop() -> Dataset:
    table = pl.DataFrame(ROWS, schema=["title", "kind"], orient="row").with_columns(price=pl.int_range(len(ROWS)).cast(pl.Float64))
    taken = np.repeat(np.arange(len(ROWS)), 1 + np.arange(len(ROWS)) % 6)
    events = Events.of(np.zeros(len(taken), np.int32), taken, np.zeros(len(taken), np.int64))
    return Dataset(MANIFEST, Vocabulary(["u"]), Catalog(Vocabulary([f"i{i}" for i in range(len(ROWS))]), table, "title"), events)


@pytest.fixture(scope="module")
def made() -> Recommender:
    data = shop()
    reader = reader_for(data, "catalogue")
    data = with_text_vectors(data, reader)
    popular = spec_of("popular").fit(data, Run(report=silent))
    return Recommender(popular, popular, data, reader)


@pytest.fixture
def saved(made: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recommender:
    """Loaded again; from here on reading every item fails."""
    folder = made.save(tmp_path / "shop")
    monkeypatch.setattr(finding_learned, "learn_intent", lambda *_: pytest.fail("learned again"))
    monkeypatch.setattr(finding_near.Near, "of", lambda *_: pytest.fail("packed again"))
    return Recommender.load(folder)


def same(one: Finder, other: Finder, typed: tuple[str, ...] = TYPED) -> None:
    for text in typed:
        found = [finder.search(text, 20, facets=["kind"]).to_dict() for finder in (one, other)]  # bands of prices are of their time
        assert found[0] == found[1], text
    for text in ("shou", "sj", "h", "the h", "drl"):
        assert one.complete(text) == other.complete(text), text


def test_nothing_is_read_again(made: Recommender, saved: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    synonyms = Synonyms.from_pairs([["novel", "小说"]], {"borer": ["drill"]})
    again = finder_of(saved, synonyms)
    monkeypatch.undo()
    same(again, Finder.of(made.data, made.reader, synonyms=synonyms))


def changed(data: Dataset) -> Dataset:
    """An item changed, two new ones."""
    rows = pl.DataFrame({"title": ["蓝牙音箱 Bluetooth speaker", "Adjustable drill"], "kind": ["音箱", "tools"], "price": [99.0, 5.0]})
    catalog = data.catalog.with_rows(["new", "newer"], rows)
    return data.with_catalog(catalog.with_values(["i17"], pl.DataFrame({"title": ["Adjustable spanner"], "kind": ["hand tools"]})))


def test_what_changed_since_is_read(made: Recommender, saved: Recommender) -> None:
    now = saved.with_catalog(changed(saved.data).catalog)
    again = finder_of(now, changed=["i17", "new", "newer", "nobody"])
    assert again.search("spanner", 1).ids == ["i17"] and again.search("yinxiang", 1).ids == ["new"]
    assert again.search("wrench", 1).n_matched == 0
    grown = finder_of(saved).with_data(now.data, changed=[17])
    same(again, grown)
    assert np.array_equal(again.popularity, grown.popularity)


def test_a_model_that_was_saved_without_it_reads_its_items(made: Recommender, tmp_path: Path) -> None:
    loaded = Recommender.load(made.save(tmp_path / "shop", search=False))
    assert loaded.search is None
    same(finder_of(loaded), Finder.of(made.data, made.reader))
