"""Cells: learned, measured, brought back from what was saved; and the choice of an index."""

from __future__ import annotations

import numpy as np
import pytest

from zhiyin.base.arrays import Float32, Int64, Ragged
from zhiyin.index import ann_cells, choose
from zhiyin.index.ann import AnnIndex, _listed
from zhiyin.index.ann_cells import Cells, nearest
from zhiyin.index.exact import ExactIndex
from zhiyin.index.scan import ScanIndex


def clustered(n: int, seed: int, *, spread: float = 0.08) -> Float32:
    rng, centres = np.random.default_rng(seed), np.random.default_rng(0).standard_normal((100, 24))
    return (centres[rng.integers(0, 100, n)] + spread * rng.standard_normal((n, 24))).astype(np.float32)


ROWS, QUERIES = clustered(12_000, 1), clustered(400, 2)


def test_cells_are_measured_and_the_same_each_time() -> None:
    one, two = (Cells.learn(ScanIndex.of(ROWS), QUERIES) for _ in range(2))
    np.testing.assert_array_equal(one.centres, two.centres)
    np.testing.assert_array_equal(one.probes, two.probes)
    assert one.probes[:, 0].tolist() == [16, 32, 64, 128]
    assert 0 < one.needed(10) <= one.needed(64)
    assert one.needed(200) == 0, "clusters are not that deep"


def test_without_structure_there_are_no_cells() -> None:
    rows = np.random.default_rng(0).standard_normal((12_000, 48)).astype(np.float32)
    cells = Cells.learn(ScanIndex.of(rows), np.random.default_rng(1).standard_normal((200, 48)).astype(np.float32))
    assert not len(cells.probes) and not len(cells.centres)


def test_saved_cells_give_the_same_index(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Cells.of({}) is None
    rows = ROWS.copy()
    rows[[0, 7, -1]] = 0.0  # empty ones are in no cell
    index = AnnIndex.of(rows, QUERIES)
    saved = index.cells.arrays
    assert np.flatnonzero(saved["cells.members"] < 0).tolist() == [0, 7, len(rows) - 1]
    older = Cells.of({name: array for name, array in saved.items() if name != "cells.members"})
    found = [index.search(QUERIES[:50], 10), AnnIndex.of(rows, cells=older).search(QUERIES[:50], 10)]
    looked: list[int] = []

    def counted(centres: Float32, rows: Float32) -> Int64:
        looked.append(len(rows))
        return nearest(centres, rows)

    monkeypatch.setattr(ann_cells, "nearest", counted)
    again = AnnIndex.of(rows, cells=Cells.of(saved))
    assert not looked, "nobody asks again which cell a row is in"
    found += [other.search(QUERIES[:50], 10) for other in (again, again.without(np.array([5])))]
    for slates in found[1:3]:
        np.testing.assert_array_equal(slates.item_ix, found[0].item_ix)
    more = clustered(2_000, 3)  # so many that all are packed anew
    grown, whole = again.with_rows(more), ScanIndex.of(np.concatenate([rows, more])).search(QUERIES[:50], 10)
    assert looked == [len(grown.scan.part.numbers)] == [len(rows) - 3 + 2_000]
    assert np.isin(grown.search(QUERIES[:50], 10).item_ix, whole.item_ix).mean() > 0.99


def test_lists_are_compared_in_two_ways_alike() -> None:
    rng = np.random.default_rng(0)
    found = rng.integers(-1, 60, (30, 40))
    lists = Ragged.of([rng.choice(60, size, replace=False) for size in rng.integers(0, 20, 30)])
    brute = [[number in set(lists[q].tolist()) for number in row] for q, row in enumerate(found.tolist())]
    np.testing.assert_array_equal(_listed(found, lists), brute)
    many = Ragged.of([*[lists[q] for q in range(29)], np.arange(100, 1_000)])  # long lists take the other way
    np.testing.assert_array_equal(_listed(found, many)[:29], brute[:29])
    assert not _listed(found, many)[29].any()


def test_the_simplest_index_that_is_quick_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(choose.index_of(ROWS[:500]), ExactIndex)
    assert isinstance(choose.index_of(ROWS, QUERIES), ScanIndex)
    monkeypatch.setattr(choose, "MANY", 10_000)
    assert isinstance(choose.index_of(ROWS), ScanIndex), "nothing is known about the queries"
    found = choose.index_of(ROWS, QUERIES)
    assert isinstance(found, AnnIndex)
    assert isinstance(choose.index_of(ROWS, cells=found.cells), AnnIndex)
    rows = np.random.default_rng(0).standard_normal((12_000, 48)).astype(np.float32)
    assert isinstance(choose.index_of(rows, rows[:300]), ScanIndex), "cells do not help here"
