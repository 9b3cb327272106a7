"""People to follow, groups and topics over HTTP: who is shown to whom, and what is said where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient

from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.online.relations import RELATIONS
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.run import open_server
from zhiyin.serve.settings import Settings
from zhiyin.testing.small import small_world

FRIENDS = [("user:u1", "user:u2"), ("user:u2", "user:u3"), ("user:u3", "user:u4"), ("i1", "like")]


def bundle(folder: Path, *, friends: bool = True, topics: bool = True) -> Path:
    data = small_world("time")
    if topics:
        n = len(data.catalog)
        more = [
            pl.Series("kind", ["odd" if i % 2 else "even" for i in range(n)]),
            pl.Series("tags", [["small", f"t{i % 3}"] if i else [] for i in range(n)]),
        ]
        manifest = data.manifest.parse(
            {**data.manifest.model_dump(mode="json", exclude_none=True), "items": {"columns": {"kind": "category", "tags": "list"}}}
        )
        data = replace(data, manifest=manifest, catalog=replace(data.catalog, table=data.catalog.table.with_columns(*more)))
    if friends:
        table = pl.DataFrame({"head": [h for h, _ in FRIENDS], "relation": "friend", "tail": [t for _, t in FRIENDS]})
        data = replace(data, relations=table)
    run = Run(report=silent)
    return Recommender(spec_of("transitions").fit(data, run), spec_of("popular").fit(data, run), data).save(folder)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Without relations, without topics."""
    _, app = open_server([bundle(tmp_path_factory.mktemp("plain") / "shop", friends=False, topics=False)], Settings())
    with TestClient(app) as client:
        yield client


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[TestClient]:
    _, app = open_server([bundle(tmp_path / "shop")], Settings())
    with TestClient(app) as client:
        yield client


def asked(client: TestClient, target: str, path: str = "recommend", **said: Any) -> list[dict[str, Any]]:
    given = client.post(f"/v1/shop/{path}", json={"target": target, **said})
    assert given.status_code == 200, given.text
    items: list[dict[str, Any]] = given.json()["items"]
    return items


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [one["item"] for one in items]


def test_friends_of_friends_come_first_with_a_reason_and_a_trace(shop: TestClient) -> None:
    reply = shop.post("/v1/shop/recommend", json={"target": "users", "user": "u1"}).json()
    best = reply["items"][0]
    assert (best["item"], best["kind"], best["reason"], best["count"]) == ("u3", "user", "friends", 1)
    assert best["why"] == "Linked with 1 of those around you"
    assert ids(reply["items"]) == ["u3", "u4"]  # neither himself, nor whom he follows, nor people without links
    assert shop.get(f"/v1/shop/replay/{reply['trace']}").json()["items"] == reply["items"]
    assert asked(shop, "users", user="u1", language="zh")[0]["why"] == "与您身边的 1 人有联系"


def test_relations_count_the_moment_they_are_put_and_no_more_when_they_go(shop: TestClient) -> None:
    assert ids(asked(shop, "users", user="u1")) == ["u3", "u4"]
    shop.put("/v1/shop/relations/u1/follows/u3", json={})
    assert ids(asked(shop, "users", user="u1")) == ["u4"]
    shop.delete("/v1/shop/relations/u1/follows/u3")
    assert ids(asked(shop, "users", user="u1")) == ["u3", "u4"]
    shop.delete("/v1/shop/relations/u1/friend/u2")  # the bundle's stays: it was never in the tables
    assert "u2" not in ids(asked(shop, "users", user="u1"))
    shop.put(
        "/v1/shop/relations", json=[{"head": "u1", "relation": "follows", "tail": "user:u9"}, {"head": "i1", "relation": "x", "tail": "u8"}]
    )
    assert {"u8", "u9"}.isdisjoint(ids(asked(shop, "users", user="u1")))
    assert "u9" in ids(asked(shop, "users", user="u2"))
    assert "u8" not in ids(asked(shop, "users", user="u2"))  # an item is nobody


def test_somebody_new_is_known_from_his_row_or_his_first_event_on(shop: TestClient) -> None:
    shop.put("/v1/shop/relations/fresh/follows/u3", json={})
    assert "fresh" not in ids(asked(shop, "users", user="u2"))
    shop.post("/v1/shop/event", json={"event_id": "e", "user": "fresh", "item": "i1"})
    assert "fresh" in ids(asked(shop, "users", user="u2"))
    shop.put("/v1/shop/relations/other/follows/u3", json={})
    shop.put("/v1/shop/users/other", json={"name": "Zoë"})
    assert {"item": "other", "title": "Zoë"}.items() <= next(i for i in asked(shop, "users", user="u2") if i["item"] == "other").items()


