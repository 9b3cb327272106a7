from __future__ import annotations

import numpy as np
import pytest

from zhiyin.base.arrays import Ragged
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.models.retrieve import transitions
from zhiyin.models.retrieve.transitions import TransitionsSpec, follow_counts
from zhiyin.testing.small import small_world


def brute(reach: int, gap_decay: float, backward: float) -> np.ndarray:
    data = small_world().positive
    expected = np.zeros((data.n_items, data.n_items))
    for user in range(data.n_users):
        items = data.events.item_ix[data.events.user_ix == user]
        for a in range(len(items)):
            for b in range(a + 1, min(a + reach, len(items) - 1) + 1):
                if items[a] != items[b]:
                    expected[items[a], items[b]] += gap_decay ** (b - a - 1)
                    expected[items[b], items[a]] += backward * gap_decay ** (b - a - 1)
    return expected


@pytest.mark.parametrize(("reach", "gap_decay", "backward"), [(1, 1.0, 0.0), (3, 0.5, 0.0), (4, 0.7, 0.35)])
def test_counts_are_those_of_two_loops(reach: int, gap_decay: float, backward: float) -> None:
    found = follow_counts(small_world().positive, reach, gap_decay, backward)
    np.testing.assert_allclose(found.toarray(), brute(reach, gap_decay, backward))


@pytest.mark.parametrize("pairs", [1, 200, 2_000])
def test_counting_some_items_at_a_time_changes_nothing(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, data = TransitionsSpec(followers=5), small_world()
    whole, rows, columns = spec.scaled(data)
    monkeypatch.setattr(transitions, "PAIRS", pairs)
    asked = []
    counted = transitions.follow_counts
    monkeypatch.setattr(transitions, "follow_counts", lambda *given: asked.append(given[-1]) or counted(*given))
    parts, rows_of_parts, columns_of_parts = spec.scaled(data)
    assert len(set(asked)) > 1 and sum(len(part) for part in set(asked)) == data.n_items
    np.testing.assert_array_equal(rows_of_parts, rows)
    np.testing.assert_allclose(columns_of_parts, columns, rtol=1e-12)
    np.testing.assert_allclose(parts.toarray(), whole.toarray(), rtol=1e-6)


def test_one_step_rows_are_probabilities_of_the_next_item() -> None:
    model = TransitionsSpec(reach=1, backward=0.0, row_power=1.0, column_power=0.0).fit(small_world(), Run())
    sums = np.asarray(model.follows.sum(axis=1)).ravel()
    np.testing.assert_allclose(sums[sums > 0], 1.0, rtol=1e-5)


def test_dense_and_sparse_rows_give_the_same_scores() -> None:
    model = TransitionsSpec().fit(small_world(), Run())
    requests = Requests.of(Histories.of_items(Ragged.of([[1, 2, 3], []])))
    sparse = TransitionsSpec().fit(small_world(), Run())
    sparse.__dict__["_rows"] = sparse.follows
    assert isinstance(model._rows, np.ndarray)
    np.testing.assert_allclose(model.scores(requests), sparse.scores(requests), rtol=1e-5)


def test_order_matters() -> None:
    """The planted chain: item i is followed by i + 2."""
    model = TransitionsSpec().fit(small_world(), Run())
    best = model.retrieve(Requests.of(Histories.of_items(Ragged.of([[3], [10], [17]]))), 1)
    assert best.item_ix.tolist() == [5, 12, 19]
