"""What every hot state promises, as checks that any implementation can be run against.

from zhiyin.testing.hot_contracts import HOT_CHECKS, HOT_LIMITS, HotCase
for check in HOT_CHECKS.values():
    check(HotCase(MemoryHot(HOT_LIMITS), now_us))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zhiyin.base.units import US_PER_S
from zhiyin.store.hot import HotLimits, HotState
from zhiyin.testing.store_contracts import by_name, event, require

__all__ = ["HOT_CHECKS", "HOT_LIMITS", "HotCase"]

HOT_LIMITS = HotLimits(n_events=4, keep_s=1000, n_people=3, n_keys=1000, half_life_s=100)
"""The limits a HotCase is made with."""


@dataclass(frozen=True)
class HotCase:
    """An empty hot state with HOT_LIMITS; ``now_us`` is the time it goes by."""

    hot: HotState
    now_us: Callable[[], int]


def remembers(case: HotCase) -> None:
    """The newest events of a person, in the order of time, no more than the limit, nobody else's."""
    hot = case.hot
    hot.remember("p", [event("1", time_us=3, context={"知": [1]}), event("2", time_us=1)])
    hot.remember("q", [event("3")])
    hot.remember("p", [])
    require([[e.event_id for e in found] for found in hot.recent(["p", "none", "q"])] == [["2", "1"], [], ["3"]], "recent events by time")
    require(hot.recent(["p"])[0][1] == event("1", time_us=3, context={"知": [1]}), "events come back whole")
    hot.remember("p", [event(str(i), time_us=i) for i in range(10, 15)])
    require([e.event_id for e in hot.recent(["p"])[0]] == ["11", "12", "13", "14"], "only the newest are kept")
    hot.forget(["p", "none"])
    require(hot.recent(["p", "q"]) == [[], [event("3")]] and hot.recent([]) == [], "forgotten is gone, others stay")


def fades(case: HotCase) -> None:
    """Counts fall by half every half life, late amounts count less, over eras as well."""
    hot, half = case.hot, 100 * US_PER_S
    for start in (case.now_us(), 64 * half * 300_000 - half // 2):  # the second one ends in the next era
        board = f"board{start}"
        hot.count(board, {"a": 4.0, "b": 1.0}, start)
        hot.count(board, {"b": 1.0, "知": 1.0}, start + half)
        want = [("b", 1.5), ("a", 2.0), ("知", 1.0)]
        for later, n in ((half, 3), (3 * half, 2)):
            got = hot.top(board, n, start + later)
            share = 2.0 ** (1 - later / half)
            expected = sorted(((k, v * share) for k, v in want), key=lambda kv: -kv[1])[:n]
            require([k for k, _ in got] == [k for k, _ in expected], "the highest come first")
            require(all(abs(a - b) < 1e-9 for (_, a), (_, b) in zip(got, expected, strict=True)), "counts fade by half every half life")
        hot.count(board, {"late": 8.0}, start - 2 * half)
        require(abs(dict(hot.top(board, 9, start))["late"] - 2.0) < 1e-9, "late amounts count as of when they happened")
    hot.count("equal", {"b": 1.0, "a": 1.0}, case.now_us())
    require([key for key, _ in hot.top("equal", 5, case.now_us())] == ["a", "b"], "equal counts are ordered by key")
    require(hot.top("none", 5, case.now_us()) == [], "an empty board is empty")


HOT_CHECKS = by_name((remembers, fades))
"""Every promise of a HotState by name; each is run on a HotCase of an empty one."""
