"""What is answered while something beneath is broken: always something, always marked, and well again by itself."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from zhiyin.base.errors import ModelFileError, StoreError
from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.transitions import Transitions
from zhiyin.online.tenant import live_folder
from zhiyin.pipeline.finding import Finder
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.app import Server
from zhiyin.serve.keeper import Keeper
from zhiyin.serve.run import open_server, reopened
from zhiyin.serve.settings import Settings
from zhiyin.testing.small import small_world

SETTINGS = Settings(deadline_ms=5_000)
ASKS: dict[str, dict[str, Any]] = {
    "recommend": {"user": "u1", "n": 5},
    "rank": {"user": "u1", "candidates": ["i1", "i2", "nowhere"]},
    "page": {"user": "u1"},
    "search": {"text": "item 1", "user": "u1", "n": 5},
    "complete": {"text": "item"},
    "similar": {"item": "i1", "kind": "together", "n": 5},
    "trending": {"n": 5},
    "popular": {"n": 5},
    "new": {"n": 5},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data, run = small_world("time"), Run(report=silent)
    recommender = Recommender(spec_of("transitions").fit(data, run), spec_of("popular").fit(data, run), data)
    return recommender.with_placements().save(tmp_path_factory.mktemp("trained") / "shop")


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "shop"))


def keeper_of(server: Server) -> Keeper:
    return Keeper(server.tenants, again=lambda name: reopened(server, name))


def look(keeper: Keeper) -> None:
    keeper.look("shop", keeper.tenants["shop"])


def ask(client: TestClient, what: str, said: dict[str, Any] | None = None) -> dict[str, Any]:
    given = client.post(f"/v1/shop/{what}", json=ASKS[what] if said is None else said)
    assert given.status_code == 200, given.text
    answer: dict[str, Any] = given.json()
    return answer


def degraded(client: TestClient, what: str) -> str:
    """The note of an answer that is marked and not empty; "" of one that is not marked."""
    answer = ask(client, what)
    shelves = answer["shelves"] if what == "page" else [answer]
    one = next((shelf for shelf in shelves if shelf["degraded"]), shelves[0])
    assert all(shelf["texts" if what == "complete" else "items"] for shelf in shelves)
    note = one["note"] if what in ("search", "complete") else "; ".join(one["notes"])
    assert note or not one["degraded"]
    return str(note) if one["degraded"] else ""


def cut(folder: Path) -> None:
    path = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(path, path.stat().st_size // 2)


def test_a_damaged_model_is_answered_for_by_a_standby_until_it_is_put_back(folder: Path, tmp_path: Path) -> None:
    server, app = open_server([folder], SETTINGS)
    keeper = keeper_of(server)
    with TestClient(app) as client:
        look(keeper)
        assert [degraded(client, what) for what in ASKS] == [""] * len(ASKS)
    whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    cut(folder)
    server, app = open_server([folder], SETTINGS)
    keeper = keeper_of(server)
    with TestClient(app) as client:
        for what in ASKS:
            assert degraded(client, what), what
        assert ask(client, "recommend", {"placement": "product", "items": ["i1"]})["degraded"]
        assert [item["item"] for item in ask(client, "rank")["items"]][-1] == "nowhere"
        ready = client.get("/v1/shop/health/ready")
        assert (ready.status_code, ready.json()["ready"], ready.json()["degraded"]) == (200, True, True)
        assert "is truncated" in ready.json()["notes"][0]
        assert str(tmp_path) not in degraded(client, "recommend")
        # Events are kept, and what nobody can know now is neither denied nor half done.
        event = {"event_id": "e", "user": "fresh", "item": "i3"}
        assert client.post("/v1/shop/event", json=event).json() == {"new": 1, "known": 0}
        for method, path in (("POST", "users/u1/erase"), ("GET", "users/u1/export"), ("DELETE", "items/gone"), ("GET", "items/gone")):
            assert client.request(method, f"/v1/shop/{path}").status_code == 503, path
        assert client.put("/v1/shop/items/put", json={"title": "put meanwhile"}).status_code == 200
        shutil.rmtree(folder)
        with pytest.raises(ModelFileError):
            look(keeper)
        assert degraded(client, "recommend")
        shutil.copytree(whole, folder)
        look(keeper)
        assert degraded(client, "recommend") == ""
        assert client.get("/v1/shop/health/ready").json()["notes"] == []
        after = ask(client, "recommend", {"user": "fresh", "n": 30})
        assert after["served_by"].startswith("transitions")
        assert "i3" not in [item["item"] for item in after["items"]]
        assert client.get("/v1/shop/items/put").json()["columns"] == {"title": "put meanwhile"}
        assert client.post("/v1/shop/users/u1/erase").json()["masked_in_bundle"]


def test_damage_beneath_a_running_server_is_told_and_what_is_in_memory_answers(folder: Path) -> None:
    server, app = open_server([folder], SETTINGS)
    keeper = keeper_of(server)
    with TestClient(app) as client:
        folder.rename(folder.with_name("elsewhere"))
        with pytest.raises(ModelFileError):
            look(keeper)
        look(keeper)
        assert degraded(client, "recommend") == ""
        assert "what is in memory is served on" in client.get("/v1/shop/health/ready").json()["notes"][0]
        folder.with_name("elsewhere").rename(folder)
        look(keeper)
        assert client.get("/v1/shop/health/ready").json()["notes"] == []


def test_with_nothing_to_serve_at_all_it_does_not_start(folder: Path) -> None:
    cut(folder)
    with pytest.raises(ModelFileError, match="truncated"):
        open_server([folder], SETTINGS)
    assert not live_folder(folder).exists()


def test_a_log_that_another_process_writes_is_read_and_taken_over_when_it_is_free(folder: Path) -> None:
    other, app = open_server([folder], SETTINGS)
    event = {"event_id": "e1", "user": "fresh", "item": "i3"}
    with TestClient(app) as first:
        assert first.post("/v1/shop/event", json=event).status_code == 200
        server, app = open_server([folder], SETTINGS)
        keeper = keeper_of(server)
        client = TestClient(app)
        with client:
            look(keeper)
            for what in ASKS:
                assert "events are not stored now" in degraded(client, what), what
            refused = client.post("/v1/shop/event", json={**event, "event_id": "e2"})
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "a server writes" in refused.json()["detail"]
            for path, body in (("items/i9", {"title": "other"}), ("users/u1/consent", {"personalize": False})):
                assert client.put(f"/v1/shop/{path}", json=body).status_code == 503
            assert client.get("/health/ready").status_code == 503
            assert client.get("/health/live").status_code == 200
            # What the other takes acts here too, and so does what somebody withdraws there.
            assert first.post("/v1/shop/event", json={**event, "event_id": "e3", "item": "i5"}).status_code == 200
            assert first.put("/v1/shop/users/u1/consent", json={"personalize": False}).status_code == 200
            look(keeper)
            seen = ask(client, "recommend", {"user": "fresh", "n": 30})["items"]
            assert not {"i3", "i5"} & {item["item"] for item in seen}
            assert server.tenants["shop"].tenant.private == {"u1"}
            other.close()
            look(keeper)
            assert client.post("/v1/shop/event", json={**event, "event_id": "e2"}).json() == {"new": 1, "known": 0}
            assert client.post("/v1/shop/event", json=event).json() == {"new": 0, "known": 1}
            assert client.get("/health/ready").status_code == 200
            assert degraded(client, "recommend") == ""
            look(keeper)


def test_a_store_that_fails_shows_in_every_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, app = open_server([folder], SETTINGS)
    log = server.tenants["shop"].tenant.log
    event = {"event_id": "e", "user": "fresh", "item": "i3"}
    with TestClient(app) as client, monkeypatch.context() as broken:
        status = log.status()
        broken.setattr(log, "status", lambda: type(status)(status.end, "no space left", ()))

        def full(_: object) -> None:
            raise StoreError("no space left")

        broken.setattr(log, "submit", full)
        assert client.post("/v1/shop/event", json=event).status_code == 503
        assert degraded(client, "recommend") == "events are not stored now"
        broken.undo()
        assert client.post("/v1/shop/event", json=event).status_code == 200
        assert degraded(client, "recommend") == ""


@pytest.fixture
def go() -> Iterator[threading.Event]:
    go = threading.Event()
    yield go
    go.set()


def breaking(monkeypatch: pytest.MonkeyPatch, kind: type, method: str, go: threading.Event, how: str) -> None:
    whole = getattr(kind, method)

    def broken(*said: Any, **named: Any) -> Any:
        if how == "raises" and not go.is_set():
            raise FileNotFoundError("the index is not there")
        go.wait(30)
        return whole(*said, **named)

    monkeypatch.setattr(kind, method, broken)


@pytest.mark.parametrize("how", ["hangs", "raises"])
def test_a_model_that_hangs_or_raises_costs_no_answer_and_no_other_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, go: threading.Event, how: str
) -> None:
    server, app = open_server([folder], Settings(deadline_ms=50))
    with TestClient(app) as client:
        keeper_of(server).look("shop", server.tenants["shop"])
        breaking(monkeypatch, Transitions, "retrieve", go, how)
        for _ in range(4):
            for what in ("recommend", "rank", "page", "search", "similar"):
                assert degraded(client, what), what
        # Neither does it keep the threads that write, nor the index.
        assert client.put("/v1/shop/items/put", json={"title": "put meanwhile"}).status_code == 200
        assert ask(client, "search", {"text": "meanwhile"})["items"][0]["item"] == "put"
        assert client.get("/v1/shop/health/ready").json()["degraded"] is (how == "hangs")
        go.set()
        hosted = server.tenants["shop"]
        while hosted.late:
            threading.Event().wait(0.001)
        assert degraded(client, "similar") == ""


@pytest.mark.parametrize("how", ["hangs", "raises"])
def test_an_index_that_hangs_or_raises_leaves_what_is_popular(
    folder: Path, monkeypatch: pytest.MonkeyPatch, go: threading.Event, how: str
) -> None:
    server, app = open_server([folder], Settings(deadline_ms=50))
    with TestClient(app) as client:
        keeper_of(server).look("shop", server.tenants["shop"])
        for method in ("search", "complete"):
            breaking(monkeypatch, Finder, method, go, how)
        for what in ("search", "complete") * 2:
            assert degraded(client, what), what
        assert degraded(client, "recommend") == ""
