"""How sure a mean is: bootstrap over requests, paired differences, Holm's correction.

Requests are drawn with replacement; a draw is the vector of how often each request came up, so a
resampled mean of many metrics is one matrix product. The draws depend on the seed and on n alone:
two models measured on the same requests are resampled alike, which is what makes a pair.
Requests are taken as independent: with many requests per person the true intervals are wider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zhiyin.base.arrays import AnyArray, Float64
from zhiyin.base.errors import DataError

RESAMPLES = 1000
LEVEL = 0.95

CELLS = 4_000_000
"""Draws x requests held at once: 32 MB."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over n requests and its 95% interval; NaN bounds where there is no interval."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "-"
        if np.isnan(self.low):
            return f"{self.value:.4f}"
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of (one - other) over the n requests where both are defined, its interval and p-value.

    ``p`` is two-sided: Student's t of the mean over its bootstrap standard error. ``p_holm`` is p
    corrected for the family it was tested in (equal to p for a family of one).
    """

    value: float
    low: float
    high: float
    n: int
    p: float
    p_holm: float

    @property
    def significant(self) -> bool:
        """At 5% after Holm's correction."""
        return self.p_holm < 1 - LEVEL

    def __str__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}] p={self.p_holm:.2g}"


def estimates(values: AnyArray, seed: int = 0, resamples: int = RESAMPLES) -> list[Estimate]:
    """One per column of (n, n_columns); NaN cells are left out of their column's mean and n."""
    columns = np.asarray(values, dtype=np.float64)
    means = _resampled_means(columns, seed, resamples)
    low, high = _interval(means)
    n, centre = _mean(columns)
    return [Estimate(float(c), float(a), float(b), int(m)) for c, a, b, m in zip(centre, low, high, n, strict=True)]


def estimate(values: AnyArray, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Mean and 95% percentile bootstrap interval of (n,) values; fewer than two give no interval."""
    return estimates(np.asarray(values, dtype=np.float64)[:, None], seed, resamples)[0]


def differences(values: AnyArray, others: AnyArray, seed: int = 0, resamples: int = RESAMPLES) -> list[Difference]:
    """Column by column, values - others, both (n, n_columns) over the same requests; not corrected."""
    from scipy.special import stdtr

    a, b = np.asarray(values, dtype=np.float64), np.asarray(others, dtype=np.float64)
    if a.shape != b.shape:
        raise DataError(f"paired values have shapes {a.shape} and {b.shape}", "Measure both models on the same requests.")
    columns = a - b
    means = _resampled_means(columns, seed, resamples)
    low, high = _interval(means)
    n, centre = _mean(columns)
    spread = means.std(axis=0, ddof=1)
    out = []
    for at, value in enumerate(centre):
        if n[at] < 2:
            p = float("nan")
        elif spread[at] > 0:
            p = float(2 * stdtr(n[at] - 1, -abs(value) / spread[at]))
        else:
            p = 1.0 if value == 0 else 0.0
        out.append(Difference(float(value), float(low[at]), float(high[at]), int(n[at]), p, p))
    return out


def difference(values: AnyArray, others: AnyArray, seed: int = 0, resamples: int = RESAMPLES) -> Difference:
    """Of two (n,) columns measured on the same requests."""
    return differences(np.asarray(values)[:, None], np.asarray(others)[:, None], seed, resamples)[0]


def holm(p: Sequence[float] | AnyArray) -> Float64:
    """Adjusted p-values of a family (Holm 1979): the j-th smallest times (m - j), made monotone, at most 1.

    Undefined ones (NaN) stay so and do not count in m.
    """
    given = np.asarray(p, dtype=np.float64)
    out = np.full(given.shape, np.nan)
    real = np.flatnonzero(~np.isnan(given))
    order = real[np.argsort(given[real], kind="stable")]
    factors = len(order) - np.arange(len(order))
    out[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return out


def corrected(family: Sequence[Difference]) -> list[Difference]:
    """The same differences with ``p_holm`` for being tested together."""
    adjusted = holm([d.p for d in family])
    return [Difference(d.value, d.low, d.high, d.n, d.p, float(q)) for d, q in zip(family, adjusted, strict=True)]


def _mean(columns: Float64) -> tuple[AnyArray, Float64]:
    real = ~np.isnan(columns)
    n = real.sum(axis=0)
    total = np.where(real, columns, 0.0).sum(axis=0)
    return n, np.divide(total, n, out=np.full(columns.shape[1], np.nan), where=n > 0)


def _resampled_means(columns: Float64, seed: int, resamples: int) -> Float64:
    """(resamples, n_columns) means under multinomial weights; NaN columns where fewer than two values."""
    n, m = columns.shape
    if n == 0:
        return np.full((resamples, m), np.nan)
    real = ~np.isnan(columns)
    whole = bool(real.all())
    filled = columns if whole else np.where(real, columns, 0.0)
    present = real.astype(np.float64)
    rng = np.random.default_rng(seed)
    out = np.empty((resamples, m))
    step = max(CELLS // n, 1)
    for at in range(0, resamples, step):
        size = min(step, resamples - at)
        drawn = rng.integers(0, n, size=(size, n), dtype=np.int32 if size * n < 2**31 else np.int64)
        drawn += (np.arange(size, dtype=drawn.dtype) * n)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
        total = weights @ filled
        count = np.full_like(total, float(n)) if whole else weights @ present
        out[at : at + size] = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    out[:, real.sum(axis=0) < 2] = np.nan
    return out


def _interval(means: Float64) -> tuple[Float64, Float64]:
    """Percentile interval of every column; NaN where there is none."""
    tail = (1 - LEVEL) / 2 * 100
    low, high = np.full(means.shape[1], np.nan), np.full(means.shape[1], np.nan)
    real = np.flatnonzero(~np.isnan(means).all(axis=0))
    if len(real):
        low[real], high[real] = np.nanpercentile(means[:, real], [tail, 100 - tail], axis=0)
    return low, high
