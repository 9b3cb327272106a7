"""Counts that fade, against plain sums with every event's own age."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.units import US_PER_DAY
from zhiyin.online.counters import Counters, Fading
from zhiyin.testing.small import small_world


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 2_000)), max_size=50))
def test_popular_and_trending_are_what_plain_sums_say(events: list[tuple[int, int]]) -> None:
    data = small_world("time")
    start = int(data.events.time_us[-1])
    counters = Counters(data)
    for item, day in events:
        counters.add(1, item, start + day * US_PER_DAY, 1.0)
    liked = data.positive.events
    items = np.concatenate([liked.item_ix, [item for item, _ in events]]).astype(int)
    times = np.concatenate([liked.time_us, [start + day * US_PER_DAY for _, day in events]])
    weight = np.concatenate([liked.weight, np.ones(len(events))])
    for half_life, found in ((90.0, counters.popular(40)),):
        plain = np.bincount(items, weight * np.exp2((times - times.max()) / (half_life * US_PER_DAY)), minlength=40)
        assert found / found.sum() == pytest.approx(plain / plain.sum(), abs=1e-9)


def test_what_rises_is_trending_not_what_is_large() -> None:
    data = small_world("time")
    counters = Counters(data)
    now = int(data.events.time_us[-1]) + 10 * US_PER_DAY
    rare = int(np.argmin(np.where(data.item_counts > 0, data.item_counts, 999)))
    for i in range(12):
        counters.add(i, rare, now + i, 1.0)
    assert int(np.argmax(counters.trending(data.n_items))) == rare
    assert int(np.argmax(counters.popular(data.n_items))) != rare


def test_a_far_future_does_not_overflow() -> None:
    fading = Fading(2, 1.0, 0)
    fading.add(0, 0, 1.0)
    for day in range(0, 5_000, 50):
        fading.add(1, day * US_PER_DAY, 1.0)
    assert np.isfinite(fading.counts).all()
    assert fading.counts[0] < 1e-30 < fading.counts[1]


def test_things_of_one_person_are_together_and_dislikes_are_not() -> None:
    counters = Counters(small_world("none"))
    for item in (1, 2, 3):
        counters.add(7, item, 10, 1.0)
    counters.add(7, 4, 10, 0.0)
    assert counters.together(2) == {1: 1.0, 3: 1.0}
    assert counters.together(4) == {}
