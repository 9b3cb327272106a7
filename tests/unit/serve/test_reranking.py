"""Re-rankers at placements over HTTP: each does its work, knobs of a request take their places, fatigue counts showings."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient

from zhiyin.base.errors import ConfigError, StoreError
from zhiyin.base.units import US_PER_HOUR
from zhiyin.data.run import Run, silent
from zhiyin.data.schema import Order
from zhiyin.models.registry import spec_of
from zhiyin.pipeline.placement import Placement, placements_toml, read_placements
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.app import Server
from zhiyin.serve.run import open_server
from zhiyin.serve.settings import Settings
from zhiyin.testing.small import small_world

SETTINGS = Settings(deadline_ms=5_000)
ASK = {"user": "u1", "n": 8, "repeat": "allow"}


def recommender(rerankers: list[Any], order: Order = "time", **more: Any) -> Recommender:
    data = small_world(order)
    n = len(data.catalog)
    columns = [pl.Series("kind", ["odd" if i % 2 else "even" for i in range(n)]), pl.Series("seller", [f"s{i % 3}" for i in range(n)])]
    described = {
        **data.manifest.model_dump(mode="json", exclude_none=True),
        "items": {"columns": {"kind": "category", "seller": "category"}},
    }
    catalog = replace(data.catalog, table=data.catalog.table.with_columns(*columns))
    data = replace(data, manifest=data.manifest.parse(described), catalog=catalog)
    run = Run(report=silent)
    made = Recommender(spec_of("transitions").fit(data, run), spec_of("popular").fit(data, run), data)
    return made.with_placements(
        [Placement(name="home", fill=True, rerankers=tuple(rerankers), **more), Placement(name="plain", fill=True)], run
    )


def opened(folder: Path, rerankers: list[Any], order: Order = "time") -> tuple[Server, TestClient]:
    server, app = open_server([recommender(rerankers, order).save(folder / "shop")], SETTINGS)
    return server, TestClient(app)


def asked(client: TestClient, path: str = "recommend", **said: Any) -> list[str]:
    given = client.post(f"/v1/shop/{path}", json={**ASK, **said})
    assert given.status_code == 200, given.text
    return [item["item"] for item in given.json()["items"]]


def number(item: str) -> int:
    return int(item[1:])


def test_each_re_ranker_does_at_its_placement_what_it_does_alone(tmp_path: Path) -> None:
    tail = {"kind": "tail", "share": 1.0}
    settings: dict[str, Any] = {
        "mmr": {"kind": "mmr", "diversity": 0.9}, "dpp": {"kind": "dpp", "diversity": 0.9}, "novelty": {"kind": "novelty", "novelty": 1.0},
        "calibrated": {"kind": "calibrated", "strength": 1.0}, "tail": tail,
        "provider": {"kind": "provider", "column": "seller", "floors": {"s0": 0.9}},
        "safety": {"kind": "safety", "blocked": ["i3"], "at_most": {"odd": 2}},
    }  # fmt: skip
    for kind, table in settings.items():
        folder = tmp_path / kind
        folder.mkdir()
        made = recommender([table])
        offline = made.recommend("u1", n=8).ids
        server, app = open_server([made.save(folder / "shop")], SETTINGS)
        with TestClient(app) as client:
            plain = asked(client, placement="plain", repeat=None)
            ours = asked(client, repeat=None)
            assert ours != plain, kind
            assert ours == offline, f"{kind}: a batch of a program and an answer of a server differ"
            if kind == "safety":
                assert "i3" not in ours and sum(number(item) % 2 for item in ours) <= 2
            if kind == "provider":
                assert Counter(number(item) % 3 for item in ours)[0] > Counter(number(item) % 3 for item in plain)[0]
        del server


def test_full_lists_come_back_though_most_is_held_back(tmp_path: Path) -> None:
    _, opening = opened(tmp_path, [{"kind": "safety", "blocked": [f"i{i}" for i in range(22)]}])
    with opening as client:
        assert sorted(map(number, asked(client, n=30))) == list(range(22, 30))
        assert sorted(map(number, asked(client, n=30, filter="kind = 'odd'"))) == [23, 25, 27, 29]
        assert len(asked(client, n=30, placement="plain")) == 30


def test_knobs_of_a_request_take_the_place_of_what_the_placement_says(tmp_path: Path) -> None:
    _, opening = opened(tmp_path, [{"kind": "mmr", "diversity": 0.9}, {"kind": "safety", "blocked": ["i1"]}])
    with opening as client:
        plain = [item for item in asked(client, placement="plain", n=9) if item != "i1"][:8]
        assert asked(client) != plain
        assert asked(client, diversity=0.0) == plain  # as the model says, but safe all the same
        assert asked(client, diversity=0.9) == asked(client)
        assert "i1" not in asked(client, diversity=0.5, n=30)
        assert asked(client, novelty=1.0) not in (asked(client), plain)


class Clock:
    """The server's time, an hour on with each look."""

    def __init__(self, server: Server, start_us: int) -> None:
        self.now = start_us
        server.tenants["shop"].tenant.clock = self

    def __call__(self) -> int:
        self.now += US_PER_HOUR // 60
        return self.now


