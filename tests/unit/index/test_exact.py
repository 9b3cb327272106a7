"""The exact index against brute force: filters, exclusions, inserts, deletes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import ConfigError
from zhiyin.index.exact import ExactIndex


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_equals_brute_force_under_every_filter(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    rows, queries = rng.standard_normal((n, 4)).astype(np.float32), rng.standard_normal((3, 4)).astype(np.float32)
    allowed = rng.random(n) < 0.7
    exclude = Ragged.of([np.flatnonzero(rng.random(n) < 0.2) for _ in range(3)])
    candidates = Ragged.of([np.flatnonzero(rng.random(n) < 0.8) for _ in range(3)])
    removed = np.flatnonzero(rng.random(n) < 0.1)
    found = ExactIndex.of(rows).without(removed).search(queries, k, exclude=exclude, candidates=candidates, allowed=allowed)
    for q in range(3):
        may = set(candidates[q].tolist()) & set(np.flatnonzero(allowed).tolist()) - set(exclude[q].tolist()) - set(removed.tolist())
        best = sorted(may, key=lambda i: (-float(queries[q] @ rows[i]), i))[:k]
        assert found.items[q].tolist() == best


def test_rows_are_appended_and_keep_their_numbers() -> None:
    index = ExactIndex.of(np.eye(3, dtype=np.float32)).with_rows(np.array([[0.0, 0.0, 2.0], [0.0, 0.0, 0.0]], np.float32))
    assert len(index) == 4, "the zero row has no direction"
    query = np.array([[0.0, 0.0, 1.0]], np.float32)
    assert index.search(query, 2).item_ix.tolist() == [3, 2]
    assert index.without(np.array([3])).search(query, 1).item_ix.tolist() == [2]
    assert len(index.search(np.zeros((1, 3), np.float32), 2).item_ix) == 0


def test_queries_of_another_width_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"queries of shape \(1, 2\) do not fit an index of 3 dimensions"):
        ExactIndex.of(np.eye(3, dtype=np.float32)).search(np.ones((1, 2), np.float32), 1)
