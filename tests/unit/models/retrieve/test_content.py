from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import ConfigError, FitError
from zhiyin.data.catalog import Vectors
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.models.retrieve.content import ContentSpec
from zhiyin.testing.small import SMALL_DIM, small_world


def history(*lists: list[int]) -> Histories:
    return Histories.of_items(Ragged.of(lists))


def test_score_is_the_cosine_to_the_decayed_mean() -> None:
    data = small_world()
    v = data.catalog.vectors["text"].matrix
    mean = 0.5 * v[3] + v[8]
    scores = ContentSpec(history_decay=0.5).fit(data, Run()).scores(Requests.of(history([3, 8])))[0]
    np.testing.assert_allclose(scores[:-1], v[:-1] @ mean / np.linalg.norm(mean), atol=1e-5)
    assert scores[-1] == -np.inf  # it has no text


def test_words_alone_and_words_with_a_history() -> None:
    data = small_world()
    v = data.catalog.vectors["text"].matrix
    asked = np.stack([v[5], np.zeros(SMALL_DIM, np.float32), v[5], np.zeros(SMALL_DIM, np.float32)]) * 3
    requests = Requests.of(history([], [], [3], [3]), query_vectors=asked)
    model = ContentSpec(query_share=0.25).fit(data, Run())
    assert model.retrieve(requests, 3).lengths.tolist() == [3, 0, 3, 3]
    assert model.retrieve(requests, 1).item_ix.tolist()[0] == 5
    mixed = 0.75 * v[3] + 0.25 * v[5]
    np.testing.assert_allclose(model.scores(requests)[2, :-1], v[:-1] @ mixed / np.linalg.norm(mixed), atol=1e-5)
    np.testing.assert_allclose(model.scores(requests)[3, :-1], v[:-1] @ v[3], atol=1e-5)


def test_an_appended_item_is_recommendable_at_once() -> None:
    data = small_world()
    grown = data.catalog.with_rows(["fresh"], data.catalog.table.clear(1))
    matrix = grown.vectors["text"].matrix.copy()
    matrix[-1] = matrix[5]
    grown = grown.with_vectors("text", Vectors(matrix, "small"))
    model = ContentSpec().fit(data, Run()).with_catalog(grown)
    assert model.retrieve(Requests.of(history([5])), 2).item_ix.tolist() == [5, 30]


def test_clear_errors() -> None:
    data = small_world()
    model = ContentSpec().fit(data, Run())
    with pytest.raises(FitError, match="the catalogue has no text vectors"):
        ContentSpec().fit(data.with_catalog(replace(data.catalog, vectors={})), Run())
    other = data.catalog.with_vectors("text", Vectors(data.catalog.vectors["text"].matrix, "another"))
    with pytest.raises(ConfigError, match="made by 'another', this model knows those of 'small'"):
        model.with_catalog(other)
    with pytest.raises(ConfigError, match="query vectors have 3 dimensions, those of the items 8"):
        model.scores(Requests.of(history([1]), query_vectors=np.ones((1, 3), np.float32)))
