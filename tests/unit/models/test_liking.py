"""Models learn from what was liked, and splits ask with such histories alone: whoever is served must be heard alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.split import default_split
from zhiyin.models.registry import spec_of
from zhiyin.models.two_stage import TwoStage
from zhiyin.testing.contracts import same_slates
from zhiyin.testing.small import small_world

TABLES: list[dict[str, Any]] = [
    {"kind": "transitions", "last": 2},
    {"kind": "sequence", "epochs": 1, "dim": 8, "max_len": 10, "memory": {"last": 2}},
    {"kind": "two-stage", "first": {"kind": "popular"}, "n_candidates": 20, "folds": 2},
]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table["kind"])
def test_what_was_only_seen_or_disliked_changes_no_list(table: dict[str, Any]) -> None:
    data = small_world("time", n_users=60, n_events=1500)
    split = default_split(data)
    model = spec_of(table).fit(split.train, Run(threads=1, holdout=split.validation))
    model = replace(model, trust=1.0) if isinstance(model, TwoStage) else model
    people, now = np.arange(data.n_users), int(data.events.time_us[-1]) + 1
    served, measured = (Requests.of(past.history(people), people, now) for past in (data, data.positive))
    assert (served.history.weight == 0).sum() > 0
    assert same_slates(model.retrieve(served, 10), model.retrieve(measured, 10), 1e-5)
