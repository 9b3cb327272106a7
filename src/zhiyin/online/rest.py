"""What follows when a model has no more to say: n come back when n exist, the newest items first."""

from __future__ import annotations

import numpy as np

from zhiyin.base.arrays import Bool, Int32, Ragged
from zhiyin.data.catalog import Catalog
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.pipeline.merge import filled

REST = "the rest"
"""Who served items that no model had anything to say of."""


def with_rest(catalog: Catalog, requests: Requests, found: Slates, n: int) -> tuple[Slates, bool]:
    """Lists shorter than n with other items that may stand there behind them, and whether any was added.

    Nobody took these items, so no model ranks them for somebody unknown; but a filter that leaves only such items
    shall not come back empty.
    """
    short = (found.lengths < n).nonzero()[0]
    if not len(short):
        return found, False
    more: list[Int32] = []
    for row in short.tolist():
        open_ = allowed_for(catalog, requests, row)
        open_[found.items[row]] = False
        more.append(np.flatnonzero(open_)[::-1][: n - int(found.lengths[row])].astype(np.int32))
    if not any(len(items) for items in more):
        return found, False
    rest = Ragged.of(more)
    return filled(found, short, Slates(rest.offsets, rest.values, np.zeros(len(rest.values), np.float32)), n), True


def allowed_for(catalog: Catalog, requests: Requests, row: int) -> Bool:
    """What may stand in the list of one request: (n_items,)."""
    n_items = len(catalog)
    if requests.candidates is not None:
        open_ = np.zeros(n_items, np.bool_)
        open_[requests.candidates[row]] = True
    else:
        open_ = np.ones(n_items, np.bool_)
    own = None if requests.masks is None else requests.masks[row]
    for mask in (catalog.available, requests.allowed, own):
        if mask is not None:
            open_ &= mask
    if requests.exclude is not None:
        open_[requests.exclude[row]] = False
    return open_
