"""Retrieval from a full row of scores: what every model does whose catalogue fits in memory."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, offsets_of, row_of_flat
from zhiyin.data.catalog import Catalog
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.roles import chunk_rows

NEVER = np.float32(-np.inf)


@runtime_checkable
class DenseScorer(Protocol):
    """Scores every item of the catalogue for every request: (n_requests, n_items) float32.

    ``-inf`` marks an item the model knows nothing about: it is never returned. The array returned
    is fresh: the caller may change it in place.
    """

    @property
    def catalog(self) -> Catalog: ...

    def scores(self, requests: Requests) -> Float32: ...


class DenseRetriever:
    """Mix-in: ``scores`` gives ``retrieve``, with exclusions, candidates and filters in one place."""

    def retrieve(self: DenseScorer, requests: Requests, k: int) -> Slates:
        parts = []
        for chunk in requests.chunks(chunk_rows(len(self.catalog))):
            scores = self.scores(chunk)
            forbid(scores, chunk, self.catalog)
            parts.append(top_k(scores, k))
        return Slates.concatenated(parts)


def forbid(scores: Float32, requests: Requests, catalog: Catalog) -> None:
    """Set to -inf, in place, what must not be returned."""
    if requests.candidates is not None:
        kept = np.full_like(scores, NEVER)
        at = (row_of_flat(requests.candidates.offsets), requests.candidates.values)
        kept[at] = scores[at]
        scores[:] = kept
    if requests.exclude is not None:
        scores[row_of_flat(requests.exclude.offsets), requests.exclude.values] = NEVER
    for mask in (requests.allowed, catalog.available):
        if mask is not None:
            scores[:, ~mask] = NEVER


def top_k(scores: Float32, k: int) -> Slates:
    """The k best finite scores of each row, best first, ties by item number: deterministic."""
    n, n_items = scores.shape
    k = min(k, n_items)
    if k == 0 or n == 0:
        return Slates(np.zeros(n + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    # One more than asked: when the k-th and the next are level, the cut must go by item number.
    wide = min(k + 1, n_items)
    picked = np.argpartition(scores, n_items - wide, axis=1)[:, n_items - wide :] if wide < n_items else np.tile(np.arange(n_items), (n, 1))
    values = np.take_along_axis(scores, picked, axis=1)
    order = np.lexsort((picked, -values), axis=1)
    picked, values = np.take_along_axis(picked, order, axis=1), np.take_along_axis(values, order, axis=1)
    if wide > k:
        for row in np.flatnonzero((values[:, k - 1] == values[:, k]) & (values[:, k] > NEVER)):
            picked[row, :k] = _exact(scores[row], k)
        picked, values = picked[:, :k], np.take_along_axis(scores, picked[:, :k], axis=1)
    real = values > NEVER
    offsets = offsets_of(real.sum(axis=1))
    return Slates(offsets, picked[real].astype(np.int32), values[real].astype(np.float32))


def _exact(row: Float32, k: int) -> AnyArray:
    """The k best of one row when scores at the cut are equal."""
    limit = np.partition(row, len(row) - k)[len(row) - k]
    above = np.flatnonzero(row > limit)
    level = np.flatnonzero(row == limit)[: k - len(above)]
    found = np.concatenate([above, level])
    return found[np.lexsort((found, -row[found]))]
