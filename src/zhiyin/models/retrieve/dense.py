"""Retrieval from a full row of scores: what every model does whose catalogue fits in memory."""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, Int64, offsets_of, row_of_flat
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


def never_where_zero(scores: Float32) -> Float32:
    """Turn exact zeros into -inf, in place, and give the same array: sparse sums leave 0 where nothing is known.

    Works on the bits, because a masked assignment costs five times as much as everything around it.
    """
    bits = scores.view(np.int32)
    bits |= np.equal(bits, 0) * NEVER.view(np.int32)
    return scores


def widened(scores: Float32, n_items: int) -> Float32:
    """Columns of -inf for the items that joined the catalogue after fitting."""
    missing = n_items - scores.shape[1]
    return np.concatenate([scores, np.full((len(scores), missing), NEVER)], axis=1) if missing else scores


def top_k(scores: Float32, k: int) -> Slates:
    """The k best finite scores of each row, best first, ties by item number: exact and deterministic.

    The hot path of every dense model: 3 microseconds a row of 3,400 items, a third of argpartition.
    """
    n, n_items = scores.shape
    k = min(k, n_items)
    if k <= 0 or n == 0:
        return Slates(np.zeros(n + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    ranked = _best_of_blocks(scores, k)
    picked = (ranked & 0xFFFFFFFF).astype(np.int32)
    values = np.take_along_axis(scores, picked, axis=1)
    real = values > NEVER
    return Slates(offsets_of(real.sum(axis=1)), picked[real], values[real])


def _rank_keys(values: Float32, items: AnyArray) -> Int64:
    """One integer per cell that sorts as (score descending, item ascending): same shape as values."""
    bits = (values + np.float32(0.0)).view(np.int32)  # -0.0 becomes 0.0: the two are level
    bits ^= (bits >> 31) & np.int32(0x7FFFFFFF)  # IEEE floats sort as integers once negatives are flipped
    keys: Int64 = np.invert(bits).astype(np.int64)
    keys <<= 32
    keys |= items
    return keys


def _first(keys: Int64, k: int) -> Int64:
    """The k smallest of each row, ascending."""
    few = np.partition(keys, k - 1, axis=1)[:, :k] if k < keys.shape[1] else keys
    few.sort(axis=1)
    return few


def _best_of_blocks(scores: Float32, k: int) -> Int64:
    """Rank keys of the k best per row: (n, k).

    Items that are equal modulo n_blocks form a block. The k best items lie in the k blocks with the
    highest maxima, so only those are sorted; maxima of such blocks are plain vector instructions.
    """
    n_items = scores.shape[1]
    depth = int(math.sqrt(n_items / k) / 2)  # measured: cheapest over 3k to 100k items, k = 10 and 100
    if depth < 2:
        return _first(_rank_keys(scores, np.arange(n_items)), k)
    n_blocks = -(-n_items // depth)
    highest = scores[:, :n_blocks].copy()
    for start in range(n_blocks, n_items, n_blocks):
        part = scores[:, start : start + n_blocks]
        np.maximum(highest[:, : part.shape[1]], part, out=highest[:, : part.shape[1]])
    order = np.argpartition(highest, n_blocks - k - 1, axis=1)[:, n_blocks - k - 1 :]
    items = (order[:, 1:, None] + np.arange(0, n_items, n_blocks)).reshape(len(scores), -1)
    keys = _rank_keys(np.take_along_axis(scores, np.minimum(items, n_items - 1), axis=1), items)
    keys[items >= n_items] = np.iinfo(np.int64).max
    ranked = _first(keys, k)
    # A block left out whose maximum equals the last score taken may hold a level item of lower number.
    left_out = np.take_along_axis(highest, order[:, :1], axis=1)[:, 0]
    last = np.take_along_axis(scores, ranked[:, -1:] & 0xFFFFFFFF, axis=1)[:, 0]
    unsure = np.flatnonzero((left_out == last) & (last > NEVER))
    if len(unsure):
        ranked[unsure] = _first(_rank_keys(scores[unsure], np.arange(n_items)), k)
    return ranked
