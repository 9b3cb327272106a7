"""Items nobody has touched: what text carries over, against plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from zhiyin.base.arrays import AnyArray, Float32, Ragged
from zhiyin.base.errors import ConfigError, FitError
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.data.schema import EventsTable, Manifest
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.retrieve.cold_weights import hide_items, learn_cold_weights, standardised
from zhiyin.models.retrieve.ease import ease_weights
from zhiyin.models.retrieve.text_ease import TextEaseSpec
from zhiyin.models.retrieve.text_neighbours import TextNeighboursSpec

N_USERS, N_ITEMS, N_COLD, GROUPS = 60, 40, 6, 4


def vectors_of(n: int, seed: int = 0) -> Float32:
    """Item i belongs to group i % 4; vectors of a group lie together."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(GROUPS)[np.arange(n) % GROUPS] + 0.25 * rng.standard_normal((n, GROUPS))
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def data() -> Dataset:
    """People who like two groups each; the last items are untouched, item 5 has no text."""
    rng = np.random.default_rng(1)
    matrix = vectors_of(N_ITEMS)
    matrix[5] = 0
    catalog = Catalog(Vocabulary([f"i{i}" for i in range(N_ITEMS)]), pl.DataFrame({"n": range(N_ITEMS)}))
    users, items = [], []
    for user in range(N_USERS):
        liked = [i for i in range(N_ITEMS - N_COLD) if i % GROUPS in (user % GROUPS, (user + 1) % GROUPS)]
        picked = rng.choice(liked, 6, replace=False)
        users += [user] * len(picked)
        items += picked.tolist()
    events = Events.of(np.array(users), np.array(items), np.zeros(len(users)))
    manifest = Manifest(name="t", order="none", events=EventsTable())
    return Dataset(manifest, Vocabulary([f"u{i}" for i in range(N_USERS)]), catalog.with_vectors("text", Vectors(matrix, "f")), events)


def asked(*histories: list[int]) -> Requests:
    return Requests.of(Histories.of_items(Ragged.of(histories)))


def test_text_neighbours_is_the_sum_of_powered_cosines(data: Dataset) -> None:
    model = TextNeighboursSpec(power=3).fit(data, Run())
    t = data.catalog.vectors["text"].matrix
    found = model.scores(asked([1, 2, 1], [5], []))
    for j in (0, 1, 2, 3, 7, N_ITEMS - 1):
        want = sum(max(0.0, float(t[i] @ t[j])) ** 3 for i in (1, 2) if i != j)
        assert found[0, j] == (pytest.approx(want, rel=1e-4) if want > 0 else -np.inf)
    assert (found[1:] == -np.inf).all() and found[0, 5] == -np.inf


def test_text_ease_neighbours_against_loops(data: Dataset) -> None:
    spec = TextEaseSpec(neighbours=3, power=2, own=0.2, l2=10)
    model = spec.fit(data, Run())
    t, x = data.catalog.vectors["text"].matrix, data.matrix()
    b = ease_weights(x, 10) + 0.2 * np.eye(N_ITEMS)
    touched = [i for i in range(N_ITEMS) if x[:, [i]].sum() > 0 and t[i].any()]

    def near(j: int) -> dict[int, float]:
        best = sorted(touched, key=lambda i: -max(0.0, float(t[i] @ t[j])))[:3]
        weight = {i: max(0.0, float(t[i] @ t[j])) ** 2 for i in best}
        return {i: w / sum(weight.values()) for i, w in weight.items()}

    cold = N_ITEMS - 1
    history = {1: 1.0, 2: 1.0}
    for i, w in near(cold - 1).items():
        history[i] = history.get(i, 0.0) + w
    found = model.scores(asked([1, 2, cold - 1]))[0]
    for j in (0, 9, cold, cold - 3):
        want = sum(h * w * b[i, n] for i, h in history.items() for n, w in near(j).items())
        assert found[j] == pytest.approx(want, rel=1e-3, abs=1e-6)


def test_text_ease_ridge_predicts_the_columns(data: Dataset) -> None:
    model = TextEaseSpec(method="ridge", l2=10, ridge_l2=0.5).fit(data, Run())
    t, x = data.catalog.vectors["text"].matrix.astype(np.float64), data.matrix()
    b = ease_weights(x, 10).astype(np.float64)
    touched = (np.asarray(x.sum(axis=0)).ravel() > 0) & t.any(axis=1)
    w = np.linalg.solve(t[touched].T @ t[touched] + 0.5 * np.eye(GROUPS), t[touched].T @ b[:, touched].T)
    found = model.scores(asked([1, 2]))[0]
    np.testing.assert_allclose(found[t.any(axis=1)], (t @ w)[t.any(axis=1)][:, [1, 2]].sum(axis=1), atol=1e-5)


