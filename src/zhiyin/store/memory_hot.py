"""Hot state of one process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from zhiyin.base.clock import now_us as clock
from zhiyin.base.units import US_PER_S
from zhiyin.store.hot import HotLimits, Showing

K = TypeVar("K")
V = TypeVar("V")


class MemoryHot:
    """A ``HotState`` in memory; ``now_us`` tells the time for forgetting people who have long been away."""

    def __init__(self, limits: HotLimits | None = None, *, now_us: Callable[[], int] = clock) -> None:
        self._limits = limits or HotLimits()
        self._now_us = now_us
        self._people: dict[str, tuple[int, deque[Showing]]] = {}  # in the order of their last showing
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}  # in the order of their last change: when, how many
        self._lock = threading.Lock()

    def show(self, showings: Mapping[str, Sequence[Showing]]) -> None:
        """See ``HotState.show``."""
        now = self._now_us()
        with self._lock:
            for person, some in showings.items():
                at, kept = self._people.pop(person, (now, deque[Showing](maxlen=self._limits.n_showings)))
                if not self._alive(at, now):
                    kept.clear()
                kept.extend(some)
                self._people[person] = (now, kept)
            self._trim(self._people, self._limits.n_people, now)

    def shown(self, people: Sequence[str]) -> list[list[Showing]]:
        """See ``HotState.shown``."""
        now = self._now_us()
        with self._lock:
            found = [self._people.get(person) for person in people]
            kept = [list(one[1]) if one is not None and self._alive(one[0], now) else [] for one in found]
        return [sorted(some, key=lambda showing: showing.time_us) for some in kept]

    def add(self, board: str, amounts: Mapping[str, int]) -> dict[str, int]:
        """See ``HotState.add``."""
        now, out = self._now_us(), {}
        with self._lock:
            for key, amount in amounts.items():
                at, count = self._counts.get((board, key), (now, 0))
                out[key] = (count if self._alive(at, now) else 0) + amount
                if amount:
                    self._counts.pop((board, key), None)
                    self._counts[board, key] = (now, out[key])
            self._trim(self._counts, self._limits.n_keys, now)
        return out

    def forget(self, people: Sequence[str]) -> None:
        """See ``HotState.forget``."""
        with self._lock:
            for person in people:
                self._people.pop(person, None)

    def close(self) -> None:
        """Nothing to let go of."""

    def _alive(self, at: int, now: int) -> bool:
        return now - at < self._limits.keep_s * US_PER_S

    def _trim(self, entries: dict[K, tuple[int, V]], most: int, now: int) -> None:
        """Let the oldest go: beyond the number that is kept, and beyond their time."""
        while entries and (len(entries) > most or not self._alive(next(iter(entries.values()))[0], now)):
            del entries[next(iter(entries))]
