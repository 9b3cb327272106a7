"""Each feature source against figures made by hand or by a loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from zhiyin.base.errors import ConfigError, UnknownNameError
from zhiyin.base.units import US_PER_DAY, US_PER_HOUR
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Requests
from zhiyin.data.schema import Manifest
from zhiyin.data.slates import Slates
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.features.companions import CompanionsSpec
from zhiyin.models.features.counts import PRIOR, Counted, CountsSpec
from zhiyin.models.features.history import HistorySpec
from zhiyin.models.features.interest import InterestSpec
from zhiyin.models.features.nearby import NearbySpec
from zhiyin.models.features.registry import default_sources, source_of
from zhiyin.models.features.social import SocialSpec, friends_of
from zhiyin.models.features.source import LEFT_OUT, FittedSource
from zhiyin.testing.source_contracts import every_pair, rich_world

DAY, HOUR = US_PER_DAY, US_PER_HOUR
START = 20_000 * DAY


def made(
    events: list[tuple[int, int, float]], n_users: int = 3, columns: dict[str, list[Any]] | None = None, types: Any = None, **more: Any
) -> Dataset:
    """Events (user, item, day) over as many items as the columns have rows, else 4."""
    columns = columns or {}
    n = len(next(iter(columns.values()))) if columns else 4
    ids = [f"i{i}" for i in range(n)]
    said: dict[str, Any] = {"name": "made", "events": {"time": "time"}, "items": {"columns": types or {}}, **more}
    catalog = Catalog(Vocabulary(ids), pl.DataFrame({"item_id": ids, **columns}))
    user, item, day = (np.array(c) for c in zip(*events, strict=True))
    time = (day * DAY).astype(np.int64) + START
    return Dataset(Manifest.parse(said), Vocabulary([f"u{u}" for u in range(n_users)]), catalog, Events.of(user, item, time))


def asked(data: Dataset, source: FittedSource, user: int, day: float, column: str, **columns: Any) -> list[float]:
    """One column for every item, asked by one person at one time."""
    now = np.array([int(day * DAY) + START])
    timed = data.manifest.order == "time"
    requests = Requests.of(data.history([user], now if timed else None), [user], now)
    n = data.n_items
    slates = Slates(np.array([0, n]), np.arange(n, dtype=np.int32), np.zeros(n, np.float32))
    slates = slates.with_column(LEFT_OUT, np.full(n, columns["left_out"])) if columns else slates
    return [float(v) for v in source.features(requests, slates)[:, source.names.index(column)]]


def test_counts_shares_and_recency() -> None:
    data = made([(0, 0, 0), (1, 0, 1), (1, 1, 2), (2, 0, 2.5), (2, 2, 9)])
    tables = (
        Counted(by=("item",), half_lives_days=(2,), recency=True),
        Counted(by=("item",), half_lives_days=(2,), others=True),
        Counted(by=("previous", "item"), of=("previous",)),
    )
    source = CountsSpec(tables=tables).fit(data)
    assert asked(data, source, 1, 4, "n.item.others") == pytest.approx(np.log1p([2, 0, 0, 0]))
    decayed = [2**-2 + 2**-1.5 + 2**-0.75, 2**-1, 0, 0]
    assert asked(data, source, 1, 4, "n.item.2d") == pytest.approx(np.log1p(decayed))
    without = [2**-2 + 2**-0.75, 0, 0, 0]  # user 1 is the asker
    assert asked(data, source, 1, 4, "n.item.others.2d") == pytest.approx(np.log1p(without), abs=1e-6)
    assert asked(data, source, 1, 4, "days_since.item") == pytest.approx([*np.log1p([1.5, 2]), np.nan, np.nan], nan_ok=True)
    # After item 0 came: item 1 once (user 1), and later item 2 (user 2). Of 4 events by day 4, item 1 is one.
    share = (1 + PRIOR * 1 / 4) / (1 + PRIOR)
    got = asked(data, source, 0, 4, "lift.previous+item")
    assert got[1] == pytest.approx(np.log(share / (1 / 4)), rel=1e-5) and np.isnan(got[3])
    assert asked(data, source, 0, 9.5, "n.previous+item") == pytest.approx(np.log1p([0, 1, 1, 0]))


def test_what_was_never_seen_or_is_unknown_was_counted_no_times() -> None:
    """0 is an answer; a gap is what even the usual says nothing about, and the days since what never was."""
    groups: dict[str, list[Any]] = {"group": ["a", "a", "b", None, "c"]}
    data = made([(0, 0, 0), (0, 1, 1), (1, 2, 2)], columns=groups, types={"group": "category"})
    tables = (
        Counted(by=("group",), recency=True),
        Counted(by=("previous.group", "group"), of=("previous.group",)),
        Counted(by=("user", "item"), of=("user",)),
    )
    source = CountsSpec(tables=tables).fit(data)
    assert asked(data, source, 0, 3, "n.group") == pytest.approx(np.log1p([2, 2, 1, 0, 0]))  # without one, of one nobody took
    assert np.isnan(asked(data, source, 0, 3, "days_since.group")).tolist() == [False, False, False, True, True]
    for newcomer in (2, -1):  # nothing before, and nobody at all
        assert asked(data, source, newcomer, 3, "n.previous.group+group") == [0] * 5
        assert asked(data, source, newcomer, 3, "n.user+item") == [0] * 5
        nothing_said = [0, 0, 0, np.nan, np.nan]  # as usual, where anybody ever took that group or item
        assert asked(data, source, newcomer, 3, "lift.previous.group+group") == pytest.approx(nothing_said, abs=1e-6, nan_ok=True)
        assert asked(data, source, newcomer, 3, "lift.user+item") == pytest.approx(nothing_said, abs=1e-6, nan_ok=True)


def test_a_context_of_lists_is_not_counted() -> None:
    data = rich_world()
    tags = pl.Series("tags", [["a", "b"] if i % 2 else ["c"] for i in range(len(data.events))])
    more = replace(data, events=replace(data.events, context=data.events.context.with_columns(tags)))
    assert CountsSpec().names_on(more) == CountsSpec().names_on(data)


def test_the_instants_of_a_log_are_kept_once() -> None:
    """They are as large as everything that is counted by one name; a saved source keeps them once too."""
    data = rich_world()
    source = CountsSpec().fit(data)
    state = source.state()
    assert sum(name.endswith("instants") for name in state.arrays) == 1
    for found in (source, source.spec.restore(state, data)):
        assert len({id(store.instants) for store in found.stores.values()}) == 1 < len(found.stores)


def test_an_event_left_out_of_untimed_counts() -> None:
    data = made([(0, 0, 0), (0, 1, 0), (1, 0, 0)], order="none")
    source = CountsSpec(tables=(Counted(by=("item",)), Counted(by=("user",)))).fit(data)
    assert asked(data, source, 0, 0, "n.item") == pytest.approx(np.log1p([2, 1, 0, 0]))
    assert asked(data, source, 0, 0, "n.item", left_out=0) == pytest.approx(np.log1p([1, 1, 0, 0]))
    # The same for the row it stands for and for its negatives: the difference would tell the label.
    assert asked(data, source, 0, 0, "n.user", left_out=0) == pytest.approx(np.log1p([1] * 4))


def test_nothing_is_counted_by_an_unknown_word() -> None:
    with pytest.raises(ConfigError, match="nothing can be counted by 'previus'") as error:
        CountsSpec(tables=(Counted(by=("previus",)),)).fit(rich_world())
    assert "previous" in str(error.value)
    with pytest.raises(UnknownNameError, match="no feature source is named 'histry'"):
        source_of("histry")


def test_a_column_of_the_items_cannot_take_a_name_that_has_a_meaning() -> None:
    """An items table with a column "hour" must not turn counts by the clock into counts by that column."""
    columns: dict[str, list[Any]] = {"hour": ["a", "b", "a", "b"], "group": ["c", "d", "c", "c"]}
    data = made([(0, 0, 0), (1, 1, 1), (2, 0, 2.5)], columns=columns, types={"hour": "category", "group": "category"})
    source = CountsSpec(tables=(Counted(by=("hour",)), Counted(by=("group",)))).fit(data)
    assert asked(data, source, 0, 4, "n.hour") == pytest.approx(np.log1p([2] * 4))  # two of three at midnight
    assert asked(data, source, 0, 4, "n.group") == pytest.approx(np.log1p([2, 1, 2, 2]))
    plain = made([(0, 0, 0)], columns={"group": columns["group"]}, types={"group": "category"})
    assert CountsSpec().names_on(data) == CountsSpec().names_on(plain)
    assert HistorySpec().names_on(data) == HistorySpec().names_on(plain)


def test_shares_of_the_own_history() -> None:
    data = made([(0, 0, 0), (0, 1, 1), (0, 0, 3), (0, 2, 3.25)], n_users=2)
    source = HistorySpec(half_lives_days=(1,), half_lives_events=(1,), hour_widths=(2,)).fit(data)
    assert asked(data, source, 0, 4, "own.events")[0] == pytest.approx(np.log1p(4))
    assert asked(data, source, 0, 4, "own.kinds")[0] == pytest.approx(np.log1p(3))
    assert asked(data, source, 0, 4, "own.days_since")[0] == pytest.approx(np.log1p(0.75))
    assert asked(data, source, 0, 4, "own.item.all") == pytest.approx([0.5, 0.25, 0.25, 0])
    age = np.exp2([-3, -2, -1, 0])  # in events, oldest first
    assert asked(data, source, 0, 4, "own.item.1e") == pytest.approx(np.array([age[0] + age[2], age[1], age[3], 0]) / age.sum())
    days = np.exp2([-4, -3, -1, -0.75])
    assert asked(data, source, 0, 4, "own.item.1d") == pytest.approx(np.array([days[0] + days[2], days[1], days[3], 0]) / days.sum())
    near = days * np.exp(-0.5 * (np.array([0, 0, 0, 6]) / 2) ** 2)  # asked at midnight; the last was at six in the morning
    assert asked(data, source, 0, 4, "own.item.hour2") == pytest.approx(np.array([near[0] + near[2], near[1], near[3], 0]) / near.sum())
    # Asked after item 2; nothing ever followed it.
    assert asked(data, source, 0, 4, "own.item.after") == [0, 0, 0, 0]
    # Twice, three days apart, one day ago: two days less than usual.
    assert asked(data, source, 0, 4, "own.item.due")[0] == pytest.approx(np.log1p(1) - np.log1p(3))
    assert asked(data, source, 1, 4, "own.item.all") == [0, 0, 0, 0]
    assert np.isnan(asked(data, source, 1, 4, "own.days_since")).all()


def test_kilometres_between_cities() -> None:
    """Paris, London and New York; a place that is nowhere takes part in nothing."""
    where: dict[str, list[Any]] = {"lat": [48.8566, 51.5074, 40.7128, None], "lon": [2.3522, -0.1278, -74.0060, None]}
    data = made([(0, 0, 0), (0, 3, 1), (0, 1, 2), (1, 3, 0)], columns=where, types={"lat": "latitude", "lon": "longitude"})
    source = NearbySpec(reach_km=400).fit(data)
    last = np.expm1(asked(data, source, 0, 3, "km.last"))
    assert last[:3] == pytest.approx([343.6, 0, 5570.2], abs=1) and np.isnan(last[3])
    assert np.isnan(asked(data, source, 0, 3, "km.previous")).all()  # it was nowhere
    assert np.expm1(asked(data, source, 0, 3, "km.nearest"))[:3] == pytest.approx([0, 0, 5570.2], abs=1)
    assert np.expm1(asked(data, source, 0, 3, "km.usual"))[2] == pytest.approx((5570.2 + 5837.2) / 2, abs=60)  # the median of logs of km
    assert asked(data, source, 0, 3, "km.neighbourhood")[:3] == [1, 1, 0] and np.isnan(asked(data, source, 0, 3, "km.neighbourhood")[3])
    assert np.isnan(asked(data, source, 1, 3, "km.nearest")).all()


def test_prices_stand_among_the_others() -> None:
    """Equal prices stand together, and no price stands nowhere."""
    data = made([(0, 0, 0), (0, 2, 1)], columns={"price": [1.0, 3.0, 3.0, None, 7.0]}, types={"price": "price"})
    source = source_of("attributes").fit(data)
    assert asked(data, source, 0, 5, "price.price.position") == pytest.approx([0, 0.5, 0.5, np.nan, 1], nan_ok=True)
    usual = (np.log1p(1) + np.log1p(3)) / 2
    expected = [*(np.log1p([1, 3, 3]) - usual), np.nan, np.log1p(7) - usual]
    assert asked(data, source, 0, 5, "price.price.usual") == pytest.approx(expected, nan_ok=True)
    assert np.isnan(asked(data, source, 1, 5, "price.price.usual")).all()
    assert asked(data, source, 0, 1, "item.days_since_first") == pytest.approx([np.log1p(1), 0, 0, 0, 0])


def test_words_are_compared_without_the_candidate_itself() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [0, 0]], np.float32)
    data = made([(0, 0, 0), (0, 1, 1), (0, 3, 2), *((1, 1, d) for d in range(30)), (2, 3, 0)])
    data = data.with_catalog(data.catalog.with_vectors("text", Vectors(vectors, "made")))
    source = InterestSpec().fit(data)
    mean = np.array([1.8, 0.6]) / np.hypot(1.8, 0.6)
    assert asked(data, source, 0, 9, "text.mean") == pytest.approx([0.8, 0.8, mean[1], np.nan], nan_ok=True, abs=1e-5)
    assert asked(data, source, 0, 9, "text.nearest") == pytest.approx([0.8, 0.8, 0.6, np.nan], nan_ok=True)
    assert np.isnan(asked(data, source, 0, 9, "text.last")).all()  # the last one has no words
    # He chose nothing but this: nothing is left to compare with.
    assert np.isnan([asked(data, source, 1, 40, name)[1] for name in ("text.mean", "text.recent", "text.last", "text.nearest")]).all()
    assert np.isnan(asked(data, source, 2, 9, "text.nearest")).all()


def test_words_asked_for_are_heard_and_no_words_are_a_gap() -> None:
    data = rich_world()
    source = InterestSpec().fit(data)
    requests, slates = every_pair(data)
    words = data.catalog.vectors["text"]
    query = np.zeros((len(requests), words.dim), np.float32)
    query[0] = words.matrix[3]
    found = source.features(replace(requests, query_vectors=query), slates)[:, source.names.index("text.query")]
    told = np.flatnonzero(words.present)
    assert found[told] == pytest.approx(words.matrix[told] @ words.matrix[3], abs=1e-6)
    assert np.isnan(found[data.n_items :]).all()


@pytest.mark.parametrize("user", [0, 7])
def test_companions_are_those_of_data_without_the_asker(user: int) -> None:
    """For what he has himself every figure is that of a log in which he never was."""
    data = rich_world("none")
    source = CompanionsSpec().fit(data)
    requests, slates = every_pair(data)
    mine, items = requests.take(np.array([user])), slates.take(np.array([user]))
    past = mine.history.item_ix[mine.history.weight > 0]
    without = CompanionsSpec().fit(data.take(data.events.user_ix != user))
    alone = np.stack([without.features(_less(mine, item), _one(item))[0] for item in np.unique(past)])
    got = source.features(mine, items)[np.isin(items.item_ix, past)]
    assert got == pytest.approx(alone, rel=1e-4, abs=1e-5)


def _less(requests: Requests, item: int) -> Requests:
    return replace(requests, history=requests.history.where(requests.history.item_ix != item))


def _one(item: int) -> Slates:
    return Slates(np.array([0, 1]), np.array([item], np.int32), np.zeros(1, np.float32))


def test_friends_by_hand() -> None:
    """u0 trusts u1 and u2, and himself, which does not count; an end without 'user:' that an item has is that item."""
    data = made([(1, 0, 0), (1, 0, 1), (2, 0, 4), (2, 1, 1)])
    ends = [
        ("user:u0", "user:u1"),
        ("user:u0", "user:u2"),
        ("user:u0", "user:u2"),
        ("i0", "user:u1"),
        ("user:u1", "user:nobody"),
        (None, "user:u1"),
        ("user:u0", "user:u0"),
    ]
    data = replace(data, relations=pl.DataFrame({"head": [h for h, _ in ends], "relation": "trusts", "tail": [t for _, t in ends]}))
    head, tail = friends_of(data)
    assert (head.tolist(), tail.tolist()) == ([0, 0], [1, 2])
    source = SocialSpec().fit(data)
    assert asked(data, source, 0, 3, "friends.n") == pytest.approx(np.log1p([2] * 4))
    assert asked(data, source, 0, 3, "friends.share") == pytest.approx([0.5, 0.5, 0, 0])
    assert asked(data, source, 0, 5, "friends.took") == pytest.approx(np.log1p([2, 1, 0, 0]))
    assert asked(data, source, 1, 5, "friends.share") == [0, 0, 0, 0]
    assert "social" in [spec.kind for spec in default_sources(data)]


def test_bare_ids_are_people_only_where_no_item_has_them() -> None:
    data = made([(0, 0, 0)])
    pairs = pl.DataFrame({"head": ["u0", "u0"], "relation": ["knows", "likes"], "tail": ["u2", "i1"]})
    assert [v.tolist() for v in friends_of(replace(data, relations=pairs))] == [[0], [2]]
    shared = replace(data, catalog=replace(data.catalog, items=Vocabulary(["u2", "i1", "i2", "i3"])), relations=pairs)
    assert [len(v) for v in friends_of(shared)] == [0, 0]
