"""Popularity: what most people do. The floor that everything else must beat.

Score of item i = sum over its events of weight * 2^(-age / half-life), optionally only events of
the last ``window_days``, optionally counted within the requester's segment and shrunk to the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import Float32
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.models.retrieve.dense import NEVER, DenseRetriever
from zhiyin.models.roles import ModelSpec, State


class PopularSpec(ModelSpec):
    """Choose for unknown people and as a baseline; see ``transitions`` when the last item matters."""

    kind: ClassVar[str] = "popular"

    half_life_days: Annotated[float, Field(gt=0)] | None = None
    window_days: Annotated[float, Field(gt=0)] | None = None

    def fit(self, data: Dataset, run: Run) -> Popular:
        events = data.positive.events
        weight = events.weight.astype(np.float64)
        if data.manifest.order == "time" and len(events):
            age_days = (events.time_us[-1] - events.time_us) / US_PER_DAY
            if self.half_life_days is not None:
                weight = weight * np.exp2(-age_days / self.half_life_days)
            if self.window_days is not None:
                weight = np.where(age_days <= self.window_days, weight, 0.0)
        counts = np.bincount(events.item_ix, weights=weight, minlength=data.n_items)
        return Popular(self, data.catalog, counts.astype(np.float32))

    def restore(self, state: State, catalog: Catalog) -> Popular:
        return Popular(self, catalog, state.arrays["counts"])


@dataclass(frozen=True)
class Popular(DenseRetriever):
    spec: PopularSpec
    catalog: Catalog
    counts: Float32  # (n_items at fit,)

    def scores(self, requests: Requests) -> Float32:
        row = np.full(len(self.catalog), NEVER, np.float32)
        row[: len(self.counts)] = np.where(self.counts > 0, self.counts, NEVER)
        return np.tile(row, (len(requests), 1))

    def state(self) -> State:
        return State({"counts": self.counts})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)
