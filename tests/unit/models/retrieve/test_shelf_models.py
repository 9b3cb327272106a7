"""The models that shelves are made of, each on data where the right answer can be worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import ConfigError, UnknownNameError
from zhiyin.base.units import US_PER_DAY, US_PER_MINUTE
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.bought_together import BoughtTogether, baskets
from zhiyin.models.retrieve.due_again import DueAgain, gaps
from zhiyin.models.roles import Model
from zhiyin.testing.small import small_world

A, B, C, D = 0, 1, 2, 3


def world(rows: list[tuple[int, int, float]], **more: object) -> Dataset:
    """(user, item, day) as events of the small world's people and items."""
    base = small_world()
    user, item, day = (np.array(column) for column in zip(*rows, strict=True))
    events = Events.of(user, item, np.round(day * US_PER_DAY).astype(np.int64), **more)  # type: ignore[arg-type]
    return Dataset(base.manifest, base.users, base.catalog, events)


def fitted(kind: str, data: Dataset, **settings: object) -> Model:
    return spec_of({"kind": kind, **settings}).fit(data, Run())


def asked(items: list[int], days: list[float] | None = None, now: float = 100.0, **more: object) -> Requests:
    history = Histories.of_items(Ragged.of([items]))
    if days is not None:
        history = replace(history, time_us=np.round(np.array(days) * US_PER_DAY).astype(np.int64))
    return Requests.of(history, now_us=int(now * US_PER_DAY), **more)


def best(model: Model, requests: Requests, k: int = 5) -> list[int]:
    return model.retrieve(requests, k).item_ix.tolist()


def carts(*lists: list[int]) -> Dataset:
    """One basket a day, each of another person."""
    return world([(day % 40, item, day) for day, items in enumerate(lists) for item in items])


def test_lift_is_worked_out_as_written() -> None:
    """Ten baskets: A and B share four of five each; C is in every one, so it belongs to nothing."""
    data = carts(*[[A, B, C]] * 4, [A, C], [B, C], *[[C, D]] * 4)
    model = fitted("bought-together", data, shrink=1.0)
    assert isinstance(model, BoughtTogether)
    found = model.retrieve(asked([A]), 5)
    assert found.item_ix.tolist() == [B]
    assert found.score[0] == pytest.approx(math.log((4 + 1) / (5 * 5 / 10 + 1)))
    assert model.share[[A, C]].tolist() == pytest.approx([0.5, 1.0])


def test_popularity_turns_lift_into_the_likeliest() -> None:
    """With A, B comes in 3 of 4 baskets that hold it, D in 6 of 30: lift prefers B, probability D."""
    data = carts(*[[A, B]] * 3, *[[A, D]] * 6, [B], *[[D]] * 4, *[[C]] * 26)
    assert best(fitted("bought-together", data, shrink=0.1), asked([A]))[0] == B
    assert best(fitted("bought-together", data, shrink=0.1, popularity=1.0), asked([A]))[0] == D


def test_pairs_seen_once_say_nothing() -> None:
    data = carts([A, B], [C], [D])
    assert best(fitted("bought-together", data), asked([A])) == []
    assert best(fitted("bought-together", data, min_count=1), asked([A])) == [B]


def test_a_basket_ends_with_a_pause() -> None:
    minute = US_PER_MINUTE / US_PER_DAY
    tied = world([(0, A, 1.0), (0, B, 1.0), (0, C, 2.0), (1, A, 1.0)])
    assert baskets(tied)[0].tolist() == [0, 0, 2, 1] and baskets(tied)[1] == 3
    visits = world([(0, A, 1.0), (0, B, 1.0 + 20 * minute), (0, C, 2.0)])
    assert baskets(visits)[1] == 2  # nothing is tied, so an hour makes a visit
    assert baskets(visits, 5.0)[1] == 3
    untimed = small_world("none")
    assert baskets(untimed)[1] == len(np.unique(untimed.events.user_ix))


def test_due_is_highest_when_the_gap_is_over() -> None:
    """Everybody buys A every 30 days: two days after he needs none, after 28 he does, after 300 he has given up."""
    data = world([(user, A, user + 30 * n) for user in range(10) for n in range(4)] + [(user, B, 5.0) for user in range(10)])
    model = fitted("due-again", data)
    assert isinstance(model, DueAgain)
    item, days = gaps(data)
    assert set(item.tolist()) == {A} and set(days.tolist()) == {30.0}

    def chance(age: float) -> float:
        return float(model.retrieve(asked([A], [400 - age], now=400), 1).score[0])

    assert chance(28) > 5 * chance(2) and chance(28) > 2 * chance(300)
    assert best(model, asked([A, B], [372, 372], now=400))[0] == A  # nobody ever came back for B


