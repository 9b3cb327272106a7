"""Variants over HTTP: one of each thing in every answer, n things where there are n, and the right one under a filter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from starlette.testclient import TestClient

from zhiyin.base.arrays import Ragged
from zhiyin.data.run import Run, silent
from zhiyin.data.variants import Variants
from zhiyin.models.registry import spec_of
from zhiyin.pipeline.presets import presets
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.run import open_server
from zhiyin.serve.settings import Settings
from zhiyin.testing.small import small_world

RULES = '[pin.p]\nitem = "i11"\nposition = 3\n'
N_THINGS = 12  # i0..i29: thing of item i is i % 11, and i29, the only one without a parent


def bundle(folder: Path) -> Path:
    data = small_world("time")
    n = len(data.catalog)
    parents = pl.Series("parent_id", [f"thing{i % 11}" for i in range(n - 1)] + [None])
    colors = pl.Series("color", [("red", "blue", "green")[i // 11] for i in range(n)])
    titles = pl.Series("title", [f"kite number{i % 11} {('red', 'blue', 'green')[i // 11]}" for i in range(n)])
    described = {**data.manifest.model_dump(mode="json", exclude_none=True)}
    described["items"] = {"parent": "parent_id", "title": "title", "columns": {"color": "category"}}
    catalog = replace(data.catalog, table=data.catalog.table.with_columns(parents, colors, titles))
    data = replace(data, manifest=data.manifest.parse(described), catalog=catalog)
    run = Run(report=silent)
    made = Recommender(spec_of("transitions").fit(data, run), spec_of("popular").fit(data, run), data)
    keep = [p for p in presets(data) if p.name in ("push", "product", "trending", "again")]
    return made.with_placements(keep, run).save(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle(tmp_path_factory.mktemp("variants") / "shop")


@pytest.fixture(scope="module")
def shop(folder: Path) -> Iterator[TestClient]:
    server, app = open_server([folder], Settings(deadline_ms=5_000))
    with TestClient(app) as client:
        hosted = server.tenants["shop"]
        hosted.tenant.shop.index()
        yield client


def thing(item: str) -> str:
    return item if item == "i29" else str(int(item[1:]) % 11)


def asked(client: TestClient, path: str, **said: Any) -> list[str]:
    given = client.post(f"/v1/shop/{path}", json=said)
    assert given.status_code == 200, given.text
    return [item["item"] for item in given.json()["items"]]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("recommend", {"user": "u1", "repeat": "allow"}),
        ("recommend", {"repeat": "allow"}),
        ("recommend", {"user": "u1", "placement": "push", "repeat": "allow"}),
        ("recommend", {"user": "u1", "diversity": 0.5, "repeat": "allow"}),
        ("popular", {}),
        ("trending", {}),
        ("new", {}),
        ("search", {"text": "kite"}),
    ],
)
def test_one_of_each_thing_and_all_things_there_are(shop: TestClient, path: str, said: dict[str, Any]) -> None:
    things = [thing(item) for item in asked(shop, path, n=40, **said)]
    assert len(things) == len(set(things))
    assert len(things) >= (N_THINGS - 1 if path in ("recommend", "popular", "search") else 3)
    assert "diversity" in said or asked(shop, path, n=11, **said) == asked(shop, path, n=40, **said)[:11]


def test_the_best_variant_stands_for_its_thing(shop: TestClient) -> None:
    everything = asked(shop, "recommend", user="u1", repeat="allow", n=30, candidates=[f"i{i}" for i in range(30)])
    assert len(everything) > N_THINGS  # an asker's candidates are his choice
    firsts: dict[str, str] = {}
    for item in everything:
        firsts.setdefault(thing(item), item)
    assert asked(shop, "recommend", user="u1", repeat="allow", n=5) == list(firsts.values())[:5]


@pytest.mark.parametrize("path", ["recommend", "popular", "search"])
@pytest.mark.parametrize("color", ["red", "blue", "green"])
def test_a_filter_on_what_differs_finds_the_variant(shop: TestClient, path: str, color: str) -> None:
    more = {"text": "kite"} if path == "search" else {"user": "u1", "repeat": "allow"} if path == "recommend" else {}
    found = asked(shop, path, n=30, filter=f"color = '{color}'", **more)
    assert {int(item[1:]) // 11 for item in found} == {("red", "blue", "green").index(color)}
    assert len({thing(item) for item in found}) == len(found) == (8 if color == "green" else 11)


def test_pages_bring_no_variant_of_what_stood_on_an_earlier_one(shop: TestClient) -> None:
    seen: list[str] = []
    cursor = ""
    while True:
        page = shop.post("/v1/shop/recommend", json={"user": "u1", "n": 5, "cursor": cursor, "repeat": "allow"}).json()
        if not page["items"]:
            break
        seen += [thing(item["item"]) for item in page["items"]]
        cursor = page["cursor"]
    assert len(seen) == len(set(seen)) >= N_THINGS - 1
    found, offset = list[str](), 0
    while offset is not None:
        page = shop.post("/v1/shop/search", json={"text": "kite", "n": 5, "offset": offset}).json()
        found += [thing(item["item"]) for item in page["items"]]
        offset = page["next"]
    assert len(found) == len(set(found)) == page["total"] == N_THINGS


def test_shelves_of_a_page_and_lists_about_an_item_hold_no_sibling(shop: TestClient) -> None:
    shelves = shop.post("/v1/shop/page", json={"user": "u1", "placements": ["trending", "push"]}).json()["shelves"]
    things = [thing(item["item"]) for shelf in shelves for item in shelf["items"]]
    assert len(shelves) == 2 and len(things) == len(set(things))
    assert "4" not in {thing(item) for item in asked(shop, "similar", item="i4", n=30)}
    assert "4" not in {thing(item) for item in asked(shop, "recommend", placement="product", items=["i15"], n=20)}


def test_a_variant_put_live_joins_its_family_and_rank_keeps_all(shop: TestClient) -> None:
    assert shop.put("/v1/shop/items/i200", json={"title": "kite number4 pink", "parent_id": "thing4", "color": "pink"}).status_code == 200
    assert asked(shop, "search", text="kite number4") == asked(shop, "search", text="kite number4")
    assert len({"i4", "i15", "i26", "i200"} & set(asked(shop, "popular", n=40))) == 1
    assert asked(shop, "search", text="kite", filter="color = 'pink'") == ["i200"]
    assert set(asked(shop, "rank", candidates=["i4", "i15", "i200"], user="u1")) == {"i4", "i15", "i200"}
    shop.delete("/v1/shop/items/i200")


def test_a_pinned_variant_stands_for_its_thing(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "shop")
    home = tmp_path / "shop.live"
    home.mkdir()
    (home / "rules.toml").write_text(RULES)
    server, app = open_server([folder], Settings(deadline_ms=5_000))
    with TestClient(app) as client:
        from zhiyin.pipeline.business_file import read_rules

        server.tenants["shop"].tenant.shop.rule(read_rules(home / "rules.toml"))
        found = asked(client, "recommend", user="u1", n=10, repeat="allow")
        assert "i11" in found and not {"i0", "i22"} & set(found)
        assert len({thing(item) for item in found}) == 10


def test_families_are_parents_with_their_variants_and_others_are_alone() -> None:
    data = small_world("time")
    table = pl.DataFrame({"item_id": ["a", "b", "p", "c", "d"], "parent": ["p", "p", None, "", "q"]})
    catalog = data.catalog.with_rows(table["item_id"].to_list(), table)
    catalog = replace(catalog, table=catalog.table.with_columns(pl.Series("parent", [None] * 30 + table["parent"].to_list())))
    manifest = data.manifest.parse({**data.manifest.model_dump(mode="json", exclude_none=True), "items": {"parent": "parent"}})
    variants = Variants.of(catalog, manifest)
    assert variants is not None
    a, b, p, c, d = variants.family[30:].tolist()
    assert a == b == p and len({a, c, d}) == 3
    assert variants.others([30]) == [30, 31, 32]
    assert variants.others([]) == []
    lists = Ragged.of([[30, 5, 31], [32, 30]])
    assert variants.firsts_of_lists(lists).tolist() == [True, True, False, True, False]
    assert variants.firsts_of_lists(lists, np.array([False, False, True, False, True])).tolist() == [False, True, True, False, True]
    assert Variants.of(data.catalog, data.manifest) is None
