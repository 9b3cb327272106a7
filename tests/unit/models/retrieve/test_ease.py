from __future__ import annotations

import numpy as np

from zhiyin.base.arrays import Ragged
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.models.retrieve.ease import EaseSpec
from zhiyin.testing.small import small_world


def test_weights_solve_the_paper_s_problem() -> None:
    """B minimises |X - XB|^2 + l2 |B|^2 with a zero diagonal: column j is ridge on all other columns."""
    data = small_world()
    x = (data.positive.matrix().toarray() > 0).astype(np.float64)
    weights = EaseSpec(l2=3.0).fit(data, Run()).weights
    for j in range(0, data.n_items - 1, 7):
        others = [i for i in range(data.n_items) if i != j]
        ridge = np.linalg.solve(x[:, others].T @ x[:, others] + 3.0 * np.eye(len(others)), x[:, others].T @ x[:, j])
        np.testing.assert_allclose(weights[others, j], ridge, atol=1e-5)
        assert weights[j, j] == 0


def test_scores_are_decayed_sums_of_rows() -> None:
    model = EaseSpec(l2=3.0, history_decay=0.5).fit(small_world(), Run())
    scores = model.scores(Requests.of(Histories.of_items(Ragged.of([[4, 9]]))))[0]
    np.testing.assert_allclose(scores[:-1], 0.5 * model.weights[4, :-1] + model.weights[9, :-1], rtol=1e-5)
    assert scores[-1] == -np.inf  # nobody ever touched the last item
