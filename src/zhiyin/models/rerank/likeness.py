"""How alike items are: cosine of their vectors, or of their categories where they have no vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from zhiyin.base.arrays import Float64, Int32
from zhiyin.base.errors import ConfigError, nearest
from zhiyin.models.rerank.reranker import rows_of
from zhiyin.models.rerank.traits import Traits

Likeness = Literal["auto", "vectors", "categories"]
Directions = Callable[[Int32], Float64]
"""Items (m,) -> (m, dim) unit rows, zero rows for items without: the inner product of two is how alike they are."""


def directions(traits: Traits, likeness: Likeness, vectors: str, category: str | None) -> Directions:
    """Raises ``ConfigError`` where the items have neither vectors of that name nor categories."""
    known = traits.catalog.vectors
    if likeness == "vectors" and vectors not in known:
        raise ConfigError(f"the items have no vectors '{vectors}'", nearest(vectors, known) or "Encode the catalogue first.")
    if likeness == "vectors" or (likeness == "auto" and vectors in known):
        matrix = known[vectors].matrix
        return lambda items: np.asarray(matrix[items], np.float64)
    shares = traits.shares(category)[1]

    def of(items: Int32) -> Float64:
        rows = rows_of(shares, items)
        length = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
        unit: Float64 = np.divide(rows, length, out=rows, where=length > 0)
        return unit

    return of
