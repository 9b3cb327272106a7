from __future__ import annotations

import numpy as np
import pytest

from zhiyin.base.arrays import Ragged
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.models.retrieve.pair_memory import PairMemory
from zhiyin.models.retrieve.sequence_fit import Asked, Windows
from zhiyin.models.retrieve.transitions import Transitions, TransitionsSpec, follow_counts, strongest
from zhiyin.testing.small import small_world


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("backward", [0.0, 0.4])
def test_a_window_hears_what_the_others_taught(backward: float, repeats: bool) -> None:
    """Equal to counting everybody else's pairs, scaling them alike, and asking in the ordinary way."""
    spec = TransitionsSpec(reach=3, backward=backward, last=4, history_decay=0.7)
    data = small_world("position").positive
    if repeats:
        data = data.take(np.arange(len(data.events)))
        data.events.item_ix[:] = data.events.item_ix % 7
    memory = PairMemory.of(spec, data)
    windows = Windows.of(data, 50)
    user = int(windows.users[0])
    batch = windows._padded(np.array([[windows.offsets[u], windows.offsets[u + 1]] for u in (user, int(windows.users[1]))]))
    asked = Asked.of(batch[..., 0], batch[..., 1])
    found = memory.evidence(batch[..., 0].numpy(), batch[..., 1].numpy(), asked.window.numpy(), asked.place.numpy()).toarray()

    others = follow_counts(data.take(data.events.user_ix != user), spec.reach, spec.gap_decay, spec.backward)
    scaled = others.multiply(memory.row_scale[:, None]).multiply(memory.column_scale[None, :]).tocsr()
    model = Transitions(spec, data.catalog, scaled)
    mine = (asked.window == 0).numpy()
    items = batch[0, :, 0].numpy()
    pasts = [items[: place + 1] for place in asked.place.numpy()[mine]]
    expected = model.evidence(Requests.of(Histories.of_items(Ragged.of(pasts))))
    assert expected.any()
    np.testing.assert_allclose(found[mine], expected, rtol=1e-4, atol=2e-6)


def test_only_the_strongest_followers_are_kept() -> None:
    data = small_world("position")
    whole = TransitionsSpec().fit(data, Run()).follows.toarray()
    few = TransitionsSpec(followers=3).fit(data, Run()).follows.toarray()
    assert ((few > 0).sum(axis=1) == np.minimum((whole > 0).sum(axis=1), 3)).all()
    np.testing.assert_allclose(np.sort(few, axis=1)[:, -3:], np.sort(whole, axis=1)[:, -3:])
    assert strongest(TransitionsSpec().fit(data, Run()).follows, 0).nnz == (whole > 0).sum()
