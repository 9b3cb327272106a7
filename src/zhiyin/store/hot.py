"""Hot state that several workers share: what somebody did in the last minutes, and counters that fade.

All of it can be lost and built again from the event log. ``MemoryHot()`` serves one process, ``RedisHot(url)`` many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from zhiyin.base.errors import ConfigError
from zhiyin.base.units import US_PER_S
from zhiyin.data.record import EventRecord

HALF_LIVES_PER_ERA = 64


@dataclass(frozen=True)
class HotLimits:
    """How much is kept: the newest ``n_events`` of a person for ``keep_s`` after the last one, of the ``n_people`` seen
    last (in memory; Redis has its own bound, maxmemory); the ``n_keys`` highest of a board, whose counts fall by half
    every ``half_life_s``."""

    n_events: int = 256
    keep_s: float = 7 * 86_400
    n_people: int = 100_000
    n_keys: int = 100_000
    half_life_s: float = 86_400

    def __post_init__(self) -> None:
        if min(self.n_events, self.keep_s, self.n_people, self.n_keys, self.half_life_s) <= 0:
            raise ConfigError("a limit of hot state is not positive", "Leave it out for the default.")


class HotState(Protocol):
    """Recent events by person (or session), and boards of fading counts. Raises StoreError when it cannot be reached."""

    def remember(self, person: str, events: Sequence[EventRecord]) -> None:
        """Add events to a person's recent ones."""
        ...

    def recent(self, people: Sequence[str]) -> list[list[EventRecord]]:
        """The recent events of each, oldest first by ``time_us``; an empty list for who has none."""
        ...

    def count(self, board: str, amounts: Mapping[str, float], time_us: int) -> None:
        """Add amounts to keys of a board, as of the time when it happened (late ones count less)."""
        ...

    def top(self, board: str, n: int, now_us: int) -> list[tuple[str, float]]:
        """The ``n`` highest keys of a board with their counts faded to ``now_us``, highest first, equal ones by key."""
        ...

    def forget(self, people: Sequence[str]) -> None:
        """Drop what is remembered of people."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True)
class Fading:
    """Counts that only ever grow in the store, and fade when read.

    An amount at time t is stored as amount * 2 ** ((t - start) / half life), start being that of an era of 64 half
    lives: counts of different times add up, and no number grows beyond what a float holds ("forward decay", Cormode
    et al. 2009). A count is what its own era and the one before say together; older ones have faded to 2 ** -64.
    """

    half_life_s: float

    @property
    def era_us(self) -> int:
        return max(1, round(self.half_life_s * HALF_LIVES_PER_ERA * US_PER_S))

    def era(self, time_us: int) -> int:
        """The number of the era of a time."""
        return time_us // self.era_us

    def grown(self, time_us: int) -> float:
        """By how much an amount at this time is stored greater than it is."""
        return float(2.0 ** ((time_us % self.era_us) / (self.half_life_s * US_PER_S)))

    def weights(self, now_us: int) -> dict[int, float]:
        """Era -> factor of its stored counts, as of now."""
        now = 1 / self.grown(now_us)
        return {self.era(now_us): now, self.era(now_us) - 1: now * 2.0**-HALF_LIVES_PER_ERA}
