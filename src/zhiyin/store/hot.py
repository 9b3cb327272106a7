"""Hot state that several workers share: what somebody was shown in the last hours, and counts that add up.

All of it may be lost: fatigue begins anew, rates and impressions count from where each worker is. ``MemoryHot()`` serves one
process, ``RedisHot(url)`` many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from zhiyin.base.errors import ConfigError


class Showing(msgspec.Struct, frozen=True, array_like=True):
    """One answer that somebody was shown: when, and the ids of its items."""

    time_us: int
    items: list[str]


@dataclass(frozen=True)
class HotLimits:
    """How much is kept: the newest ``n_showings`` of a person, for ``keep_s`` after the last one, of the ``n_people`` seen last;
    counts for ``keep_s`` after they changed, of the ``n_keys`` changed last. (In Redis its own bound, maxmemory, comes on top.)"""

    n_showings: int = 30
    keep_s: float = 3 * 86_400
    n_people: int = 100_000
    n_keys: int = 100_000

    def __post_init__(self) -> None:
        if min(self.n_showings, self.keep_s, self.n_people, self.n_keys) <= 0:
            raise ConfigError("a limit of hot state is not positive", "Leave it out for the default.")


class HotState(Protocol):
    """Showings by person (or session), and counts by key. Raises ``StoreError`` when it cannot be reached."""

    def show(self, showings: Mapping[str, Sequence[Showing]]) -> None:
        """Remember what people were shown."""
        ...

    def shown(self, people: Sequence[str]) -> list[list[Showing]]:
        """What each was shown lately, oldest first by ``time_us``; an empty list for who was shown nothing."""
        ...

    def add(self, board: str, amounts: Mapping[str, int]) -> dict[str, int]:
        """Add amounts (0 = only look) to counts of a board; what each is then."""
        ...

    def forget(self, people: Sequence[str]) -> None:
        """Drop what people were shown."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
