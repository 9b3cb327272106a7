"""How processes that share stores tell each other "look now": by Redis, or not at all, and then they look by themselves.

The bell carries no data. One that is not heard costs nothing but the time until the next look.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

from zhiyin.base.errors import ConfigError, MissingExtraError

CHANNEL = "zhiyin:changed"


class Bell(Protocol):
    """``ring`` returns at once, from any thread; one thread calls ``wait``."""

    def ring(self) -> None: ...

    def wait(self, most_s: float) -> None:
        """Return when somebody rang, or after so many seconds."""
        ...

    def close(self) -> None: ...


class NoBell:
    """Nobody rings: ``wait`` waits."""

    def __init__(self) -> None:
        self._closed = threading.Event()

    def ring(self) -> None:
        """Nobody would hear it."""

    def wait(self, most_s: float) -> None:
        """See ``Bell.wait``."""
        self._closed.wait(most_s)

    def close(self) -> None:
        self._closed.set()


class RedisBell:
    """Publishes on a channel of Redis and listens to it. While Redis is away it is a ``NoBell``, and comes back by itself."""

    def __init__(self, url: str, channel: str = CHANNEL) -> None:
        try:
            import redis
        except ImportError:
            raise MissingExtraError("Redis needs its client", "pip install 'zhiyin[redis]'") from None
        self._channel = channel
        self._error = redis.RedisError
        try:
            self._redis: Any = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=1)
        except ValueError:
            raise ConfigError("this is no Redis address", "Say redis://host:6379/0.") from None
        self._heard: Any = None
        self._rung = threading.Event()
        self._closed = threading.Event()
        threading.Thread(target=self._publish, name="zhiyin-bell", daemon=True).start()

    def ring(self) -> None:
        """See ``Bell.ring``: many at once are one."""
        self._rung.set()

    def wait(self, most_s: float) -> None:
        """See ``Bell.wait``."""
        try:
            if self._heard is None:
                heard = self._redis.pubsub(ignore_subscribe_messages=True)
                heard.subscribe(self._channel)
                self._heard = heard
                return  # what was rung before we listened is looked for now
            if self._heard.get_message(timeout=most_s) is not None:
                while self._heard.get_message(timeout=0) is not None:
                    continue
        except (self._error, OSError, ValueError):
            self._heard = None
            self._closed.wait(most_s)

    def close(self) -> None:
        self._closed.set()
        self._rung.set()

    def _publish(self) -> None:
        while self._rung.wait() and not self._closed.is_set():
            self._rung.clear()
            try:
                self._redis.publish(self._channel, b"")
            except self._error:
                self._closed.wait(1)
