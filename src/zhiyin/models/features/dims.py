"""What an event, or a candidate in a request, is counted under: small whole numbers per dimension.

    user, item, category columns of the item, context columns, place
    hour (0..23), daypart (0..5), weekday (0..6), weekend (0, 1) in the data's own time zone
    previous, previous2: the items just before; previous.<column>: a category of the item before

The same names are read from events (to count) and from requests with slates (to ask). -1 = unknown: such
events are not counted, so questions about them find none. A column of the items that has one of these names
is not counted: the name means what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Int64
from zhiyin.base.errors import ConfigError, nearest
from zhiyin.data.catalog import Catalog
from zhiyin.data.context import as_words
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.schema import Order
from zhiyin.data.slates import Slates
from zhiyin.spacetime.calendar import day_of_week, hour_of_day

CLOCK = ("hour", "daypart", "weekday", "weekend")
BEFORE = ("previous", "previous2")
OWN = ("user", "item", "place", *CLOCK, *BEFORE)
"""Names that are taken: a category of the items cannot have them."""
NEWS = ("session", "split")
"""Context columns that a request cannot know of itself: the name of its session, the part it was put in."""


@dataclass(frozen=True)
class Dims:
    """How values become numbers: the category values seen at fit, the time zone."""

    zone: str
    order: Order
    values: Mapping[str, tuple[str, ...]]  # category and context columns -> known values
    catalog: Catalog
    contexts: tuple[str, ...] = ()
    _codes: dict[str, Int64] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, data: Dataset, most: int = 5_000) -> Self:
        """Category and context columns with 2 to ``most`` values. Fractions are measured, not counted; lists are no one value."""
        columns = data.manifest.items.columns if data.manifest.items else {}
        values: dict[str, tuple[str, ...]] = {}
        for name, kind in columns.items():
            if kind in ("category", "language", "domain", "text") and name in data.catalog.table.columns and name not in OWN:
                known = data.catalog.table[name].cast(pl.String).drop_nulls().unique().sort()
                # A text column with few values (a place's kind of venue) is a category in all but name.
                few = kind != "text" or (len(known) <= 1_000 and len(known) * 5 <= len(data.catalog))
                if 2 <= len(known) <= most and few:
                    values[name] = tuple(known.to_list())
        contexts = tuple(name for name in data.events.context.columns if name not in NEWS and _countable(data.events.context[name], most))
        for name in contexts:
            values[f"context.{name}"] = tuple(data.events.context[name].cast(pl.String).drop_nulls().unique().sort().to_list())
        return cls(data.manifest.time_zone, data.manifest.order, values, data.catalog, contexts)

    @property
    def timed(self) -> bool:
        return self.order == "time"

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(name for name in self.values if not name.startswith("context."))

    @property
    def of_item(self) -> tuple[str, ...]:
        """Dimensions that depend on the candidate; all others on the request."""
        return ("item", *self.categories)

    @property
    def names(self) -> tuple[str, ...]:
        """What can be counted by: no clock without time, nothing before without order."""
        clock = CLOCK if self.timed else ()
        before = (*BEFORE, *(f"previous.{name}" for name in self.categories)) if self.order != "none" else ()
        return ("user", "item", "place", *self.values, *clock, *before)

    def check(self, name: str) -> None:
        """Raises ConfigError for a name that means nothing on this data."""
        if name not in self.names:
            raise ConfigError(f"nothing can be counted by '{name}' on this data", nearest(name, self.names))

    def of_items(self, column: str) -> Int64:
        """The code of each catalogue row: (n_items,)."""
        if column not in self._codes:
            self._codes[column] = self._encoded(column, self.catalog.table[column])
        return self._codes[column]

    def _encoded(self, name: str, values: pl.Series) -> Int64:
        known = pl.DataFrame({"value": pl.Series(self.values[name], dtype=pl.String), "code": np.arange(len(self.values[name]))})
        found = pl.DataFrame({"value": values.cast(pl.String)}).join(known, on="value", how="left", maintain_order="left")
        return found["code"].fill_null(-1).to_numpy().astype(np.int64)

    def of_events(self, name: str, data: Dataset) -> Int64:
        """The code of every event: (n_events,)."""
        e = data.events
        if name == "user":
            return e.user_ix.astype(np.int64)
        if name == "item":
            return e.item_ix.astype(np.int64)
        if name == "place":
            return e.place_ix.astype(np.int64)
        if name in self.categories:
            return self.of_items(name)[e.item_ix]
        if name.startswith("context."):
            return self._encoded(name, e.context[name.removeprefix("context.")])
        if name in CLOCK:
            return _clock(name, e.time_us, self.zone)
        if name in BEFORE:
            return _previous(data, 1 if name == "previous" else 2)
        self.check(name)
        before = _previous(data, 1)
        return np.where(before >= 0, self.of_items(name.removeprefix("previous."))[before], -1)

    def of_rows(self, name: str, requests: Requests, slates: Slates) -> Int64:
        """The code of every flat slate row: (n_rows,)."""
        if name == "item":
            return slates.item_ix.astype(np.int64)
        if name in self.categories:
            return self.of_items(name)[slates.item_ix]
        return self._of_requests(name, requests)[slates.items.rows]

    def _of_requests(self, name: str, requests: Requests) -> Int64:
        n = len(requests)
        if name == "user":
            return requests.user_ix.astype(np.int64)
        if name == "place":
            return np.full(n, -1, np.int64) if requests.place_ix is None else requests.place_ix.astype(np.int64)
        if name.startswith("context."):
            given = requests.context.get(name.removeprefix("context."))
            return np.full(n, -1, np.int64) if given is None else self._encoded(name, as_words(given))
        if name in CLOCK:
            return _clock(name, requests.now_us, self.zone)
        if name in BEFORE:
            return _last(requests, 1 if name == "previous" else 2)
        self.check(name)
        before = _last(requests, 1)
        return np.where(before >= 0, self.of_items(name.removeprefix("previous."))[before], -1)


def _countable(values: pl.Series, most: int) -> bool:
    return not values.dtype.is_float() and not values.dtype.is_nested() and 2 <= values.n_unique() <= most


def together(codes: Sequence[Int64]) -> Int64:
    """One key for several codes, -1 where one of them is unknown: (n,).

    Mixed to 63 bits: ten million keys meet by chance about once in a hundred thousand data sets.
    """
    key = np.zeros(len(codes[0]), np.uint64)
    unknown = np.zeros(len(codes[0]), np.bool_)
    for code in codes:
        unknown |= code < 0
        key = _mixed(key * np.uint64(0x9E3779B97F4A7C15) + code.astype(np.uint64))
    return np.where(unknown, -1, (key >> np.uint64(1)).astype(np.int64))


def _mixed(x: AnyArray) -> AnyArray:
    """The finaliser of splitmix64 (Steele et al., 2014): every bit of the input moves half of the output's."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _clock(name: str, time_us: Int64, zone: str) -> Int64:
    if name in ("hour", "daypart"):
        hour = hour_of_day(time_us, zone)
        return (hour if name == "hour" else hour // 4).astype(np.int64)
    day = day_of_week(time_us, zone)
    return (day if name == "weekday" else day >= 5).astype(np.int64)


def _previous(data: Dataset, steps: int) -> Int64:
    """The item ``steps`` events before, of the same user; -1 where there is none: (n_events,)."""
    rows, _ = data.by_user
    out = np.full(len(rows), -1, np.int64)
    user, item = data.events.user_ix[rows], data.events.item_ix[rows]
    if len(rows) > steps:
        out[rows[steps:]] = np.where(user[steps:] == user[:-steps], item[:-steps], -1)
    return out


def _last(requests: Requests, steps: int) -> Int64:
    history = requests.history
    at = history.offsets[1:] - steps
    return np.where(history.lengths >= steps, history.item_ix[np.maximum(at, 0)] if len(history.item_ix) else -1, -1).astype(np.int64)
