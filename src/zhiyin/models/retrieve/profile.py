"""A history as a sparse row: each item once, newer events weigh more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zhiyin.base.arrays import Float32, Int64
from zhiyin.data.requests import Histories

if TYPE_CHECKING:
    import scipy.sparse as sp


def age_in_events(history: Histories) -> Int64:
    """0 for the newest instant of each history, 1 for the one before, ...: (n_flat,).

    Events of one instant are equally old: the things of one basket, and everything in data without order.
    """
    n = len(history.item_ix)
    later = np.zeros(n + 1, np.int64)  # later[i] = how many flat events before i are older than their successor
    np.cumsum(np.diff(history.time_us, append=0) != 0, out=later[1:])
    ends = np.repeat(history.offsets[1:], history.lengths)
    return later[ends - 1] - later[:n]


def liked(history: Histories) -> Histories:
    """Only the events that are a sign of liking (weight above 0)."""
    good = history.weight > 0
    return history if bool(good.all()) else history.where(good)


def newest_of_each(history: Histories, n_items: int) -> tuple[Int64, Int64]:
    """Flat positions of the newest event of every distinct item, by list, then item; and offsets.

    Position and item are packed into one integer, because sorting plain integers is several times
    faster than ``np.unique`` with indices.
    """
    n_flat = len(history.item_ix)
    shift = max(n_flat - 1, 1).bit_length()
    key = np.repeat(np.arange(len(history), dtype=np.int64) * n_items, history.lengths) + history.item_ix
    if (len(history) * n_items) >> (62 - shift):  # would not fit 63 bits: a batch far larger than any chunk
        at = np.lexsort((np.arange(n_flat), key))
        key = key[at]
    else:
        packed = (key << shift) | np.arange(n_flat, dtype=np.int64)
        packed.sort()
        at, key = packed & ((1 << shift) - 1), packed >> shift
    last = np.ones(n_flat, np.bool_)
    np.not_equal(key[1:], key[:-1], out=last[:-1])
    ends = np.searchsorted(key[last], np.arange(1, len(history) + 1, dtype=np.int64) * n_items)
    return at[last], np.concatenate([np.zeros(1, np.int64), ends.astype(np.int64)])


def profile_matrix(history: Histories, n_items: int, decay: float = 1.0) -> sp.csr_matrix:
    """(n_requests, n_items): ``decay ** age`` of the newest positive event per item; repeats count once."""
    import scipy.sparse as sp  # here, because most of what asks about histories needs no matrix

    kept = liked(history)
    at, indptr = newest_of_each(kept, n_items)
    values: Float32 = np.ones(len(at), np.float32)
    if decay != 1.0:
        steps = np.power(decay, np.arange(int(kept.lengths.max(initial=0)))).astype(np.float32)
        values = steps[age_in_events(kept)[at]]
    return sp.csr_matrix((values, kept.item_ix[at], indptr), shape=(len(kept), n_items))
