"""EASE for items nobody has touched yet: behaviour carried over by text.

EASE (``ease.py``) learns how much item i speaks for item j, B[i, j], for touched items. Two ways to
the columns of the others, and to the rows of others that stand in a history:

``ridge``       B[:, j] ~ W' t_j with W = (T'T + lambda I)^-1 T' B', T = text vectors of touched items.
``neighbours``  score of j = mean of the scores of the touched items nearest to it in text, weighted
                by cos ^ power. A touched item is its own nearest neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Bool, Float32
from zhiyin.base.errors import FitError
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.index.exact import NEVER
from zhiyin.models.retrieve.dense import DenseRetriever
from zhiyin.models.retrieve.ease import ease_weights
from zhiyin.models.retrieve.profile import profile_matrix
from zhiyin.models.retrieve.text_neighbours import likeness, text_vectors
from zhiyin.models.roles import ModelSpec, State, chunk_rows


class TextEaseSpec(ModelSpec):
    """Choose when new items arrive daily and behaviour is rich; ``text-neighbours`` needs no behaviour.

    ``l2`` is EASE's lambda (events), ``ridge_l2`` that of the ridge. ``own`` is how much an item of
    the history speaks for its text neighbours directly, beside what EASE has learned (EASE alone
    says nothing of B[i, i], but the twin of an item you had is a good guess). Of ``neighbours``
    and ``ridge`` the former is the better one alone (measured on cold items of amazon18).
    """

    kind: ClassVar[str] = "text-ease"

    method: Literal["neighbours", "ridge"] = "neighbours"
    l2: Annotated[float, Field(gt=0)] = 100.0
    neighbours: Annotated[int, Field(ge=1)] = 50
    power: Annotated[float, Field(ge=1, le=64)] = 4.0
    own: Annotated[float, Field(ge=0)] = 0.1
    ridge_l2: Annotated[float, Field(gt=0)] = 1.0
    history_decay: Annotated[float, Field(gt=0, le=1)] = 1.0

    def fit(self, data: Dataset, run: Run) -> TextEaseNeighbours | TextEaseRidge:
        vectors = text_vectors(data.catalog, self.kind).matrix
        x = data.positive.matrix()
        x.data[:] = 1.0
        touched = (np.asarray(x.sum(axis=0)).ravel() > 0) & (np.abs(vectors).sum(axis=1) > 0)
        if not bool(touched.any()):
            raise FitError("no item has both text and events", "Check the text columns of the manifest.")
        weights = ease_weights(x, self.l2)
        if self.method == "ridge":
            return TextEaseRidge(self, data.catalog, *_ridge(vectors, weights, touched, self.ridge_l2), touched)
        weights = weights.copy()
        weights[np.diag_indices_from(weights)] = self.own
        return TextEaseNeighbours(self, data.catalog, weights, touched, nearest_touched(data.catalog, touched, self, 0))

    def restore(self, state: State, catalog: Catalog) -> TextEaseNeighbours | TextEaseRidge:
        a = state.arrays
        touched = np.asarray(a["touched"], np.bool_)
        if self.method == "ridge":
            return TextEaseRidge(self, catalog, a["spoken"], a["carry"], touched)
        n = len(a["near_indptr"]) - 1
        near = sp.csr_matrix((a["near_data"], a["near_indices"], a["near_indptr"]), shape=(n, len(touched)))
        return TextEaseNeighbours(self, catalog, a["weights"], touched, near).with_catalog(catalog)


def _ridge(vectors: Float32, weights: Float32, touched: Bool, l2: float) -> tuple[Float32, Float32]:
    """``spoken`` (n_items, dim): what a touched item says, in text space; ``carry`` (dim, dim): from text."""
    text = vectors[touched].astype(np.float64)
    gram = text.T @ text + l2 * np.eye(text.shape[1])
    spoken = scipy.linalg.solve(gram, text.T @ weights[:, touched].T.astype(np.float64), assume_a="pos").T
    carry = scipy.linalg.solve(gram, text.T @ spoken[touched], assume_a="pos")
    return spoken.astype(np.float32), carry.astype(np.float32)


def nearest_touched(catalog: Catalog, touched: Bool, spec: TextEaseSpec, start: int) -> sp.csr_matrix:
    """Rows from ``start``: weights of the touched items nearest in text, summing to 1: (n_rows, n_touched_at_fit).

    An item without text has an empty row, unless it was touched: then it stands for itself.
    """
    vectors = text_vectors(catalog, spec.kind).matrix
    known = np.flatnonzero(touched)
    k = min(spec.neighbours, len(known))
    rows, columns, values = [], [], []
    for first in range(start, len(catalog), size := chunk_rows(len(known))):
        near = likeness(vectors[first : first + size], vectors[known], 1.0)
        picked = np.argpartition(near, len(known) - k, axis=1)[:, len(known) - k :]
        rows.append(np.repeat(np.arange(first, first + len(near)) - start, k))
        columns.append(known[picked].ravel())
        values.append(np.power(np.take_along_axis(near, picked, axis=1), np.float32(spec.power)).ravel())
    flat = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))) if rows else ((), ((), ()))
    found = sp.csr_matrix(flat, shape=(len(catalog) - start, len(touched)), dtype=np.float32)
    found.eliminate_zeros()
    found.sort_indices()
    total = np.asarray(found.sum(axis=1)).ravel()
    return sp.csr_matrix(sp.diags(np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)) @ found, dtype=np.float32)


@dataclass(frozen=True)
class TextEaseNeighbours(DenseRetriever):
    spec: TextEaseSpec
    catalog: Catalog
    weights: Float32  # (n_items at fit, n_items at fit), diagonal = own
    touched: Bool  # (n_items at fit,) items with events and text
    near: sp.csr_matrix  # (n_items, n_items at fit), rows sum to 1

    def scores(self, requests: Requests) -> Float32:
        n_known = len(self.touched)
        profile = profile_matrix(requests.history, len(self.catalog), self.spec.history_decay)
        # An untouched item of a history speaks through its neighbours.
        stranger = np.ones(len(self.catalog), np.float32)
        stranger[:n_known][self.touched] = 0.0
        heard = profile[:, :n_known] @ sp.diags(1.0 - stranger[:n_known]) + (profile @ sp.diags(stranger)) @ self.near
        scores: Float32 = (self.near @ (heard @ self.weights).T).T.astype(np.float32)
        return _answered(scores, np.diff(self.near.indptr) > 0, np.diff(sp.csr_matrix(heard).indptr) > 0)

    def state(self) -> State:
        near = self.near
        arrays = {"near_data": near.data, "near_indices": near.indices, "near_indptr": near.indptr}
        return State({"weights": self.weights, "touched": self.touched.astype(np.uint8), **arrays})

    def with_catalog(self, catalog: Catalog) -> Self:
        if len(catalog) == self.near.shape[0]:
            return replace(self, catalog=catalog)
        new = nearest_touched(catalog, self.touched, self.spec, self.near.shape[0])
        return replace(self, catalog=catalog, near=sp.csr_matrix(sp.vstack([self.near, new])))


@dataclass(frozen=True)
class TextEaseRidge(DenseRetriever):
    spec: TextEaseSpec
    catalog: Catalog
    spoken: Float32  # (n_items at fit, dim)
    carry: Float32  # (dim, dim)
    touched: Bool  # (n_items at fit,)

    def scores(self, requests: Requests) -> Float32:
        vectors = text_vectors(self.catalog, self.spec.kind)
        profile = profile_matrix(requests.history, len(self.catalog), self.spec.history_decay)
        used, at = np.unique(profile.indices, return_inverse=True)
        known = used < len(self.touched)
        known[known] = self.touched[used[known]]
        says = np.empty((len(used), vectors.dim), np.float32)
        says[known], says[~known] = self.spoken[used[known]], vectors.matrix[used[~known]] @ self.carry
        narrow = sp.csr_matrix((profile.data, at, profile.indptr), shape=(len(requests), len(used)))
        scores: Float32 = (narrow @ says) @ vectors.matrix.T
        return _answered(scores, vectors.present, np.abs(narrow @ says).sum(axis=1) > 0)

    def state(self) -> State:
        return State({"spoken": self.spoken, "carry": self.carry, "touched": self.touched.astype(np.uint8)})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)


def _answered(scores: Float32, items: AnyArray, requests: AnyArray) -> Float32:
    """-inf for items without text and for requests of which nothing is known."""
    scores[:, ~items] = NEVER
    scores[~requests] = NEVER
    return scores
