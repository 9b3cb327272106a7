"""Asks that are answered together get what each would get alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.vectors import Vectors
from zhiyin.online.answers import Found, answer
from zhiyin.online.asks import Ask
from zhiyin.online.people import People
from zhiyin.online.snapshot import Snapshot
from zhiyin.pipeline.recommender import Recommender
from zhiyin.testing.small import small_world


@pytest.mark.parametrize("kind", ["transitions", "vectors"])
def test_each_filter_holds_for_its_own_ask_and_changes_no_other(kind: str) -> None:
    data, run = small_world("time"), Run(report=silent)
    rng = np.random.default_rng(0)
    rows, users = (rng.standard_normal((n, 8)).astype(np.float32) for n in (len(data.catalog), data.n_users))
    model = Vectors.of(data.catalog, rows, users) if kind == "vectors" else spec_of(kind).fit(data, run)
    snapshot = Snapshot(Recommender(model, spec_of("popular").fit(data, run), data), "v1")
    ids = snapshot.ids
    filters = [None, f'item_id = "{ids[3]}"', {"column": "item_id", "in": ids[:20]}, {"column": "item_id", "in": ids[10:14]}]
    asks = [Ask(user=data.users[u], n=8, filter=filters[u % 4], repeat="allow") for u in range(24)]
    people = People(data)
    together = answer(snapshot, people, asks, snapshot.recommender.newest_us + 1)
    for ask, found in zip(asks, together, strict=True):
        (alone,) = answer(snapshot, people, [ask], snapshot.recommender.newest_us + 1)
        assert isinstance(found, Found) and isinstance(alone, Found)
        assert found.item_ix == alone.item_ix
        np.testing.assert_allclose(found.score, alone.score, rtol=1e-5, atol=1e-5)
        if ask.filter is not None:
            allowed = snapshot.mask(ask.filter)
            assert allowed[found.item_ix].all() and len(found.item_ix) == min(8, int(allowed.sum()))


@pytest.mark.parametrize("kind", ["transitions", "vectors", "popular"])
def test_without_the_person_a_thousand_histories_give_one_list(kind: str) -> None:
    data, run = small_world("time", n_users=1_000, n_events=12_000), Run(report=silent)
    rng = np.random.default_rng(0)
    rows, users = (rng.standard_normal((n, 8)).astype(np.float32) for n in (len(data.catalog), data.n_users))
    model = Vectors.of(data.catalog, rows, users) if kind == "vectors" else spec_of(kind).fit(data, run)
    snapshot = Snapshot(Recommender(model, spec_of("popular").fit(data, run), data), "v1")
    now = snapshot.recommender.newest_us + 1
    more = [{}, {"diversity": 0.5}, {"repeat": "allow", "novelty": 0.5}, {"filter": {"column": "item_id", "in": snapshot.ids[:12]}}]
    said: list[dict[str, Any]] = [{"n": 6, **one} for one in more]
    for one in said:
        asks = []
        for user in data.users.names(np.arange(1_000)):
            history = rng.choice(snapshot.ids, 5).tolist() if len(asks) % 2 else None
            asks.append(Ask(user=user, session=f"s{len(asks)}", history=history, personalized=False, **one))
        lists = {
            (tuple(found.item_ix), tuple(found.score), found.served_by, found.title, found.notes, found.about)
            for found in answer(snapshot, People(data), asks, now)
            if isinstance(found, Found)
        }
        asks = [Ask(user=ask.user, **one) for ask in asks]
        known = {tuple(found.item_ix) for found in answer(snapshot, People(data), asks, now) if isinstance(found, Found)}
        assert len(lists) == 1, one
        assert kind == "popular" or len(known) > 1, "the person matters where it may"
