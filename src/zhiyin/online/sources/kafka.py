"""Messages of a Kafka topic, through a consumer group: offsets are committed once what came before them is stored for good.

    kind = "kafka"
    servers = "host:9092"
    topic = "clicks"
    group = "zhiyin"
    [options]                        # anything else librdkafka knows
    "security.protocol" = "SASL_SSL"

Messages are JSON. One that comes again counts once, by its ``event_id`` or its topic, partition and offset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from pydantic import Field

from zhiyin.base.errors import MissingExtraError, StoreError
from zhiyin.online.bulk_formats import RowRead
from zhiyin.online.sources.source import Source, address

_WAIT_S = 1.0
_QUIET = 10
"""Looks without a message after which there is nothing more: joining a group takes some seconds."""


class KafkaSource(Source):
    """See above."""

    servers: str
    topic: str
    group: str = "zhiyin"
    options: dict[str, str | int | bool] = Field(default_factory=dict)

    def opened(self, name: str, state: Mapping[str, Any]) -> KafkaStream:
        return KafkaStream(self)


class KafkaStream:
    """A consumer of confluent-kafka; ``make`` is its class, for tests."""

    def __init__(self, source: KafkaSource, make: Callable[[dict[str, Any]], Any] | None = None) -> None:
        self.source = source
        settings = {"bootstrap.servers": address(source.servers), "group.id": source.group, "auto.offset.reset": "earliest"}
        self._consumer: Any = (make or _client())({**settings, **source.options, "enable.auto.commit": False})
        self._consumer.subscribe([source.topic])
        self._waiting = False

    def batches(self, *, follow: bool) -> Iterator[list[RowRead]]:
        """See ``Stream.batches``."""
        place, n_quiet = 1, 0
        while follow or n_quiet < _QUIET:
            messages = self._consumer.consume(self.source.batch, _WAIT_S)
            n_quiet = 0 if messages else n_quiet + 1
            failed = next((m.error() for m in messages if m.error() is not None), None)
            if failed is not None:
                raise StoreError(f"Kafka failed: {failed}", "What came before it is stored; nothing is lost.")
            self._waiting = bool(messages)
            yield self._read(messages, place)
            place += len(messages)

    def done(self) -> Mapping[str, Any]:
        """See ``Stream.done``: Kafka itself remembers."""
        if self._waiting:
            self._consumer.commit(asynchronous=False)
            self._waiting = False
        return {}

    def close(self) -> None:
        self._consumer.close()

    def _read(self, messages: list[Any], place: int) -> list[RowRead]:
        rows: list[RowRead] = []
        for at, message in enumerate(messages, place):
            name = f"{message.topic()}:{message.partition()}:{message.offset()}"
            try:
                document = msgspec.json.decode(message.value() or b"")
            except ValueError as error:
                rows.append(RowRead(at, None, f"message {name} is not JSON: {error}"))
                continue
            rows += self.source.read([(document, name)], at)
        return rows


def _client() -> Callable[[dict[str, Any]], Any]:
    try:
        from confluent_kafka import Consumer
    except ImportError:
        raise MissingExtraError("reading Kafka needs its client", "pip install 'zhiyin[kafka]'") from None
    made: Callable[[dict[str, Any]], Any] = Consumer
    return made
