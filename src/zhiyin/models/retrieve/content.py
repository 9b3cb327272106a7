"""Content: items whose text is nearest to what was read before, or to the words asked for.

Score of j = cosine(v_j, sum over the history of ``history_decay ** age * v_i``), v the catalogue's text
vectors. Nothing is learned, so an item is recommendable the moment it has a vector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import Float32
from zhiyin.base.errors import ConfigError, FitError
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.index.exact import NEVER
from zhiyin.models.retrieve.dense import DenseRetriever
from zhiyin.models.retrieve.profile import profile_matrix
from zhiyin.models.roles import ModelSpec, State


class ContentSpec(ModelSpec):
    """Choose for new items and for text queries; see ``text-neighbours`` where there are events to learn from.

    ``query_share`` is the part of the query when a request has both a query and a history.
    """

    kind: ClassVar[str] = "content"

    history_decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    query_share: Annotated[float, Field(ge=0, le=1)] = 0.7

    def fit(self, data: Dataset, run: Run) -> Content:
        return Content(self, data.catalog, _text(data.catalog).fingerprint)

    def restore(self, state: State, catalog: Catalog) -> Content:
        return Content(self, catalog, str(state.meta["fingerprint"])).with_catalog(catalog)


def _text(catalog: Catalog) -> Vectors:
    if "text" not in catalog.vectors:
        raise FitError("the catalogue has no text vectors", "Give the items text columns and encode them before fitting.")
    return catalog.vectors["text"]


@dataclass(frozen=True)
class Content(DenseRetriever):
    spec: ContentSpec
    catalog: Catalog
    fingerprint: str  # of the encoder whose vectors these are

    def scores(self, requests: Requests) -> Float32:
        vectors = self.catalog.vectors["text"]
        wanted = _unit(profile_matrix(requests.history, len(self.catalog), self.spec.history_decay) @ vectors.matrix)
        if requests.query_vectors is not None:
            if requests.query_vectors.shape[1] != vectors.dim:
                raise ConfigError(
                    f"query vectors have {requests.query_vectors.shape[1]} dimensions, those of the items {vectors.dim}",
                    "Encode queries with the encoder of the catalogue.",
                )
            query = _unit(requests.query_vectors)
            asked = query.any(axis=1, keepdims=True)
            share = np.where(asked & wanted.any(axis=1, keepdims=True), self.spec.query_share, asked).astype(np.float32)
            wanted = _unit((1 - share) * wanted + share * query)
        found: Float32 = wanted @ vectors.matrix.T
        found[:, ~vectors.present] = NEVER
        found[~wanted.any(axis=1)] = NEVER
        return found

    def state(self) -> State:
        return State(meta={"fingerprint": self.fingerprint})

    def with_catalog(self, catalog: Catalog) -> Self:
        if _text(catalog).fingerprint != self.fingerprint:
            raise ConfigError(
                f"text vectors were made by '{catalog.vectors['text'].fingerprint}', this model knows those of '{self.fingerprint}'",
                "Encode with the same encoder, or fit again.",
            )
        return replace(self, catalog=catalog)


def _unit(rows: Float32) -> Float32:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 1e-12, length, np.inf), np.float32)
