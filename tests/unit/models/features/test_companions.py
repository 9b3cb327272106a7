"""Companions must not tell a label by how long the asker's own history is."""

from __future__ import annotations

import numpy as np
import pytest

from zhiyin.base.arrays import Ragged
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.slates import Slates
from zhiyin.models.features.companions import CompanionsSpec
from zhiyin.models.features.source import LEFT_OUT
from zhiyin.testing.small import small_world


def test_a_negative_hears_the_history_without_the_choice_it_stands_beside() -> None:
    data = small_world("none")
    source = CompanionsSpec().fit(data)
    chosen, other, rest = 3, 9, [5, 7, 11]
    slates = Slates(np.array([0, 2]), np.array([chosen, other], np.int32), np.zeros(2, np.float32))
    whole = Requests.of(Histories.of_items(Ragged.of([[chosen, *rest]])))
    without = Requests.of(Histories.of_items(Ragged.of([rest])))
    left = slates.with_column(LEFT_OUT, np.array([chosen, chosen]))
    found, plain = source.features(whole, left), source.features(without, slates)
    np.testing.assert_allclose(found[1], plain[1], rtol=1e-6)
    assert not np.allclose(source.features(whole, slates)[1], plain[1])


@pytest.mark.parametrize("shrink", [0.0, 1.0])
def test_pairs_nobody_has_are_no_evidence_however_little_is_shrunk(shrink: float) -> None:
    """Nor are a stranger's own pairs, who was not counted, evidence against them."""
    data = small_world("none")
    source = CompanionsSpec(shrink=shrink).fit(data)
    together = source.together.toarray()
    i, j = (int(at[0]) for at in np.nonzero(np.triu(together == 0, 1)))
    slates = Slates(np.array([0, 2]), np.array([i, j], np.int32), np.zeros(2, np.float32))
    found = source.features(Requests.of(Histories.of_items(Ragged.of([[i, j]]))), slates)
    assert (found[:, :4] == 0).all()
    expected = (source.counts[i] - 1) * max(source.counts[j] - 1, 1) / data.n_users
    assert found[0, 4] == pytest.approx(-np.log(expected + 1), rel=1e-5)
