"""Intervals hold what they promise on distributions whose mean is known; Holm by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.errors import DataError
from zhiyin.evaluate.bootstrap import Estimate, corrected, difference, differences, estimate, estimates, holm

Draw = Callable[[np.random.Generator, int], np.ndarray]

KNOWN: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, n: rng.normal(2.0, 3.0, n), 2.0),
    "hit or miss": (lambda rng, n: (rng.random(n) < 0.3).astype(float), 0.3),
    "skewed": (lambda rng, n: rng.exponential(1.5, n), 1.5),
}


@pytest.mark.parametrize("name", KNOWN)
def test_interval_covers_the_true_mean_95_times_in_100(name: str) -> None:
    draw, mean = KNOWN[name]
    rng = np.random.default_rng(1)
    # 400 experiments side by side: as columns they share their resampling, which leaves each valid.
    covered = []
    for batch in range(8):
        found = estimates(np.stack([draw(rng, 200) for _ in range(50)], axis=1), seed=batch, resamples=500)
        covered += [e.low <= mean <= e.high for e in found]
    # Three standard errors of 400 tries around .95, and .01 for the known shortness at n = 200.
    assert 0.905 <= np.mean(covered) <= 0.985


def test_interval_equals_the_normal_one_for_many_requests() -> None:
    values = np.random.default_rng(2).random(5000)
    found = estimate(values, resamples=4000)
    half = 1.96 * values.std(ddof=1) / np.sqrt(5000)
    assert found.value == pytest.approx(values.mean(), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.06 * half)


def test_resampling_equals_plain_index_draws() -> None:
    """The matrix product is the same as taking the drawn rows: same generator, one draw at a time."""
    values = np.random.default_rng(3).random(37)
    rng = np.random.default_rng(11)
    drawn = rng.integers(0, 37, size=(300, 37), dtype=np.int32)
    means = values[drawn].mean(axis=1)
    found = estimate(values, seed=11, resamples=300)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=1e-12)


def test_undefined_requests_are_left_out() -> None:
    values = np.random.default_rng(4).random(400)
    holes = values.copy()
    holes[::4] = np.nan
    found = estimate(holes)
    assert found.n == 300
    assert found.value == pytest.approx(np.nanmean(holes))
    assert found.low < found.value < found.high
    none, one = estimates(np.stack([np.full(5, np.nan), [1.0, *[np.nan] * 4]], axis=1))
    assert (none.n, one.n) == (0, 1)
    assert np.isnan([none.value, none.low, one.low, one.high]).all() and one.value == 1.0
    assert estimate(np.zeros(0)).n == 0


def test_equal_seed_gives_equal_interval_and_memory_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(5).random(100)
    whole = estimate(values, seed=3)
    assert whole == estimate(values, seed=3) != estimate(values, seed=4)
    monkeypatch.setattr("zhiyin.evaluate.bootstrap.CELLS", 100 * 7)
    assert estimate(values, seed=3) == whole


def test_pairing_sees_what_single_intervals_hide() -> None:
    rng = np.random.default_rng(6)
    base = rng.random(500)
    better = base + rng.normal(0.01, 0.02, 500)
    one, other, paired = estimate(better), estimate(base), difference(better, base)
    assert one.low < other.high, "the two intervals overlap"
    assert paired.low > 0 and paired.p < 1e-6 and paired.significant
    assert paired.value == pytest.approx((better - base).mean())


def test_p_is_uniform_when_nothing_differs() -> None:
    rng = np.random.default_rng(7)
    found = differences(rng.random((150, 600)), rng.random((150, 600)), resamples=400)
    p = np.array([d.p for d in found])
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(p < 0.5) == pytest.approx(0.5, abs=0.07)


def test_equal_models_and_constant_leads() -> None:
    values = np.random.default_rng(8).random(50)
    same = difference(values, values)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    # Halves are exact in binary: the lead is the same everywhere, so nothing is left to chance.
    assert difference(np.full(50, 1.5), np.full(50, 1.0)).p == 0
    assert np.isnan(difference(np.array([1.0]), np.array([0.5])).p)


def test_pairs_need_the_same_requests() -> None:
    with pytest.raises(DataError, match="Measure both models on the same requests"):
        difference(np.zeros(3), np.zeros(4))


@pytest.mark.parametrize(
    ("given_p", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # .005*4 .01*3 .03*2, then .04*1 raised to .06
        ([0.02], [0.02]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.04, 0.04], [0.08, 0.08]),
        ([0.01, float("nan"), 0.02], [0.02, float("nan"), 0.02]),
        ([], []),
    ],
)
def test_holm_by_hand(given_p: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(holm(given_p), expected, atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_as_the_step_down_procedure(p: list[float]) -> None:
    adjusted = holm(p)
    rejected, order = set(), np.argsort(p, kind="stable")
    for step, at in enumerate(order):
        if p[at] * (len(p) - step) > 0.05:
            break
        rejected.add(int(at))
    assert {i for i, q in enumerate(adjusted) if q <= 0.05} == rejected
    assert (adjusted >= np.asarray(p) - 1e-15).all() and (adjusted <= 1).all()


def test_corrected_keeps_everything_but_the_p_of_the_family() -> None:
    rng = np.random.default_rng(9)
    family = differences(rng.random((80, 3)) + np.array([0.1, 0, 0]), rng.random((80, 3)))
    after = corrected(family)
    assert [d.p for d in after] == [d.p for d in family]
    assert [d.p_holm for d in after] == pytest.approx(list(holm([d.p for d in family])))


def test_estimates_read_well() -> None:
    assert str(Estimate(0.17204, 0.165, 0.1791, 6040)) == "0.1720 [0.1650, 0.1791]"
    assert str(Estimate(0.5, float("nan"), float("nan"), 10)) == "0.5000"
    assert str(Estimate(float("nan"), float("nan"), float("nan"), 0)) == "-"
