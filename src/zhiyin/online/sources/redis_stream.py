"""Entries of a Redis stream, through a consumer group: each is confirmed once it is stored for good.

    kind = "redis"
    url = "redis://host:6379/0"
    stream = "clicks"
    group = "zhiyin"                 # readers of one group share the entries
    consumer = "one"                 # a name of its own for each reader, the same after a restart
    json_field = "payload"               # the field that holds a document; left out: the fields are the document

An entry that was read and not confirmed comes again, also to another consumer after a minute; events then count once,
by their ``event_id`` or the id of the entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from zhiyin.base.errors import ConfigError, MissingExtraError, StoreError
from zhiyin.online.bulk_formats import RowRead
from zhiyin.online.sources.source import Source, address

ABANDONED_MS = 60_000
_BLOCK_MS = 1_000
Entry = tuple[bytes, dict[bytes, bytes] | None]


class RedisSource(Source):
    """See above."""

    url: str
    stream: str
    group: str = "zhiyin"
    consumer: str = "one"
    json_field: str | None = None

    def opened(self, name: str, state: Mapping[str, Any]) -> RedisStream:
        return RedisStream(self)


class RedisStream:
    """What a consumer left unconfirmed comes first, then what others abandoned, then what is new."""

    def __init__(self, source: RedisSource) -> None:
        try:
            import redis
        except ImportError:
            raise MissingExtraError("reading a Redis stream needs its client", "pip install 'zhiyin[redis]'") from None
        self.source = source
        self._error = redis.RedisError
        self._unconfirmed: list[bytes] = []
        try:
            self._redis: Any = redis.Redis.from_url(address(source.url), socket_timeout=10, socket_connect_timeout=5)
        except ValueError:
            raise ConfigError("the url of the source is no Redis address", "Say redis://host:6379/0.") from None
        try:
            self._redis.xgroup_create(source.stream, source.group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise StoreError(f"stream '{source.stream}' cannot be read: {error}", "Is it a stream?") from None
        except redis.RedisError as error:
            raise self._told(error) from None

    def batches(self, *, follow: bool) -> Iterator[list[RowRead]]:
        """See ``Stream.batches``."""
        place = 1
        while True:
            try:
                entries = self._own() or self._abandoned() or self._new(_BLOCK_MS if follow else None)
            except self._error as error:
                raise self._told(error) from None
            if not entries and not follow:
                return
            self._unconfirmed = [name for name, _ in entries]
            yield self._read(entries, place)
            place += len(entries)

    def done(self) -> Mapping[str, Any]:
        """See ``Stream.done``: Redis itself remembers."""
        if self._unconfirmed:
            try:
                self._redis.xack(self.source.stream, self.source.group, *self._unconfirmed)
            except self._error as error:
                raise self._told(error) from None
            self._unconfirmed = []
        return {}

    def close(self) -> None:
        self._redis.close()

    def _own(self) -> list[Entry]:
        return self._entries("0", None)

    def _new(self, block_ms: int | None) -> list[Entry]:
        return self._entries(">", block_ms)

    def _entries(self, begin: str, block_ms: int | None) -> list[Entry]:
        s = self.source
        found = self._redis.xreadgroup(s.group, s.consumer, {s.stream: begin}, count=s.batch, block=block_ms)
        return _entries_of(found)

    def _abandoned(self) -> list[Entry]:
        s = self.source
        found = self._redis.xautoclaim(s.stream, s.group, s.consumer, ABANDONED_MS, count=s.batch)
        return list(found[1]) if found else []

    def _read(self, entries: list[Entry], place: int) -> list[RowRead]:
        rows: list[RowRead] = []
        for at, (name, fields) in enumerate(entries, place):
            if fields is None:
                continue  # trimmed from the stream before anybody read it
            said = {key.decode(errors="replace"): value.decode(errors="surrogateescape") for key, value in fields.items()}
            try:
                document = said if self.source.json_field is None else msgspec.json.decode(said[self.source.json_field])
            except (KeyError, ValueError) as error:
                rows.append(RowRead(at, None, f"entry {name.decode()} has no JSON in '{self.source.json_field}': {error}"))
                continue
            rows += self.source.read([(document, f"{self.source.stream}:{name.decode()}")], at)
        return rows

    def _told(self, error: Exception) -> StoreError:
        return StoreError(f"Redis does not answer: {error}", "What came before it is stored; nothing is lost.")


def _entries_of(found: Any) -> list[Entry]:
    """The entries of the one stream that was asked for; clients give pairs or a table."""
    if not found:
        return []
    streams = found.items() if isinstance(found, Mapping) else found
    entries = next(iter(streams))[1]
    if entries and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], tuple):
        entries = entries[0]
    return list(entries)
