"""EASE: one closed-form matrix of item-to-item weights.

B = I - P diag(1 / diag P), P = (X'X + lambda I)^-1, diag B = 0. Steck, "Embarrassingly Shallow
Autoencoders for Sparse Data", WWW 2019, arXiv:1905.03375.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar, Self

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Float32, Float64
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.index.exact import NEVER
from zhiyin.models.retrieve.dense import DenseRetriever, widened
from zhiyin.models.retrieve.profile import profile_matrix
from zhiyin.models.roles import ModelSpec, State


class EaseSpec(ModelSpec):
    """Choose when people like many items and order does not matter; memory is n_items^2 floats.

    ``l2`` is lambda (events); ``history_decay`` multiplies the weight of an event by that much for
    every newer one in the requester's history. 1 is the published model; .8 more than doubles NDCG@10
    of the next film on MovieLens-1M (.053 -> .126, validation).
    """

    kind: ClassVar[str] = "ease"

    l2: Annotated[float, Field(gt=0)] = 200.0
    history_decay: Annotated[float, Field(gt=0, le=1)] = 0.8

    def fit(self, data: Dataset, run: Run) -> Ease:
        x = data.positive.matrix()
        x.data[:] = 1.0
        return Ease(self, data.catalog, ease_weights(x, self.l2))

    def restore(self, state: State, catalog: Catalog) -> Ease:
        return Ease(self, catalog, state.arrays["weights"])


def ease_weights(x: sp.csr_matrix, l2: float) -> Float32:
    """Binary user-item matrix -> B (n_items, n_items); items nobody touched get zero columns."""
    gram: Float64 = np.asarray((x.T @ x).todense(), dtype=np.float64)
    touched = gram.diagonal() > 0
    gram[np.diag_indices_from(gram)] += l2
    factor = scipy.linalg.cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
    inverse, _ = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights: Float32 = (inverse / -inverse.diagonal()[None, :]).astype(np.float32)
    np.fill_diagonal(weights, 0.0)
    weights[:, ~touched] = 0.0
    return weights


@dataclass(frozen=True)
class Ease(DenseRetriever):
    spec: EaseSpec
    catalog: Catalog
    weights: Float32  # (n_items at fit, n_items at fit)

    def scores(self, requests: Requests) -> Float32:
        known = len(self.weights)
        profile = profile_matrix(requests.history, len(self.catalog), self.spec.history_decay)[:, :known]
        scores: Float32 = profile @ self.weights
        scores[:, self._untouched] = NEVER
        scores[np.diff(profile.indptr) == 0] = NEVER  # without a history there is nothing to say
        return widened(scores, len(self.catalog))

    @cached_property
    def _untouched(self) -> AnyArray:
        return np.flatnonzero(~self.weights.any(axis=0))

    def state(self) -> State:
        return State({"weights": self.weights})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)
