from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import FitError
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.models.retrieve.factors import Factors, FactorsSpec, fingerprints
from zhiyin.models.retrieve.profile import profile_matrix
from zhiyin.testing.small import small_world


@pytest.fixture(scope="module")
def data() -> Dataset:
    return small_world()


def histories(data: Dataset) -> Requests:
    return Requests.of(data.history(np.arange(data.n_users)))


def test_the_closed_form_is_the_minimum(data: Dataset) -> None:
    """The gradient of the weighted squared loss vanishes at the solved vector."""
    spec = FactorsSpec(dim=6, epochs=5, l2=0.7, alpha=3.0, history_decay=1.0)
    model = spec.fit(data, Run())
    profile = profile_matrix(data.history(np.arange(5)), data.n_items)
    y = model.items.astype(np.float64)
    for x, had in zip(model.solve(profile), profile.toarray(), strict=True):
        confidence = 1 + 3.0 * had
        gradient = y.T @ (confidence * (y @ x - had)) + 0.7 * x
        np.testing.assert_allclose(gradient, 0, atol=1e-4)


def test_folding_in_gives_the_fitted_user_vector(data: Dataset) -> None:
    """At convergence what ``implicit`` fitted for a user is what his history folds into."""
    spec = FactorsSpec(dim=4, epochs=400, l2=2.0, alpha=2.0, history_decay=1.0)
    x = data.positive.matrix()
    x.data[:] = 1
    fitted = spec._fitted(x, Run())
    items = np.asarray(fitted.item_factors, np.float32)
    model = Factors(spec, data.catalog, items, np.zeros(0, np.uint64), np.zeros((0, 4), np.float32))
    np.testing.assert_allclose(model.solve(x), fitted.user_factors, atol=2e-3)


def test_what_was_solved_is_looked_up_by_content(data: Dataset) -> None:
    model = FactorsSpec(dim=6, epochs=3).fit(data, Run())
    requests = histories(data)
    blank = replace(model, marks=model.marks[:0], solved=model.solved[:0])
    np.testing.assert_allclose(model.scores(requests), blank.scores(requests), atol=1e-5)
    moved = replace(model, solved=model.solved + 1)
    assert not np.allclose(model.scores(requests), moved.scores(requests))  # it was looked up
    strange = Requests.of(Histories.of_items(Ragged.of([[1, 2, 3, 4, 5, 6, 7]])))
    np.testing.assert_array_equal(model.scores(strange), moved.scores(strange))  # it was solved


def test_fingerprints_tell_histories_apart() -> None:
    def marks(lists: list[list[int]], decay: float) -> list[int]:
        return [int(v) for v in fingerprints(profile_matrix(Histories.of_items(Ragged.of(lists)), 50, decay))]

    a, b, c, d, e = marks([[1, 2], [2, 1], [1], [], [1, 1, 2]], 1.0)
    assert a == b == e
    assert len({a, c, d}) == 3
    one, other = marks([[1, 2], [2, 1]], 0.5)
    assert one != other


def test_newer_events_weigh_more(data: Dataset) -> None:
    model = FactorsSpec(dim=6, epochs=5, history_decay=0.1).fit(data, Run())
    both, newest = (model.vectors(profile_matrix(Histories.of_items(Ragged.of([h])), 30, 0.1))[0] for h in ([2, 9], [9]))
    oldest = model.vectors(profile_matrix(Histories.of_items(Ragged.of([[2]])), 30, 0.1))[0]
    assert np.linalg.norm(both - newest) < np.linalg.norm(both - oldest)


def test_bpr_ranks_what_people_had_above_the_rest(data: Dataset) -> None:
    model = FactorsSpec(method="bpr", dim=12, epochs=60).fit(data, Run())
    scores = model.scores(histories(data))[:, :-1]
    had = data.positive.matrix().toarray()[:, :-1] > 0
    assert np.mean([scores[u][had[u]].mean() > scores[u][~had[u]].mean() for u in range(len(had))]) > 0.95


def test_no_positive_event(data: Dataset) -> None:
    empty = replace(data, events=data.events.take(slice(0, 0)))
    with pytest.raises(FitError, match="no positive event to learn factors from"):
        FactorsSpec().fit(empty, Run())