def test_those_without_links_get_those_alike_and_strangers_the_best_known(shop: TestClient) -> None:
    alike = shop.post("/v1/shop/recommend", json={"target": "users", "user": "u11"}).json()
    assert alike["served_by"] == "follow" and {one["reason"] for one in alike["items"]} <= {"alike", "followed"}
    assert any(one["reason"] == "alike" for one in alike["items"])
    stranger = shop.post("/v1/shop/recommend", json={"target": "users"}).json()
    assert stranger["served_by"] == "followed" and set(ids(stranger["items"])) == {"u1", "u2", "u3", "u4"}
    by_history = shop.post("/v1/shop/recommend", json={"target": "users", "history": ["i1", "i3"]}).json()
    assert by_history["served_by"] == "follow"


def test_who_withdrew_consent_is_neither_shown_nor_used(shop: TestClient) -> None:
    shop.put("/v1/shop/relations/u3/member/group:chess", json={})
    assert asked(shop, "groups", user="u2")[0]["reason"] == "members"
    for user, consent in (("u4", {"personalize": False}), ("u3", {"store": False})):
        shop.put(f"/v1/shop/users/{user}/consent", json=consent)
    assert ids(asked(shop, "users", user="u1")) == []  # u4 is hidden, and the way over u3 is closed
    assert ids(asked(shop, "users", path="search", text="u")) == ["u2", "u1"]
    assert asked(shop, "groups", user="u2")[0]["reason"] == "large"  # he is no reason for anybody any more
    own = shop.post("/v1/shop/recommend", json={"target": "users", "user": "u4"}).json()
    assert own["served_by"] == "followed" and "u4" not in ids(own["items"])
    plain = shop.post("/v1/shop/recommend", json={"target": "users", "user": "u1", "personalized": False}).json()
    assert plain["served_by"] == "followed"


def test_who_was_erased_is_gone_from_the_circle_and_from_what_others_were_shown(shop: TestClient) -> None:
    shop.put("/v1/shop/relations/user:u3/follows/user:u30", json={})
    trace = shop.post("/v1/shop/recommend", json={"target": "users", "user": "u1"}).json()["trace"]
    erased = shop.post("/v1/shop/users/u3/erase").json()
    assert erased["left"] == ["bundle (masked until it is trained anew)"] and erased["answers"] == 1 and erased["rows"] == 1
    assert ids(asked(shop, "users", user="u1")) == []
    assert "u3" not in ids(asked(shop, "users"))
    assert shop.get(f"/v1/shop/replay/{trace}").status_code == 404


def test_groups_of_those_around_somebody_come_first(shop: TestClient) -> None:
    shop.put(
        "/v1/shop/relations",
        json=[
            {"head": "u2", "relation": "member", "tail": "group:near", "columns": {"title": "Close ones"}},
            *({"head": f"u{i}", "relation": "member", "tail": "group:large"} for i in range(10, 20)),
            {"head": "u1", "relation": "member", "tail": "group:own"},
        ],
    )
    groups = asked(shop, "groups", user="u1")
    assert (groups[0]["item"], groups[0]["title"], groups[0]["count"], groups[0]["kind"]) == ("near", "Close ones", 1, "group")
    assert (groups[1]["item"], groups[1]["title"], groups[1]["count"]) == ("large", "large", 10)
    assert "own" not in ids(groups)
    assert ids(asked(shop, "groups"))[0] == "large" and len(asked(shop, "groups")) == 3
    assert ids(asked(shop, "groups", path="search", text="close on")) == ["near"]
    assert ids(asked(shop, "groups", user="u1", exclude=["near"])) == ["large"]


