"""What is remembered is bounded in number and in time."""

from __future__ import annotations

import pytest

from zhiyin.base.errors import ConfigError, StoreError
from zhiyin.store.hot import HotLimits, Showing
from zhiyin.store.memory_hot import MemoryHot
from zhiyin.store.opening import open_hot
from zhiyin.store.redis_hot import RedisHot

LIMITS = HotLimits(n_showings=4, keep_s=10, n_people=3, n_keys=5)
ONE = [Showing(1, ["a"])]


def test_people_who_are_long_away_are_forgotten() -> None:
    now = [0]
    hot = MemoryHot(LIMITS, now_us=lambda: now[0])
    hot.show({"p": ONE})
    now[0] = 9_999_999
    hot.show({"q": ONE})
    assert hot.shown(["p", "q"]) == [ONE, ONE]
    now[0] = 10_000_000
    assert hot.shown(["p", "q"]) == [[], ONE]
    hot.show({"p": [Showing(2, ["new"])]})
    assert hot.shown(["p"]) == [[Showing(2, ["new"])]], "who comes back starts anew"
    for person in "abcd":
        hot.show({person: ONE})
    assert [bool(found) for found in hot.shown(["q", "p", "a", "b", "c", "d"])] == [False, False, False, True, True, True]


def test_counts_are_bounded_in_number_and_in_time() -> None:
    now = [0]
    hot = MemoryHot(LIMITS, now_us=lambda: now[0])
    for i in range(20):
        hot.add("b", {f"k{i}": i + 1})
    assert [hot.add("b", {f"k{i}": 0})[f"k{i}"] for i in (0, 14, 15, 19)] == [0, 0, 16, 20]
    now[0] = 10_000_000
    assert hot.add("b", {"k19": 0}) == {"k19": 0}
    assert hot.add("b", {"k19": 1}) == {"k19": 1}


def test_limits_are_positive() -> None:
    with pytest.raises(ConfigError, match="not positive"):
        HotLimits(keep_s=0)


def test_redis_forgets_by_itself(redis: str) -> None:
    hot = RedisHot(redis, LIMITS, timeout_s=5)
    hot.show({"p": ONE * 9})
    hot.add("b", {"k": 3})
    raw = hot._redis
    assert 0 < raw.pttl("zhiyin:shown:p") <= 10_000 and raw.llen("zhiyin:shown:p") == 4
    assert 0 < raw.pttl("zhiyin:count:b:k") <= 10_000
    raw.rpush("zhiyin:shown:q", b"\xc1")
    with pytest.raises(StoreError, match=r"what Redis holds was shown to nobody: .*another prefix"):
        hot.shown(["q"])
    raw.set("zhiyin:shown:z", "text")
    with pytest.raises(StoreError, match=r"Redis does not answer: .*WRONGTYPE"):
        hot.shown(["z"])
    hot.close()


def test_no_redis_address() -> None:
    with pytest.raises(ConfigError, match="no Redis address"):
        RedisHot("nonsense")
    with pytest.raises(ConfigError, match="'ftp' is no place for hot state"):
        open_hot("ftp://x")
    assert isinstance(open_hot("memory:"), MemoryHot)
