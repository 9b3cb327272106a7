"""What else a list is: varied, fresh, fair to the tail, true to the person's mix of tastes.

Per request (n_requests,), NaN where undefined (an empty list, no vectors, no categories). Higher is
not always better: read them beside an accuracy metric.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from zhiyin.base.arrays import Float64
from zhiyin.base.errors import ConfigError
from zhiyin.evaluate.metrics.lists import Judged

SMOOTHING = 0.01
"""Share of the history's distribution mixed into the list's, so that KL stays finite (Steck 2018)."""

CELLS = 4_000_000
"""Dense cells (requests x categories) worked on at once."""

_Divergence = Callable[[Float64, Float64], Float64]


def _list_mean(values: Float64, judged: Judged, k: int) -> Float64:
    """Mean over the first k of a value per item: (n,), NaN for an empty list."""
    top = judged.top(k)
    total = np.bincount(top.items.rows, weights=values[top.item_ix], minlength=len(judged))
    mean: Float64 = np.divide(total, top.lengths, out=np.full(len(judged), np.nan), where=top.lengths > 0)
    return mean


def novelty(judged: Judged, k: int) -> Float64:
    """Mean self-information in bits, -log2(share of people who have the item) (Zhou et al. 2010)."""
    return _list_mean(judged.facts.self_information, judged, k)


def tail_share(judged: Judged, k: int) -> Float64:
    """Share of the list in the tail: items outside the most popular ones that hold 80% of events."""
    return _list_mean(judged.facts.in_tail.astype(np.float64), judged, k)


def diversity(judged: Judged, k: int) -> Float64:
    """1 - mean cosine between the texts of all pairs in the list; items without text are left out.

    With s = sum of m unit vectors the sum of all ordered pairs is |s|^2 - m: no pair is formed.
    """
    vectors = judged.facts.vectors
    if vectors is None:
        raise ConfigError("diversity needs text vectors of the items", "Encode the catalogue first, or leave the metric out.")
    lists = judged.matrix(k)
    m = lists @ judged.facts.has_vector.astype(np.float64)
    total = np.asarray(lists.astype(np.float32) @ vectors, dtype=np.float64)
    pairs = m * (m - 1)
    same = np.einsum("nd,nd->n", total, total) - m
    similarity: Float64 = np.divide(same, pairs, out=np.full(len(judged), np.nan), where=pairs > 0)
    return 1.0 - similarity


def serendipity(judged: Judged, k: int) -> Float64:
    """Finds that popularity would not have made: sum over hits of max(0, place - popularity) / k.

    ``place`` falls from 1 at the top of the catalogue-long ranking to 0 at its end, ``popularity``
    likewise in the ranking by training events (Murakami et al. 2007, with popularity as the
    primitive method). NaN where nothing is relevant.
    """
    hits, facts = judged.hits, judged.facts
    top = hits.rank < k
    row, rank = hits.row[top], hits.rank[top]
    item = judged.slates.item_ix[judged.slates.offsets[row] + rank]
    place = 1.0 - rank / max(facts.n_items - 1, 1)
    surprise = np.maximum(place - facts.popularity_share[item], 0.0)
    total: Float64 = np.bincount(row, weights=surprise, minlength=len(judged)) / k
    return np.where(judged.undefined, np.nan, total)


def calibration_kl(judged: Judged, k: int) -> Float64:
    """KL(history || list) of the category shares, natural log, 0 = same mix (Steck, RecSys 2018)."""
    return _calibration(judged, k, _kl_smoothed)


def calibration_js(judged: Judged, k: int) -> Float64:
    """Jensen-Shannon divergence of the category shares, base 2: 0 = same mix, 1 = nothing in common."""
    return _calibration(judged, k, _js)


def _calibration(judged: Judged, k: int, divergence: _Divergence) -> Float64:
    categories = judged.facts.categories
    if categories is None:
        raise ConfigError("calibration needs categories of the items", "Give a category or list column, or leave the metric out.")
    history = judged.requests.history
    shape = (len(judged), judged.facts.n_items)
    past = sp.csr_matrix((np.ones(len(history.item_ix)), history.item_ix, history.offsets), shape=shape)
    given = judged.matrix(k)
    step = max(CELLS // max(categories.shape[1], 1), 1)
    parts = []
    for at in range(0, len(judged), step):
        rows = slice(at, at + step)
        parts.append(divergence(_shares(past[rows] @ categories), _shares(given[rows] @ categories)))
    return np.concatenate(parts) if parts else np.zeros(0)


def _shares(counts: sp.csr_matrix) -> Float64:
    """Rows scaled to sum 1: (n, n_categories), NaN rows where there is nothing."""
    dense = np.asarray(counts.todense(), dtype=np.float64)
    total = dense.sum(axis=1, keepdims=True)
    shares: Float64 = np.divide(dense, total, out=np.full_like(dense, np.nan), where=total > 0)
    return shares


def _kl(p: Float64, q: Float64) -> Float64:
    """Sum of p log(p / q) per row, 0 log 0 = 0, NaN where a row is NaN."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=(p > 0) & (q > 0))
    out: Float64 = np.where(np.isnan(p) | np.isnan(q), np.nan, p * np.log(ratio)).sum(axis=1)
    return out


def _kl_smoothed(p: Float64, q: Float64) -> Float64:
    return _kl(p, (1 - SMOOTHING) * q + SMOOTHING * p)


def _js(p: Float64, q: Float64) -> Float64:
    middle = (p + q) / 2
    return (_kl(p, middle) + _kl(q, middle)) / np.float64(2 * np.log(2))
