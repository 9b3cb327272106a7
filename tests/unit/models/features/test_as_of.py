"""Counts as of an instant, saved and back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.models.features.as_of import AsOfCounts


@given(st.lists(st.floats(1e-3, 1e5), min_size=1, max_size=4, unique=True))
@settings(max_examples=50, deadline=None)
def test_any_half_life_comes_back(half_lives: list[float]) -> None:
    counts = AsOfCounts.of(np.array([1, 1, 2]), np.array([5, 9, 9]), tuple(half_lives))
    back = AsOfCounts.from_arrays(counts.arrays())
    for half_life in half_lives:
        asked = np.array([1, 2, 3]), np.array([20, 9, 20])
        np.testing.assert_array_equal(back.decayed(*asked, half_life), counts.decayed(*asked, half_life))
