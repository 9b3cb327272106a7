"""The nouns everything is said in: vocabularies, catalogue, events, histories, slates."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import ConfigError, DataError
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.events import Events
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.slates import Slates
from zhiyin.data.truth import Holdout, Truth
from zhiyin.data.vocab import Vocabulary
from zhiyin.testing.small import small_world

LISTS = st.lists(st.lists(st.integers(0, 50), max_size=7), min_size=1, max_size=6)


def test_numbers_of_ids_never_change() -> None:
    some = Vocabulary(["a", "b"])
    more = some.extended(["b", "c", "c", "a"])
    assert [more[i] for i in range(3)] == ["a", "b", "c"]
    assert more.ix_of(["c", "x", "a"]).tolist() == [2, -1, 0]
    assert (more.find("b"), more.find("x")) == (1, -1)
    assert more.names(np.array([2, 0])) == ["c", "a"]
    with pytest.raises(DataError, match="not distinct"):
        Vocabulary(["a", "a"])


def test_a_catalogue_grows_at_the_end_and_new_rows_have_no_vector() -> None:
    catalog = Catalog(Vocabulary(["a"]), pl.DataFrame({"item_id": ["a"], "title": ["Lamp"]}), "title")
    catalog = catalog.with_vectors("text", Vectors(np.ones((1, 2), np.float32), "x"))
    grown = catalog.with_rows(["b"], pl.DataFrame({"item_id": ["b"], "title": [None]}, schema={"item_id": pl.String, "title": pl.String}))
    assert grown.titles(np.array([0, 1])) == ["Lamp", "b"], "an item without title shows its id"
    assert grown.vectors["text"].present.tolist() == [True, False]
    assert len(catalog) == 1
    with pytest.raises(DataError, match="item 'a' is already in the catalogue"):
        grown.with_rows(["a"], pl.DataFrame({"item_id": ["a"]}))
    with pytest.raises(DataError, match="the same id twice"):
        grown.with_rows(["c", "c"], pl.DataFrame({"item_id": ["c", "c"]}))


def test_events_are_sorted_and_ties_keep_their_order() -> None:
    events = Events.of(np.array([0, 1, 2]), np.array([5, 6, 7]), np.array([9, 1, 9]), context=pl.DataFrame({"device": ["p", "q", "r"]}))
    assert events.item_ix.tolist() == [6, 5, 7]
    assert events.context["device"].to_list() == ["q", "p", "r"]
    with pytest.raises(DataError, match=r"'time' is not ascending at row 1 .*Sort by time first"):
        Events(**{f: getattr(events, f) for f in events.__slots__ if f != "time_us"}, time_us=np.array([2, 1, 3]))


def test_before_is_strictly_before() -> None:
    data = small_world("time")
    cut = int(data.events.time_us[100])
    past = data.before(cut)
    assert (past.events.time_us < cut).all()
    assert len(past.events) == int((data.events.time_us < cut).sum())
    with pytest.raises(ConfigError, match=r'order = "position": there is no time to cut at'):
        small_world("position").before(3)


def test_history_is_what_came_strictly_before_now() -> None:
    data = small_world("time")
    e = data.events
    at = int(e.time_us[300])
    users = np.array([0, -1, 3])
    found = data.history(users, np.full(3, at))
    for i, user in enumerate(users):
        expected = e.item_ix[(e.user_ix == user) & (e.time_us < at)]
        assert found.items[i].tolist() == expected.tolist()


@given(LISTS, st.integers(1, 5))
def test_histories_last_and_where(lists: list[list[int]], n: int) -> None:
    histories = Histories.of_items(Ragged.of(lists))
    newest = histories.last(n)
    assert [newest.items[i].tolist() for i in range(len(lists))] == [row[-n:] for row in lists]
    even = histories.where(histories.item_ix % 2 == 0)
    assert [even.items[i].tolist() for i in range(len(lists))] == [[v for v in row if v % 2 == 0] for row in lists]


@given(LISTS, st.data())
def test_requests_take_and_chunks(lists: list[list[int]], data: st.DataObject) -> None:
    n = len(lists)
    requests = Requests.of(
        Histories.of_items(Ragged.of(lists)),
        np.arange(n),
        np.arange(n) * 10,
        exclude=Ragged.of(lists),
        query=tuple(f"q{i}" for i in range(n)),
        context={"hour": np.arange(n)},
    )
    size = data.draw(st.integers(1, n))
    again = [int(u) for chunk in requests.chunks(size) for u in chunk.user_ix]
    assert again == list(range(n))
    rows = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=5)))
    part = requests.take(rows)
    assert part.now_us.tolist() == (rows * 10).tolist()
    assert part.query == tuple(f"q{i}" for i in rows)
    assert part.context["hour"].tolist() == rows.tolist()
    assert part.exclude is not None
    assert [part.exclude[i].tolist() for i in range(len(rows))] == [lists[r] for r in rows]


@given(LISTS, st.integers(0, 4))
def test_slates_top_and_reordered(lists: list[list[int]], n: int) -> None:
    ragged = Ragged.of([sorted(set(row)) for row in lists])
    score = np.linspace(1, 0, len(ragged.values), dtype=np.float32)
    slates = Slates(ragged.offsets, ragged.values, score).with_column("rank.x", np.arange(len(score)))
    assert [slates.top(n).items[i].tolist() for i in range(len(lists))] == [ragged[i][:n].tolist() for i in range(len(lists))]
    turned = slates.reordered(-score)
    assert [turned.items[i].tolist() for i in range(len(lists))] == [ragged[i][::-1].tolist() for i in range(len(lists))]
    both = Slates.concatenated([slates, turned])
    assert len(both) == 2 * len(lists)
    assert both.columns["rank.x"].tolist() == [*slates.columns["rank.x"].tolist(), *turned.columns["rank.x"].tolist()]


@given(st.lists(st.lists(st.integers(-9, 9), max_size=6), max_size=5))
def test_slates_standardise_each_list_for_itself(lists: list[list[int]]) -> None:
    items = Ragged.of([range(len(row)) for row in lists])
    values = np.array([v for row in lists for v in row], np.float32)
    found = Slates(items.offsets, items.values, values).standardised(values)
    expected = [(v - np.mean(row)) / np.std(row) if np.std(row) else 0.0 for row in lists for v in row]
    np.testing.assert_allclose(found, np.array(expected), atol=1e-6)


@given(st.integers(0, 12), st.integers(0, 15), st.integers(0, 5))
def test_a_sample_of_a_holdout_keeps_order_and_answers(size: int, n: int, seed: int) -> None:
    answers = Ragged.of([[i, i + 1] for i in range(size)])
    holdout = Holdout(Requests.of(Histories.of_items(answers), np.arange(size)), Truth(answers))
    some = holdout.sample(n, seed)
    users = some.requests.user_ix
    assert len(some) == min(n, size) and (np.diff(users) > 0).all()
    assert [some.truth.items[i].tolist() for i in range(len(some))] == [[u, u + 1] for u in users]
    assert np.array_equal(users, holdout.sample(n, seed).requests.user_ix)
