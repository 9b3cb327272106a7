"""The readers added for rankers, graphs and click models: their published counts and what each makes of its files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from zhiyin.cli.app import app
from zhiyin.data.build import build
from zhiyin.data.folder import load
from zhiyin.data.sources import available, open_source, read_source, source
from zhiyin.data.sources.lastfm import words_of_artists
from zhiyin.data.sources.mind import shown
from zhiyin.data.sources.open_bandit import LOGS, impressions
from zhiyin.data.sources.source import links
from zhiyin.data.tables import Tables

HERE = set(available())
NEW = (
    "ml-latest-small", "lastfm-2k", "filmtrust", "citeulike-a", "carskit_context", "carskit_depaul_movie", "carskit_incarmusic",
    "carskit_sts", "mind_sample", "amazon18_giftcards", "open_bandit", "goodbooks-10k", "ctr_samples",
)  # fmt: skip
UNTITLED = {  # people read nothing there
    "filmtrust", "citeulike-a", "carskit_context", "carskit_depaul_movie", "carskit_sts", "open_bandit", "ctr_samples",
}  # fmt: skip


def needs(name: str) -> None:
    if name not in HERE:
        pytest.skip(f"the files of {name} are not under ZHIYIN_DATA or ../shared/data")


def relations(tables: Tables, kind: str) -> pl.DataFrame:
    assert tables.relations is not None
    return tables.relations.filter(pl.col("relation") == kind)


def items(tables: Tables) -> pl.DataFrame:
    assert tables.items is not None
    return tables.items


def lastfm(t: Tables) -> dict[str, int]:
    friends = relations(t, "friend").height
    assert t.relations is not None
    extra = {name: t.extra[name].height for name in ("user_tags", "tags")}
    return {"friends": friends, "graph": t.relations.height - friends, **extra}


def mind(t: Tables) -> dict[str, int]:
    known = t.events.filter(pl.col("news_id").is_in(items(t)["news_id"].implode()))
    clicks = {"clicks": t.events, "clicks_with_text": known}
    return {
        "visits": t.events["impression_id"].n_unique(),
        "news": items(t).height,
        "shown_with_text": known.height,
        **{name: rows.filter(pl.col("kind") == "click").height for name, rows in clicks.items()},
    }


# The counts that only one data set publishes.
COUNTS: dict[str, Callable[[Tables], dict[str, int]]] = {
    "ml-latest-small": lambda t: {"tags": t.extra["tags"].height},
    "lastfm-2k": lastfm,
    "filmtrust": lambda t: {"trust": relations(t, "trusts").height},
    "citeulike-a": lambda t: {
        "citations": relations(t, "citation").height,
        "tags": items(t)["tags"].explode(empty_as_null=True).drop_nulls().n_unique(),
        "untagged": int((items(t)["tags"].list.len() == 0).sum()),
    },
    "mind_sample": mind,
    "amazon18_giftcards": lambda t: {"reviewed": t.events["asin"].n_unique()},
    "open_bandit": lambda t: {
        **{c: int(items(t)["item_id"].str.starts_with(f"{c}:").sum()) for c in ("men", "women")},
        **{name: t.extra[name].height for name in LOGS},
    },
    "goodbooks-10k": lambda t: {"items": items(t).height, "tags": t.extra["tags"].height},
    "ctr_samples": lambda t: {"clicks": int((t.events["kind"] == "click").sum()), **{n: f.height for n, f in t.extra.items()}},
}


@pytest.mark.data
@pytest.mark.parametrize("name", NEW)
def test_published_counts(name: str) -> None:
    needs(name)
    tables, found = read_source(name), source(name)
    counted = COUNTS[name](tables) if name in COUNTS else {}
    if found.behaviour:
        data = build(tables)
        counted |= {"events": len(data.events), "users": data.n_users} | ({"items": data.n_items} if "items" in found.statistics else {})
        assert len(data.positive.events) > 0
        assert (data.catalog.title_column is None) == (name in UNTITLED)
    assert counted == dict(found.statistics)


@pytest.mark.data
@pytest.mark.parametrize("name", NEW)
def test_data_add_writes_a_folder_that_loads_alike(name: str, tmp_path: Path) -> None:
    needs(name)
    done = CliRunner().invoke(app, ["data", "add", name, "--to", str(tmp_path / "d"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["terms"] == source(name).terms
    assert all((tmp_path / "d" / f"{extra}.parquet").is_file() for extra in told["extra"])
    if not source(name).behaviour:
        assert told["rows"]["events"] == 0
        return
    data, direct = load(tmp_path / "d"), open_source(name)
    assert len(data.events) == told["rows"]["events"] == len(direct.events)
    assert np.array_equal(data.events.item_ix, direct.events.item_ix)
    assert data.relations.equals(direct.relations)


def test_a_source_without_behaviour_is_not_sent_on_to_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "goodbooks-10k"
    folder.mkdir()
    monkeypatch.setenv("ZHIYIN_DATA", str(tmp_path))
    ratings = {f"ratings_{n}": [n] for n in range(1, 6)}
    book = {
        "book_id": [7], "title": ["Emma"], "original_title": ["Emma"], "authors": ["Jane Austen, Fiona Stafford"],
        "original_publication_year": [1815.0], "language_code": ["eng"], "average_rating": [4.0], "ratings_count": [15],
        "image_url": ["u"],
    }  # fmt: skip
    pl.DataFrame({**book, **ratings}).write_parquet(folder / "books.parquet")
    pl.DataFrame({"tag_id": [1], "tag_name": ["classic"]}).write_parquet(folder / "tags.parquet")
    assert items(read_source("goodbooks-10k")).row(0)[:5] == ("7", "Emma", "Emma", ["Jane Austen", "Fiona Stafford"], 1815)
    done = CliRunner().invoke(app, ["data", "add", "goodbooks-10k", "--to", str(tmp_path / "d")])
    assert done.exit_code == 0, done.output
    assert "beside them: 1 tags, 1 stars" in done.stdout
    assert "Next:" not in done.stdout and "Nobody acted on these items" in done.stdout


def test_a_user_in_a_relation_is_not_taken_for_an_item() -> None:
    pairs = pl.DataFrame({"a": [2], "b": [3]})
    assert links(pairs, "a", "trusts", "b", of_users=True).rows() == [("user:2", "trusts", "user:3")]
    assert links(pairs, "a", "citation", "b").rows() == [("2", "citation", "3")]


def test_an_artists_words_come_most_frequent_first() -> None:
    said = pl.DataFrame({"userID": [1, 2, 3, 1, 1], "artistID": [9, 9, 9, 9, 8], "tagID": [1, 2, 2, 3, 3]})
    tags = pl.DataFrame({"tagID": [1, 2, 3], "tagValue": ["rock", "goth", "dark"]})
    assert words_of_artists(said, tags).rows() == [(8, ["dark"]), (9, ["goth", "dark", "rock"])]


def test_news_shown_are_one_row_each() -> None:
    visit = pl.DataFrame({"impression_id": [5], "user_id": ["U1"], "time": [0], "impressions": ["N1-0 N2-1"]})
    assert shown(visit).select("news_id", "kind").rows() == [("N1", "shown"), ("N2", "click")]


def test_the_loggers_columns_are_no_context() -> None:
    log = pl.DataFrame({"timestamp": [0], "item_id": [3], "position": [1], "click": [1], "propensity_score": [0.25]})
    row = impressions(log.with_columns(**{f"user_feature_{i}": pl.lit("a") for i in range(4)}), "bts", "men").row(0, named=True)
    assert (row["item_id"], row["kind"], row["policy"], row["campaign"]) == ("men:3", "click", "bts", "men")


@pytest.mark.data
def test_open_bandit_is_learned_from_its_clicks_alone() -> None:
    needs("open_bandit")
    tables = read_source("open_bandit")
    assert "propensity_score" in tables.events.columns and "propensity_score" not in tables.manifest.events.context
    uniform = tables.events.filter(pl.col("policy") == "random")
    assert uniform.group_by("campaign").agg(pl.col("propensity_score").n_unique())["propensity_score"].to_list() == [1, 1]
    data = open_source("open_bandit")
    assert len(data.positive.events) == sum(int(tables.extra[name]["click"].sum()) for name in LOGS) == 207


@pytest.mark.data
def test_relations_of_lastfm_name_artists_users_and_entities() -> None:
    needs("lastfm-2k")
    tables = read_source("lastfm-2k")
    friends, artists = relations(tables, "friend"), set(items(tables)["id"].cast(pl.String))
    both = friends.join(friends.select(head="tail", tail="head"), on=["head", "tail"], how="semi")
    assert both.height == friends.height and friends["head"].str.starts_with("user:").all()
    assert tables.relations is not None
    graph = tables.relations.filter(pl.col("relation") != "friend")
    assert set(graph["head"]) <= artists
    assert graph.filter(~pl.col("tail").str.starts_with("entity:"))["tail"].is_in(list(artists)).all()


@pytest.mark.data
def test_giftcards_have_plain_texts_and_prices() -> None:
    needs("amazon18_giftcards")
    cards = items(read_source("amazon18_giftcards"))
    pack = cards.row(by_predicate=pl.col("asin") == "B001H53QE4", named=True)
    assert (pack["price"], pack["category"], pack["brand"]) == (1250.0, ["Gift Cards"], "Amazon")
    assert pack["description"].startswith("Amazon.com Gift Cards are the perfect way to give them exactly what they're hoping for")
    for column in ("title", "description", "feature"):
        assert not cards[column].str.contains(r"<(div|span|br|img)").any()


@pytest.mark.data
def test_incarmusic_gets_its_lost_genre_back() -> None:
    needs("carskit_incarmusic")
    tables = read_source("carskit_incarmusic")
    genres = dict(items(tables).group_by("genre").len().rows())
    assert len(genres) == 10 and genres["Blues music"] == 5 and genres["Pop music"] == 82
    asked = tables.events.select((pl.col(c).is_not_null()).cast(pl.Int8) for c in tables.manifest.events.context).sum_horizontal()
    assert set(asked) == {0, 1}  # one condition per rating, or none