def test_a_person_has_his_own_rhythm() -> None:
    """The item is bought monthly by all, but by this one every five days."""
    data = world([(user, A, user + 30 * n) for user in range(10) for n in range(4)])
    model = fitted("due-again", data)
    often = model.retrieve(asked([A] * 5, [76, 81, 86, 91, 96], now=100), 1).score[0]
    once = model.retrieve(asked([A], [96], now=100), 1).score[0]
    assert often > 3 * once


def test_recent_is_newest_first_and_of_the_kinds_asked() -> None:
    data = world([(0, A, 1.0), (0, B, 2.0)])
    data = replace(data, kinds=("view", "purchase"))
    assert best(fitted("recent", data), asked([A, B, C, A])) == [A, C, B]
    seen = asked([A, B, C])
    kinds = replace(seen.history, kind_ix=np.array([0, 0, 1], np.int32), weight=np.zeros(3, np.float32))
    assert best(fitted("recent", data, kinds=["view"]), replace(seen, history=kinds)) == [B, A]
    with pytest.raises(UnknownNameError, match=r"has no event kind 'veiw'.*Did you mean 'view'"):
        fitted("recent", data, kinds=["veiw"])


def test_trending_is_what_rises_not_what_is_liked() -> None:
    """A is bought daily for ever; B began this week; C was bought only long ago."""
    rows = [(day % 40, A, float(day)) for day in range(100)] + [(day % 40, B, day + 0.5) for day in range(94, 100)]
    data = world(rows + [(day % 40, C, day + 0.2) for day in range(20)])
    assert best(fitted("trending", data), asked([]))[0] == B
    assert C not in best(fitted("trending", data), asked([]), 30)
    with pytest.raises(ConfigError, match="'baseline_days' must be longer than 'half_life_days'"):
        spec_of({"kind": "trending", "half_life_days": 60})


def test_trending_here_is_of_here() -> None:
    """B rises in the east, C in the west, as often; the place of the request decides."""
    rows = [(day % 40, A, float(day)) for day in range(100)] + [(d % 40, i, 90.5 + d) for d in range(9) for i in (B, C)]
    where = np.array([day % 2 for day in range(100)] + [0, 1] * 9, np.int32)
    data = replace(world(rows, place_ix=where), places=Vocabulary(["east", "west"]))
    model = fitted("trending", data)
    for place, item in ((0, B), (1, C)):
        assert best(model, asked([], place_ix=np.array([place], np.int32)))[0] == item


def test_going_on_knows_what_everybody_takes_next() -> None:
    """After A nine of ten take B; after C anything."""
    rows = [(user, A, user) for user in range(10)] + [(user, B if user else D, user + 1) for user in range(10)]
    data = world(rows + [(user, C, user + 2) for user in range(10)] + [(user, 5 + user, user + 3) for user in range(10)])
    model = fitted("going-on", data)
    found = model.retrieve(asked([A]), 5)
    assert found.item_ix.tolist() == [B] and found.score[0] == pytest.approx(9 / 15)
    assert best(model, asked([A, B])) == [C]  # B was had: no next part
    assert best(model, asked([C])) == []


def test_going_on_reads_series_and_finds_the_unfinished() -> None:
    data = replace(world([(0, A, 1.0), (0, B, 2.0)]), kinds=("start", "finish"))
    names, numbers = ["saga", "saga", None, "saga", *[None] * 26], [1, 3, None, 2, *[None] * 26]
    table = data.catalog.table.with_columns(pl.Series("series", names), pl.Series("number", numbers, dtype=pl.Int32))
    data = data.with_catalog(replace(data.catalog, table=table))
    model = fitted("going-on", data, series="series", number="number", started=["start"])
    done = asked([A, B, A])
    kinds = np.array([0, 0, 1], np.int32)
    assert best(model, replace(done, history=replace(done.history, kind_ix=kinds))) == [D, B]  # A done: part 2; B only begun
    with pytest.raises(UnknownNameError, match=r"the items table has no column 'serie'.*Did you mean 'series'"):
        fitted("going-on", data, series="serie")
