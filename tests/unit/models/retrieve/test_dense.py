from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.arrays import Float32
from zhiyin.index.exact import NEVER, top_k
from zhiyin.models.retrieve.dense import never_where_zero, widened


def reference(row: Float32, k: int) -> list[int]:
    order = np.lexsort((np.arange(len(row)), -(row + 0)))
    return [int(i) for i in order[:k] if row[i] > NEVER]


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 900), st.integers(0, 40), st.sampled_from([0.0, 1.0, 3.0]), st.booleans()
)
def test_top_k_is_the_sorted_beginning_with_ties_by_item(seed: int, n: int, m: int, k: int, steps: float, holes: bool) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((n, m)).astype(np.float32)
    if steps:
        scores = np.round(scores * np.float32(steps))  # many ties, and -0.0 beside 0.0
    if holes:
        scores[rng.random((n, m)) < rng.random()] = NEVER
    slates = top_k(scores, k)
    for row in range(n):
        found = slates.items[row]
        assert found.tolist() == reference(scores[row], k)
        np.testing.assert_array_equal(slates.score[slates.offsets[row] : slates.offsets[row + 1]], scores[row][found])


def test_a_block_left_out_cannot_hide_a_level_item() -> None:
    scores = np.zeros((1, 4000), np.float32)
    scores[0, 17] = 1.0
    assert top_k(scores, 4).item_ix.tolist() == [17, 0, 1, 2]


def test_no_rows_and_no_items() -> None:
    assert len(top_k(np.zeros((0, 5), np.float32), 3)) == 0
    assert top_k(np.zeros((2, 0), np.float32), 3).offsets.tolist() == [0, 0, 0]


def test_zeros_become_never_in_place() -> None:
    scores = np.array([[0.0, 1.0, -2.0, 1e-30]], np.float32)
    assert never_where_zero(scores) is scores
    assert scores.tolist() == [[float("-inf"), 1.0, -2.0, float(np.float32(1e-30))]]


def test_new_items_get_never() -> None:
    assert widened(np.ones((1, 2), np.float32), 4).tolist() == [[1.0, 1.0, float("-inf"), float("-inf")]]
