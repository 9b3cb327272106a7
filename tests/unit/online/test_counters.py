"""Counts that fade, against plain sums with every event's own age."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.units import US_PER_DAY
from zhiyin.online.counters import Counters, Fading
from zhiyin.testing.small import small_world


def add(counters: Counters, items: Sequence[int], times: Sequence[int], weights: Sequence[float] | None = None) -> None:
    weight = np.ones(len(items), np.float32) if weights is None else np.array(weights, np.float32)
    counters.add(np.array(items, np.int32), np.array(times, np.int64), weight)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 2_000)), max_size=50))
def test_popular_and_trending_are_what_plain_sums_say(events: list[tuple[int, int]]) -> None:
    data = small_world("time")
    start = int(data.events.time_us[-1])
    counters = Counters(data)
    for some in (events[:9], events[9:]):
        add(counters, [item for item, _ in some], [start + day * US_PER_DAY for _, day in some])
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
    add(counters, [rare] * 12, range(now, now + 12))
    assert int(np.argmax(counters.trending(data.n_items))) == rare
    assert int(np.argmax(counters.popular(data.n_items))) != rare


def test_a_far_future_does_not_overflow() -> None:
    fading = Fading(2, 1.0, 0)
    days = np.array([0, *range(0, 5_000, 50)], np.int64)
    items, weight = np.minimum(np.arange(len(days)), 1), np.ones(len(days), np.float32)
    fading.add(items, days * US_PER_DAY, weight)
    assert np.isfinite(fading.counts).all()
    assert fading.counts[0] < 1e-30 < fading.counts[1]
    one_by_one = Fading(2, 1.0, 0)
    for i in range(len(days)):
        one_by_one.add(items[i : i + 1], days[i : i + 1] * US_PER_DAY, weight[i : i + 1])
    assert (one_by_one.counts == fading.counts).all() and one_by_one.origin_us == fading.origin_us, "however they are cut into batches"


def test_dislikes_count_nowhere() -> None:
    counters = Counters(small_world("none"))
    known = counters.popular(40)
    add(counters, [4, 5, 4], [10, 11, 12], [0.0, 2.0, 0.0])
    assert (counters.popular(40) - known).nonzero()[0].tolist() == [5]
