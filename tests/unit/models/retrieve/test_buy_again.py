from __future__ import annotations

import numpy as np

from zhiyin.base.arrays import Ragged
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.models.retrieve.buy_again import BuyAgain, BuyAgainSpec, repeat_counts
from zhiyin.testing.small import small_world

MILK, LAMP, TEA, NEVER_HAD = 0, 1, 2, 9


def shop() -> Dataset:
    """Milk is bought again by everyone, the lamp by nobody; two units of a lamp in one order are no repeat."""
    rows = []
    for user in range(6):
        rows += [(user, MILK, 10 * user + 1), (user, MILK, 10 * user + 8), (user, LAMP, 10 * user + 2), (user, LAMP, 10 * user + 2)]
    user, item, day = (np.array(column) for column in zip(*rows, strict=True))
    base = small_world()
    return Dataset(base.manifest, base.users, base.catalog, Events.of(user, item, day * US_PER_DAY))


def fitted(**values: float) -> BuyAgain:
    return BuyAgainSpec.parse(values).fit(shop(), Run())


def asked(items: list[int], days: list[float], now: float = 100.0) -> Requests:
    history = Histories.of_items(Ragged.of([items]))
    times = (np.array(days) * US_PER_DAY).astype(np.int64)
    return Requests.of(
        Histories(history.offsets, history.item_ix, history.kind_ix, times, history.place_ix, history.weight), now_us=int(now * US_PER_DAY)
    )


def test_people_who_came_back_are_counted_once_and_at_two_times() -> None:
    buyers, rebuyers = repeat_counts(shop())
    assert buyers[[MILK, LAMP, TEA]].tolist() == [6, 6, 0]
    assert rebuyers[[MILK, LAMP, TEA]].tolist() == [6, 0, 0]


def test_what_people_buy_again_comes_before_what_they_buy_once() -> None:
    assert fitted(shrink=1).retrieve(asked([MILK, LAMP], [50, 50]), 5).item_ix.tolist() == [MILK, LAMP]


def test_only_the_own_history_comes_back() -> None:
    assert fitted().retrieve(asked([TEA], [50]), 30).item_ix.tolist() == [TEA]


def test_score_is_habit_times_freshness_times_root_of_propensity() -> None:
    model = fitted(half_life_days=20, shrink=2)
    rate = (6 + 1) / (12 + 2)
    scores = model.scores(asked([MILK, TEA, MILK], [60, 80, 100]))[0]
    np.testing.assert_allclose(scores[MILK], (0.25 + 1.0) * np.sqrt((6 + 2 * rate) / 8), rtol=1e-5)
    np.testing.assert_allclose(scores[TEA], 0.5 * np.sqrt(rate), rtol=1e-5)
    assert scores[NEVER_HAD] == -np.inf


def test_without_time_age_is_counted_in_events() -> None:
    data = small_world("position")
    model = BuyAgainSpec(history_decay=0.5).fit(data, Run())
    scores = model.scores(Requests.of(Histories.of_items(Ragged.of([[4, 6]]))))[0]
    np.testing.assert_allclose(scores[4] / scores[6], 0.5 * np.sqrt(model.propensity[4] / model.propensity[6]), rtol=1e-5)


def test_old_habits_do_not_vanish() -> None:
    assert fitted(half_life_days=0.1).retrieve(asked([TEA], [1], now=90_000), 5).item_ix.tolist() == [TEA]
