"""Workers that share a Redis: rates, impressions and what was just shown hold for all of them together."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from zhiyin.ads.campaigns import Campaign, StaticCampaigns
from zhiyin.ads.slots import Slot
from zhiyin.base.errors import StoreError
from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.pipeline.placement import Placement
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.errors import TooMuchError
from zhiyin.serve.limits import Rates
from zhiyin.serve.run import kept, open_server
from zhiyin.serve.settings import Settings
from zhiyin.serve.sharing import Sharing, exchange
from zhiyin.store.memory_hot import MemoryHot
from zhiyin.testing.small import small_world


def wait_for(seen: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)


def taken(rates: Rates, who: str = "a") -> bool:
    try:
        rates.take(who)
    except TooMuchError:
        return False
    return True


def test_a_rate_holds_for_all_workers_together() -> None:
    now = [0.0]
    hot = MemoryHot()
    workers = [Rates(10, 5, clock=lambda: now[0]) for _ in range(3)]
    for rates in workers:
        rates.shared = True
    total = 0
    for _ in range(200):  # 20 seconds in which everybody asks all of them all the time
        total += sum(taken(rates) for rates in workers)
        for rates in workers:
            exchange(hot, "rates", rates)
        now[0] += 0.1
    alone, n = Rates(10, 5, clock=lambda: now[0]), 0
    for _ in range(200):
        n += taken(alone)
        now[0] += 0.1
    assert total <= 1.25 * n + 3 * 5
    now[0] += 60
    assert all(taken(rates, "b") for rates in workers), "another caller is not held to it"


def test_a_caller_of_one_worker_has_his_whole_rate() -> None:
    now = [0.0]
    hot = MemoryHot()
    one, other = Rates(10, 5, clock=lambda: now[0]), Rates(10, 5, clock=lambda: now[0])
    one.shared = other.shared = True
    n = 0
    for _ in range(100):
        n += taken(one)
        taken(other, "somebody else")
        exchange(hot, "rates", one)
        exchange(hot, "rates", other)
        now[0] += 0.1
    assert n == 100


def test_impressions_of_all_workers_use_up_a_campaign() -> None:
    hot = MemoryHot()
    workers = [StaticCampaigns([Campaign(name="c", item="i", impressions=10)]) for _ in range(2)]
    shown = 0
    for turn in range(40):
        one = workers[turn % 2]
        slots = one.fill("home", 0, {}, None)
        one.shown(slots)
        shown += len(slots)
        for each in (*workers, *workers):
            exchange(hot, "ads", each)
    assert shown == 10
    late = StaticCampaigns([Campaign(name="c", item="i", impressions=10)])  # a worker that was started again
    exchange(hot, "ads", late)
    assert late.fill("home", 0, {}, None) == []
    late.shown([Slot(1, "i", "c")])
    assert late.told() == {"c": 1}


def shop(folder: Path) -> Path:
    data, run = small_world("time"), Run(report=silent)
    made = Recommender(spec_of("transitions").fit(data, run), spec_of("popular").fit(data, run), data)
    tiring = Placement(name="home", fill=True, rerankers=({"kind": "fatigue", "after": 2.5, "keep": 0.1},))
    return made.with_placements([tiring], run).save(folder)


def test_servers_with_one_redis_tire_and_count_together(redis: str, tmp_path: Path) -> None:
    settings = Settings(deadline_ms=5_000, redis=redis, database=f"sqlite:///{tmp_path}/shop.db", rate_per_s=1e6)
    folder = shop(tmp_path / "shop")
    home = tmp_path / "shop.live"
    home.mkdir()
    (home / "campaigns.toml").write_text('[[campaign]]\nname = "c"\nitem = "i29"\npositions = [1]\nimpressions = 4\n')
    ask = {"user": "u1", "n": 6, "repeat": "allow"}
    with ExitStack() as stack:
        servers, clients = [], []
        for _ in range(2):
            server, app = open_server([folder], settings)
            kept(server, settings)
            servers.append(server)
            clients.append(stack.enter_context(TestClient(app)))
        hot = servers[1].tenants["shop"].tenant.showings

        def list_of(client: TestClient) -> list[str]:
            return [item["item"] for item in client.post("/v1/shop/recommend", json=ask).json()["items"] if not item.get("ad")]

        for server in servers:
            wait_for(lambda server=server: bool(server.tenants["shop"].adverts.fill("home", 0, {}, None)))  # type: ignore[misc]
        first, _, _ = (list_of(clients[0]) for _ in range(3))
        wait_for(lambda: len(hot._hot.shown(["u1"])[0]) == 3)
        assert not set(first[1:]) & set(list_of(clients[1])[:3]), "the other server knows what was shown here"
        wait_for(lambda: not servers[1].tenants["shop"].adverts.fill("home", 0, {}, None))
        wait_for(lambda: not servers[0].tenants["shop"].adverts.fill("home", 0, {}, None))
        clients[0].post("/v1/shop/users/u1/erase")
        assert hot._hot.shown(["u1"]) == [[]]


def test_while_redis_is_away_each_goes_on_alone_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(deadline_ms=5_000, redis="redis://127.0.0.1:1/0", rate_per_s=1e6)
    server, app = open_server([shop(tmp_path / "shop")], settings)
    sharing = Sharing(server, settings.redis or "")
    with TestClient(app) as client:
        answers = [client.post("/v1/shop/recommend", json={"user": "u1", "repeat": "allow"}).json() for _ in range(5)]
        assert all(answer["items"] == answers[0]["items"] and not answer["degraded"] for answer in answers)
        with pytest.raises(StoreError, match="Redis does not answer"):
            sharing.look()
    sharing.close()
