"""At most one variant of a thing in a list: the best one, and n things where n exist."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from zhiyin.data.requests import Histories
from zhiyin.data.slates import Slates
from zhiyin.data.variants import Variants
from zhiyin.models.rerank.reranker import kept
from zhiyin.online.rows import Row
from zhiyin.online.snapshot import Snapshot
from zhiyin.pipeline.business import COLUMNS

Retrieved = tuple[Slates, str, Histories | None]
"""Lists, who made them, and what they are about."""


def distinct(variants: Variants, retrieve: Callable[[int, int], Retrieved], depth: int, n: int, n_items: int) -> Retrieved:
    """The best variant of each thing, n things in each list where there are so many: asks for more until they are found.

    ``retrieve(k, fill)`` gives k candidates, and others that nobody speaks of up to ``fill``.
    """
    k, fill, before = depth, n, -1
    while True:
        slates, served, about = retrieve(k, fill)
        one_each = of_each(variants, slates)
        found = len(slates.item_ix)
        if not (one_each.lengths < n).any() or (k >= n_items and fill >= n_items) or found == before:
            return one_each.top(depth), served, about
        k, fill, before = min(4 * k, n_items), min(4 * max(k, fill), n_items), found


def of_each(variants: Variants, slates: Slates) -> Slates:
    """The lists with the first variant of each thing in them, or the one that a rule has pinned."""
    pins = slates.columns.get(COLUMNS["pin"])
    first = variants.firsts_of_lists(slates.items, None if pins is None else ~np.isnan(pins))
    return slates if first.all() else kept(slates, first)


def without_siblings(snapshot: Snapshot, variants: Variants, row: Row, shown: Sequence[int]) -> None:
    """Nothing comes whose variant stood on an earlier page, stands above on this one, or is what the list is about."""
    paged = () if row.cursor is None else [ix for ix in map(snapshot.catalog.items.find, row.cursor.shown) if ix >= 0]
    stood = [*paged, *shown, *(row.about or ())]
    if stood:
        row.gone = [*row.gone, *variants.others(stood)]
