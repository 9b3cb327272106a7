"""Where events and items come from: a file says what to read, how it becomes rows, and what kind of rows they are.

kind = "sql"                     # or "redis", "kafka"
url = "env:SHOP_DB"              # an address, or the variable of the environment that has it
into = "events"                  # or "items", "users", "relations"
...                              # what the kind needs: SqlSource, RedisSource, KafkaSource
[row]                            # see ``mapping``
"""

from __future__ import annotations

import os
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from zhiyin.base.errors import ConfigError, MissingDataError, UnknownNameError, nearest
from zhiyin.online.bulk import Kind
from zhiyin.online.bulk_formats import RowRead
from zhiyin.online.sources.mapping import RowMap


class Source(RowMap, ABC):
    """What all kinds have. ``every_s`` is the pause between two looks where nothing tells of news."""

    into: Kind = "events"
    batch: int = 2_000
    every_s: float = 10.0

    @abstractmethod
    def opened(self, name: str, state: Mapping[str, Any]) -> Stream:
        """Begin to read, from where ``state`` says."""

    def read(self, documents: list[tuple[Any, str]], first: int) -> list[RowRead]:
        """The rows of documents, each with an id that is the same whenever it is read; ``first`` is the place of the first."""
        out = []
        for place, (document, name) in enumerate(documents, first):
            for number, values in enumerate(self.rows(document)):
                if self.into == "events" and values.get("event_id") is None:
                    values["event_id"] = name if self.each is None else f"{name}:{number}"
                out.append(RowRead(place, values))
        return out


class Stream(Protocol):
    """A source being read. Batches come in order; ``done`` says that the last one is stored for good."""

    def batches(self, *, follow: bool) -> Iterator[list[RowRead]]:
        """What there is, then nothing; with ``follow`` also what comes later, with empty batches in between."""
        ...

    def done(self) -> Mapping[str, Any]:
        """The last batch is safe: gives the state to go on from, to be kept by the reader."""
        ...

    def close(self) -> None: ...


def read_source(path: Path) -> Source:
    """The source of a TOML file. Raises ``ConfigError`` with the place of a mistake."""
    from zhiyin.online.sources.kafka import KafkaSource
    from zhiyin.online.sources.redis_stream import RedisSource
    from zhiyin.online.sources.sql import SqlSource

    kinds: dict[str, type[Source]] = {"sql": SqlSource, "redis": RedisSource, "kafka": KafkaSource}
    if not path.is_file():
        raise MissingDataError(f"there is no file '{path}'", 'Write one: kind = "sql", url, query, watermark.')
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{path}' is not TOML: {error}", "Mend the line.") from None
    kind = table.pop("kind", None)
    if kind not in kinds:
        raise UnknownNameError(f"'{path.name}' has the kind {kind!r}", nearest(str(kind), kinds))
    return kinds[kind].parse(table, path.name)


def address(said: str) -> str:
    """The address itself, so that no secret has to stand in a file. Raises ``ConfigError`` for a variable that is not set."""
    if not said.startswith("env:"):
        return said
    found = os.environ.get(said[4:])
    if not found:
        raise ConfigError(f"the variable '{said[4:]}' is not set", "Set it to the address of the source.")
    return found
