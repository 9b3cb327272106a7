"""A history as a sparse row: each item once, newer events weigh more."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from zhiyin.base.arrays import Float32, Int64
from zhiyin.data.requests import Histories


def age_in_events(history: Histories) -> Int64:
    """0 for the newest event of each history, 1 for the one before, ...: (n_flat,)."""
    ends = np.repeat(history.offsets[1:], history.lengths)
    return ends - 1 - np.arange(len(history.item_ix), dtype=np.int64)


def profile_matrix(history: Histories, n_items: int, decay: float = 1.0) -> sp.csr_matrix:
    """(n_requests, n_items): ``decay ** age`` of the newest positive event per item; repeats count once."""
    liked = history.weight > 0
    kept = history if bool(liked.all()) else history.where(liked)
    age = age_in_events(kept)
    values: Float32 = np.power(np.float32(decay), age, dtype=np.float32)
    rows = np.repeat(np.arange(len(kept)), kept.lengths)
    # Keep the newest of repeated items: the last position wins.
    key = rows * n_items + kept.item_ix
    _, first_from_end = np.unique(key[::-1], return_index=True)
    at = len(key) - 1 - first_from_end
    return sp.csr_matrix((values[at], (rows[at], kept.item_ix[at])), shape=(len(kept), n_items))
