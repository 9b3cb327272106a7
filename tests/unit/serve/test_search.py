"""Search over HTTP: the same items, filters and rules as recommendations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from zhiyin.base.errors import ConfigError
from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.keeper import RULES, Keeper
from zhiyin.serve.run import open_server
from zhiyin.serve.settings import Settings
from zhiyin.testing.small import small_world

COLOURS = ("red", "blue", "green")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = small_world("time")
    table = data.catalog.table.with_columns(
        pl.Series("title", [f"{COLOURS[i % 3]} umbrella" if i % 2 else f"{COLOURS[i % 3]} lantern {i}" for i in range(30)]),
        pl.Series("colour", [COLOURS[i % 3] for i in range(30)]),
        pl.Series("price", [float(i) for i in range(30)]),
    )
    items = {"title": "title", "columns": {"title": "text", "colour": "category", "price": "price"}}
    manifest = data.manifest.parse({**data.manifest.model_dump(mode="json", exclude_none=True), "items": items})
    data = replace(data, manifest=manifest, catalog=replace(data.catalog, table=table, vectors={}))
    run = Run(report=silent)
    return Recommender(spec_of("transitions").fit(data, run), spec_of("popular").fit(data, run), data).save(tmp_path / "shop")


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    server, app = open_server([folder], Settings(deadline_ms=2_000))
    keeper = Keeper(server.tenants)
    with TestClient(app) as client:
        keeper.look("shop", server.tenants["shop"])
        client.keeper = lambda: keeper.look("shop", server.tenants["shop"])  # type: ignore[attr-defined]
        yield client


def test_words_typos_filters_and_facets(client: TestClient) -> None:
    found = client.post("/v1/shop/search", json={"text": "red umbrela", "filter": "price > 5", "n": 4}).json()
    assert found["items"]
    assert all("red" in hit["title"] and "umbrella" in hit["title"] for hit in found["items"])
    assert not found["degraded"]
    assert {value["value"] for value in found["facets"]["colour"]} == {"red"}
    assert client.post("/v1/shop/complete", json={"text": "blue umb"}).json()["texts"][0] == {"text": "blue umbrella", "kind": "title"}


def test_a_new_item_is_found_when_its_put_returns_and_a_deleted_one_is_not(client: TestClient) -> None:
    client.put("/v1/shop/items/kite", json={"title": "purple kite", "colour": "purple", "price": 3})
    assert [hit["item"] for hit in client.post("/v1/shop/search", json={"text": "kite"}).json()["items"]] == ["kite"]
    client.patch("/v1/shop/items/kite", json={"title": "purple balloon"})
    assert client.post("/v1/shop/search", json={"text": "balloon"}).json()["items"][0]["item"] == "kite"
    client.delete("/v1/shop/items/kite")
    gone = client.post("/v1/shop/search", json={"text": "balloon"}).json()
    assert "kite" not in [hit["item"] for hit in gone["items"]]
    assert gone["fallback"] == "popular"
    said = client.post("/v1/shop/search", json={"text": "balloon", "language": "zh"}).json()["note"]
    assert gone["note"].isascii() and said and not said.isascii()


def test_a_known_person_finds_what_he_likes_first_unless_he_asks_otherwise(client: TestClient) -> None:
    client.post("/v1/shop/events", json=[{"event_id": str(i), "user": "me", "item": f"i{i}"} for i in (3, 5, 3, 5)])
    plain = client.post("/v1/shop/search", json={"text": "umbrella", "n": 15}).json()
    mine = client.post("/v1/shop/search", json={"text": "umbrella", "n": 15, "user": "me", "preference": 1.0}).json()
    assert mine["personalised"] == 1.0
    assert [h["item"] for h in mine["items"]] != [h["item"] for h in plain["items"]]
    off = client.post("/v1/shop/search", json={"text": "umbrella", "n": 15, "user": "me", "personalized": False}).json()
    assert off["items"] == plain["items"]


def test_before_the_index_is_built_search_answers_and_says_so(folder: Path) -> None:
    _, app = open_server([folder], Settings(deadline_ms=2_000))
    with TestClient(app) as client:
        found = client.post("/v1/shop/search", json={"text": "umbrella"}).json()
        assert found["degraded"]
        assert found["items"]
        assert found["note"] == "the search index is being built"


def test_rules_pin_and_bury_from_the_moment_the_file_is_there(client: TestClient, folder: Path) -> None:
    rules = folder.with_name("shop.live") / RULES
    rules.write_text('[pin.summer]\nitem = "i28"\nposition = 1\n[bury.red]\nfilter = "colour = \\"red\\""\nfactor = 0\n')
    client.keeper()  # type: ignore[attr-defined]
    items = client.post("/v1/shop/recommend", json={"n": 12}).json()["items"]
    assert (items[0]["item"], items[0]["reason"], items[0]["why"]) == ("i28", "rule", "pinned by rule summer")
    assert not [item for item in items[1:] if "red" in item["title"]]
    before = [item["item"] for item in items]
    time.sleep(0.01)
    rules.write_text("[pin.summer]\nitm = 3\n")
    with pytest.raises(ConfigError, match=r"key 'item' is missing in rules\.toml line 1"):
        client.keeper()  # type: ignore[attr-defined]
    assert [item["item"] for item in client.post("/v1/shop/recommend", json={"n": 12}).json()["items"]] == before
    rules.unlink()
    client.keeper()  # type: ignore[attr-defined]
    assert client.post("/v1/shop/recommend", json={"n": 12}).json()["items"][0]["reason"] == "popular"


def test_campaigns_fill_labelled_slots_and_clicks_find_them_by_trace(client: TestClient, folder: Path) -> None:
    (folder.with_name("shop.live") / "campaigns.toml").write_text('[[campaign]]\nname = "winter"\nitem = "i28"\npositions = [2]\n')
    client.keeper()  # type: ignore[attr-defined]
    answer = client.post("/v1/shop/recommend", json={"n": 5, "cursor": ""}).json()
    advert = answer["items"][1]
    assert (advert["item"], advert["ad"], advert["campaign"], advert["reason"]) == ("i28", "Ad", "winter", "ad")
    assert len(answer["items"]) == 5
    assert client.post("/v1/shop/recommend", json={"n": 5, "language": "zh"}).json()["items"][1]["ad"] == "广告"
    assert not [i for i in client.post("/v1/shop/recommend", json={"n": 5, "cursor": answer["cursor"]}).json()["items"] if i.get("ad")]
    assert not [i for i in client.post("/v1/shop/recommend", json={"exclude": ["i28"]}).json()["items"] if i.get("ad")]
    client.post("/v1/shop/event", json={"event_id": "c", "session": "s", "item": "i28", "trace": answer["trace"]})
    client.post("/v1/shop/event", json={"event_id": "d", "session": "s", "item": "i28"})
    assert client.get("/v1/shop/ads/report").json() == [{"campaign": "winter", "impressions": 2, "clicks": 1}]


def test_n_come_back_when_n_exist_also_of_items_nobody_took(client: TestClient) -> None:
    client.put("/v1/shop/items", json=[{"id": f"new{i}", "columns": {"colour": "violet", "price": 1.0}} for i in range(4)])
    found = client.post("/v1/shop/recommend", json={"filter": 'colour = "violet"', "n": 3}).json()
    assert (len(found["items"]), found["served_by"], found["items"][0]["reason"]) == (3, "the rest", "rest")
    every = client.post("/v1/shop/recommend", json={"n": 40}).json()
    assert len(every["items"]) == 34
    some = client.post("/v1/shop/recommend", json={"candidates": ["new1", "i1"], "exclude": ["i1"]}).json()
    assert [item["item"] for item in some["items"]] == ["new1"]


def test_an_answer_without_the_model_keeps_to_filter_and_candidates(folder: Path) -> None:
    server, app = open_server([folder], Settings(deadline_ms=2_000))
    hosted = server.tenants["shop"]
    hosted.engine.work = lambda asks: 1 / 0  # type: ignore[assignment, return-value]
    with TestClient(app) as client:
        found = client.post("/v1/shop/recommend", json={"filter": 'colour = "red"', "n": 20}).json()
        assert found["degraded"]
        assert len(found["items"]) == 10
        assert all("red" in item["title"] for item in found["items"])
        some = client.post("/v1/shop/recommend", json={"candidates": ["i4", "i7"]}).json()["items"]
        assert {item["item"] for item in some} == {"i4", "i7"}
        assert client.post("/v1/shop/recommend", json={"filter": "colur = 3"}).status_code == 404