def test_topics_by_what_somebody_does_and_what_everybody_takes(shop: TestClient) -> None:
    everybody = asked(shop, "topics")
    assert {(one["kind"], one["item"]): one["count"] for one in everybody} == {
        ("kind", "odd"): 15, ("kind", "even"): 15, ("tags", "small"): 29, ("tags", "t0"): 9, ("tags", "t1"): 10, ("tags", "t2"): 10,
    }  # fmt: skip
    shop.post("/v1/shop/events", json=[{"event_id": f"e{i}", "user": "new", "item": f"i{i}"} for i in (1, 7, 13)])
    own = asked(shop, "topics", user="new")
    assert own[0]["item"] == "odd" and own[0]["reason"] == "interest"
    assert asked(shop, "topics", user="new", personalized=False) == asked(shop, "topics")
    assert [one["count"] for one in asked(shop, "topics", filter="kind = 'even' and tags contains 't1'") if one["item"] == "t1"] == [5]
    assert "odd" not in ids(asked(shop, "topics", filter="kind = 'even'"))  # none of its items would be left
    shop.put("/v1/shop/users/new/portrait/tags", json={"tags": [{"tag": "t2"}, {"tag": "t0", "like": False}], "hidden": ["odd"]})
    told = asked(shop, "topics", user="new")
    assert "t2" in ids(told)[:2] and {"odd", "t0"}.isdisjoint(ids(told))
    assert ids(asked(shop, "topics", path="search", text="T", user="new")) == ["t2", "t1"]
    shop.put("/v1/shop/items/i100", json={"kind": "雨伞", "title": "umbrella"})
    assert ids(asked(shop, "topics", path="search", text="yusan")) == ["雨伞"]


def test_search_by_name_has_pages(shop: TestClient) -> None:
    shop.put("/v1/shop/users", json=[{"id": f"v{i}", "columns": {"name": f"Ann Number{i}"}} for i in range(7)])
    shop.put("/v1/shop/relations", json=[{"head": f"v{i}", "relation": "follows", "tail": "u1"} for i in range(7)])
    seen, offset = [], 0
    while offset is not None:
        page = shop.post("/v1/shop/search", json={"target": "users", "text": "ann", "n": 3, "offset": offset}).json()
        seen += ids(page["items"])
        offset = page["next"]
    assert sorted(seen) == [f"v{i}" for i in range(7)]
    assert ids(asked(shop, "users", path="search", text="number4 a")) == ["v4"]
    shop.patch("/v1/shop/users/v4", json={"name": "Bob"})
    assert ids(asked(shop, "users", path="search", text="number4")) == []
    assert ids(asked(shop, "users", path="search", text="bo")) == ["v4"]


@pytest.mark.parametrize(
    ("path", "said", "status", "words"),
    [
        ("recommend", {"target": "users"}, 404, "nobody is linked to anybody here"),
        ("recommend", {"target": "groups"}, 404, "nobody belongs to a group here"),
        ("recommend", {"target": "topics"}, 404, "the items have no topics"),
        ("search", {"target": "users", "text": "a"}, 404, "nobody is linked to anybody here"),
        ("recommend", {"target": "people"}, 422, "Invalid enum value 'people'"),
        ("recommend", {"target": "users", "candidates": ["u1"]}, 422, "'candidates' says nothing about users"),
        ("recommend", {"target": "users", "filter": "title = 'x'"}, 422, "'filter' says nothing about users"),
        ("recommend", {"target": "topics", "placement": "cart"}, 422, "placement 'cart' holds items, not topics"),
        ("search", {"target": "topics", "text": "a", "facets": ["kind"]}, 422, "'facets' say nothing about topics"),
        ("rank", {"target": "users", "candidates": ["u1"]}, 422, "rank holds items, not users"),
        ("page", {"target": "users"}, 422, "a page holds items, not users"),
    ],
)
def test_what_cannot_be_had_is_refused_in_a_sentence(plain: TestClient, path: str, said: dict[str, Any], status: int, words: str) -> None:
    given = plain.post(f"/v1/shop/{path}", json=said)
    assert given.status_code == status
    assert words in given.json()["detail"]


def test_while_the_tables_are_away_the_circle_last_read_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zhiyin.base.errors import StoreError

    server, app = open_server([bundle(tmp_path / "shop")], Settings())
    with TestClient(app) as client:
        assert ids(asked(client, "users", user="u1")) == ["u3", "u4"]

        def away(*_: object, **__: object) -> int:
            raise StoreError("the tables do not answer", "Wait.")

        with monkeypatch.context() as patched:
            patched.setattr(server.tenants["shop"].tables, "version", away)
            reply = client.post("/v1/shop/recommend", json={"target": "users", "user": "u1"}).json()
        assert ids(reply["items"]) == ["u3", "u4"]
        assert reply["degraded"] and reply["notes"] == ["the tables do not answer"]
        assert len(server.tenants["shop"].tables.page(RELATIONS)) == 0
