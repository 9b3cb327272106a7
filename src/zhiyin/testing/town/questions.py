"""One request per event: what will this person do next, now, from here? The town's causes act on the very next choice."""

from __future__ import annotations

import numpy as np

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import ConfigError, DataError
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.truth import Holdout, Truth


def next_events(data: Dataset, from_us: int, at_most: int = 5_000, seed: int = 0) -> Holdout:
    """Requests at the moments of events at or after an instant, each answered by that one event.

    Histories hold all that happened before, also after ``from_us``: what a live system would know.
    A seeded sample in time order when there are more than ``at_most``.
    """
    if at_most < 1:
        raise ConfigError(f"at_most = {at_most} asks for no request", "Ask for at least one.")
    rows = np.arange(len(data.before(from_us).events), len(data.events))
    if not len(rows):
        raise DataError("no event lies at or after the given instant", "Give an earlier one.")
    if len(rows) > at_most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, at_most, replace=False))
    e = data.events
    history = data.history(e.user_ix[rows], e.time_us[rows])
    requests = Requests.of(history, e.user_ix[rows], e.time_us[rows], place_ix=e.place_ix[rows])
    return Holdout(requests, Truth(Ragged(np.arange(len(rows) + 1, dtype=np.int64), e.item_ix[rows])))
