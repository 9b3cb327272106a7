"""Hot state in Redis, for several workers or machines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from zhiyin.base.errors import ConfigError, MissingExtraError, StoreError
from zhiyin.base.units import US_PER_S
from zhiyin.data.record import EventRecord
from zhiyin.store.hot import Fading, HotLimits

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(EventRecord).decode


class RedisHot:
    """A ``HotState`` under keys that start with ``prefix``; expired by Redis itself. Redis 6.2 or newer.

    Every call ends after ``timeout_s``, with StoreError if Redis did not answer: who asks goes on without hot state.
    """

    def __init__(self, url: str, limits: HotLimits | None = None, *, prefix: str = "zhiyin:", timeout_s: float = 0.25) -> None:
        try:
            import redis
        except ImportError:
            raise MissingExtraError("hot state in Redis needs its client", "pip install 'zhiyin[redis]'") from None
        self._limits = limits or HotLimits()
        self._fading = Fading(self._limits.half_life_s)
        self._prefix = prefix
        self._error = redis.RedisError
        try:
            self._redis: Any = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        except ValueError:
            raise ConfigError("this is no Redis address", "Say redis://host:6379/0.") from None

    def remember(self, person: str, events: Sequence[EventRecord]) -> None:
        """See ``HotState.remember``."""
        if not events:
            return
        with self._commands() as commands:
            key = f"{self._prefix}recent:{person}"
            commands.rpush(key, *map(_encode, events))
            commands.ltrim(key, -self._limits.n_events, -1)
            commands.pexpire(key, max(1, round(1000 * self._limits.keep_s)))

    def recent(self, people: Sequence[str]) -> list[list[EventRecord]]:
        """See ``HotState.recent``; one round trip."""
        with self._commands() as commands:
            for person in people:
                commands.lrange(f"{self._prefix}recent:{person}", 0, -1)
            found = commands.execute()
        try:
            return [sorted(map(_decode, events), key=lambda e: e.time_us) for events in found]
        except ValueError as error:
            hint = f"Another program writes keys that start with '{self._prefix}': give this one another prefix."
            raise StoreError(f"what Redis holds is no event: {error}", hint) from None

    def count(self, board: str, amounts: Mapping[str, float], time_us: int) -> None:
        """See ``HotState.count``."""
        era, grown = self._fading.era(time_us), self._fading.grown(time_us)
        key = self._board(board, era)
        with self._commands() as commands:
            for name, amount in amounts.items():
                commands.zincrby(key, amount * grown, name)
            commands.zremrangebyrank(key, 0, -self._limits.n_keys - 1)
            commands.pexpire(key, max(1, round(3000 * self._fading.era_us / US_PER_S)))

    def top(self, board: str, n: int, now_us: int) -> list[tuple[str, float]]:
        """See ``HotState.top``; Redis adds up the two eras."""
        weights = {self._board(board, era): weight for era, weight in self._fading.weights(now_us).items()}
        with self._commands() as commands:
            commands.zunion(weights, withscores=True)
            (found,) = commands.execute()
        total = ((name.decode(), float(score)) for name, score in found)
        return sorted(total, key=lambda kv: (-kv[1], kv[0]))[:n]

    def forget(self, people: Sequence[str]) -> None:
        """See ``HotState.forget``."""
        with self._commands() as commands:
            for person in people:
                commands.delete(f"{self._prefix}recent:{person}")

    def close(self) -> None:
        """See ``HotState.close``."""
        self._redis.close()

    def _board(self, board: str, era: int) -> str:
        return f"{self._prefix}board:{board}:{era}"

    @contextlib.contextmanager
    def _commands(self) -> Iterator[Any]:
        """Commands that are sent together when the block ends (or before, by ``execute``)."""
        try:
            with self._redis.pipeline(transaction=True) as commands:
                yield commands
                commands.execute()
        except self._error as error:
            raise StoreError(f"Redis does not answer: {error}", "Check that it runs; hot state comes back by itself.") from None
