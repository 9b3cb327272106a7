"""Does the list hold what the person then chose? (n_requests,) each, NaN where nothing is relevant.

Relevance is binary except in ``ndcg``, which honours gains. A list shorter than k is judged as if
its missing places held wrong items. All of them read the hits alone, so none loops over requests.
Definitions follow trec_eval (checked against ir-measures); ``capped`` variants divide by
min(k, n_relevant), as many recommender papers do, so that 1 can be reached with k below n_relevant.
"""

from __future__ import annotations

import numpy as np

from zhiyin.base.arrays import Float64, Int64
from zhiyin.data.truth import ndcg_of
from zhiyin.evaluate.metrics.lists import Judged


def _found(judged: Judged, k: int) -> Float64:
    """(n,) relevant items among the first k."""
    hits = judged.hits
    return np.bincount(hits.row[hits.rank < k], minlength=len(judged)).astype(np.float64)


def _defined(values: Float64, judged: Judged) -> Float64:
    return np.where(judged.undefined, np.nan, values)


def _denominator(judged: Judged, k: int, *, capped: bool) -> Int64:
    relevant = np.maximum(judged.hits.n_relevant, 1)
    return np.minimum(relevant, k) if capped else relevant


def hr(judged: Judged, k: int) -> Float64:
    """1 when at least one relevant item is among the first k, else 0 (also: hit rate, success)."""
    return _defined((_found(judged, k) > 0).astype(np.float64), judged)


def recall(judged: Judged, k: int, *, capped: bool = False) -> Float64:
    """Share of the relevant items among the first k."""
    return _defined(_found(judged, k) / _denominator(judged, k, capped=capped), judged)


def precision(judged: Judged, k: int) -> Float64:
    """Share of the k places that hold a relevant item."""
    return _defined(_found(judged, k) / k, judged)


def f1(judged: Judged, k: int) -> Float64:
    """Harmonic mean of precision and recall = 2 found / (k + n_relevant)."""
    return _defined(2 * _found(judged, k) / (k + judged.hits.n_relevant), judged)


def ndcg(judged: Judged, k: int) -> Float64:
    """Normalised discounted cumulative gain: ``zhiyin.data.truth.ndcg_of``."""
    return ndcg_of(judged.hits, k)


def mrr(judged: Judged, k: int) -> Float64:
    """1 / rank of the first relevant item among the first k, 0 when there is none."""
    hits = judged.hits
    top = hits.rank < k
    row, rank = hits.row[top], hits.rank[top]
    first = np.ones(len(row), np.bool_)
    first[1:] = row[1:] != row[:-1]
    out = np.zeros(len(judged))
    out[row[first]] = 1.0 / (rank[first] + 1)
    return _defined(out, judged)


def average_precision(judged: Judged, k: int, *, capped: bool = False) -> Float64:
    """Mean over the relevant items of the precision at their rank, 0 for those not among the first k."""
    hits = judged.hits
    top = hits.rank < k
    row, rank = hits.row[top], hits.rank[top]
    total = np.bincount(row, weights=_nth(row) / (rank + 1), minlength=len(judged))
    return _defined(total / _denominator(judged, k, capped=capped), judged)


def auc(judged: Judged, k: int) -> Float64:
    """Chance that a random relevant item stands above a random other one, over all candidates.

    Candidates that are not among the first k are level with each other: each such pair counts half.
    With k at least the number of candidates it is the exact AUC of the full ranking (Mann-Whitney);
    with a short list it says mostly how many relevant items the list holds, so compare at equal k.
    NaN also where every candidate is relevant.
    """
    hits = judged.hits
    top = hits.rank < k
    row, rank = hits.row[top], hits.rank[top]
    relevant = hits.n_relevant.astype(np.float64)
    others = np.maximum(judged.n_candidates, np.minimum(hits.lengths, k)) - relevant
    above = rank - (_nth(row) - 1.0)  # wrong items before each hit
    found = _found(judged, k)
    pairs = found * others - np.bincount(row, weights=above, minlength=len(judged))
    unlisted = others - (np.minimum(hits.lengths, k) - found)
    pairs += 0.5 * (relevant - found) * unlisted
    total = relevant * others
    out: Float64 = np.divide(pairs, total, out=np.full(len(judged), np.nan), where=(total > 0) & ~judged.undefined)
    return out


def _nth(row: Int64) -> Float64:
    """1, 2, 3 ... within each run of equal requests: (n_hits,)."""
    at = np.arange(len(row))
    starts = np.ones(len(row), np.bool_)
    starts[1:] = row[1:] != row[:-1]
    return (at - np.maximum.accumulate(np.where(starts, at, 0)) + 1).astype(np.float64)
