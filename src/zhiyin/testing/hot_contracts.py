"""What every hot state promises, as checks that any implementation can be run against.

from zhiyin.testing.hot_contracts import HOT_CHECKS, HOT_LIMITS
for check in HOT_CHECKS.values():
    check(MemoryHot(HOT_LIMITS))
"""

from __future__ import annotations

import threading

from zhiyin.store.hot import HotLimits, HotState, Showing
from zhiyin.testing.store_contracts import by_name, require

__all__ = ["HOT_CHECKS", "HOT_LIMITS"]

HOT_LIMITS = HotLimits(n_showings=4, keep_s=1000, n_people=3, n_keys=1000)
"""The limits an empty hot state is made with for a check."""


def remembers(hot: HotState) -> None:
    """The newest showings of a person, in the order of time, no more than the limit, nobody else's."""
    late, early = Showing(3, ["知", "a/b"]), Showing(1, [])
    hot.show({"p": [late, early], "q": [Showing(2, ["x"])]})
    hot.show({"p": []})
    require(hot.shown(["p", "none", "q"]) == [[early, late], [], [Showing(2, ["x"])]], "showings by time, whole, each one's own")
    hot.show({"p": [Showing(i, [str(i)]) for i in range(10, 15)]})
    require([one.time_us for one in hot.shown(["p"])[0]] == [11, 12, 13, 14], "only the newest are kept")
    hot.forget(["p", "none"])
    require(hot.shown(["p", "q"]) == [[], [Showing(2, ["x"])]] and hot.shown([]) == [], "forgotten is gone, others stay")


def adds_up(hot: HotState) -> None:
    """Counts are the sum of what everybody added; boards are apart; looking changes nothing."""
    require(hot.add("b", {"a": 2, "知": 1}) == {"a": 2, "知": 1}, "the first amounts are the counts")
    require(hot.add("b", {"a": 3, "none": 0}) == {"a": 5, "none": 0}, "amounts add up")
    require(hot.add("other", {"a": 0}) == {"a": 0} and hot.add("b", {}) == {}, "boards are apart")
    threads = [threading.Thread(target=lambda: [hot.add("b", {"many": 1}) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    require(hot.add("b", {"many": 0, "a": 0}) == {"many": 200, "a": 5}, "nothing that is added at once is lost")


HOT_CHECKS = by_name((remembers, adds_up))
"""Every promise of a HotState by name; each is run on an empty one."""
