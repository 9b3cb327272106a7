"""Which index for how many rows: the simplest that is quick."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32
from zhiyin.index.ann import AnnIndex
from zhiyin.index.ann_cells import Cells
from zhiyin.index.exact import ExactIndex, Index
from zhiyin.index.scan import ScanIndex

FEW = 500  # rows up to which one matrix product is as quick as anything
MANY = 50_000  # rows from which cells beat a scan for one query at a time (``bench/index_speed.py``)


def index_of(
    matrix: Float32, queries: Float32 | None = None, cells: Cells | None = None, packed: Mapping[str, AnyArray] | None = None
) -> Index:
    """Exact for few rows, an exact scan of bytes for many, cells for very many where they find 99 in 100.

    ``matrix`` (n_rows, dim), a zero row is empty. ``queries`` (some hundred, dim) are like those that will
    be asked, and ``cells`` what was learned from them before; without either, and wherever the rows
    do not fall into cells, the answer stays exact. ``packed`` is what ``packed_of`` the index gave.
    """
    if len(matrix) <= FEW:
        return ExactIndex.of(np.ascontiguousarray(matrix, np.float32))
    if len(matrix) < MANY or (queries is None and cells is None):
        return ScanIndex.of(matrix, packed)
    found = AnnIndex.of(matrix, queries, cells, packed)
    return found if found.store is not None else found.scan


def packed_of(index: Index) -> dict[str, AnyArray]:
    """What is worth saving with the matrix of an index, so that it is ready sooner; nothing of few rows."""
    scan = index.scan if isinstance(index, AnnIndex) else index
    return scan.part.arrays if isinstance(scan, ScanIndex) else {}
