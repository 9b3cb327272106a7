"""Rows in cells: a query is compared with the rows of the nearest cells alone, as many as it was measured to need.

How many cells must be looked into depends on how the rows lie, and nobody knows that beforehand: on
rows in clusters 4 of 512 find all there is, on rows without any structure 32 find half. So ``learn``
measures it against the exact answer on queries of the kind that will be asked, for short and for deep
lists (a deep one is needed where seen rows are taken out), and says nothing where too many cells would be
needed: there a scan is as quick. faiss' IVF with half-precision rows does the work. Its HNSW is a third
quicker without filters and needs ten times as long to build, and rows cannot be removed (``bench/index_speed.py``);
rows of 4 bits per dimension (PQ fast scan) are a fifth quicker and take half a second more to load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, Int32, Int64, found_under, named_under
from zhiyin.data.slates import Slates
from zhiyin.index.scan import ScanIndex
from zhiyin.index.scan_part import taken

DEPTHS = (16, 32, 64, 128, 256)
TARGET = 0.997  # share of the deeper half of a list that must be found, on the queries that are measured
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)  # cells
MOST = 1 / 8  # of all cells; looking into more costs more than a scan
SLACK = 8  # more rows are asked for, because half precision swaps neighbours at the end of a list


@dataclass(frozen=True, eq=False)
class Cells:
    """``centres`` (n_cells, dim); ``probes`` (n_depths, 2): for a list this deep, so many cells. ``members`` (n_rows,) is
    the cell of each row that was packed, -1 for others; (0,) where it is not known.
    """

    centres: Float32
    probes: Int32
    members: Int32

    @classmethod
    def learn(cls, scan: ScanIndex, queries: Float32) -> Cells:
        """Cluster the rows and measure; ``queries`` (some hundred, dim) are like those that will be asked.

        1 second for 100,000 rows of 64 on one processor; equal input gives equal cells.
        """
        part = scan.part
        n_cells = 2 ** max(2, round(np.log2(1.6 * max(part.n_packed, 1) ** 0.5)))
        nothing = cls(np.zeros((0, scan.matrix.shape[1]), np.float32), np.zeros((0, 2), np.int32), np.zeros(0, np.int32))
        if part.n_packed < 40 * n_cells or not len(queries):
            return nothing
        rows = taken(scan.matrix, part.numbers)
        centres, members = _centres(rows, n_cells), np.full(len(scan.matrix), -1, np.int32)
        members[part.numbers] = nearest(centres, rows)
        # The truth is that of the packed rows: loose ones are looked at anyway.
        truth = replace(scan, part=replace(part, loose=part.loose[:0], vectors=part.vectors[:0])).search(queries, max(DEPTHS))
        found = cls(centres, np.zeros((0, 2), np.int32), members)
        probes = _measured(found._filled(scan), queries, truth, n_cells)
        return replace(found, probes=probes) if len(probes) else nothing

    @classmethod
    def of(cls, arrays: Mapping[str, AnyArray]) -> Cells | None:
        """From what ``arrays`` gave; None where that is not there."""
        found = {"members": np.zeros(0, np.int32), **found_under("cells", arrays)}  # older models do not say who is where
        return cls(**found) if "centres" in found else None

    @property
    def arrays(self) -> dict[str, AnyArray]:
        return named_under("cells", {field.name: getattr(self, field.name) for field in fields(self)})

    def needed(self, depth: float) -> int:
        """How many cells find lists this deep; 0 = no number does."""
        at = int(np.searchsorted(self.probes[:, 0], depth))
        return int(self.probes[at, 1]) if at < len(self.probes) else 0

    def store(self, scan: ScanIndex) -> Any:
        """The faiss index of the packed rows of a scan under their numbers; None where cells do not help."""
        return self._filled(scan) if len(self.probes) and scan.part.n_packed else None

    def _filled(self, scan: ScanIndex) -> Any:
        """Rows go to the centre of nearest direction; queries to the cells whose mean row they like best.

        A mean knows how long the rows of its cell are, which a direction does not: with few cells looked into
        it finds up to a third more, on rows of unequal length.
        """
        faiss = library()
        n_cells, dim = self.centres.shape
        coarse = faiss.IndexFlatIP(dim)
        coarse.add(self.centres)
        store = faiss.IndexIVFScalarQuantizer(coarse, dim, n_cells, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False)
        store.train(self.centres)  # half precision has nothing to learn, but wants to be asked
        numbers = scan.part.numbers.astype(np.int64)
        rows = taken(scan.matrix, numbers)
        cell = self._cell(numbers, rows)
        store.add_core(len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(numbers), faiss.swig_ptr(cell))
        order, means = np.argsort(cell, kind="stable"), self.centres.copy()
        ends = np.cumsum(np.bincount(cell, minlength=n_cells))
        for at, members in enumerate(np.split(order, ends[:-1])):
            if len(members):
                means[at] = rows[members].mean(axis=0)
        coarse.reset()
        coarse.add(means)
        return store

    def _cell(self, numbers: Int64, rows: Float32) -> Int64:
        """The cell of each row (n, dim) by its number (n,), ascending: as it was, where all are known."""
        known = numbers[-1] < len(self.members)
        cell = self.members[numbers].astype(np.int64) if known else np.full(1, -1)
        return cell if bool((cell >= 0).all()) else nearest(self.centres, rows)


def nearest(centres: Float32, rows: Float32) -> Int64:
    """The number of the centre that each row (n, dim) likes best: (n,)."""
    coarse = library().IndexFlatIP(centres.shape[1])
    coarse.add(centres)
    return np.ascontiguousarray(coarse.search(rows, 1)[1].ravel(), np.int64)


@cache
def library() -> Any:
    """faiss, with one thread for whoever calls: searches are small, and a server has its own threads."""
    import faiss

    faiss.omp_set_num_threads(1)
    return faiss


def look(store: Any, queries: Float32, depth: int, n_cells: int, allowed: AnyArray | None = None) -> Int64:
    """The numbers of the best rows in the nearest cells, -1 where there are no more: (n, depth)."""
    faiss = library()
    if allowed is None:
        parameters = _parameters(n_cells)
    else:
        parameters = faiss.SearchParametersIVF(nprobe=n_cells, sel=faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little")))
    return np.asarray(store.search(queries, depth, params=parameters)[1], np.int64)


@cache
def _parameters(n_cells: int) -> Any:
    """Made once: making them costs as much as a tenth of a search."""
    return library().SearchParametersIVF(nprobe=n_cells)


def _centres(rows: Float32, n_cells: int) -> Float32:
    faiss = library()
    means = faiss.Kmeans(rows.shape[1], n_cells, niter=10, seed=0, spherical=True, max_points_per_centroid=128)
    means.train(rows)
    return np.asarray(means.centroids, np.float32)


def _measured(store: Any, queries: Float32, truth: Slates, n_cells: int) -> Int32:
    """Depths with the cells that find them."""
    known: list[tuple[int, int]] = []
    rows, width = truth.items.rows, store.ntotal + int(truth.item_ix.max(initial=0)) + 2
    rank = np.arange(len(rows)) - truth.offsets[rows]
    steps = [n for n in STEPS if n <= MOST * n_cells]
    at = 0
    for depth in DEPTHS:
        late = (rank >= depth // 2) & (rank < depth)
        wanted = (rows * width + truth.item_ix)[late]
        while at < len(steps) and len(wanted):
            found = look(store, queries, depth + SLACK, steps[at])
            if np.isin(wanted, (np.arange(len(queries))[:, None] * width + found)[found >= 0]).mean() >= TARGET:
                break
            at += 1
        if at == len(steps) or not len(wanted):
            break
        known.append((depth, steps[at]))
    return np.array(known, np.int32).reshape(-1, 2)
