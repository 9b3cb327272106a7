"""What the asker himself did with this item, or with its kind: how often, how lately, at this time of day.

Everything is read from the request's own history, so it is as of now by construction. Each past event has
several weights (plain, decayed, near this hour of day, near this hour of the week, after the same item as
now); a feature is the share of a weight that lies on the candidate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from zhiyin.base.arrays import Float32, Float64, Int64
from zhiyin.base.errors import ConfigError
from zhiyin.base.units import US_PER_DAY, US_PER_HOUR
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.features.dims import Dims
from zhiyin.models.features.pairs import Own
from zhiyin.models.features.source import FeatureSpec
from zhiyin.models.retrieve.profile import age_in_events
from zhiyin.models.roles import State
from zhiyin.spacetime.calendar import local_us


class HistorySpec(FeatureSpec):
    """Choose wherever people have histories in some order. ``hour_widths`` are standard deviations of "near this hour", in hours.

    Raises ConfigError on data without order, whose histories may hold the very event that is asked about: see ``companions``.
    """

    kind: ClassVar[str] = "history"

    half_lives_days: tuple[Annotated[float, Field(gt=0)], ...] = (1.0, 7.0, 60.0)
    half_lives_events: tuple[Annotated[float, Field(gt=0)], ...] = (2.0, 10.0)
    hour_widths: tuple[Annotated[float, Field(gt=0)], ...] = (0.75, 1.5, 3.0)
    n_categories: Annotated[int, Field(ge=0)] = 3

    @model_validator(mode="after")
    def _each_once(self) -> HistorySpec:
        for name in ("half_lives_days", "half_lives_events", "hour_widths"):
            given = [f"{value:g}" for value in getattr(self, name)]
            if len(set(given)) < len(given):
                raise ValueError(f"'{name}' names a value twice, and each is one column")
        return self

    def family_of(self, column: str) -> str:
        """Shares near this hour, or in this part of the week, are context."""
        return "context" if re.search(r"\.(hour[\d.]+|week|weekend)$", column) else self.family

    def fit(self, data: Dataset) -> History:
        if data.manifest.order == "none":
            raise ConfigError(
                f"feature source 'history' would know the answer: data set '{data.manifest.name}' has order = \"none\", "
                "so what a person did before holds the very event that is asked about",
                "Use 'companions', which leaves it out.",
            )
        return History(self, Dims.of(data))

    def restore(self, state: State, data: Dataset) -> History:
        values = {name: tuple(known) for name, known in state.meta["values"].items()}
        return History(self, Dims(data.manifest.time_zone, data.manifest.order, values, data.catalog))


@dataclass(frozen=True)
class History:
    spec: HistorySpec
    dims: Dims

    @property
    def _keys(self) -> tuple[str, ...]:
        return ("item", *self.dims.categories[: self.spec.n_categories])

    @property
    def _weights(self) -> tuple[str, ...]:
        events = tuple(f"{h:g}e" for h in self.spec.half_lives_events)
        if not self.dims.timed:
            return ("all", *events, "after")
        return (
            "all",
            *events,
            *(f"{h:g}d" for h in self.spec.half_lives_days),
            *(f"hour{w:g}" for w in self.spec.hour_widths),
            "week",
            "weekend",
            "after",
        )

    @property
    def names(self) -> tuple[str, ...]:
        whole = ("own.events", "own.kinds") + (("own.days_since",) if self.dims.timed else ())
        timed = ("days_since", "due") if self.dims.timed else ()
        per_key = tuple(f"own.{key}.{what}" for key in self._keys for what in ("n", *self._weights, *timed))
        return whole + per_key

    def features(self, requests: Requests, slates: Slates) -> Float32:
        past, rows = requests.history, slates.items.rows
        asker = past.items.rows
        weights = self._weighted(requests)
        totals = {name: np.bincount(asker, weights=w, minlength=len(requests))[rows] for name, w in weights.items()}
        columns: list[Float64] = [np.log1p(past.lengths[rows].astype(np.float64)), np.log1p(_distinct(requests)[rows])]
        if self.dims.timed:
            newest = past.time_us[np.maximum(past.offsets[1:] - 1, 0)] if len(past.time_us) else np.zeros(len(requests))
            days = np.where(past.lengths > 0, (requests.now_us - newest) / US_PER_DAY, np.nan)
            columns.append(np.log1p(np.maximum(days, 0))[rows])
        for key in self._keys:
            event_code = past.item_ix.astype(np.int64) if key == "item" else self.dims.of_items(key)[past.item_ix]
            row_code = slates.item_ix.astype(np.int64) if key == "item" else self.dims.of_items(key)[slates.item_ix]
            own = Own.of(asker, event_code, rows, row_code)
            n = own.total(np.ones(len(asker)))
            columns.append(np.log1p(n))
            columns += [own.total(w) / np.maximum(totals[name], 1e-12) for name, w in weights.items()]
            if self.dims.timed:
                days = (requests.now_us[rows] - own.newest(past.time_us)) / US_PER_DAY
                first = -own.newest(-past.time_us)
                span = (own.newest(past.time_us) - first) / US_PER_DAY
                usual = np.where(n >= 2, span / np.maximum(n - 1, 1), np.nan)  # days between two of them
                columns += [np.log1p(np.maximum(days, 0)), np.log1p(np.maximum(days, 0)) - np.log1p(usual)]
        return np.stack(columns, axis=1).astype(np.float32)

    def _weighted(self, requests: Requests) -> Mapping[str, Float64]:
        """Several weights for every past event: name -> (n_events,)."""
        past, spec = requests.history, self.spec
        asker = past.items.rows
        age = age_in_events(past).astype(np.float64)
        out: dict[str, Float64] = {"all": np.ones(len(age))}
        out |= {f"{h:g}e": np.exp2(-age / h) for h in spec.half_lives_events}
        if self.dims.timed:
            days = (requests.now_us[asker] - past.time_us) / US_PER_DAY
            out |= {f"{h:g}d": np.exp2(-np.maximum(days, 0) / h) for h in spec.half_lives_days}
            slow = np.exp2(-np.maximum(days, 0) / max(spec.half_lives_days, default=60.0))
            then, now = local_us(past.time_us, self.dims.zone), local_us(requests.now_us, self.dims.zone)[asker]
            near = {f"hour{w:g}": slow * _near(then, now, 24.0, w) for w in spec.hour_widths}
            out |= near
            out["week"] = slow * _near(then, now, 168.0, 3.0)
            # Same kind of day (working or not) and near this hour.
            alike = (then // US_PER_DAY + 3) % 7 >= 5
            out["weekend"] = slow * _near(then, now, 24.0, 1.5) * (alike == ((now // US_PER_DAY + 3) % 7 >= 5))
        last = past.item_ix[np.maximum(past.offsets[1:] - 1, 0)] if len(age) else np.zeros(len(requests), np.int32)
        before = np.full(len(age), -1, np.int64)
        before[1:] = np.where(asker[1:] == asker[:-1], past.item_ix[:-1], -1)
        out["after"] = (before == last[asker]).astype(np.float64)
        return out

    def state(self) -> State:
        return State({}, {"values": {name: list(known) for name, known in self.dims.values.items()}})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, dims=replace(self.dims, catalog=catalog, _codes={}))


def _near(then_us: Int64, now_us: Int64, period_hours: float, width_hours: float) -> Float64:
    """Gaussian of the distance between two times on a clock that goes round in ``period_hours``."""
    apart = np.abs(then_us - now_us) / US_PER_HOUR % period_hours
    apart = np.minimum(apart, period_hours - apart)
    return np.asarray(np.exp(-0.5 * (apart / width_hours) ** 2))


def _distinct(requests: Requests) -> Float64:
    """How many different items each history holds: (n,)."""
    items = requests.history.items
    width = int(items.values.max(initial=0)) + 1
    pairs = np.unique(items.rows * width + items.values)
    return np.bincount(pairs // width, minlength=len(items)).astype(np.float64)
