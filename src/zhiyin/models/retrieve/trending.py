"""Trending: what is chosen more often now than it usually is, everywhere or at the place of the request.

With S the counts aged by ``half_life_days`` and L those aged by ``baseline_days``, E = L * sum(S) / sum(L)
is what an unchanged item would have, and score = (S - E) / sqrt(E + ``shrink``), a Poisson z-score. At a
place an event there counts 1 and one elsewhere ``elsewhere``. Items that do not rise are never returned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field, model_validator

from zhiyin.base.arrays import AnyArray, Float32, Float64
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.index.exact import NEVER
from zhiyin.models.retrieve.dense import DenseRetriever, widened
from zhiyin.models.roles import ModelSpec, State


class TrendingSpec(ModelSpec):
    """Choose for "trending now" and "trending here"; see ``popular`` for what is always liked.

    It knows the days before the newest event it was fitted on: fit it anew as often as the shelf should
    move. Data without time has no trend; there it ranks by count.
    """

    kind: ClassVar[str] = "trending"

    half_life_days: Annotated[float, Field(gt=0)] = 7.0
    baseline_days: Annotated[float, Field(gt=0)] = 56.0
    shrink: Annotated[float, Field(gt=0)] = 1.0
    elsewhere: Annotated[float, Field(ge=0, le=1)] = 0.1

    @model_validator(mode="after")
    def _baseline_is_longer(self) -> TrendingSpec:
        if self.baseline_days <= self.half_life_days:
            raise ValueError("'baseline_days' must be longer than 'half_life_days', or nothing can rise")
        return self

    def fit(self, data: Dataset, run: Run) -> Trending:
        events = data.positive.events
        weight = events.weight.astype(np.float64)
        recent, usual = weight, np.zeros(len(events))
        if data.manifest.order == "time" and len(events):
            age_days = (events.time_us[-1] - events.time_us) / US_PER_DAY
            recent, usual = (weight * np.exp2(-age_days / half) for half in (self.half_life_days, self.baseline_days))
        placed = events.place_ix >= 0
        shape = (len(data.places), data.n_items)

        def counts(values: Float64) -> tuple[Float32, sp.csr_matrix]:
            there = sp.csr_matrix((values[placed], (events.place_ix[placed], events.item_ix[placed])), shape=shape, dtype=np.float32)
            return np.bincount(events.item_ix, weights=values, minlength=data.n_items).astype(np.float32), there

        return Trending(self, data.catalog, *counts(recent), *counts(usual))

    def restore(self, state: State, catalog: Catalog) -> Trending:
        a, shape = state.arrays, tuple(state.meta["shape"])

        def matrix(name: str) -> sp.csr_matrix:
            return sp.csr_matrix((a[f"{name}.data"], a[f"{name}.indices"], a[f"{name}.indptr"]), shape=shape)

        return Trending(self, catalog, a["recent"], matrix("recent_at"), a["usual"], matrix("usual_at"))


@dataclass(frozen=True)
class Trending(DenseRetriever):
    spec: TrendingSpec
    catalog: Catalog
    recent: Float32  # (n_items at fit,) S
    recent_at: sp.csr_matrix  # (n_places, n_items at fit)
    usual: Float32  # (n_items at fit,) L
    usual_at: sp.csr_matrix

    def scores(self, requests: Requests) -> Float32:
        place = np.full(len(requests), -1) if requests.place_ix is None else requests.place_ix
        place = np.where(place < self.recent_at.shape[0], place, -1)
        wheres, row = np.unique(place, return_inverse=True)
        return widened(np.stack([self._at(int(p)) for p in wheres])[row] if len(wheres) else self._none(), len(self.catalog))

    def _none(self) -> Float32:
        return np.zeros((0, len(self.recent)), np.float32)

    def _at(self, place: int) -> Float32:
        """Scores at one place, -1 = everywhere: (n_items at fit,)."""
        s, usual = (self._counts(place, *pair) for pair in ((self.recent, self.recent_at), (self.usual, self.usual_at)))
        expected = usual * (s.sum() / max(float(usual.sum()), 1e-12))
        z = (s - expected) / np.sqrt(expected + self.spec.shrink)
        return np.where(z > 1e-6, z, NEVER).astype(np.float32)

    def _counts(self, place: int, everywhere: Float32, there: sp.csr_matrix) -> Float64:
        if place < 0:
            return everywhere.astype(np.float64)
        local: AnyArray = there[place].toarray()[0]
        return np.asarray(local + self.spec.elsewhere * (everywhere - local), np.float64)

    def state(self) -> State:
        arrays: dict[str, AnyArray] = {"recent": self.recent, "usual": self.usual}
        for name, m in (("recent_at", self.recent_at), ("usual_at", self.usual_at)):
            arrays |= {f"{name}.data": m.data, f"{name}.indices": m.indices, f"{name}.indptr": m.indptr}
        return State(arrays, {"shape": list(self.recent_at.shape)})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)