@pytest.mark.parametrize("spec", [TextNeighboursSpec(), TextEaseSpec(neighbours=5), TextEaseSpec(method="ridge")])
def test_cold_and_appended_items_are_found(data: Dataset, spec: TextNeighboursSpec | TextEaseSpec) -> None:
    model = spec.fit(data, Run())
    grown = data.catalog.with_rows(["n0", "n1"], pl.DataFrame({"n": [0, 1]}))
    matrix = np.vstack([data.catalog.vectors["text"].matrix, vectors_of(2, 3)])
    grown = grown.with_vectors("text", Vectors(matrix, "f"))
    bigger = model.with_catalog(grown)
    group = np.arange(N_ITEMS + 2) % GROUPS
    cold = np.arange(N_ITEMS + 2) >= N_ITEMS - N_COLD
    for history in ([0, 4, 8], [N_ITEMS - 4], [N_ITEMS]):  # warm, cold and appended items of group 0
        scores = bigger.scores(asked(history))[0]
        left = ~np.isin(np.arange(N_ITEMS + 2), history) & (scores > -np.inf)
        for kind in (cold, ~cold):
            like, unlike = scores[left & kind & (group == 0)], scores[left & kind & (group == 2)]
            assert not len(unlike) or not len(like) or like.mean() > unlike.mean()
    np.testing.assert_array_equal(bigger.scores(asked([0, 4]))[:, :N_ITEMS], model.scores(asked([0, 4])))
    restored = spec.restore(bigger.state(), grown)
    np.testing.assert_array_equal(restored.scores(asked([0, 4])), bigger.scores(asked([0, 4])))
    old = spec.restore(model.state(), grown)
    np.testing.assert_allclose(old.scores(asked([0, 4])), bigger.scores(asked([0, 4])), rtol=1e-5)
    assert len(bigger.retrieve(asked([], [0]), 5).top(5).items[0]) == 0


def test_without_text_vectors(data: Dataset) -> None:
    bare = data.with_catalog(replace(data.catalog, vectors={}))
    for spec in (TextNeighboursSpec(), TextEaseSpec()):
        with pytest.raises(ConfigError, match=r"needs text vectors and the catalogue has none .*with_text_vectors"):
            spec.fit(bare, Run())
    none = data.with_catalog(data.catalog.with_vectors("text", Vectors(np.zeros((N_ITEMS, 2), np.float32), "f")))
    with pytest.raises(FitError, match="no item has both text and events"):
        TextEaseSpec().fit(none, Run())


def test_hidden_items_leave_no_trace(data: Dataset) -> None:
    hidden = hide_items(data, 0.3, seed=2)
    assert not np.isin(hidden.rest.events.item_ix, hidden.items).any()
    assert len(hidden.rest.events) + np.isin(data.events.item_ix, hidden.items).sum() == len(data.events)
    assert set(hidden.holdout.truth.items.values.tolist()) <= set(hidden.items.tolist())
    assert not np.isin(hidden.holdout.requests.history.item_ix, hidden.items).any()
    assert (hidden.holdout.requests.history.lengths >= 2).all()
    again = hide_items(data, 0.3, seed=2)
    np.testing.assert_array_equal(again.items, hidden.items)
    with pytest.raises(FitError, match=r"no person is left .*100 items or more"):
        hide_items(data, least_history=99)


def test_weights_go_to_the_part_that_knows(data: Dataset) -> None:
    noise: AnyArray = np.random.default_rng(9).standard_normal((N_ITEMS, GROUPS)).astype(np.float32)

    class Noise(TextNeighboursSpec):
        def fit(self, data: Dataset, run: Run) -> object:  # type: ignore[override]
            blind = data.catalog.with_vectors("text", Vectors(noise / np.linalg.norm(noise, axis=1, keepdims=True), "noise"))
            return super().fit(data.with_catalog(blind), run)

    learned = learn_cold_weights([TextNeighboursSpec(), Noise()], data, Run(), share=0.3)
    assert (learned.weights >= 0).all() and learned.weights[0] > learned.weights[1]
    assert learned.validation >= max(learned.alone)


def test_standardised_rows_add_up() -> None:
    row = np.array([[1.0, 2.0, 3.0, -np.inf]], np.float32)
    z = standardised(row)
    np.testing.assert_allclose(z[0], [-1.2247, 0, 1.2247, 0], atol=1e-3)
    np.testing.assert_array_equal(standardised(10 * row + 3), standardised(row) * 1.0)
    wide = np.concatenate([row, [[900.0]]], axis=1).astype(np.float32)
    np.testing.assert_allclose(standardised(wide, np.array([True] * 4 + [False]))[:, :4], z, atol=1e-6)
