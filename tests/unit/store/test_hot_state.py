"""What is remembered is bounded in number and in time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from zhiyin.base.errors import ConfigError, MissingDataError, StoreError
from zhiyin.store.hot import Fading, HotLimits
from zhiyin.store.memory_hot import MemoryHot
from zhiyin.store.redis_hot import RedisHot
from zhiyin.testing.servers import temporary_redis
from zhiyin.testing.store_contracts import event, events

LIMITS = HotLimits(n_events=4, keep_s=10, n_people=3, n_keys=5, half_life_s=1)


def test_people_who_are_long_away_are_forgotten() -> None:
    now = [0]
    hot = MemoryHot(LIMITS, now_us=lambda: now[0])
    hot.remember("p", events(1))
    now[0] = 9_999_999
    hot.remember("q", events(1))
    assert hot.recent(["p", "q"]) == [events(1), events(1)]
    now[0] = 10_000_000
    assert hot.recent(["p", "q"]) == [[], events(1)]
    hot.remember("p", [event("new")])
    assert hot.recent(["p"]) == [[event("new")]], "who comes back starts anew"
    for person in "abcd":
        hot.remember(person, events(1))
    assert [bool(found) for found in hot.recent(["q", "p", "a", "b", "c", "d"])] == [False, False, False, True, True, True]


def test_boards_are_bounded() -> None:
    hot = MemoryHot(LIMITS)
    for i in range(3000):
        hot.count("b", {f"k{i}": float(i)}, 0)
    assert len(hot.top("b", 10**6, 0)) < 1500 and hot.top("b", 2, 0) == [("k2999", 2999.0), ("k2998", 2998.0)]
    hot.count("b", {"later": 1.0}, 3 * Fading(1).era_us)
    assert [key for key, _ in hot.top("b", 10, 3 * Fading(1).era_us)] == ["later"]


def test_limits_are_positive() -> None:
    with pytest.raises(ConfigError, match="not positive"):
        HotLimits(keep_s=0)


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    try:
        with temporary_redis() as url:
            yield url
    except MissingDataError as missing:
        pytest.skip(missing.message)


def test_redis_forgets_by_itself(redis: str) -> None:
    hot = RedisHot(redis, LIMITS, timeout_s=5)
    hot.remember("p", events(9))
    for i in range(20):
        hot.count("b", {f"k{i}": float(i)}, 0)
    raw = hot._redis
    assert 0 < raw.pttl("zhiyin:recent:p") <= 10_000 and raw.llen("zhiyin:recent:p") == 4
    assert 0 < raw.pttl("zhiyin:board:b:0") <= 3 * 64_000 and raw.zcard("zhiyin:board:b:0") == 5
    raw.rpush("zhiyin:recent:q", b"\xc1")
    with pytest.raises(StoreError, match=r"what Redis holds is no event: .*another prefix"):
        hot.recent(["q"])
    raw.set("zhiyin:recent:z", "text")
    with pytest.raises(StoreError, match=r"Redis does not answer: .*WRONGTYPE"):
        hot.recent(["z"])
    hot.close()


def test_no_redis_address() -> None:
    with pytest.raises(ConfigError, match="no Redis address"):
        RedisHot("nonsense")
