"""The application over a small world: asks, events, and what wrong calls are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from starlette.testclient import TestClient

from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.run import open_server
from zhiyin.serve.settings import Settings
from zhiyin.testing.small import small_world

SETTINGS = Settings(deadline_ms=2_000)


def trained(folder: Path, kind: str = "transitions") -> Path:
    """A saved recommender over the small world."""
    data = small_world("time")
    run = Run(report=silent)
    recommender = Recommender(spec_of(kind).fit(data, run), spec_of("popular").fit(data, run), data)
    return recommender.save(folder)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    _, app = open_server([trained(tmp_path / "shop")], SETTINGS)
    with TestClient(app) as client:
        yield client


def test_an_event_changes_the_next_answer_and_counts_once(client: TestClient) -> None:
    before = client.post("/v1/shop/recommend", json={"user": "new", "n": 5}).json()
    assert before["served_by"] == "popular"
    assert before["notes"] == ["user 'new' is unknown"]
    event = {"event_id": "e1", "user": "new", "item": "i3"}
    assert client.post("/v1/shop/event", json=event).json() == {"new": 1, "known": 0}
    assert client.post("/v1/shop/event", json=event).json() == {"new": 0, "known": 1}
    after = client.post("/v1/shop/recommend", json={"user": "new", "n": 5}).json()
    assert after["served_by"].startswith("transitions")
    assert "i3" not in [item["item"] for item in after["items"]]


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    folder = trained(tmp_path / "shop")
    for n_known in (0, 3):
        _, app = open_server([folder], SETTINGS)
        with TestClient(app) as client:
            assert client.get("/v1/shop/health/ready").json()["events"] == n_known
            batch = [{"event_id": f"e{i}", "session": "s", "item": f"i{i}"} for i in range(3)]
            assert client.post("/v1/shop/events", json=batch).json() == {"new": 3 - n_known, "known": n_known}


def test_a_session_becomes_the_user_who_logs_in(client: TestClient) -> None:
    client.post("/v1/shop/event", json={"event_id": "a", "session": "s1", "item": "i3"})
    anonymous = client.post("/v1/shop/recommend", json={"session": "s1"}).json()
    client.post("/v1/shop/event", json={"event_id": "b", "session": "s1", "user": "fresh", "item": "i5"})
    known = client.post("/v1/shop/recommend", json={"user": "fresh", "n": 29}).json()
    assert anonymous["served_by"].startswith("transitions")
    assert not {"i3", "i5"} & {item["item"] for item in known["items"]}


def test_pages_follow_each_other_without_repeats_and_replay_shows_them(client: TestClient) -> None:
    seen: list[str] = []
    cursor = ""
    while True:
        page = client.post("/v1/shop/recommend", json={"user": "u1", "n": 7, "cursor": cursor}).json()
        if not page["items"]:
            break
        ids = [item["item"] for item in page["items"]]
        assert client.get(f"/v1/shop/replay/{page['trace']}").json()["items"] == page["items"]
        seen += ids
        cursor = page["cursor"]
        client.post("/v1/shop/event", json={"event_id": cursor[-20:], "user": "u1", "item": "i28"})  # the list would be another now
    assert len(seen) == len(set(seen)) > 7


def test_without_the_person_no_history_matters(client: TestClient) -> None:
    ask = {"user": "u1", "n": 10, "personalized": False}
    before = client.post("/v1/shop/recommend", json=ask).json()["items"]
    client.post("/v1/shop/events", json=[{"event_id": f"e{i}", "user": "u1", "item": f"i{i}"} for i in range(20)])
    assert client.post("/v1/shop/recommend", json=ask).json()["items"] == before


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "words"),
    [
        ("POST", "/v1/shop/recommend", {"usr": "u1"}, 422, "unknown field `usr`"),
        ("POST", "/v1/shop/recommend", {"n": 0}, 422, ">= 1"),
        ("POST", "/v1/shop/recommend", {"n": 100001}, 422, "<= 1000"),
        ("POST", "/v1/shop/recommend", {"placement": "hme"}, 404, "no placement is named 'hme'"),
        ("POST", "/v1/shop/recommend", {"time": "yesterday"}, 422, "time 'yesterday' is not ISO 8601"),
        ("POST", "/v1/shop/recommend", {"cursor": "1-2-3"}, 422, "the cursor is damaged"),
        ("POST", "/v1/shop/recommend", {"text": "shoes"}, 422, "these items have no text"),
        ("POST", "/v1/shop/event", {"event_id": "e", "item": "i1"}, 422, "event 'e' says neither user nor session"),
        ("POST", "/v1/shop/event", {"event_id": "e", "item": "i1", "user": "u", "time": 2**60}, 422, "lies in the future"),
        ("POST", "/v1/shop/event", {"event_id": "e", "item": "i1", "user": "u", "value": float("inf")}, 400, "the body is not JSON"),
        ("POST", "/v1/shop/events", [], 422, "length >= 1"),
        ("POST", "/v1/other/recommend", {}, 404, "there is no tenant 'other'"),
        ("GET", "/v1/shop/recommend", None, 405, "GET is not possible here"),
        ("GET", "/nowhere", None, 404, "there is no /nowhere"),
        ("GET", "/v1/shop/replay/x", None, 404, "no answer has the trace 'x'"),
    ],
)
def test_wrong_calls_are_told_what_is_wrong(client: TestClient, method: str, path: str, sent: object, status: int, words: str) -> None:
    import json

    given = client.request(method, path, content=None if sent is None else json.dumps(sent))
    assert given.status_code == status
    assert given.headers["content-type"] == "application/problem+json"
    assert words in given.json()["detail"]


def test_a_body_that_is_no_json_or_too_large_is_refused(client: TestClient) -> None:
    assert client.post("/v1/shop/recommend", content=b"{").status_code == 400
    assert client.post("/v1/shop/recommend", content=b" " * (2 << 20)).status_code == 413


def test_the_document_names_every_operation(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert document["paths"]["/v1/{tenant}/recommend"]["post"]["operationId"] == "recommend"
    assert "Ask" in document["components"]["schemas"]


def test_an_item_is_found_the_moment_it_was_put(client: TestClient) -> None:
    assert client.put("/v1/shop/items/fresh", json={"title": "fresh thing"}).json()["versions"]["fresh"] > 0
    assert client.get("/v1/shop/items/fresh").json() == {"id": "fresh", "columns": {"title": "fresh thing"}}
    client.post("/v1/shop/event", json={"event_id": "e", "user": "a", "item": "fresh"})
    assert client.post("/v1/shop/popular", json={"n": 31}).json()["items"][-1]["item"] in {"fresh", "i29"}
    found = client.post("/v1/shop/rank", json={"candidates": ["fresh", "i1"]}).json()["items"]
    assert {item["item"] for item in found} == {"fresh", "i1"}


def test_a_deleted_item_is_in_no_answer_and_comes_back_when_put_again(client: TestClient) -> None:
    best = client.post("/v1/shop/popular", json={"n": 1}).json()["items"][0]["item"]
    assert client.delete(f"/v1/shop/items/{best}").json() == {"deleted": 1}
    assert client.delete(f"/v1/shop/items/{best}").json() == {"deleted": 0}
    for path in ("popular", "trending", "recommend"):
        assert best not in [i["item"] for i in client.post(f"/v1/shop/{path}", json={"n": 40}).json()["items"]]
    assert client.get(f"/v1/shop/items/{best}").status_code == 404
    client.put(f"/v1/shop/items/{best}", json={"title": "again"})
    assert best in [i["item"] for i in client.post("/v1/shop/popular", json={"n": 40}).json()["items"]]


def test_items_outlive_a_restart_and_events_wait_for_theirs(tmp_path: Path) -> None:
    folder = trained(tmp_path / "shop")
    _, app = open_server([folder], SETTINGS)
    with TestClient(app) as client:
        client.post("/v1/shop/event", json={"event_id": "early", "user": "a", "item": "later"})
        client.put("/v1/shop/items/later", json={"title": "came later"})
        client.patch("/v1/shop/items/i1", json={"title": "renamed"})
        client.delete("/v1/shop/items/i2")
    _, app = open_server([folder], SETTINGS)
    with TestClient(app) as client:
        assert client.get("/v1/shop/items/later").json()["columns"]["title"] == "came later"
        assert client.get("/v1/shop/items/i1").json()["columns"]["title"] == "renamed"
        assert client.get("/v1/shop/items/i2").status_code == 404
        assert "later" not in [i["item"] for i in client.post("/v1/shop/recommend", json={"user": "a", "n": 40}).json()["items"]]


def test_pages_of_items_hold_each_once(client: TestClient) -> None:
    client.put("/v1/shop/items", json=[{"id": f"x{i}", "columns": {"title": str(i)}} for i in range(5)])
    client.delete("/v1/shop/items/i3")
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = client.get("/v1/shop/items", params={"after": after, "n": 7}).json()
        seen += [item["id"] for item in page["items"]]
        after = page["after"]
    assert seen == sorted({*(f"i{i}" for i in range(30) if i != 3), *(f"x{i}" for i in range(5))})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"titel": "x"}, "the items have no column 'titel'"),
        ({"title": 3}, "'title' must be text, not '3'"),
        ({"item_id": "other"}, "says item_id = 'other' of itself"),
    ],
)
def test_items_that_do_not_fit_are_refused(client: TestClient, body: dict[str, object], words: str) -> None:
    given = client.put("/v1/shop/items/x", json=body)
    assert given.status_code == 422
    assert words in given.json()["detail"]
    assert client.get("/v1/shop/items/x").status_code == 404


def with_columns(folder: Path) -> Path:
    """A saved recommender whose items have a column of every kind."""
    data = small_world("time")
    n = len(data.catalog)
    more = pl.DataFrame(
        {
            "tags": pl.Series([["a", "b"]] * n, dtype=pl.List(pl.String)),
            "stock": pl.Series([1] * n, dtype=pl.Int32),
            "price": pl.Series([1.5] * n, dtype=pl.Float64),
            "sold": pl.Series([True] * n, dtype=pl.Boolean),
            "from": pl.Series([datetime(2024, 1, 1, tzinfo=UTC)] * n, dtype=pl.Datetime("us", "UTC")),
        }
    )
    data = replace(data, catalog=replace(data.catalog, table=pl.concat([data.catalog.table, more], how="horizontal")))
    run = Run(report=silent)
    return Recommender(spec_of("popular").fit(data, run), spec_of("popular").fit(data, run), data).save(folder)


def test_items_with_columns_of_every_kind_are_changed_and_stay_so(tmp_path: Path) -> None:
    folder = with_columns(tmp_path / "shop")
    columns = {"title": "t", "tags": ["c"], "stock": 7, "price": 2, "sold": False, "from": "2030-01-01T00:00:00+08:00"}
    kept = columns | {"price": 2.0, "from": 1_893_427_200_000_000}
    for _ in range(2):
        _, app = open_server([folder], SETTINGS)
        with TestClient(app) as client:
            for item in ("i1", "fresh"):
                assert client.put(f"/v1/shop/items/{item}", json=columns).status_code == 200
                assert client.patch(f"/v1/shop/items/{item}", json={"tags": []}).status_code == 200
                assert client.get(f"/v1/shop/items/{item}").json()["columns"] == kept | {"tags": []}
            assert client.get("/v1/shop/items/i2").json()["columns"]["tags"] == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    [
        {"stock": 2**31}, {"stock": 2**63}, {"stock": 1.5}, {"stock": True}, {"price": "2"}, {"tags": "a"}, {"tags": [1]},
        {"tags": [None]}, {"from": "9999-12-31T23:59:59-23:59"}, {"from": 2**61}, {"from": -1}, {"from": "soon"}, {"sold": 1},
        {"sold": "yes"}, {"title": ["t"]},
    ],
)  # fmt: skip
def test_values_that_do_not_fit_are_not_stored(tmp_path: Path, body: dict[str, object]) -> None:
    folder = with_columns(tmp_path / "shop")
    _, app = open_server([folder], SETTINGS)
    with TestClient(app) as client:
        for call in (client.put, client.patch):
            assert call("/v1/shop/items/i1", json=body).status_code == 422
    _, app = open_server([folder], SETTINGS)  # nothing lies there that the next start would stumble over
    with TestClient(app) as client:
        assert client.get("/v1/shop/items/i1").json()["columns"]["title"] == "item 1"


def test_what_a_known_user_does_now_moves_his_vector(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = small_world("time")
    items, users = (rng.standard_normal((n, 8)).astype(np.float32) for n in (data.n_items, data.n_users))
    pl.DataFrame({"item_id": data.catalog.items.ids.to_pylist(), "vector": items.tolist()}).write_parquet(tmp_path / "items.parquet")
    pl.DataFrame({"user_id": data.users.ids.to_pylist(), "vector": users.tolist()}).write_parquet(tmp_path / "users.parquet")
    run = Run(report=silent)
    spec = spec_of({"kind": "vectors", "items": str(tmp_path / "items.parquet"), "users": str(tmp_path / "users.parquet")})
    _, app = open_server([Recommender(spec.fit(data, run), spec_of("popular").fit(data, run), data).save(tmp_path / "shop")], SETTINGS)
    with TestClient(app) as client:
        ask = {"user": "u1", "n": 30, "repeat": "allow"}
        ids = [item["item"] for item in client.post("/v1/shop/recommend", json=ask).json()["items"]]
        assert ids == [f"i{i}" for i in np.argsort(-(items @ users[1]), kind="stable")]
        client.post("/v1/shop/event", json={"event_id": "e", "user": "u1", "item": ids[-1]})
        after = [item["item"] for item in client.post("/v1/shop/recommend", json=ask).json()["items"]]
        assert after.index(ids[-1]) < 15
