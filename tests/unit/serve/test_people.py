"""People over HTTP: rows, consent, portraits, and being forgotten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    """Transitions over the small world, whose items have a category and tags."""
    data = small_world("time")
    catalog = data.catalog
    kinds = pl.Series("kind", ["odd" if i % 2 else "even" for i in range(len(catalog))])
    tags = pl.Series("tags", [["small", f"t{i % 3}"] for i in range(len(catalog))])
    manifest = data.manifest.parse(
        {**data.manifest.model_dump(mode="json", exclude_none=True), "items": {"columns": {"kind": "category", "tags": "list"}}}
    )
    data = replace(data, manifest=manifest, catalog=replace(catalog, table=catalog.table.with_columns(kinds, tags)))
    run = Run(report=silent)
    return Recommender(spec_of("transitions").fit(data, run), spec_of("popular").fit(data, run), data)


@pytest.fixture
def folder(trained: Recommender, tmp_path: Path) -> Path:
    return trained.save(tmp_path / "shop")


def client_of(folder: Path) -> TestClient:
    return TestClient(open_server([folder], SETTINGS)[1])


def test_rows_of_users_are_put_changed_and_removed(folder: Path) -> None:
    with client_of(folder) as client:
        assert client.put("/v1/shop/users/u1", json={"town": "east", "age": 30}).status_code == 200
        assert client.patch("/v1/shop/users/u1", json={"age": 31}).status_code == 200
        assert client.get("/v1/shop/users/u1").json() == {"id": "u1", "columns": {"town": "east", "age": 31}}
        client.put("/v1/shop/users", json=[{"id": f"v{i}", "columns": {}} for i in range(3)])
        page = client.get("/v1/shop/users", params={"n": 2}).json()
        assert [user["id"] for user in page["users"]] == ["u1", "v0"]
        assert client.get("/v1/shop/users", params={"n": 2, "after": page["after"]}).json()["after"] == "v2"
        assert client.delete("/v1/shop/users/u1").json() == {"deleted": 1}
        assert client.get("/v1/shop/users/u1").status_code == 404
        assert client.patch("/v1/shop/users/u1", json={}).status_code == 404


def test_consent_is_followed_at_once_and_after_a_restart(folder: Path) -> None:
    with client_of(folder) as client:
        personal = client.post("/v1/shop/recommend", json={"user": "u1"}).json()
        client.put("/v1/shop/users/u1/consent", json={"personalize": False})
        plain = client.post("/v1/shop/recommend", json={"user": "u1"}).json()
        assert plain["items"] == client.post("/v1/shop/recommend", json={"personalized": False}).json()["items"] != personal["items"]
        client.put("/v1/shop/users/u2/consent", json={"store": False})
        assert client.post("/v1/shop/event", json={"event_id": "e", "user": "u2", "item": "i1"}).json() == {"new": 0, "known": 0}
    with client_of(folder) as client:
        assert client.get("/v1/shop/users/u1/consent").json() == {"personalize": False, "store": True}
        assert client.post("/v1/shop/recommend", json={"user": "u1"}).json()["items"] == plain["items"]
        assert client.get("/v1/shop/health/ready").json()["events"] == 0


def test_a_portrait_says_topics_with_evidence_and_lets_them_be_taken_away(folder: Path) -> None:
    with client_of(folder) as client:
        client.post(
            "/v1/shop/events", json=[{"event_id": f"e{i}", "user": "new", "item": item} for i, item in enumerate(["i1", "i3", "i2"])]
        )
        said = client.get("/v1/shop/users/new/portrait").json()
        shares = {(topic["column"], topic["topic"]): topic["share"] for topic in said["topics"]}
        assert shares["kind", "odd"] == pytest.approx(2 / 3, abs=1e-6)
        assert shares["tags", "small"] == pytest.approx(0.5, abs=1e-6)
        odd = next(topic for topic in said["topics"] if topic["topic"] == "odd")
        assert {e["item"] for e in odd["evidence"]} == {"i1", "i3"}
        client.put("/v1/shop/users/new/portrait/tags", json={"tags": [{"tag": "vintage"}]})
        client.delete("/v1/shop/users/new/portrait/tags/odd")
        said = client.get("/v1/shop/users/new/portrait").json()
        assert "odd" not in {topic["topic"] for topic in said["topics"]}
        assert said["tags"] == [{"tag": "vintage", "like": True}]
        assert said["hidden"] == ["odd"]


def test_somebody_erased_is_nowhere_and_stays_away(folder: Path) -> None:
    name = "somebody-with-a-long-id"
    with client_of(folder) as client:
        client.post("/v1/shop/events", json=[{"event_id": f"a{i}", "session": "sess-of-somebody", "item": f"i{i}"} for i in range(3)])
        client.post("/v1/shop/event", json={"event_id": "b", "session": "sess-of-somebody", "user": name, "item": "i9"})
        client.post("/v1/shop/event", json={"event_id": "c", "user": "u1", "item": "i9"})
        client.put(f"/v1/shop/users/{name}", json={"town": "east"})
        client.post("/v1/shop/recommend", json={"user": name})
        kept = client.get(f"/v1/shop/users/{name}/export").json()
        assert (len(kept["events"]), len(kept["answers"]), kept["columns"]) == (4, 1, {"town": "east"})
        erased = client.post(f"/v1/shop/users/{name}/erase").json()
        assert erased == {"events": 4, "answers": 1, "rows": 1, "masked_in_bundle": False, "retrain_due": False, "left": []}
    with client_of(folder) as client:
        kept = client.get(f"/v1/shop/users/{name}/export").json()
        assert (kept["events"], kept["answers"], kept["columns"]) == ([], [], {})
        assert client.get("/v1/shop/health/ready").json()["events"] == 1
        assert client.post("/v1/shop/recommend", json={"user": name}).json()["notes"] == [f"user '{name}' is unknown"]


def test_a_user_of_the_bundle_is_masked_until_it_is_trained_anew(folder: Path) -> None:
    with client_of(folder) as client:
        assert client.get("/v1/shop/users/u1/export").json()["trained_on"]
        erased = client.post("/v1/shop/users/u1/erase").json()
        assert (erased["masked_in_bundle"], erased["retrain_due"]) == (True, True)
        assert erased["left"] == ["bundle (masked until it is trained anew)"]
    with client_of(folder) as client:
        assert client.post("/v1/shop/recommend", json={"user": "u1"}).json()["notes"] == ["user 'u1' is unknown"]
        assert client.get("/v1/shop/users/u1/export").json()["trained_on"] == []


def test_diversity_and_novelty_turn_the_list(folder: Path) -> None:
    with client_of(folder) as client:
        plain = client.post("/v1/shop/recommend", json={"user": "u1", "n": 5}).json()["items"]
        varied = client.post("/v1/shop/recommend", json={"user": "u1", "n": 5, "diversity": 1.0}).json()["items"]
        assert client.post("/v1/shop/recommend", json={"user": "u1", "n": 5, "diversity": 0.0}).json()["items"] == plain
        kinds = [int(item["item"][1:]) % 2 for item in varied]
        assert kinds[0] != kinds[1]
        novel = client.post("/v1/shop/recommend", json={"n": 29, "novelty": 1.0}).json()["items"]
        popular = client.post("/v1/shop/recommend", json={"n": 29}).json()["items"]
        assert [item["item"] for item in novel] != [item["item"] for item in popular]
        assert client.post("/v1/shop/recommend", json={"diversity": 1.5}).status_code == 422


def test_events_are_counted_right_after_an_erase(folder: Path) -> None:
    with client_of(folder) as client:
        events = [
            ("e1", "new", None, "i1"),
            ("e2", None, "s", "i2"),
            ("e3", "new", "s", "i3"),
            ("e4", "new", None, "later"),
            ("e5", "you", None, "i1"),
        ]
        client.post("/v1/shop/events", json=[{"event_id": e, "user": u, "session": s, "item": i} for e, u, s, i in events])
        assert client.get("/v1/shop/health/ready").json()["events"] == 5
        assert client.post("/v1/shop/users/new/erase").json()["events"] == 4
        assert client.get("/v1/shop/health/ready").json()["events"] == 1
        client.post("/v1/shop/users/nobody/erase")
        assert client.get("/v1/shop/health/ready").json()["events"] == 1
    with client_of(folder) as client:
        assert client.get("/v1/shop/health/ready").json()["events"] == 1
