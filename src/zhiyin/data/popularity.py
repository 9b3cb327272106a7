"""How known an item is: the one definition that re-rankers work towards and metrics measure."""

from __future__ import annotations

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Float64, Int64
from zhiyin.data.dataset import Dataset

TAIL_SHARE = 0.2
"""The tail = the least popular items that together hold this share of the events."""


def people_of(data: Dataset) -> tuple[Int64, int]:
    """Distinct people who liked each item, (n_items,), and how many people liked anything."""
    matrix = data.positive.matrix()
    return matrix.getnnz(axis=0).astype(np.int64), int((np.diff(matrix.indptr) > 0).sum())


def self_information(people: AnyArray, n_users: int) -> Float64:
    """-log2 of the share of people who have the item, in bits: (n_items,); nobody counts as one person."""
    bits: Float64 = -np.log2(np.maximum(people, 1) / max(n_users, 1))
    return bits


def in_tail(events: AnyArray) -> Bool:
    """True outside the most popular items that hold the first 80% of ``events``: (n_items,)."""
    order = np.argsort(-events, kind="stable")
    before = np.cumsum(events[order]) - events[order]
    tail = np.ones(len(events), np.bool_)
    tail[order[before < (1 - TAIL_SHARE) * events.sum()]] = False
    return tail


def padded(counts: AnyArray, n: int) -> Int64:
    """Items added to the catalogue after counting have nothing: (n,)."""
    out = np.zeros(n, np.int64)
    out[: len(counts)] = counts
    return out
