from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.arrays import Ragged
from zhiyin.data.requests import Histories
from zhiyin.models.retrieve.profile import newest_of_each, profile_matrix


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=6), st.sampled_from([1.0, 0.5]))
def test_each_item_once_with_the_weight_of_its_newest_event(lists: list[list[int]], decay: float) -> None:
    expected = np.zeros((len(lists), 7))
    for row, items in enumerate(lists):
        for age, item in enumerate(reversed(items)):
            expected[row, item] = max(expected[row, item], decay**age)
    found = profile_matrix(Histories.of_items(Ragged.of(lists)), 7, decay)
    np.testing.assert_allclose(found.toarray(), expected)
    assert found.has_canonical_format


def test_events_without_liking_neither_count_nor_age() -> None:
    history = Histories.of_items(Ragged.of([[1, 2, 3]]))
    history = replace(history, weight=np.array([1, 1, 0], np.float32))
    assert profile_matrix(history, 5, 0.5).toarray().tolist() == [[0.0, 0.5, 1.0, 0.0, 0.0]]


def test_batches_too_large_to_pack_give_the_same() -> None:
    history = Histories.of_items(Ragged.of([[4, 1, 4], [2, 2]]))
    small = newest_of_each(history, 10)
    large = newest_of_each(history, 2**61)
    np.testing.assert_array_equal(small[0], large[0])
    assert small[0].tolist() == [1, 2, 4]
    assert small[1].tolist() == [0, 2, 3]
