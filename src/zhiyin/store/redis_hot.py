"""Hot state in Redis, for several workers or machines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from zhiyin.base.errors import ConfigError, MissingExtraError, StoreError
from zhiyin.store.hot import HotLimits, Showing

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Showing).decode


class RedisHot:
    """A ``HotState`` under keys that start with ``prefix``; what is old expires in Redis by itself.

    Every call ends after ``timeout_s``, with ``StoreError`` if Redis did not answer: who asks goes on without hot state.
    """

    def __init__(self, url: str, limits: HotLimits | None = None, *, prefix: str = "zhiyin:", timeout_s: float = 0.25) -> None:
        try:
            import redis
        except ImportError:
            raise MissingExtraError("hot state in Redis needs its client", "pip install 'zhiyin[redis]'") from None
        self._limits = limits or HotLimits()
        self._keep_ms = max(1, round(1000 * self._limits.keep_s))
        self._prefix = prefix
        self._error = redis.RedisError
        try:
            self._redis: Any = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        except ValueError:
            raise ConfigError("this is no Redis address", "Say redis://host:6379/0.") from None

    def show(self, showings: Mapping[str, Sequence[Showing]]) -> None:
        """See ``HotState.show``."""
        with self._commands() as commands:
            for person, some in showings.items():
                if some:
                    key = f"{self._prefix}shown:{person}"
                    commands.rpush(key, *map(_encode, some))
                    commands.ltrim(key, -self._limits.n_showings, -1)
                    commands.pexpire(key, self._keep_ms)

    def shown(self, people: Sequence[str]) -> list[list[Showing]]:
        """See ``HotState.shown``; one round trip."""
        if not people:
            return []
        with self._commands() as commands:
            for person in people:
                commands.lrange(f"{self._prefix}shown:{person}", 0, -1)
            found = commands.execute()
        try:
            return [sorted(map(_decode, some), key=lambda showing: showing.time_us) for some in found]
        except ValueError as error:
            hint = f"Another program writes keys that start with '{self._prefix}': give this one another prefix."
            raise StoreError(f"what Redis holds was shown to nobody: {error}", hint) from None

    def add(self, board: str, amounts: Mapping[str, int]) -> dict[str, int]:
        """See ``HotState.add``; one round trip."""
        if not amounts:
            return {}
        with self._commands() as commands:
            for name, amount in amounts.items():
                key = f"{self._prefix}count:{board}:{name}"
                if amount:
                    commands.incrby(key, amount)
                    commands.pexpire(key, self._keep_ms)
                else:
                    commands.get(key)
            found = commands.execute()
        totals = iter([answer for answer in found if not isinstance(answer, bool)])
        return {name: int(next(totals) or 0) for name in amounts}

    def forget(self, people: Sequence[str]) -> None:
        """See ``HotState.forget``."""
        with self._commands() as commands:
            for person in people:
                commands.delete(f"{self._prefix}shown:{person}")

    def close(self) -> None:
        """See ``HotState.close``."""
        self._redis.close()

    @contextlib.contextmanager
    def _commands(self) -> Iterator[Any]:
        """Commands that are sent together when the block ends (or before, by ``execute``)."""
        try:
            with self._redis.pipeline(transaction=True) as commands:
                yield commands
                commands.execute()
        except self._error as error:
            raise StoreError(f"Redis does not answer: {error}", "Check that it runs; hot state comes back by itself.") from None
