"""How well scores order labels: the number early stopping looks at."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from zhiyin.base.arrays import AnyArray, Float64, Int64, row_of_flat
from zhiyin.models.roles import RankingExamples


def quality(examples: RankingExamples, score: AnyArray) -> float:
    """Mean NDCG@10 over lists in which something was chosen and something not; AUC of all rows where there is none."""
    values = ndcg_of_lists(examples.labels, score, examples.slates.offsets)
    return float(values.mean()) if len(values) else auc(examples.labels, score)


def ndcg_of_lists(labels: AnyArray, score: AnyArray, offsets: Int64, k: int = 10) -> Float64:
    """NDCG@k with gains 2^label - 1 of every list that has both kinds of items (n_such_lists,)."""
    lists = row_of_flat(offsets)
    n = len(offsets) - 1
    lengths, chosen = np.diff(offsets), np.bincount(lists[labels > 0], minlength=n)
    gain = np.exp2(labels.astype(np.float64)) - 1

    def dcg(order: AnyArray) -> Float64:
        place = np.arange(len(lists)) - np.repeat(offsets[:-1], lengths)
        worth = np.where(place < k, gain[order] / np.log2(place + 2), 0.0)
        return np.asarray(np.bincount(lists, worth, minlength=n), np.float64)

    mixed = (chosen > 0) & (chosen < lengths)
    got, best = dcg(np.lexsort((-score, lists))), dcg(np.lexsort((-gain, lists)))
    return np.asarray(got[mixed] / best[mixed], np.float64)


def auc(labels: AnyArray, score: AnyArray) -> float:
    """Probability that a chosen row scores above one passed over, ties counting half; NaN with one kind only."""
    chosen = labels > 0
    n, m = int(chosen.sum()), int((~chosen).sum())
    return float((rankdata(score)[chosen].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")
