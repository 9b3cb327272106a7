"""Over every feature source, in worlds drawn at random: late events change nothing, and nobody depends on his neighbours in a batch."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from zhiyin.data.dataset import Dataset
from zhiyin.models.features.as_of import AsOfCounts
from zhiyin.models.features.leaks import auc_within_lists, psi, ranks_within_lists
from zhiyin.models.features.registry import SOURCES, source_of
from zhiyin.models.features.source import FittedSource
from zhiyin.models.rank.quality import auc
from zhiyin.testing.source_contracts import every_pair, rich_world, same, with_event

AS_OF = [name for name in SOURCES.names() if source_of(name).as_of]


@cache
def world(seed: int, order: Any = "time") -> Dataset:
    return rich_world(order, seed)


@cache
def fitted(name: str, seed: int, order: Any = "time") -> FittedSource:
    return source_of(name).fit(world(seed, order))


@pytest.mark.parametrize("name", AS_OF)
@settings(max_examples=12, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2))
def test_an_event_one_microsecond_late_changes_nothing(name: str, data: st.DataObject, seed: int) -> None:
    """Everybody asks at his own time, often the very time of an event; whatever comes then or later is not known yet."""
    past = world(seed)
    times = past.events.time_us
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="draw"))
    now = draw.choice(times, past.n_users + 1) + draw.choice([0, 0, 1, -1], past.n_users + 1)
    if data.draw(st.booleans(), label="all at once"):
        now[:] = now[0]
    first = int(now.max())
    n = data.draw(st.integers(1, 6), label="late events")
    late = first + draw.choice([0, 1, 10**12], n)
    more = with_event(past, draw.integers(0, past.n_users, n), draw.integers(0, past.n_items, n), late)
    asked, slates = every_pair(past, now)
    again, _ = every_pair(more, now)
    assert np.array_equal(asked.history.item_ix, again.history.item_ix)
    before = fitted(name, seed).features(asked, slates)
    assert np.array_equal(before, source_of(name).fit(more).features(again, slates), equal_nan=True)


@pytest.mark.parametrize("name", AS_OF)
@settings(max_examples=8, deadline=None)
@given(at=st.integers(100, 299), after=st.integers(0, 1))
def test_a_log_that_ends_before_now_says_the_same(name: str, at: int, after: int) -> None:
    past = world(0)
    now = np.full(past.n_users + 1, past.events.time_us[at] + after)
    asked, slates = every_pair(past, now)
    ended = source_of(name).fit(past.before(int(now[0])))
    assert np.array_equal(fitted(name, 0).features(asked, slates), ended.features(asked, slates), equal_nan=True)


@pytest.mark.parametrize("name", SOURCES.names())
@settings(max_examples=10, deadline=None)
@given(rows=st.lists(st.integers(0, 25), max_size=6), order=st.sampled_from(["time", "position", "none"]), n=st.integers(0, 20))
def test_any_part_of_a_batch_is_that_part(name: str, rows: list[int], order: str, n: int) -> None:
    assume((name, order) != ("history", "none"))  # refused
    source = fitted(name, 0, order)
    requests, slates = every_pair(world(0, order))
    whole = slates.with_columns(source.names, source.features(requests, slates))
    at = np.array(rows, np.int64)
    some = slates.take(at).top(n)
    assert same(source.features(requests.take(at), some), whole.take(at).top(n).matrix(source.names))


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=30),
    asked=st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 42)), min_size=1, max_size=10),
)
def test_counts_as_of_are_those_of_a_loop(events: list[tuple[int, int]], asked: list[tuple[int, int]]) -> None:
    day = 86_400_000_000
    keys, times = np.array([k for k, _ in events], np.int64), np.array([t * day for _, t in events], np.int64)
    store = AsOfCounts.of(keys, times, (0.5, 7.0))
    ask, now = np.array([k for k, _ in asked]), np.array([t * day for _, t in asked], np.int64)
    before = [[t for k, t in events if k == key and t < at] for key, at in asked]
    assert store.counts(ask, now).tolist() == [len(b) for b in before]
    assert store.last_us(ask, now).tolist() == [max(b, default=-1) * day if b else -1 for b in before]
    for half_life in (0.5, 7.0):
        expected = [sum(2 ** (-(at - t) / half_life) for t in b) for b, (_, at) in zip(before, asked, strict=True)]
        assert store.decayed(ask, now, half_life) == pytest.approx(expected, rel=1e-6, abs=1e-12)
        back = AsOfCounts.from_arrays(store.arrays())
        assert np.array_equal(back.decayed(ask, now, half_life), store.decayed(ask, now, half_life))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=7), min_size=1, max_size=6))
def test_auc_within_lists_is_that_of_each_list(lists: list[list[tuple[bool, int]]]) -> None:
    offsets = np.concatenate([[0], np.cumsum([len(x) for x in lists])]).astype(np.int64)
    chosen = np.array([c for x in lists for c, _ in x], np.bool_)
    values = np.array([v for x in lists for _, v in x], np.float64)
    expected = [auc(np.array([c for c, _ in x]), np.array([v for _, v in x])) for x in lists if len({c for c, _ in x}) == 2]
    assert auc_within_lists(chosen, values, offsets) == pytest.approx(expected)
    ranks = ranks_within_lists(values, offsets)
    for start, end in pairwise(offsets):
        assert ranks[start:end].sum() == (end - start) * (end - start + 1) / 2


@settings(max_examples=60, deadline=None)
@given(
    one=st.lists(st.one_of(st.just(float("nan")), st.floats(-5, 5, width=32)), min_size=1, max_size=60),
    other=st.lists(st.one_of(st.just(float("nan")), st.floats(-5, 5, width=32)), min_size=1, max_size=60),
)
def test_psi_is_nothing_for_the_same_and_never_negative(one: list[float], other: list[float]) -> None:
    assert psi(np.array(one), np.array(one)) == pytest.approx(0, abs=1e-12)
    assert psi(np.array(one), np.array(other)) >= 0
