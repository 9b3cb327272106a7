from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.arrays import Ragged
from zhiyin.data.run import Run
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve import bought_together, transitions
from zhiyin.models.roles import Model
from zhiyin.testing.small import small_world

DATA = small_world()
LISTS = st.lists(st.lists(st.integers(0, DATA.n_items - 1), max_size=12, unique=True), min_size=40, max_size=40)


def fitted(kind: str) -> Model:
    settings = {"transitions": {"followers": 6}, "bought-together": {"popularity": 0.7}}[kind]
    return spec_of({"kind": kind, **settings}).fit(DATA, Run())


MODELS = {kind: fitted(kind) for kind in ("transitions", "bought-together")}


@pytest.mark.parametrize("kind", MODELS)
@settings(max_examples=30, deadline=None)
@given(exclude=LISTS, candidates=LISTS, mask=st.lists(st.booleans(), min_size=30, max_size=30), k=st.integers(1, 40))
def test_sparse_lists_are_the_dense_ones(
    kind: str, exclude: list[list[int]], candidates: list[list[int]], mask: list[bool], k: int
) -> None:
    """The same items and the same scores, whatever is excluded, allowed or available."""
    from zhiyin.data.requests import Requests

    model = MODELS[kind]
    people = np.arange(40)
    requests = Requests.of(DATA.history(people), people, int(DATA.events.time_us[-1]) + 1, exclude=Ragged.of(exclude))
    asked = [requests, replace(requests, candidates=Ragged.of(candidates)), replace(requests, allowed=np.array(mask))]
    for request in asked:
        dense = model.retrieve(request, k)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bought_together, "MANY_ITEMS", 0)
            patch.setattr(transitions, "MANY_ITEMS", 0)
            patch.setattr(transitions.Transitions, "_rows", property(lambda self: self.follows))
            sparse = model.with_catalog(model.catalog).retrieve(request, k)
        assert np.array_equal(dense.offsets, sparse.offsets)
        assert np.array_equal(dense.item_ix, sparse.item_ix)
        assert np.allclose(dense.score, sparse.score, rtol=1e-6)
