"""Every index keeps every promise: on clusters, on rows without structure, few and many."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from zhiyin.base.arrays import Float32
from zhiyin.index.ann import AnnIndex
from zhiyin.index.choose import index_of
from zhiyin.index.exact import ExactIndex, Index
from zhiyin.index.scan import ScanIndex
from zhiyin.testing.index_contracts import CHECKS, Case, ContractError, check_index


def cells(rows: Float32, queries: Float32) -> Index:
    return AnnIndex.of(rows, queries)


CASES = {
    "exact": lambda: Case(lambda rows, queries: ExactIndex.of(rows)),
    "scan": lambda: Case(lambda rows, queries: ScanIndex.of(rows)),
    "scan, all loose": lambda: Case(lambda rows, queries: ScanIndex.of(rows), n_rows=700),
    "scan, no structure": lambda: Case(lambda rows, queries: ScanIndex.of(rows), n_rows=9_000, dim=33, spread=5.0),
    "ann": lambda: Case(cells, recall=0.99, n_rows=12_000, spread=0.08, n_clusters=120),
    "ann, no structure": lambda: Case(cells, recall=0.99, spread=5.0),
    "chosen": lambda: Case(index_of),
}


@cache
def case(name: str) -> Case:
    return CASES[name]()


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", CASES)
def test_contract(name: str, check: str) -> None:
    CHECKS[check](case(name))


def test_cells_are_really_used_where_there_are_clusters() -> None:
    index = case("ann").index
    assert isinstance(index, AnnIndex) and index.store is not None and index.cells.needed(16) > 0
    other = case("ann, no structure").index
    assert isinstance(other, AnnIndex) and other.store is None, "without clusters the scan does the work"


def test_an_index_that_forgets_the_filter_is_caught() -> None:
    class Forgetful(ExactIndex):
        def search(self, queries: Float32, k: int, *, exclude=None, candidates=None, allowed=None, masks=None):  # type: ignore[no-untyped-def]
            return super().search(queries, k, exclude=exclude, candidates=candidates)

    with pytest.raises(ContractError, match=r"a filter of 0\.9: nothing forbidden comes back"):
        check_index(Case(lambda rows, queries: Forgetful.of(rows), n_rows=300))


def test_an_index_that_finds_half_is_caught() -> None:
    def half(rows: Float32, queries: Float32) -> Index:
        return ScanIndex.of(rows * (np.arange(len(rows)) % 2)[:, None].astype(np.float32))

    with pytest.raises(ContractError, match="of them promised"):
        CHECKS["finds"](Case(half))
