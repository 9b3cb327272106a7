"""Fast re-rankers against their definitions: every step looked up the slow way, every subset tried."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.arrays import Float64
from zhiyin.models.rerank.calibrated import SMOOTHING, calibrated
from zhiyin.models.rerank.dpp import dpp
from zhiyin.models.rerank.mmr import mmr
from zhiyin.models.rerank.provider import exposure, shared_out
from zhiyin.models.rerank.tail import with_floor

NEAR = 1e-9


@st.composite
def lists(draw: st.DrawFn) -> tuple[Float64, Float64, int]:
    """Unit or zero rows (m, dim), relevance (m,) falling from 1 to 0, and how many are wanted; some rows are copies."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    m, dim = draw(st.integers(1, 7)), draw(st.integers(2, 5))
    rows = rng.standard_normal((m, dim))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[rng.random(m) < 0.15] = 0.0
    if draw(st.booleans()):
        rows[-1] = rows[0]
    level = np.sort(rng.random(m))[::-1].copy()
    return rows, level, draw(st.integers(1, m))


@given(lists(), st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_mmr_takes_the_best_of_all_at_every_step(case: tuple[Float64, Float64, int], diversity: float) -> None:
    rows, level, n = case
    chosen = mmr(rows, level, diversity, n).tolist()
    assert len(set(chosen)) == n
    for step, taken in enumerate(chosen):
        worth = {
            i: (1 - diversity) * level[i] - (diversity * max(float(rows[i] @ rows[j]) for j in chosen[:step]) if step else 0.0)
            for i in range(len(level))
            if i not in chosen[:step]
        }
        assert worth[taken] >= max(worth.values()) - NEAR


@given(lists())
@settings(max_examples=60, deadline=None)
def test_the_ends_of_the_knob(case: tuple[Float64, Float64, int]) -> None:
    rows, level, n = case
    assert mmr(rows, level, 0.0, n).tolist() == list(range(n))
    far = mmr(rows, level, 1.0, n)
    assert far[0] == 0
    if n > 1:
        assert rows[far[1]] @ rows[0] <= (rows[1:] @ rows[0]).min() + NEAR


def _worth(rows: Float64, level: Float64, diversity: float, chosen: tuple[int, ...]) -> float:
    """What the process maximises, by the determinant itself: items without direction are unlike everything."""
    part = rows[list(chosen)]
    like = part @ part.T
    like[np.diag_indices(len(chosen))] = 1.0
    sign, log = np.linalg.slogdet(like)
    return float((1 - diversity) * level[list(chosen)].sum() + diversity * (log if sign > 0 else -np.inf))


@given(lists(), st.floats(0.05, 1))
@settings(max_examples=150, deadline=None)
def test_dpp_takes_the_best_of_all_at_every_step(case: tuple[Float64, Float64, int], diversity: float) -> None:
    rows, level, n = case
    chosen = tuple(dpp(rows, level, diversity, n).tolist())
    assert len(set(chosen)) == len(chosen) <= n
    for step, taken in enumerate(chosen):
        before = chosen[:step]
        worth = {i: _worth(rows, level, diversity, (*before, i)) for i in range(len(level)) if i not in before}
        assert worth[taken] >= max(worth.values()) - 1e-6
    if len(chosen) < n:  # everything that is left lies within what the chosen ones span
        left = [i for i in range(len(level)) if i not in chosen]
        assert all(_worth(rows, np.zeros(len(level)), 1.0, (*chosen, i)) < -15 for i in left)


@given(lists())
@settings(max_examples=80, deadline=None)
def test_dpp_against_every_subset(case: tuple[Float64, Float64, int]) -> None:
    """The greedy volume is at least best / (n!)^2 (Civril and Magdon-Ismail 2009), and the best one where nothing is alike."""
    rows, level, n = case
    none = np.zeros(len(level))
    chosen = tuple(dpp(rows, none, 1.0, n).tolist())
    best = max(_worth(rows, none, 1.0, subset) for subset in combinations(range(len(level)), n))
    if len(chosen) == n:
        assert best - 2 * np.log(factorial(n)) - 1e-6 <= _worth(rows, none, 1.0, chosen) <= best + 1e-6
    apart = np.eye(len(level))
    found = tuple(dpp(apart, level, 0.5, n).tolist())
    top = max(_worth(apart, level, 0.5, subset) for subset in combinations(range(len(level)), n))
    assert abs(_worth(apart, level, 0.5, found) - top) < NEAR


@given(st.integers(0, 2**32), st.integers(1, 7), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_calibration_takes_the_best_of_all_at_every_step(seed: int, m: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.ones(4), m) * (rng.random((m, 1)) > 0.2)
    mix = rng.dirichlet(np.ones(4))
    level = np.sort(rng.random(m))[::-1].copy()
    n = int(rng.integers(1, m + 1))
    chosen = calibrated(rows, level, mix, strength, n).tolist()
    for step, taken in enumerate(chosen):
        worth = {}
        for i in set(range(m)) - set(chosen[:step]):
            listed = rows[[*chosen[:step], i]].sum(axis=0) / (step + 1)
            apart = float((mix * np.log(mix / ((1 - SMOOTHING) * listed + SMOOTHING * mix))).sum())
            worth[i] = (1 - strength) * level[i] - strength * apart
        assert worth[taken] >= max(worth.values()) - NEAR


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.integers(0, 9), st.integers(1, 9))
def test_the_tail_floor_costs_as_little_as_it_can(member: list[bool], floor: int, n: int) -> None:
    inside = np.array(member)
    n = min(n, len(inside))
    chosen = with_floor(inside, floor, n)
    wanted = min(floor, int(inside.sum()), n)
    level = -np.arange(len(inside))
    allowed = [s for s in combinations(range(len(inside)), n) if inside[list(s)].sum() >= wanted]
    assert inside[chosen].sum() >= wanted and len(set(chosen.tolist())) == n
    assert level[chosen].sum() == max(level[list(s)].sum() for s in allowed)
    assert chosen.tolist() == sorted(chosen.tolist())


def _needs(whose: list[int], floor: Float64, n: int) -> Float64:
    """The floors as exposure, no more than the best places for all one has."""
    return np.array([min(f * exposure(n).sum(), exposure(min(whose.count(o), n)).sum()) for o, f in enumerate(floor)])


def _met_by_need(whose: list[int], floor: Float64, n: int) -> bool:
    """Whether each place given to whoever lacks most keeps every floor: the promise's condition, told in its own words."""
    need, left = _needs(whose, floor, n), np.bincount(whose, minlength=len(floor))
    for worth in exposure(n):
        owner = int(need.argmax())
        if need[owner] <= NEAR or not left[owner]:
            break
        need[owner] -= worth
        left[owner] -= 1
    return bool((need <= NEAR).all())


@given(st.lists(st.integers(0, 3), min_size=1, max_size=14), st.integers(1, 10), st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_exposure_floors_are_kept_where_they_can_be(whose: list[int], n: int, seed: int) -> None:
    n = min(n, len(whose))
    rng = np.random.default_rng(seed)
    floor = rng.dirichlet(np.ones(4)) * rng.random()
    chosen = shared_out(np.array(whose), floor, n)
    assert len(set(chosen.tolist())) == n
    got = np.bincount(np.array(whose)[chosen], exposure(n), minlength=4)
    if _met_by_need(whose, floor, n):
        assert (got >= _needs(whose, floor, n) - 1e-6).all()
    assert shared_out(np.array(whose), np.zeros(4), n).tolist() == list(range(n))
    for owner in range(4):  # nobody's items change places among themselves
        own = [i for i in chosen.tolist() if whose[i] == owner]
        assert own == sorted(own) == [i for i, w in enumerate(whose) if w == owner][: len(own)]
