"""Neighbours: items that the same people had, or people who had the same items.

Both compare rows of the binary user-item matrix after weighting (Deshpande & Karypis, "Item-Based
Top-N Recommendation Algorithms", TOIS 2004; BM25 as in Robertson & Zaragoza, 2009): ``cosine``;
``tfidf``, where what is common counts for less; ``bm25``, which also dampens long rows.
similarity = dot / (norm * norm + ``shrink``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from zhiyin.base.arrays import Float32
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.index.exact import top_k
from zhiyin.models.retrieve.dense import DenseRetriever, never_where_zero, widened
from zhiyin.models.retrieve.profile import profile_matrix
from zhiyin.models.roles import ModelSpec, State, chunk_rows

Weighting = Literal["cosine", "tfidf", "bm25"]
_BM25_K1, _BM25_B = 1.2, 0.75


def inverse_frequency(x: sp.csr_matrix) -> Float32:
    """log(1 + n_rows / n_rows with the column): (n_columns,)."""
    n_with = np.bincount(x.indices, minlength=x.shape[1])
    return np.asarray(np.log1p(x.shape[0] / np.maximum(n_with, 1)), np.float32)


def weighted(x: sp.csr_matrix, weighting: Weighting, idf: Float32, mean_length: float) -> sp.csr_matrix:
    """Rows of a binary matrix, weighted: same shape and places."""
    if weighting == "cosine":
        return x.copy()
    values = x.data * idf[x.indices]
    if weighting == "bm25":
        lengths = np.diff(x.indptr)
        dampened = _BM25_K1 * (1 - _BM25_B + _BM25_B * lengths / max(mean_length, 1e-12))
        values = values * np.repeat((_BM25_K1 + 1) / (1 + dampened), lengths)
    return sp.csr_matrix((values.astype(np.float32), x.indices, x.indptr), shape=x.shape)


def similarities(rows: sp.csr_matrix, others: sp.csr_matrix, shrink: float) -> Iterator[tuple[int, Float32]]:
    """Dense blocks (start, (n_block, n_others)) of similarity of rows to others."""
    transposed = others.T.tocsr()
    norms, other_norms = _norms(rows), _norms(others)
    size = chunk_rows(others.shape[0])
    for start in range(0, rows.shape[0], size):
        found: Float32 = (rows[start : start + size] @ transposed).toarray()
        below = np.outer(norms[start : start + size], other_norms) + np.float32(shrink)
        yield start, np.divide(found, below, out=np.zeros_like(found), where=below > 0)


def _norms(x: sp.csr_matrix) -> Float32:
    return np.asarray(np.sqrt(np.asarray(x.multiply(x).sum(axis=1)).ravel()), np.float32)


def _binary(data: Dataset) -> sp.csr_matrix:
    x = data.positive.matrix()
    x.data[:] = 1.0
    return x


def _mean_length(x: sp.csr_matrix) -> float:
    return float(x.nnz) / max(int((np.diff(x.indptr) > 0).sum()), 1)


class ItemNeighboursSpec(ModelSpec):
    """Choose for "people who had this had that": quick, sparse, explains itself; ``ease`` ranks better.

    ``k`` neighbours of each item are kept; ``history_decay`` as in ``transitions``. ``shrink`` is on the
    scale of the weighted dot product: hundreds for tfidf and bm25, tens for cosine.
    """

    kind: ClassVar[str] = "item-neighbours"

    weighting: Weighting = "tfidf"
    k: Annotated[int, Field(ge=1)] = 100
    shrink: Annotated[float, Field(ge=0)] = 300.0
    history_decay: Annotated[float, Field(gt=0, le=1)] = 0.6

    def fit(self, data: Dataset, run: Run) -> ItemNeighbours:
        by_item = _binary(data).T.tocsr()
        rows = weighted(by_item, self.weighting, inverse_frequency(by_item), _mean_length(by_item))
        blocks = []
        for start, block in similarities(rows, rows, self.shrink):
            here = np.arange(len(block))
            block[here, start + here] = 0.0
            best = top_k(never_where_zero(block), self.k)
            blocks.append(sp.csr_matrix((best.score, best.item_ix, best.offsets), shape=block.shape))
        return ItemNeighbours(self, data.catalog, sp.csr_matrix(sp.vstack(blocks, format="csr"), dtype=np.float32))

    def restore(self, state: State, catalog: Catalog) -> ItemNeighbours:
        a = state.arrays
        n = len(a["indptr"]) - 1
        return ItemNeighbours(self, catalog, sp.csr_matrix((a["data"], a["indices"], a["indptr"]), shape=(n, n)))


@dataclass(frozen=True)
class ItemNeighbours(DenseRetriever):
    spec: ItemNeighboursSpec
    catalog: Catalog
    near: sp.csr_matrix  # (n_items at fit, n_items at fit), row i = the neighbours of i

    def scores(self, requests: Requests) -> Float32:
        profile = profile_matrix(requests.history, len(self.catalog), self.spec.history_decay)[:, : self.near.shape[0]]
        return widened(never_where_zero((profile @ self.near).toarray()), len(self.catalog))

    def state(self) -> State:
        return State({"data": self.near.data, "indices": self.near.indices, "indptr": self.near.indptr})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)


class UserNeighboursSpec(ModelSpec):
    """Choose for small communities; ``item-neighbours`` costs less per request. Keeps every training history.

    The ``k`` people most like the requester (not himself) vote for what they had, each with his similarity.
    """

    kind: ClassVar[str] = "user-neighbours"

    weighting: Weighting = "tfidf"
    k: Annotated[int, Field(ge=1)] = 100
    shrink: Annotated[float, Field(ge=0)] = 10.0
    history_decay: Annotated[float, Field(gt=0, le=1)] = 0.7

    def fit(self, data: Dataset, run: Run) -> UserNeighbours:
        return UserNeighbours(self, data.catalog, _binary(data))

    def restore(self, state: State, catalog: Catalog) -> UserNeighbours:
        a = state.arrays
        shape = (len(a["indptr"]) - 1, int(state.meta["n_items"]))
        ones = np.ones(len(a["indices"]), np.float32)
        return UserNeighbours(self, catalog, sp.csr_matrix((ones, a["indices"], a["indptr"]), shape=shape))


@dataclass(frozen=True)
class UserNeighbours(DenseRetriever):
    spec: UserNeighboursSpec
    catalog: Catalog
    had: sp.csr_matrix  # (n_users, n_items at fit), ones

    def scores(self, requests: Requests) -> Float32:
        profile = profile_matrix(requests.history, len(self.catalog), self.spec.history_decay)[:, : self.had.shape[1]]
        asked = weighted(profile, self.spec.weighting, self._idf, _mean_length(self.had))
        votes = []
        for start, alike in similarities(asked, self._people, self.spec.shrink):
            user = requests.user_ix[start : start + len(alike)]
            own = np.flatnonzero((user >= 0) & (user < alike.shape[1]))
            alike[own, user[own]] = 0.0
            best = top_k(never_where_zero(alike), self.spec.k)
            chosen = sp.csr_matrix((best.score, best.item_ix, best.offsets), shape=alike.shape)
            votes.append((chosen @ self.had).toarray().astype(np.float32, copy=False))
        return widened(never_where_zero(np.concatenate(votes)), len(self.catalog))

    @cached_property
    def _idf(self) -> Float32:
        return inverse_frequency(self.had)

    @cached_property
    def _people(self) -> sp.csr_matrix:
        return weighted(self.had, self.spec.weighting, self._idf, _mean_length(self.had))

    def state(self) -> State:
        return State({"indices": self.had.indices, "indptr": self.had.indptr}, {"n_items": self.had.shape[1]})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)
