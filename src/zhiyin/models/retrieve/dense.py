"""Retrieval from a full row of scores: what every model does whose catalogue fits in memory."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from zhiyin.base.arrays import Float32
from zhiyin.data.catalog import Catalog
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.index.exact import NEVER, forbidden, top_k
from zhiyin.models.roles import chunk_rows


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
    forbidden(scores, exclude=requests.exclude, candidates=requests.candidates, allowed=requests.allowed)
    forbidden(scores, allowed=catalog.available)


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
