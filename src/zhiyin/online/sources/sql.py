"""Rows of a query: those that are new since the last look, by a column that grows.

    kind = "sql"
    url = "env:SHOP_DB"                        # postgresql://..., sqlite:///..., whatever SQLAlchemy has a driver for
    query = "SELECT id, customer, sku, at FROM orders"
    watermark = "at"                           # a time or a number that later rows never fall below ...
    overlap = 60                               # ... but by so many seconds (or units): looked at again, counted once
    [row]
    event_id = "order-{id}"
    user = "customer"
    item = "sku"
    time = "at"

Rows with the watermark of the last one are read again too: nothing is lost where several share it. Events without an
``event_id`` of their own would count twice then, so one is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field, model_validator

from zhiyin.base.errors import ConfigError, MissingExtraError, StoreError
from zhiyin.online.bulk_formats import RowRead
from zhiyin.online.sources.source import Source, address


class SqlSource(Source):
    """See above."""

    url: str
    query: str
    watermark: str
    overlap: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _has_ids(self) -> SqlSource:
        if self.into == "events" and self.row and "event_id" not in self.row:
            raise ConfigError("events of a query need an event_id", 'Say it in [row]: event_id = "order-{id}".')
        return self

    def opened(self, name: str, state: Mapping[str, Any]) -> SqlStream:
        return SqlStream(self, name, state)


class SqlStream:
    """Looks at the query with the watermark of the last row that is stored."""

    def __init__(self, source: SqlSource, name: str, state: Mapping[str, Any]) -> None:
        self.source = source
        self.name = name
        self._after = _value_of(state.get("after"))
        self._last = self._after
        url = address(source.url)
        try:
            self._engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
        except sa.exc.ArgumentError:
            raise ConfigError("the url of the source is no database address", "Say postgresql://user@host/name, for example.") from None
        except (ImportError, sa.exc.NoSuchModuleError) as error:
            raise MissingExtraError(
                f"the source needs a driver: {error}", "pip install 'zhiyin[postgresql]', or that of your database"
            ) from None
        self._name = self._engine.url.render_as_string(hide_password=True)

    def batches(self, *, follow: bool) -> Iterator[list[RowRead]]:
        """See ``Stream.batches``."""
        while True:
            try:
                yield from self._look()
            except sa.exc.SQLAlchemyError as error:
                cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
                raise StoreError(f"the query on '{self._name}' failed: {cause}", "What came before it is stored.") from None
            if not follow:
                return
            yield []
            time.sleep(self.source.every_s)

    def done(self) -> Mapping[str, Any]:
        """See ``Stream.done``."""
        self._after = self._last
        return {} if self._after is None else {"after": _state_of(self._after)}

    def close(self) -> None:
        self._engine.dispose()

    def _look(self) -> Iterator[list[RowRead]]:
        column = self._engine.dialect.identifier_preparer.quote(self.source.watermark)
        after = self._begin()
        asked = f"SELECT * FROM ({self.source.query.strip().rstrip(';')}) AS pulled WHERE {column} "
        asked += ("IS NOT NULL" if after is None else ">= :zhiyin_after") + f" ORDER BY {column}"
        place = 1
        with self._engine.connect().execution_options(stream_results=True, yield_per=self.source.batch) as connection:
            given = {} if after is None else {"zhiyin_after": after}
            found = connection.execute(sa.text(asked), given)
            if self.source.watermark not in found.keys():  # noqa: SIM118 (no mapping)
                raise ConfigError(f"the query has no column '{self.source.watermark}'", f"It has {', '.join(found.keys())}.")
            for rows in found.mappings().partitions(self.source.batch):
                self._last = rows[-1][self.source.watermark]
                yield self.source.read([(dict(row), "") for row in rows], place)
                place += len(rows)

    def _begin(self) -> Any:
        """The watermark to look from; raises ``ConfigError`` for an overlap that a text cannot have."""
        after, overlap = self._after, self.source.overlap
        if after is None or not overlap:
            return after
        if isinstance(after, date):
            return after - timedelta(seconds=overlap)
        if isinstance(after, Decimal):
            return after - Decimal(overlap)
        if isinstance(after, int | float):
            return after - overlap
        raise ConfigError(f"watermark '{self.source.watermark}' is text and has no overlap", "Leave overlap out, or cast it to a time.")


def _state_of(value: Any) -> Any:
    """A watermark as JSON keeps it."""
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, date):
        return {"day": value.isoformat()}
    return {"number": str(value)} if isinstance(value, Decimal) else value


def _value_of(state: Any) -> Any:
    if not isinstance(state, Mapping):
        return state
    kind, said = next(iter(state.items()))
    readers: dict[str, Callable[[str], Any]] = {"time": datetime.fromisoformat, "day": date.fromisoformat, "number": Decimal}
    return readers[kind](said)
