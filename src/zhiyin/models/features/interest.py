"""How near the words of a candidate are to the words of what the asker chose before, itself left out.

That he chose this very item is for other sources to say; here it would only hide how well its words fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Float32
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.features.source import FeatureSpec
from zhiyin.models.retrieve.profile import age_in_events
from zhiyin.models.roles import State

NAMES = ("text.mean", "text.recent", "text.last", "text.nearest", "text.query")


class InterestSpec(FeatureSpec):
    """Choose where items have text: it is what a new item and a short history are judged by."""

    kind: ClassVar[str] = "interest"
    family: ClassVar[str] = "interest"

    last: Annotated[int, Field(ge=1)] = 30

    def fit(self, data: Dataset) -> Interest:
        return Interest(self, data.catalog)

    def restore(self, state: State, data: Dataset) -> Interest:
        return Interest(self, data.catalog)


@dataclass(frozen=True)
class Interest:
    """Cosines: with the mean of the history, with its newest part, with the last item, with the nearest one, with the query."""

    spec: InterestSpec
    catalog: Catalog

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES

    def features(self, requests: Requests, slates: Slates) -> Float32:
        vectors = self.catalog.vectors.get("text")
        out = np.full((len(slates.item_ix), len(NAMES)), np.nan, np.float32)
        if vectors is None:
            return out
        past = requests.history.last(self.spec.last)
        age = age_in_events(past).astype(np.float32)
        weights = np.stack([np.ones_like(age), np.exp2(-age / 3), (age == 0).astype(np.float32)])  # (3, n_events)
        weights *= vectors.present[past.item_ix]
        for request in np.flatnonzero(slates.lengths > 0):  # one product per list: all its candidates against all its past
            mine = slice(int(slates.offsets[request]), int(slates.offsets[request + 1]))
            found = vectors.matrix[slates.item_ix[mine]]
            if past.lengths[request]:
                events = slice(int(past.offsets[request]), int(past.offsets[request + 1]))
                out[mine, :4] = _against(found, slates.item_ix[mine], vectors.matrix, past.item_ix[events], weights[:, events])
            query = None if requests.query_vectors is None else requests.query_vectors[request]
            if query is not None and len(query) == vectors.dim and query.any():
                out[mine, 4] = found @ query
        out[~vectors.present[slates.item_ix]] = np.nan
        return out

    def state(self) -> State:
        return State()

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)


def _against(found: Float32, items: AnyArray, matrix: Float32, past: AnyArray, weights: Float32) -> Float32:
    """Cosines of candidates (n, dim) with three weighted means of the past and with its nearest item: (n, 4)."""
    before = matrix[past]
    alike = found @ before.T  # (n_candidates, n_past)
    itself = items[:, None] == past
    means = weights @ before  # (3, dim)
    own = itself @ weights.T  # (n_candidates, 3): how much of each mean is the candidate
    dot = found @ means.T - own
    length = np.maximum((means * means).sum(axis=1) - 2 * own * (found @ means.T) + own * own, 0)
    # Where nothing but the candidate itself is left, what remains is rounding: no direction.
    cosine = np.where(length > 1e-5 * np.maximum(own * own, 0.1), dot / np.sqrt(np.maximum(length, 1e-6)), np.nan)
    nearest = np.where(itself | ~before.any(axis=1), -2.0, alike).max(axis=1, keepdims=True)
    return np.concatenate([cosine, np.where(nearest > -2, nearest, np.nan)], axis=1).astype(np.float32)
