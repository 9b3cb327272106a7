"""Two servers over one database: what one is told the other follows, with and without a bell, and when the store was away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from zhiyin.base.errors import ConfigError, StoreError
from zhiyin.online.bell import RedisBell
from zhiyin.online.following import Follower
from zhiyin.online.stores import Stores
from zhiyin.serve.run import kept, open_server
from zhiyin.serve.settings import Settings


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def folder(trained_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tail") / "shop"
    folder.symlink_to(trained_shop)
    return folder


@pytest.fixture
def addresses(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What --database and --redis say."""
    if request.param == "sqlite":
        yield {"database": f"sqlite:///{tmp_path}/{{tenant}}.db"}
        return
    yield {"database": request.getfixturevalue("postgresql"), "redis": request.getfixturevalue("redis")}


@pytest.mark.parametrize("addresses", ["sqlite", "postgresql and redis"], indirect=True)
def test_servers_over_one_database_know_the_same(folder: Path, addresses: dict[str, str]) -> None:
    settings = Settings(deadline_ms=5_000, **addresses)
    with ExitStack() as stack:
        clients = []
        for _ in range(2):
            server, app = open_server([folder], settings)
            kept(server, settings)
            clients.append(stack.enter_context(TestClient(app)))
        one, other = clients
        one.post("/v1/shop/event", json={"event_id": "a", "user": "new", "item": "i3"})
        wait_for(lambda: other.post("/v1/shop/recommend", json={"user": "new"}).json()["served_by"] == "transitions")
        assert other.post("/v1/shop/event", json={"event_id": "a", "user": "new", "item": "i3"}).json() == {"new": 0, "known": 1}
        one.put("/v1/shop/items/fresh", json={"title": "fresh"})
        wait_for(lambda: other.get("/v1/shop/items/fresh").status_code == 200)
        one.post("/v1/shop/users/u1/erase")
        wait_for(lambda: other.post("/v1/shop/recommend", json={"user": "u1"}).json()["notes"] == ["user 'u1' is unknown"])
    log, tables = Stores(addresses["database"]).log(folder), Stores(addresses["database"]).tables(folder)
    assert [record.event_id for _, record in log.read()] == ["a"]
    assert list(tables.get("items", ["fresh"])) == ["fresh"]
    log.close()
    tables.close()


def test_one_that_fails_to_follow_says_so_and_goes_on(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(database=f"sqlite:///{tmp_path}/shop.db")
    server, app = open_server([folder], settings)
    follower = server.tenants["shop"].follower
    failing = [True, True]

    class Sometimes(Follower):
        def look(self) -> bool:
            if failing:
                failing.pop()
                raise StoreError("the database is away")
            return super().look()

    server.tenants["shop"].follower = Sometimes(follower.tenant, 0)
    caplog.set_level("INFO", "zhiyin.serve")
    kept(server, settings)
    with TestClient(app):
        wait_for(lambda: "follows again" in caplog.text)
    assert caplog.text.count("the database is away") == 1


def test_tenants_do_not_share_a_database() -> None:
    with pytest.raises(ConfigError, match="'a' and 'b' would share one database"):
        Stores("postgresql://host/x").check(["a", "b"])
    Stores("postgresql://host/x_{tenant}").check(["a", "b"])
    Stores().check(["a", "b"])


def test_a_bell_is_heard_by_others_and_survives_that_redis_is_away(redis: str) -> None:
    ringing, hearing = RedisBell(redis, "test"), RedisBell(redis, "test")
    hearing.wait(0)  # begins to listen
    ringing.ring()
    heard = []

    def listen() -> bool:
        begun = time.monotonic()
        hearing.wait(30)
        heard.append(time.monotonic() - begun)
        return True

    wait_for(listen)
    assert heard[0] < 30
    away = RedisBell("redis://127.0.0.1:1/0")
    away.ring()
    away.wait(0.01)
    for bell in (ringing, hearing, away):
        bell.close()
    with pytest.raises(ConfigError, match="no Redis address"):
        RedisBell("http://x")
