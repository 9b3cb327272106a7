"""Bought together: what shares a basket more often than chance, for one item or for a whole cart.

lift(i, j) = (n_ij + m) / (n_i n_j / N + m), n counts of baskets, N all of them, m = ``shrink`` imagined
baskets that agree with chance (Brin et al., "Beyond Market Baskets", SIGMOD 1997, shrunk).
score(j | cart) = ``popularity`` * log(n_j / N) + sum over i in the cart of log lift(i, j):
with ``popularity`` 0 what belongs to these items alone, with 1 naive Bayes, the likeliest next item.
Pairs seen together in fewer than ``min_count`` baskets say nothing, neither for nor against.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from zhiyin.base.arrays import Float32, Float64, Int64
from zhiyin.base.units import US_PER_MINUTE
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.index.exact import NEVER
from zhiyin.models.retrieve.dense import DenseRetriever, widened
from zhiyin.models.retrieve.profile import profile_matrix
from zhiyin.models.retrieve.sparse import MANY_ITEMS, best_of_sparse
from zhiyin.models.retrieve.transitions import strongest
from zhiyin.models.roles import ModelSpec, State

_COMPANY = 0.2  # share of events that are not alone in their basket, from which on a pause makes baskets
_PAUSES = (0.0, 60.0, 24 * 60.0, 7 * 24 * 60.0)  # minutes: one instant, a visit, a day, a week
_BLOCK = 2_000  # items counted at a time: bounds the memory of the counts


class BoughtTogetherSpec(ModelSpec):
    """Choose for product pages and carts; see ``item-neighbours`` for what the same people had at any time.

    A basket ends after a pause of ``pause_minutes`` (0 = events of one instant). Not set, it is the shortest
    of an instant, an hour, a day and a week that leaves a fifth of the events in company; where none does,
    and without time, all of a person's events are one basket. ``k`` partners of each item are kept.
    """

    kind: ClassVar[str] = "bought-together"

    popularity: Annotated[float, Field(ge=0, le=1)] = 0.0
    shrink: Annotated[float, Field(gt=0)] = 5.0
    min_count: Annotated[int, Field(ge=1)] = 2
    pause_minutes: Annotated[float, Field(ge=0)] | None = None
    k: Annotated[int, Field(ge=1)] = 300

    def fit(self, data: Dataset, run: Run) -> BoughtTogether:
        positive = data.positive
        basket, n_baskets = baskets(positive, self.pause_minutes)
        shape = (n_baskets, data.n_items)
        x = sp.csr_matrix((np.ones(len(basket)), (basket, positive.events.item_ix)), shape=shape)
        x.data[:] = 1.0
        n_with = np.asarray(x.sum(axis=0)).ravel()
        share = n_with / max(n_baskets, 1)
        return BoughtTogether(self, data.catalog, self._lifts(x, n_with, share), share.astype(np.float32))

    def _lifts(self, x: sp.csr_matrix, n_with: Float64, share: Float64) -> sp.csr_matrix:
        """log lift of every pair that was seen often enough and more often than by chance: (n_items, n_items)."""
        by_item, log_share = x.T.tocsr(), np.log(np.maximum(share, 1e-12))
        blocks = []
        for start in range(0, x.shape[1], _BLOCK):
            counts = (by_item[start : start + _BLOCK] @ x).tocoo()
            kept = (counts.row + start != counts.col) & (counts.data >= self.min_count)
            row, column, n_both = counts.row[kept], counts.col[kept], counts.data[kept]
            lift = np.log((n_both + self.shrink) / (n_with[row + start] * share[column] + self.shrink))
            above = lift > 0
            row, column, lift = row[above], column[above], lift[above]
            # Which partners are kept depends on what they are ranked by; what is stored is the lift alone.
            ranked = sp.csr_matrix((lift + self.popularity * log_share[column] + 100.0, (row, column)), shape=counts.shape)
            best = strongest(ranked, self.k).tocoo()
            blocks.append(
                sp.csr_matrix((best.data - 100.0 - self.popularity * log_share[best.col], (best.row, best.col)), shape=counts.shape)
            )
        return sp.csr_matrix(sp.vstack(blocks, format="csr"), dtype=np.float32)

    def restore(self, state: State, catalog: Catalog) -> BoughtTogether:
        a = state.arrays
        n = len(a["indptr"]) - 1
        return BoughtTogether(self, catalog, sp.csr_matrix((a["data"], a["indices"], a["indptr"]), shape=(n, n)), a["share"])


def baskets(data: Dataset, pause_minutes: float | None = None) -> tuple[Int64, int]:
    """The basket of each event, as numbered from 0, and how many there are: (n_events,)."""
    rows, offsets = data.by_user
    user = np.repeat(np.arange(data.n_users), np.diff(offsets))
    new = np.ones(len(rows), np.bool_)
    new[1:] = user[1:] != user[:-1]
    if data.manifest.order == "time" and len(rows):
        gap = np.diff(data.events.time_us[rows], prepend=0)
        asked = _PAUSES if pause_minutes is None else (pause_minutes,)
        for pause in asked:
            ends = new | (gap > pause * US_PER_MINUTE)
            company = ~ends | ~np.append(ends[1:], True)
            if pause_minutes is not None or company.mean() >= _COMPANY:
                new = ends
                break
    out = np.empty(len(rows), np.int64)
    out[rows] = np.cumsum(new) - 1
    return out, int(new.sum())


@dataclass(frozen=True)
class BoughtTogether(DenseRetriever):
    spec: BoughtTogetherSpec
    catalog: Catalog
    lifts: sp.csr_matrix  # (n_items at fit, n_items at fit), log lift where above 0
    share: Float32  # (n_items at fit,) of all baskets

    def retrieve(self, requests: Requests, k: int) -> Slates:
        if len(self.catalog) < MANY_ITEMS:
            return super().retrieve(requests, k)
        parts = []
        for part in requests.chunks(512):
            evidence = self._evidence(part)
            # 0 means unknown here; no sum of logarithms of shares and lifts is exactly 0.
            evidence.data = evidence.data + self._prior[evidence.indices]
            parts.append(best_of_sparse(evidence, part, self.catalog, k))
        return Slates.concatenated(parts)

    def scores(self, requests: Requests) -> Float32:
        evidence: Float32 = self._evidence(requests).toarray()
        found = np.where(evidence > 0, evidence + self._prior, NEVER).astype(np.float32)
        return widened(found, len(self.catalog))

    def _evidence(self, requests: Requests) -> sp.csr_matrix:
        """Summed log lifts of what goes with each cart: (n_requests, n_items at fit)."""
        return profile_matrix(requests.history, len(self.catalog))[:, : len(self.share)] @ self.lifts

    @cached_property
    def _prior(self) -> Float32:
        """``popularity`` * log share: (n_items at fit,)."""
        return np.asarray(self.spec.popularity * np.log(np.maximum(self.share, 1e-12)), np.float32)

    def state(self) -> State:
        s = self.lifts
        return State({"data": s.data, "indices": s.indices, "indptr": s.indptr, "share": self.share})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)
