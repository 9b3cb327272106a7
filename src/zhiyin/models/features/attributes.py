"""What the item is: its price among its kind and against what the asker pays, its age, its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
import polars as pl

from zhiyin.base.arrays import Float32, Float64, Int64
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.features.source import FeatureSpec
from zhiyin.models.roles import State


class AttributesSpec(FeatureSpec):
    """Choose always: costs a look-up."""

    kind: ClassVar[str] = "attributes"
    family: ClassVar[str] = "interest"

    def fit(self, data: Dataset) -> Attributes:
        timed = data.manifest.order == "time"
        first = np.full(data.n_items, np.iinfo(np.int64).max)
        if timed:
            np.minimum.at(first, data.events.item_ix, data.events.time_us)
        return Attributes(self, data.catalog, _declared(data), first, timed)

    def restore(self, state: State, data: Dataset) -> Attributes:
        return Attributes(self, data.catalog, _declared(data), state.arrays["first_us"], data.manifest.order == "time")


def _declared(data: Dataset) -> dict[str, str]:
    columns = data.manifest.items.columns if data.manifest.items else {}
    return {n: kind for n, kind in columns.items() if kind in ("price", "number") and n in data.catalog.table.columns}


@dataclass(frozen=True)
class Attributes:
    """Numbers as they are; for a price also its log ratio to the median price of the asker's history."""

    spec: AttributesSpec
    catalog: Catalog
    declared: dict[str, str]
    first_us: Int64  # (n_items at fit,) the first event of each item; the largest number = never
    timed: bool
    _cache: dict[str, Float64] = field(default_factory=dict, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        numbers = tuple(f"item.{name}" for name in self.declared)
        prices = tuple(f"price.{name}.{what}" for name, kind in self.declared.items() if kind == "price" for what in ("position", "usual"))
        return numbers + prices + (("item.days_since_first",) if self.timed else ())

    def features(self, requests: Requests, slates: Slates) -> Float32:
        rows = slates.items.rows
        columns: list[Float64] = [self._values(name)[slates.item_ix] for name in self.declared]
        for name, kind in self.declared.items():
            if kind == "price":
                log, position = self._prices(name)
                columns += [position[slates.item_ix], log[slates.item_ix] - _medians(log, requests)[rows]]
        if self.timed:
            first = np.full(len(self.catalog), np.iinfo(np.int64).max)
            first[: len(self.first_us)] = self.first_us
            days = (requests.now_us[rows] - first[slates.item_ix]) / US_PER_DAY
            # Not known yet at that time: as new as can be.
            columns.append(np.log1p(np.maximum(np.where(first[slates.item_ix] < requests.now_us[rows], days, 0), 0)))
        if not columns:
            return np.zeros((len(rows), 0), np.float32)
        return np.stack(columns, axis=1).astype(np.float32)

    def _values(self, name: str) -> Float64:
        if name not in self._cache:
            self._cache[name] = np.asarray(self.catalog.table[name].cast(pl.Float64).fill_null(np.nan).to_numpy(), np.float64)
        return self._cache[name]

    def _prices(self, name: str) -> tuple[Float64, Float64]:
        """Logarithm and place among all, kept: a large catalogue is not sorted anew for every request: (n_items,) each."""
        if f"{name} position" not in self._cache:
            self._cache[f"{name} log"] = log = np.log1p(np.maximum(self._values(name), 0))
            self._cache[f"{name} position"] = _position(log)
        return self._cache[f"{name} log"], self._cache[f"{name} position"]

    def state(self) -> State:
        return State({"first_us": self.first_us})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog, _cache={})


def _position(values: Float64) -> Float64:
    """Place among all values from 0 to 1, equal values alike, NaN where there is none: (n,)."""
    known = np.sort(values[~np.isnan(values)])
    middle = (np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right") - 1) / 2
    return np.where(np.isnan(values), np.nan, middle / max(len(known) - 1, 1))


def _medians(values: Float64, requests: Requests) -> Float64:
    """The median over each history, NaN where nothing is known: (n,)."""
    past = requests.history
    frame = pl.DataFrame({"asker": past.items.rows, "value": values[past.item_ix]}).filter(pl.col("value").is_not_nan())
    found = frame.group_by("asker").agg(pl.col("value").median())
    out = np.full(len(requests), np.nan)
    out[found["asker"].to_numpy()] = found["value"].to_numpy()
    return out
