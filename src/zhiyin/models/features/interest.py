"""How near the words of a candidate are to the words of what the asker chose before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import Float32
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
        asker, rows = past.items.rows, slates.items.rows
        there = vectors.present
        age = age_in_events(past).astype(np.float32)
        sums = np.zeros((3, len(requests), vectors.dim), np.float32)
        heard = there[past.item_ix]
        for i, weight in enumerate((np.ones_like(age), np.exp2(-age / 3), (age == 0).astype(np.float32))):
            np.add.at(sums[i], asker[heard], weight[heard, None] * vectors.matrix[past.item_ix[heard]])
        sums /= np.maximum(np.linalg.norm(sums, axis=2, keepdims=True), 1e-9)
        for request in range(len(requests)):  # one product per list: all its candidates against all its past
            mine = slice(int(slates.offsets[request]), int(slates.offsets[request + 1]))
            if mine.start == mine.stop:
                continue
            found = vectors.matrix[slates.item_ix[mine]]
            if len(past.item_ix) and past.lengths[request]:
                out[mine, :3] = found @ sums[:, request].T
                before = past.item_ix[past.offsets[request] : past.offsets[request + 1]]
                alike = found @ vectors.matrix[before].T
                alike[slates.item_ix[mine, None] == before] = -1.0  # itself is not news: own.item says it
                out[mine, 3] = alike.max(axis=1)
            if requests.query_vectors is not None and requests.query_vectors.shape[1] == vectors.dim:
                out[mine, 4] = found @ requests.query_vectors[request]
        out[~there[slates.item_ix]] = np.nan
        return np.asarray(out[: len(rows)])

    def state(self) -> State:
        return State()

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)
