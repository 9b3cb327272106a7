"""Text neighbours by their definition: kept pairs, items that came later, and texts that changed."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from zhiyin.base.arrays import Float32, Ragged
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.retrieve import text_neighbours
from zhiyin.models.retrieve.text_neighbours import TextNeighbours, TextNeighboursSpec

LISTS = [[0, 1, 2], [5], [7, 11, 0], []]


def unit(n: int, seed: int) -> Float32:
    rows = np.random.default_rng(seed).standard_normal((n, 6)).astype(np.float32)
    rows[3] = 0.0
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), np.float32)


def catalog(rows: Float32) -> Catalog:
    ids = [f"i{n}" for n in range(len(rows))]
    return Catalog(Vocabulary(ids), pl.DataFrame({"item_id": ids}), "item_id").with_vectors("text", Vectors(rows, "words"))


def expected(rows: Float32) -> Float32:
    near = np.maximum(rows @ rows.T, 0.0) ** 2.0
    np.fill_diagonal(near, 0.0)
    sums = np.array([near[[ix for ix in items if ix < len(rows)]].sum(axis=0) for items in LISTS])
    return np.where(sums > 1e-7, sums, -np.inf).astype(np.float32)


@pytest.mark.parametrize("most", [text_neighbours.MOST_PAIRS, 0])
def test_scores_are_those_of_the_definition_whatever_is_kept(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_neighbours, "MOST_PAIRS", most)
    requests = Requests.of(Histories.of_items(Ragged.of(LISTS)))
    rows = unit(12, 0)
    first = TextNeighbours(TextNeighboursSpec(power=2.0), catalog(rows))
    np.testing.assert_allclose(first.scores(requests), expected(rows), atol=1e-5)
    longer = np.concatenate([rows, unit(5, 1)])
    second = first.with_catalog(catalog(longer))
    np.testing.assert_allclose(second.scores(requests), expected(longer), atol=1e-5)
    changed = longer.copy()
    changed[[1, 7, 14]] = unit(4, 2)[:3]
    third = second.with_catalog(catalog(changed))
    later = Requests.of(Histories.of_items(Ragged.of([*LISTS[:3], [14, 1]])))
    near = np.maximum(changed @ changed.T, 0.0) ** 2.0
    np.fill_diagonal(near, 0.0)
    np.testing.assert_allclose(third.scores(requests), expected(changed), atol=1e-5)
    np.testing.assert_allclose(np.maximum(third.scores(later)[3], 0.0), near[14] + near[1], atol=1e-5)
    np.testing.assert_allclose(second.scores(requests), expected(longer), atol=1e-5)
