"""Popularity: what most people do. The floor that everything else must beat.

Score of item i = sum over its events of weight * 2^(-age / half-life), optionally only events of
the last ``window_days``, optionally counted within the requester's segment and shrunk to the whole:
N (c_si + m c_i / N) / (N_s + m), with c counts, N their sums and m = ``shrink``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
import polars as pl
from pydantic import Field

from zhiyin.base.arrays import Float32, Float64, Int32
from zhiyin.base.errors import ConfigError, nearest
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.index.exact import NEVER
from zhiyin.models.retrieve.dense import DenseRetriever, widened
from zhiyin.models.roles import ModelSpec, State


class PopularSpec(ModelSpec):
    """Choose for unknown people and as a baseline; see ``transitions`` when the last item matters.

    ``segment`` names a column of the users table (country, age group): people get what is popular
    among their like; ``shrink`` is how many events of the whole a segment starts with.
    """

    kind: ClassVar[str] = "popular"

    half_life_days: Annotated[float, Field(gt=0)] | None = None
    window_days: Annotated[float, Field(gt=0)] | None = None
    segment: str | None = None
    shrink: Annotated[float, Field(ge=0)] = 1000.0

    def fit(self, data: Dataset, run: Run) -> Popular:
        events = data.positive.events
        weight = _aged(self, data)
        counts: Float64 = np.bincount(events.item_ix, weights=weight, minlength=data.n_items).astype(np.float64)
        of_user = segments(data, self.segment)
        n_segments = int(of_user.max(initial=-1)) + 1
        by_segment = np.zeros((n_segments, data.n_items))
        segment = of_user[events.user_ix] if n_segments else np.zeros(0, np.int32)
        for s in range(n_segments):
            mine = segment == s
            by_segment[s] = np.bincount(events.item_ix[mine], weights=weight[mine], minlength=data.n_items)
        shrunk = _shrunk(by_segment, counts, self.shrink)
        return Popular(self, data.catalog, counts.astype(np.float32), shrunk.astype(np.float32), of_user)

    def restore(self, state: State, catalog: Catalog) -> Popular:
        a = state.arrays
        return Popular(self, catalog, a["counts"], a["by_segment"], a["segment_of_user"])


def _aged(spec: PopularSpec, data: Dataset) -> Float64:
    """Weight of each positive event after ageing and the window: (n_events,)."""
    events = data.positive.events
    weight = events.weight.astype(np.float64)
    if data.manifest.order == "time" and len(events):
        age_days = (events.time_us[-1] - events.time_us) / US_PER_DAY
        if spec.half_life_days is not None:
            weight = weight * np.exp2(-age_days / spec.half_life_days)
        if spec.window_days is not None:
            weight = np.where(age_days <= spec.window_days, weight, 0.0)
    return weight


def segments(data: Dataset, column: str | None) -> Int32:
    """Segment number of every user, -1 where the table says nothing: (n_users,), (0,) without a column."""
    if column is None:
        return np.zeros(0, np.int32)
    table = data.users_table
    if column not in table.columns:
        raise ConfigError(
            f"the users table of '{data.manifest.name}' has no column '{column}' to segment by", nearest(column, table.columns)
        )
    values = table[column].cast(pl.String)
    kinds = values.drop_nulls().unique().sort()
    codes = values.replace_strict(kinds, np.arange(len(kinds), dtype=np.int32), default=-1, return_dtype=pl.Int32)
    return codes.to_numpy().astype(np.int32)


def _shrunk(by_segment: Float64, counts: Float64, shrink: float) -> Float64:
    """Counts within each segment, drawn to the whole and on its scale: (n_segments, n_items)."""
    whole = max(float(counts.sum()), 1e-12)
    own = by_segment.sum(axis=1, keepdims=True)
    return np.asarray(whole * (by_segment + shrink * counts / whole) / np.maximum(own + shrink, 1e-12))


@dataclass(frozen=True)
class Popular(DenseRetriever):
    spec: PopularSpec
    catalog: Catalog
    counts: Float32  # (n_items at fit,)
    by_segment: Float32  # (n_segments, n_items at fit), no rows without a segment column
    segment_of_user: Int32  # (n_users,) -1 = unknown; empty without a segment column

    def scores(self, requests: Requests) -> Float32:
        rows = np.vstack([self.by_segment, self.counts])
        rows[rows <= 0] = NEVER
        return widened(rows[self._segments(requests)], len(self.catalog))

    def _segments(self, requests: Requests) -> Int32:
        """Row of ``scores``' table for each request; the last row is the whole."""
        user = requests.user_ix
        found = np.full(len(requests), -1, np.int32)
        known = (user >= 0) & (user < len(self.segment_of_user))
        found[known] = self.segment_of_user[user[known]]
        return np.where(found >= 0, found, len(self.by_segment)).astype(np.int32)

    def state(self) -> State:
        return State({"counts": self.counts, "by_segment": self.by_segment, "segment_of_user": self.segment_of_user})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)