FATIGUE = [{"kind": "fatigue", "after": 2.5, "keep": 0.1}]


@pytest.mark.parametrize("order", ["time", "none"])
def test_what_was_shown_again_and_again_sinks_until_it_is_clicked(tmp_path: Path, order: Order) -> None:
    server, opening = opened(tmp_path, FATIGUE, order)
    with opening as client:
        clock = Clock(server, 20_300 * 24 * US_PER_HOUR)
        first = asked(client)
        assert asked(client) == asked(client) == first  # three showings
        tired = asked(client)
        assert not set(first) & set(tired[:4]), "what was shown three times stands behind"
        assert asked(client, placement="plain") == first, "only where the placement says so"
        other = asked(client, user="u2")
        assert asked(client, user="u2") == asked(client, user="u2") == other, "each person by himself"
        client.post("/v1/shop/event", json={"event_id": "e", "user": "u1", "item": first[0], "kind": "click"})
        after = asked(client, n=30)
        assert after.index(first[0]) < min(map(after.index, first[1:])), "a click makes the showings before it count as nothing"
        clock.now += 400 * US_PER_HOUR
        assert set(asked(client, n=8)) & set(first[1:]), "it wears off"


def test_fatigue_asks_nothing_of_those_who_want_nothing_personal(tmp_path: Path) -> None:
    server, opening = opened(tmp_path, FATIGUE)
    with opening as client:
        Clock(server, 20_300 * 24 * US_PER_HOUR)
        for said in ({"user": "u1", "personalized": False}, {}):
            lists = [asked(client, **{"user": None, **said}) for _ in range(5)]
            assert all(one == lists[0] for one in lists)
        client.put("/v1/shop/users/u5/consent", json={"personalize": False})
        assert all(asked(client, user="u5") == asked(client, user="u5") for _ in range(3))
        client.put("/v1/shop/users/u6/consent", json={"store": False})
        lists = [asked(client, user="u6") for _ in range(5)]
        assert all(one == lists[0] for one in lists), "what he is shown is not remembered"
        hot = server.tenants["shop"].tenant.showings._hot
        assert hot.shown(["u1", "u5", "u6"]) == [[], [], []]


def test_a_session_tires_too_and_goes_on_as_the_user_it_becomes(tmp_path: Path) -> None:
    server, opening = opened(tmp_path, FATIGUE)
    with opening as client:
        Clock(server, 20_300 * 24 * US_PER_HOUR)
        lists = [asked(client, user=None, session="s") for _ in range(4)]
        assert lists[0] == lists[2] != lists[3]
        client.post("/v1/shop/event", json={"event_id": "e", "session": "s", "user": "fresh", "item": "i29"})
        both = asked(client, user="fresh", session="s")
        assert not set(lists[0]) & set(both[:3])
        assert client.post("/v1/shop/users/fresh/erase").json()["left"] == []
        assert server.tenants["shop"].tenant.showings._hot.shown(["fresh", "session:s"]) == [[], []]


def test_pages_of_one_list_do_not_tire_each_other(tmp_path: Path) -> None:
    server, opening = opened(tmp_path, [{"kind": "fatigue", "after": 1, "keep": 0.0}])
    with opening as client:
        Clock(server, 20_300 * 24 * US_PER_HOUR)
        seen: list[str] = []
        cursor = ""
        for _ in range(4):
            page = client.post("/v1/shop/recommend", json={**ASK, "n": 5, "cursor": cursor}).json()
            seen += [item["item"] for item in page["items"]]
            cursor = page["cursor"]
        assert len(set(seen)) == len(seen) == 20
        assert seen == asked(client, user="u1", n=20, placement="plain")


def test_a_store_of_showings_that_is_away_costs_fatigue_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, opening = opened(tmp_path, FATIGUE)
    with opening as client:
        Clock(server, 20_300 * 24 * US_PER_HOUR)
        lists = [asked(client) for _ in range(4)]
        assert lists[3] != lists[0]

        def away(*_: object) -> None:
            raise StoreError("Redis does not answer", "Wait.")

        monkeypatch.setattr(server.tenants["shop"].tenant.showings._hot, "shown", away)
        assert asked(client) == lists[0]


@pytest.mark.parametrize(
    ("rerankers", "words"),
    [
        (["mrm"], "placement 'home'.*mrm"),
        ([{"kind": "mmr", "diversity": 2}], "placement 'home'.*diversity"),
        ([{"kind": "provider", "column": "shop"}], "placement 'home': the items have no column 'shop'"),
        ([{"kind": "safety", "at_most": {"bad": 0}}], "placement 'home': no item has the category 'bad'"),
    ],
)
def test_what_is_no_re_ranker_is_refused_when_the_placement_is_made(rerankers: list[Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        recommender(rerankers)


def test_placements_with_re_rankers_are_written_and_read(tmp_path: Path) -> None:
    placement = Placement(name="home", rerankers=("mmr", {"kind": "safety", "blocked": ["sku/17"], "at_most": {"雨伞": 1}}))
    (tmp_path / "p.toml").write_text(placements_toml([placement]), encoding="utf-8")
    assert read_placements(tmp_path / "p.toml") == (placement,)
