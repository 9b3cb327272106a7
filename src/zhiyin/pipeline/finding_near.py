"""Items by meaning: an index over the vectors it was built from, and beside it the few that are newer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Float32, Int64, found_under, named_under
from zhiyin.index.choose import index_of, packed_of
from zhiyin.index.exact import Index

MOST_LOOSE, MOST_LOOSE_SHARE = 1_000, 0.01
"""Vectors beside the index from which it is built again."""


@dataclass(frozen=True, eq=False)
class Near:
    """``matrix`` (n_items, dim) are the vectors as they are now; ``loose`` rows are not in the index as they are."""

    index: Index
    matrix: Float32
    mean: Float32  # (dim,) of the vectors the index was built from
    loose: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, matrix: Float32) -> Self:
        """Over these vectors, exactly."""
        mean = matrix.mean(axis=0) if len(matrix) else np.zeros(matrix.shape[1], np.float32)
        return cls(index_of(matrix), matrix, np.asarray(mean, np.float32))

    @property
    def arrays(self) -> dict[str, AnyArray]:
        """To be saved beside the vectors, so that they need not be read again."""
        return {"mean": self.mean, **named_under("scan", packed_of(self.index))}

    @classmethod
    def restored(cls, matrix: Float32, arrays: Mapping[str, AnyArray]) -> Self:
        """From what ``arrays`` gave over the same vectors."""
        return cls(index_of(matrix, packed=found_under("scan", arrays)), matrix, arrays["mean"])

    def with_rows(self, matrix: Float32, changed: AnyArray) -> Self:
        """With new rows at the end of ``matrix``, and others in place of the ``changed`` ones: exact, and at once."""
        inside = changed[changed < len(self.index.matrix)]
        loose = np.union1d(self.loose, np.concatenate([changed, np.arange(len(self.matrix), len(matrix))]))
        if len(loose) > MOST_LOOSE + MOST_LOOSE_SHARE * len(matrix):
            return type(self).of(matrix)
        return replace(self, index=self.index.without(inside) if len(inside) else self.index, matrix=matrix, loose=loose)

    def closest(self, query: Float32, k: int, allowed: Bool | None, share: float) -> tuple[AnyArray, Float32]:
        """Rows and cosines of the k closest to one query (dim,), those whose cosine above the mean is a ``share`` of the best's."""
        n = len(self.index.matrix)
        mask = allowed if allowed is None or len(allowed) == n else allowed[:n]
        found = self.index.search(query[None, :], k, allowed=mask)
        rows, cosine = found.item_ix.astype(np.int64), found.score
        beside = self.loose if allowed is None else self.loose[allowed[self.loose]]
        if len(beside):
            beside = beside[self.matrix[beside].any(axis=1)]
            rows, cosine = np.concatenate([rows, beside]), np.concatenate([cosine, self.matrix[beside] @ query])
            order = np.lexsort((rows, -cosine))[:k]
            rows, cosine = rows[order], cosine[order]
        middle = self.middle(query)
        close = cosine - middle >= share * (float(cosine.max(initial=-1.0)) - middle)
        return rows[close], cosine[close]

    def middle(self, query: Float32) -> float:
        """The mean cosine of a query (dim,) to all items."""
        return float(self.mean @ query)
