"""Whether quotas can all be met: exact, by counting items that pass the same filters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zhiyin.base.arrays import Bool


def feasible(limits: Sequence[tuple[Bool, int, int, int]], live: Bool, n: int) -> bool:
    """Whether some list of at most n ``live`` (n_items,) items keeps every (mask, at least, at most, of the first).

    An integer program over counts: one unknown for each set of filters that items pass and each stretch of
    places between two depths.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # here, because only a report asks

    masks = np.stack([mask[live] for mask, *_ in limits], axis=1)  # (n_live, n_limits)
    kinds, there = np.unique(masks, axis=0, return_counts=True)
    if not len(kinds):
        return all(least == 0 for _, least, _, _ in limits)
    depths = sorted({*(of for *_, of in limits), n})
    m = len(kinds)
    rows, low, high = [], [], []
    for i, (_, least, most, of) in enumerate(limits):
        rows.append(np.concatenate([kinds[:, i] * float(depth <= of) for depth in depths]))
        low.append(float(least))
        high.append(float(most))
    for j, depth in enumerate(depths):  # no more items than places down to each depth
        rows.append(np.repeat((np.arange(len(depths)) <= j).astype(np.float64), m))
        low.append(0.0)
        high.append(float(depth))
    for kind in range(m):  # an item stands once
        rows.append(np.tile((np.arange(m) == kind).astype(np.float64), len(depths)))
        low.append(0.0)
        high.append(float(there[kind]))
    size = m * len(depths)
    found = milp(np.zeros(size), constraints=LinearConstraint(np.array(rows), low, high), integrality=np.ones(size), bounds=Bounds(0, n))
    return bool(found.success)
