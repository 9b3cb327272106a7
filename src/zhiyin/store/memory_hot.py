"""Hot state of one process."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence

from zhiyin.base.clock import now_us as clock
from zhiyin.base.units import US_PER_S
from zhiyin.data.record import EventRecord
from zhiyin.store.hot import Fading, HotLimits

_SWEEP_EVERY = 1024


class MemoryHot:
    """A ``HotState`` in memory; ``now_us`` tells the time for forgetting people who have long been away."""

    def __init__(self, limits: HotLimits | None = None, *, now_us: Callable[[], int] = clock) -> None:
        self._limits = limits or HotLimits()
        self._fading = Fading(self._limits.half_life_s)
        self._now_us = now_us
        self._people: dict[str, tuple[int, deque[EventRecord]]] = {}  # in the order of their last event
        self._boards: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
        self._lock = threading.Lock()

    def remember(self, person: str, events: Sequence[EventRecord]) -> None:
        """See ``HotState.remember``."""
        now = self._now_us()
        with self._lock:
            kept = self._people.pop(person, (0, deque[EventRecord](maxlen=self._limits.n_events)))
            fresh = kept[1] if self._alive(kept[0], now) else deque[EventRecord](maxlen=self._limits.n_events)
            fresh.extend(events)
            self._people[person] = (now, fresh)
            while len(self._people) > self._limits.n_people or not self._alive(next(iter(self._people.values()))[0], now):
                del self._people[next(iter(self._people))]

    def recent(self, people: Sequence[str]) -> list[list[EventRecord]]:
        """See ``HotState.recent``."""
        now = self._now_us()
        with self._lock:
            found = [self._people.get(person, (0, deque[EventRecord]())) for person in people]
            return [sorted(events, key=lambda e: e.time_us) if self._alive(at, now) else [] for at, events in found]

    def count(self, board: str, amounts: Mapping[str, float], time_us: int) -> None:
        """See ``HotState.count``."""
        era, grown = self._fading.era(time_us), self._fading.grown(time_us)
        with self._lock:
            counts = self._boards[board, era]
            for key, amount in amounts.items():
                counts[key] = counts.get(key, 0.0) + amount * grown
            if len(counts) > self._limits.n_keys + _SWEEP_EVERY:
                ranked = sorted(counts, key=lambda key: counts[key], reverse=True)
                self._boards[board, era] = {key: counts[key] for key in ranked[: self._limits.n_keys]}
            self._boards.pop((board, era - 2), None)

    def top(self, board: str, n: int, now_us: int) -> list[tuple[str, float]]:
        """See ``HotState.top``."""
        total: dict[str, float] = defaultdict(float)
        with self._lock:
            for era, weight in self._fading.weights(now_us).items():
                for key, stored in self._boards.get((board, era), {}).items():
                    total[key] += stored * weight
        return sorted(total.items(), key=lambda kv: (-kv[1], kv[0]))[:n]

    def forget(self, people: Sequence[str]) -> None:
        """See ``HotState.forget``."""
        with self._lock:
            for person in people:
                self._people.pop(person, None)

    def close(self) -> None:
        """Nothing to let go of."""

    def _alive(self, at: int, now: int) -> bool:
        return now - at < self._limits.keep_s * US_PER_S
