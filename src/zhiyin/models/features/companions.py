"""How often others who have what the asker has also have the candidate, his own choice left out.

Cosine of co-occurrence over people. For an asker who has the candidate himself, he is taken out of every
count it depends on, so the figure is what it would be had he never chosen it: a training row and a new
request mean the same (in-sample neighbours look too good and teach a ranker to believe them: measured).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Float32, Int64
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.features.source import LEFT_OUT, FeatureSpec
from zhiyin.models.retrieve.profile import liked
from zhiyin.models.roles import State

NAMES = ("with.sum", "with.mean", "with.best", "with.second", "with.lift")


class CompanionsSpec(FeatureSpec):
    """Choose on data without order, where a retriever's score would know the answer; costs n_items^2 at most in memory."""

    kind: ClassVar[str] = "companions"
    as_of: ClassVar[bool] = False

    shrink: Annotated[float, Field(ge=0)] = 5.0

    def names_on(self, data: Dataset) -> tuple[str, ...]:
        return NAMES

    def fit(self, data: Dataset) -> Companions:
        has = data.positive.matrix()
        has.data[:] = 1
        together = sp.csr_matrix(has.T @ has, dtype=np.float32)
        return Companions(self, data.catalog, together, np.asarray(has.sum(axis=0)).ravel().astype(np.int64), data.n_users)

    def restore(self, state: State, data: Dataset) -> Companions:
        a = state.arrays
        n = len(a["counts"])
        together = sp.csr_matrix((a["data"], a["indices"], a["indptr"]), shape=(n, n))
        return Companions(self, data.catalog, together, a["counts"], int(state.meta["n_users"]))


@dataclass(frozen=True)
class Companions:
    spec: CompanionsSpec
    catalog: Catalog
    together: sp.csr_matrix  # (n_items at fit, n_items at fit) people who have both
    counts: Int64  # (n_items at fit,) people who have it
    n_users: int

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES

    def features(self, requests: Requests, slates: Slates) -> Float32:
        out = np.full((len(slates.item_ix), len(NAMES)), np.nan, np.float32)
        known = len(self.counts)
        left_out = slates.columns.get(LEFT_OUT)
        history = liked(requests.history)  # only what was counted can be taken out again
        for request in np.flatnonzero((slates.lengths > 0) & (history.lengths > 0)):
            mine = slice(int(slates.offsets[request]), int(slates.offsets[request + 1]))
            past = history.item_ix[history.offsets[request] : history.offsets[request + 1]]
            past = np.unique(past[past < known])
            inside = np.flatnonzero(slates.item_ix[mine] < known)
            if len(past) and len(inside):
                left = None if left_out is None else left_out[mine][inside]
                out[mine.start + inside] = self._against(slates.item_ix[mine][inside], past, left)
        return out

    def _against(self, items: AnyArray, past: AnyArray, left_out: AnyArray | None) -> Float32:
        own = items[:, None] == past  # (n_candidates, n_past)
        has = own.any(axis=1, keepdims=True).astype(np.float32)
        if left_out is not None:  # neither does a negative hear the choice it stands beside: equal histories for both
            own |= left_out[:, None] == past
        # A stranger to the fit was not counted: what he has cannot be taken out, and nothing gets below none.
        both = np.maximum(np.asarray(self.together[items][:, past].todense(), np.float32) - has, 0)
        there, here = self.counts[items][:, None] - has, np.maximum(self.counts[past] - has, 1)
        alike = both / np.sqrt(np.maximum(there, 1) * here) * both / np.maximum(both + self.spec.shrink, 1e-9)
        alike = np.where(own, 0.0, alike)
        ranked = -np.sort(-alike, axis=1)
        n = np.maximum((~own).sum(axis=1), 1)
        expected = (there * here / max(self.n_users, 1) * ~own).sum(axis=1)
        lift = np.log((np.where(own, 0, both).sum(axis=1) + 1) / (expected + 1))
        second = ranked[:, 1] if ranked.shape[1] > 1 else np.zeros(len(items))
        return np.stack([alike.sum(axis=1), alike.sum(axis=1) / n, ranked[:, 0], second, lift], axis=1).astype(np.float32)

    def state(self) -> State:
        t = self.together
        return State({"data": t.data, "indices": t.indices, "indptr": t.indptr, "counts": self.counts}, {"n_users": self.n_users})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)
