"""The readers of public data sets: where data is looked for, and the published counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from zhiyin.base.errors import DataError, MissingDataError, UnknownNameError
from zhiyin.data.build import build
from zhiyin.data.sources import SOURCES, available, data_root, open_source, read_source, source
from zhiyin.data.sources.amazon18 import pairs, plain_text
from zhiyin.data.sources.online_retail import stock
from zhiyin.data.tables import Tables

HERE = set(available())
FIRST = (  # test_further_sources.py has the others
    "ml-1m", "ml-1m-seq", "amazon_beauty", "amazon_toys", "amazon_sports", "yelp_s3rec", "amazon18_office", "amazon18_industrial",
    "foursquare_nyc", "frappe", "online_retail",
)  # fmt: skip


def needs(name: str) -> None:
    if name not in HERE:
        pytest.skip(f"the files of {name} are not under ZHIYIN_DATA or ../shared/data")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ZHIYIN_DATA", str(tmp_path))
    return tmp_path


def test_every_set_is_listed_with_terms_and_counts() -> None:
    assert len(SOURCES.names()) == 26
    for name in SOURCES.names():
        found = source(name)
        assert found.name == name
        assert found.about and found.terms and found.statistics and found.files


def test_an_unknown_set_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"no data set is named 'amazon_beuty' .* Did you mean 'amazon_beauty'\?"):
        open_source("amazon_beuty")


def test_missing_files_are_named(nowhere: Path) -> None:
    assert available() == []
    with pytest.raises(MissingDataError, match=r"'frappe' needs frappe/interactions.parquet, which is not under .*point ZHIYIN_DATA"):
        open_source("frappe")


def test_damaged_files_are_one_sentence(nowhere: Path) -> None:
    (nowhere / "yelp_s3rec").mkdir()
    for table in ("sequences", "items"):
        (nowhere / "yelp_s3rec" / f"{table}.parquet").write_bytes(b"PAR1 nothing PAR1")
    assert available() == ["yelp_s3rec"]
    with pytest.raises(DataError, match=r"a file of data set 'yelp_s3rec' cannot be read: .*Copy the files again"):
        open_source("yelp_s3rec")


def test_the_root_is_named_or_found_beside_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZHIYIN_DATA", str(tmp_path / "gone"))
    with pytest.raises(MissingDataError, match=r"ZHIYIN_DATA names '.*gone', which is no folder"):
        data_root()
    monkeypatch.delenv("ZHIYIN_DATA")
    project, data = tmp_path / "project", tmp_path / "shared" / "data"
    (project / "inner").mkdir(parents=True)
    (project / "pyproject.toml").touch()
    data.mkdir(parents=True)
    monkeypatch.chdir(project / "inner")
    assert data_root() == data.resolve()


@pytest.mark.parametrize("name", ["cranfield", "goodbooks-10k"])
def test_items_without_behaviour_are_refused_as_a_data_set(name: str) -> None:
    with pytest.raises(DataError, match=rf"'{name}' holds items that nobody acted on.*read_source\('{name}'\).items"):
        open_source(name)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("['', '']", ""),
        ("", ""),
        ("['Ink &amp; paper,<br />black', 'It\\'s new']", "Ink & paper, black It's new"),
        ("['for 'splicing' or', \"more\\nlines\"]", "for 'splicing' or more lines"),
        ("[2 pack] cards <b>A</b>", "[2 pack] cards A"),
        ("below <100mA and <ul><li>above</li></ul> 3 > 2", "below <100mA and above 3 > 2"),
    ],
)
def test_descriptions_become_plain_words(raw: str, said: str) -> None:
    assert plain_text(raw) == said


def test_pairs_are_distinct_and_hold_history_and_target() -> None:
    rows = pl.DataFrame({"user_id": ["a", "a", "b"], "history": [[1, 1], [1, 2], [3]], "target": [2, 4, 3]})
    assert pairs(rows).rows() == [("a", 1), ("a", 2), ("a", 4), ("b", 3)]


def test_a_stock_code_has_its_most_frequent_description() -> None:
    rows = pl.DataFrame({
        "StockCode": ["1", "1", "1", "2", "2", "3"],
        "Description": ["MUG", "MUG ", "damaged", "B", "A", None],
        "UnitPrice": [2.0, 4.0, 0.0, 1.0, 1.0, 0.0],
    })  # fmt: skip
    assert stock(rows).rows() == [("1", "MUG", 3.0), ("2", "A", 1.0), ("3", None, None)]


@pytest.mark.data
@pytest.mark.parametrize("name", FIRST)
def test_published_counts(name: str) -> None:
    needs(name)
    tables, counts = read_source(name), source(name).statistics
    data = build(tables)
    found = {"events": len(data.events), "users": data.n_users, "items": data.n_items} | details(name, tables)
    assert {key: found[key] for key in counts} == dict(counts)
    assert not set(np.unique(data.events.user_ix)) - set(range(data.n_users))
    assert data.catalog.title_column is not None
    assert len(data.positive.events) > 0


def details(name: str, tables: Tables) -> dict[str, int]:
    """The counts that only one data set publishes."""
    if name == "ml-1m":
        untimed = tables.extra["untimed"].height
        likings = tables.events.filter(pl.col("rating") >= 4).height
        return {"rows": tables.events.height + untimed, "likings": likings, "untimed": untimed}
    if name.startswith("amazon18"):
        rows = tables.extra["valid_test"]
        return {"rows": rows.height, "valid": rows.filter(pl.col("split") == "valid").height, "users": rows["user_id"].n_unique()}
    if name == "foursquare_nyc":
        return dict(tables.events.group_by("split").len().rows())
    if name == "frappe":
        parts = dict(tables.extra["ctr_valid_test"].group_by("split").len().rows())
        return {"ctr_valid": parts["valid"], "ctr_test": parts["test"]}
    if name == "online_retail":
        anonymous = tables.extra["anonymous"].height
        cancelled = tables.events.filter(pl.col("kind") == "cancellation").height
        return {"rows": tables.events.height + anonymous, "anonymous": anonymous, "cancellations": cancelled}
    return {}


@pytest.mark.data
def test_published_counts_of_texts() -> None:
    needs("chinese_reviews")
    needs("cranfield")
    items = read_source("chinese_reviews").items
    assert items is not None
    found = {"items": items.height} | dict(items.group_by("collection").len().rows())
    assert found == source("chinese_reviews").statistics
    assert items["category"].null_count() == 0
    assert not items["text"].str.contains("\ufeff").any()
    papers = read_source("cranfield")
    assert papers.items is not None
    found = {"items": papers.items.height, "queries": papers.extra["queries"].height, "qrels": papers.extra["qrels"].height}
    assert found == source("cranfield").statistics
    assert set(papers.extra["qrels"]["doc_id"].cast(pl.String)) <= set(papers.items["item_id"])


@pytest.mark.data
def test_amazon18_trains_on_validation_rows_only() -> None:
    needs("amazon18_office")
    tables = read_source("amazon18_office")
    test = tables.extra["valid_test"].filter(pl.col("split") == "test")
    only_test = set(pairs(test).rows()) - set(pairs(tables.extra["valid_test"].filter(pl.col("split") == "valid")).rows())
    assert only_test
    assert not only_test & set(tables.events.rows())
    assert set(tables.events.rows()) | only_test == set(tables.extra["user_items"].rows())


@pytest.mark.data
def test_online_retail_knows_london_time() -> None:
    needs("online_retail")
    data = open_source("online_retail")
    # 2010-12-01 08:26 (winter, UTC) and 2011-12-09 12:50: the published first and last invoice.
    assert data.events.time_us[0] == 1_291_191_960_000_000
    assert data.events.time_us[-1] == 1_323_435_000_000_000
    summer = read_source("online_retail").events.filter(pl.col("InvoiceDate").dt.month() == 7).row(0, named=True)
    at = int(data.events.time_us[(data.events.context["session"] == summer["InvoiceNo"]).to_numpy()][0])
    assert datetime.fromtimestamp(at / 1e6, UTC).replace(tzinfo=None) == summer["InvoiceDate"] - timedelta(hours=1)
    assert set(data.kinds) == {"purchase", "cancellation"}
    assert not data.events.weight[data.events.kind_ix == data.kinds.index("cancellation")].any()


@pytest.mark.data
def test_ml_1m_seq_keeps_the_published_order() -> None:
    needs("ml-1m-seq")
    data = open_source("ml-1m-seq")
    first = data.history(np.array([data.users.find("5988")]))
    assert data.catalog.items.names(first.item_ix[:3]) == ["1198", "3552", "356"]
    assert data.catalog.titles(first.item_ix[:1]) == ["Raiders of the Lost Ark (1981)"]
