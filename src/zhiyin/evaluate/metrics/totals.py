"""What all lists together do to the catalogue: one number per model, read from exposure counts.

``exposure`` (n_items,) counts the lists each item stands in. Such a number has no interval: it is a
property of the whole set of lists, and drawing requests again (the bootstrap) biases it.
"""

from __future__ import annotations

import numpy as np

from zhiyin.base.arrays import Bool, Int64


def _shown(exposure: Int64, available: Bool | None) -> Int64:
    return exposure if available is None else exposure[available]


def coverage(exposure: Int64, available: Bool | None) -> float:
    """Share of the catalogue that stands in at least one list."""
    counts = _shown(exposure, available)
    return float((counts > 0).mean()) if len(counts) else float("nan")


def gini(exposure: Int64, available: Bool | None) -> float:
    """Gini index of exposure: 0 = every item shown equally often, near 1 = one item has it all."""
    counts = np.sort(_shown(exposure, available)).astype(np.float64)
    n, total = len(counts), counts.sum()
    if n == 0 or total == 0:
        return float("nan")
    return float(((2 * np.arange(1, n + 1) - n - 1) * counts).sum() / (n * total))
