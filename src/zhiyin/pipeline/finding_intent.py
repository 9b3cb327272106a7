"""Which category a query is about, learned from the words of the items in each category.

Ridge regression of +1/-1 per category on unit rows of idf * BM25 weights, categories balanced by their inverse size,
solved by conjugate gradients for all categories at once (Hestenes & Stiefel 1952): about a second for 70,000 items.
A softmax turns the scores into probabilities; its sharpness is chosen on items held out of the regression, so that a
query that says little about the category changes little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, Int32, found_under, named_under
from zhiyin.data.texts import packed, unpacked
from zhiyin.index.lexical import LexicalIndex

MOST_CATEGORIES, MOST_TERMS, LEAST_ROWS = 100, 60_000, 3
"""Larger categories first, commoner terms first; terms of fewer rows say nothing of a category."""

L2, STEPS, HELD_OUT = 4.0, 20, 2_000
SAYS_ENOUGH = 0.25
"""Texts as long as the first quarter of the items say enough to know the category by; of shorter ones less is believed."""

SHARPNESS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)


@dataclass(frozen=True, eq=False)
class Intent:
    """Probabilities of categories for words. ``share_right`` is its accuracy on held-out items."""

    categories: tuple[str, ...]
    place: Mapping[str, int]
    weights: Float32  # (n_terms, n_categories), idf included
    idf: Float32  # (n_terms,)
    bias: Float32  # (n_categories,)
    typical: float  # length of the idf vector from which a text says enough
    sharpness: float
    share_right: float

    def shares(self, terms: Iterable[str]) -> Float32:
        """(n_categories,) for the terms of a query, each counted once; they sum to how much was said, 1 = enough."""
        at = np.array(sorted({self.place[term] for term in terms if term in self.place}), np.int64)
        if not len(at):
            return np.zeros(len(self.bias), np.float32)
        length = float(np.linalg.norm(self.idf[at]))
        told = _softmax(self.sharpness * (self.weights[at].sum(axis=0) / max(length, self.typical) + self.bias))
        return np.asarray(min(length / max(self.typical, 1e-9), 1.0) ** 4 * told, np.float32)

    def state(self) -> dict[str, AnyArray]:
        """Arrays for safetensors."""
        numbers = np.array([self.typical, self.sharpness, self.share_right], np.float32)
        words = {**named_under("categories", packed(self.categories)), **named_under("terms", packed(self.place))}
        return {**words, "weights": self.weights, "idf": self.idf, "bias": self.bias, "numbers": numbers}

    @classmethod
    def restore(cls, state: Mapping[str, AnyArray]) -> Self:
        place = {term: i for i, term in enumerate(unpacked(found_under("terms", state)).to_pylist())}
        categories = tuple(unpacked(found_under("categories", state)).to_pylist())
        return cls(categories, place, state["weights"], state["idf"], state["bias"], *state["numbers"].tolist())


def learn_intent(index: LexicalIndex, codes: Int32, categories: tuple[str, ...], seed: int = 0) -> Intent | None:
    """From the rows of an index and their categories by number (n_rows,), -1 = none; None where there is nothing to tell apart."""
    import scipy.sparse as sp  # here, because a server that restores what was learned should not wait for it

    n_categories = len(categories)
    if not 2 <= n_categories <= MOST_CATEGORIES:
        return None
    terms, term, row, weight = index.table()
    counts = np.bincount(term, minlength=len(terms))
    kept = np.argsort(-counts, kind="stable")[:MOST_TERMS]
    kept = np.sort(kept[counts[kept] >= LEAST_ROWS])
    idf = np.log1p((len(index) - counts[kept] + 0.5) / (counts[kept] + 0.5)).astype(np.float32)
    there = np.isin(term, kept) & (codes[row] >= 0)
    matrix = sp.csr_matrix((weight[there], (row[there], np.searchsorted(kept, term[there]))), shape=(len(codes), len(kept)))
    matrix = _unit(sp.csr_matrix(matrix @ sp.diags(idf), dtype=np.float32))
    rows = np.flatnonzero((codes >= 0) & (np.diff(matrix.indptr) > 0))
    if len(rows) < 2 * n_categories:
        return None
    held = np.random.default_rng(seed).permutation(rows)[: min(HELD_OUT, len(rows) // 10)]
    fit = np.setdiff1d(rows, held)
    typical = float(np.sqrt(np.quantile((matrix[rows] > 0).astype(np.float32) @ np.square(idf), SAYS_ENOUGH)))
    weights, bias = _ridge(matrix[fit], codes[fit], n_categories)
    told, truth = matrix[held] @ weights + bias, codes[held]
    losses = [-np.log(np.maximum(_softmax(s * told)[np.arange(len(held)), truth], 1e-9)).mean() for s in SHARPNESS]
    sharpness = SHARPNESS[int(np.argmin(losses))] if len(held) else 1.0
    right = float((told.argmax(axis=1) == truth).mean()) if len(held) else 0.0
    place = {terms[t]: i for i, t in enumerate(kept)}
    return Intent(categories, place, (idf[:, None] * weights).astype(np.float32), idf, bias, typical, sharpness, right)


def _ridge(matrix: Any, codes: Int32, n_categories: int) -> tuple[Float32, Float32]:
    """Weights (n_terms, n_categories) and bias of the balanced regression."""
    sizes = np.bincount(codes, minlength=n_categories)
    trust = (1 / np.maximum(sizes, 1))[codes]
    trust = (trust / trust.mean()).astype(np.float32)[:, None]
    wanted = np.where(np.arange(n_categories) == codes[:, None], 1.0, -1.0).astype(np.float32)
    bias = ((trust * wanted).sum(axis=0) / trust.sum()).astype(np.float32)
    back = matrix.T.tocsr()
    weights = np.zeros((matrix.shape[1], n_categories), np.float32)
    left = np.asarray(back @ (trust * (wanted - bias)), np.float32)
    step, size = left.copy(), (left * left).sum(axis=0)
    for _ in range(STEPS):
        seen = back @ (trust * (matrix @ step)) + L2 * step
        rate = size / np.maximum((step * seen).sum(axis=0), 1e-12)
        weights += rate * step
        left -= rate * seen
        fresh = (left * left).sum(axis=0)
        step = left + fresh / np.maximum(size, 1e-12) * step
        size = fresh
    return weights, bias


def _unit(matrix: Any) -> Any:
    import scipy.sparse as sp

    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags((1 / np.maximum(length, 1e-9)).astype(np.float32)) @ matrix)


def _softmax(scores: Float32) -> Float32:
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True), np.float32)
