from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from zhiyin.base.arrays import Ragged
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.models.retrieve.neighbours import ItemNeighboursSpec, UserNeighboursSpec
from zhiyin.testing.small import small_world


def brute_weights(x: np.ndarray, weighting: str) -> np.ndarray:
    """Weighted rows of a binary matrix, by the formulas of the module."""
    if weighting == "cosine":
        return x
    idf = np.log1p(len(x) / np.maximum(x.sum(axis=0), 1))
    if weighting == "tfidf":
        return x * idf
    length = x.sum(axis=1, keepdims=True)
    mean = x.sum() / (length > 0).sum()
    return x * idf * (1.2 + 1) / (1 + 1.2 * (1 - 0.75 + 0.75 * length / mean))


def brute_similarity(a: np.ndarray, b: np.ndarray, shrink: float) -> np.ndarray:
    below = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None] + shrink
    return np.divide(a @ b.T, below, out=np.zeros((len(a), len(b))), where=below > 0)


def keep_best(row: np.ndarray, k: int) -> np.ndarray:
    kept = np.zeros_like(row)
    best = np.lexsort((np.arange(len(row)), -row.astype(np.float32)))[:k]
    kept[best] = row[best]
    return kept


@pytest.mark.parametrize("weighting", ["cosine", "tfidf", "bm25"])
@pytest.mark.parametrize("shrink", [0.0, 5.0])
def test_item_neighbours_against_brute_force(weighting: Literal["cosine", "tfidf", "bm25"], shrink: float) -> None:
    data = small_world()
    model = ItemNeighboursSpec(weighting=weighting, k=4, shrink=shrink, history_decay=0.5).fit(data, Run())
    x = (data.positive.matrix().toarray() > 0).astype(np.float64).T
    rows = brute_weights(x, weighting)
    near = brute_similarity(rows, rows, shrink)
    np.fill_diagonal(near, 0)
    near = np.stack([keep_best(row, 4) for row in near])
    np.testing.assert_allclose(model.near.toarray(), near, atol=1e-5)
    scores = model.scores(Requests.of(Histories.of_items(Ragged.of([[3, 8]]))))[0]
    expected = 0.5 * near[3] + near[8]
    np.testing.assert_allclose(np.where(np.isfinite(scores), scores, 0), expected, atol=1e-5)


@pytest.mark.parametrize("weighting", ["cosine", "tfidf", "bm25"])
def test_user_neighbours_against_brute_force(weighting: Literal["cosine", "tfidf", "bm25"]) -> None:
    data = small_world()
    model = UserNeighboursSpec(weighting=weighting, k=3, shrink=2.0, history_decay=1.0).fit(data, Run())
    x = (data.positive.matrix().toarray() > 0).astype(np.float64)
    people = brute_weights(x, weighting)
    alike = brute_similarity(people, people, 2.0)
    np.fill_diagonal(alike, 0)  # nobody is his own neighbour
    votes = np.stack([keep_best(row, 3) for row in alike]) @ x
    scores = model.scores(Requests.of(data.history(np.arange(data.n_users)), np.arange(data.n_users)))
    np.testing.assert_allclose(np.where(np.isfinite(scores), scores, 0), votes, atol=1e-5)


def test_a_stranger_with_a_known_history_has_that_person_as_neighbour() -> None:
    data = small_world()
    model = UserNeighboursSpec(weighting="cosine", k=1, shrink=0.0, history_decay=1.0).fit(data, Run())
    stranger = Requests.of(data.history(np.array([7])))
    had = np.unique(data.positive.events.item_ix[data.positive.events.user_ix == 7])
    assert sorted(model.retrieve(stranger, 30).item_ix.tolist()) == had.tolist()
