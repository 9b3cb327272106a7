"""Non-negative weights over score columns, learned from candidates with known answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from zhiyin.base.arrays import Bool, Float32, Float64, Int64, offsets_of


@dataclass(frozen=True, eq=False)
class Learned:
    """``weights`` (n_columns,); ``validation`` = NDCG@10 of the blend; ``alone`` = of each column."""

    weights: Float64
    validation: float = float("nan")
    alone: tuple[float, ...] = ()

    @classmethod
    def equal(cls, n: int) -> Learned:
        return cls(np.ones(n))

    def told(self) -> str:
        """One line for the log."""
        best = max(self.alone, default=float("nan"))
        weights = np.round(self.weights, 3).tolist()
        return f"weights {weights} of {len(weights)} columns: validation ndcg@10 {self.validation:.4f}, best alone {best:.4f}"


def learn_weights(features: Float32, sizes: Int64, answers: Bool, n_relevant: Int64, rounds: int = 3) -> Learned:
    """Best weights >= 0 for candidates laid flat.

    ``features`` (n_rows, n_columns), ``sizes`` (n_requests,) candidates per request, ``answers`` (n_rows,),
    ``n_relevant`` (n_requests,) answers including those outside the candidates. First the convex part:
    softmax likelihood of the answers; then coordinate steps on NDCG@10, as long as they help.
    """
    offsets = offsets_of(sizes)
    judge = _Judge(offsets, answers, n_relevant)
    columns = features.shape[1]
    alone = tuple(judge(features[:, c]) for c in range(columns))
    weights = _likelihood(features.astype(np.float64), offsets, answers)
    value = judge(features @ weights.astype(np.float32))
    for _ in range(rounds):
        before = value
        for c in range(columns):
            for factor in (0.0, 0.5, 0.8, 1.25, 2.0):
                trial = weights.copy()
                trial[c] = weights[c] * factor if weights[c] > 0 else factor * weights.max() * 0.1
                found = judge(features @ trial.astype(np.float32))
                if found > value + 1e-6:
                    weights, value = trial, found
        if value - before < 1e-4:
            break
    best = int(np.argmax(alone))
    if alone[best] >= value:
        weights, value = np.eye(columns)[best], alone[best]
    return Learned(weights, value, alone)


class _Judge:
    """Mean NDCG@10 of a scoring of the flat candidates."""

    def __init__(self, offsets: Int64, answers: Bool, n_relevant: Int64) -> None:
        self.offsets = offsets
        sizes = np.diff(offsets)
        row = np.repeat(np.arange(len(sizes)), sizes)
        self.row, self.answers = row, answers
        places = np.arange(1, 11)
        ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(places + 1))])
        self.ideal = ideal[np.minimum(n_relevant, 10)]
        self.hit_row, self.hit_at = row[answers], np.flatnonzero(answers)

    def __call__(self, scores: Float32) -> float:
        dcg = np.zeros(len(self.offsets) - 1)
        # Rank of a hit = how many candidates of its request stand before it, no sorting needed. Level ones
        # stand in item order, as in a real list: without that a constant column would look perfect.
        for start in range(0, len(self.hit_at), 4096):
            at, row = self.hit_at[start : start + 4096], self.hit_row[start : start + 4096]
            lengths = self.offsets[row + 1] - self.offsets[row]
            flat = np.repeat(self.offsets[row] - offsets_of(lengths)[:-1], lengths) + np.arange(int(lengths.sum()))
            own = np.repeat(scores[at], lengths)
            before = (scores[flat] > own) | ((scores[flat] == own) & (flat < np.repeat(at, lengths)))
            rank = np.add.reduceat(before, offsets_of(lengths)[:-1], dtype=np.int64)
            np.add.at(dcg, row, np.where(rank < 10, 1 / np.log2(rank + 2.0), 0.0))
        judged = self.ideal > 0
        return float((dcg[judged] / self.ideal[judged]).mean()) if judged.any() else 0.0


def _likelihood(features: Float64, offsets: Int64, answers: Bool) -> Float64:
    """argmin over w >= 0 of - mean log softmax(features w)[answer] + a little ridge."""
    sizes = np.diff(offsets)
    row = np.repeat(np.arange(len(sizes)), sizes)
    hits = np.bincount(row, weights=answers, minlength=len(sizes))
    used = (hits > 0)[row]
    if not used.any():
        return np.ones(features.shape[1])
    x, y, group = features[used], answers[used], np.unique(row[used], return_inverse=True)[1]
    starts = offsets_of(np.bincount(group))[:-1]
    share = y / hits[row[used]]
    n = len(starts)

    def loss(w: Float64) -> tuple[float, Float64]:
        z = x @ w
        top = np.maximum.reduceat(z, starts)
        e = np.exp(z - top[group])
        norm = np.add.reduceat(e, starts)
        value = float((np.log(norm) + top).sum() - (share * z).sum()) / n
        gradient = x.T @ (e / norm[group] - share) / n
        return value + 1e-4 * float(w @ w), gradient + 2e-4 * w

    start = np.full(x.shape[1], 0.3)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * x.shape[1], options={"maxiter": 100})
    return np.asarray(found.x, np.float64)
