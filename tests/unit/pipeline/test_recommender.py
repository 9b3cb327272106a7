"""What a recommender says to whom, and that a saved one says the same."""

from __future__ import annotations

import html
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import ConfigError, DataError, ModelFileError, UnknownNameError
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.build import build
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run, silent
from zhiyin.data.schema import Manifest, Repeat
from zhiyin.data.tables import Tables
from zhiyin.models.retrieve.popular import PopularSpec
from zhiyin.models.retrieve.transitions import TransitionsSpec
from zhiyin.pipeline.merge import joined
from zhiyin.pipeline.recommender import Recommender
from zhiyin.store.bundle import Bundle, read_bundle, write_bundle
from zhiyin.testing.small import small_world

DAY0 = datetime(2024, 5, 1, tzinfo=UTC)
US0 = int(DAY0.timestamp() * 1e6)


def shop() -> Dataset:
    """Everybody takes a, then b, then c ...; user u9 only ever took "lonely"; nobody took "dusty"."""
    people = [(f"u{u}", item, US0 + (10 * u + step) * US_PER_DAY) for u in range(5) for step, item in enumerate("abcdef"[: 2 + u])]
    people.append(("u9", "lonely", US0))
    events = pl.DataFrame(people, schema=["user_id", "item_id", "time"], orient="row")
    items = pl.DataFrame({"item_id": [*"abcdef", "lonely", "dusty"], "name": [f"Item <{i}>" for i in [*"abcdef", "lonely", "dusty"]]})
    manifest = Manifest.parse(
        {"name": "shop", "order": "time", "events": {"time": "time", "time_unit": "us"}, "items": {"title": "name"}}, "the test"
    )
    return build(Tables(manifest, events, items))


@pytest.fixture(scope="module")
def wise() -> Recommender:
    """Transitions over the shop, whose titles nobody has read."""
    data = shop()
    return Recommender(TransitionsSpec().fit(data, Run()), PopularSpec().fit(data, Run()), data)


def test_a_known_user_gets_what_comes_next_and_nothing_again(wise: Recommender) -> None:
    answer = wise.recommend("u1", n=3)
    assert answer.ids[0] == "d"
    assert not set(answer.ids) & {"a", "b", "c"}
    assert answer.served_by == "transitions"
    assert answer.repeat == "never"
    assert answer[0].title == "Item <d>"


def test_short_lists_are_filled_up_and_scores_still_descend(wise: Recommender) -> None:
    """Nothing ever followed or came before "lonely": transitions cannot reach it, popularity can."""
    answer = wise.recommend("u1", n=6)
    assert answer.served_by == "transitions, then popular" and answer.ids[-1] == "lonely"
    scores = [item.score for item in answer]
    assert scores == sorted(scores, reverse=True)


def test_a_history_stands_in_for_the_user(wise: Recommender) -> None:
    assert wise.recommend(history=["b"], n=1).ids == ["c"]
    assert wise.recommend("u4", history=["b"], n=1).ids == ["c"]
    assert wise.recommend("nobody", history=["b"], n=1).ids == ["c"]


def test_strangers_get_what_is_popular_and_are_told(wise: Recommender) -> None:
    answer = wise.recommend("nobody", n=2)
    assert answer.ids == ["a", "b"]
    assert answer.served_by == "popular"
    assert answer.notes == ("user 'nobody' is unknown",)
    assert wise.recommend(n=2).ids == ["a", "b"]


def test_unknown_items_are_left_out_and_named(wise: Recommender) -> None:
    answer = wise.recommend(history=["nope", "b", "neither"], n=1, exclude=["what"])
    assert answer.ids == ["c"]
    assert answer.notes == ("history item 'nope' and 1 more unknown, left out", "excluded item 'what' unknown, left out")


def test_excluded_items_do_not_come_back(wise: Recommender) -> None:
    assert "d" not in wise.recommend("u1", n=8, exclude=["d"]).ids
    again = wise.recommend("u1", n=8, exclude=["d"], repeat=Repeat(policy="allow")).ids
    assert "d" not in again and "a" in again


def test_now_hides_what_came_later(wise: Recommender) -> None:
    """u4 took a .. f on days 40 .. 45: asked at day 42, only a and b have happened."""
    for now in (US0 + 42 * US_PER_DAY, datetime(2024, 6, 12, tzinfo=UTC), datetime(2024, 6, 12)):
        assert wise.recommend("u4", n=1, now=now).ids == ["c"]
    early = wise.recommend("u4", n=1, now=DAY0)
    assert early.served_by == "popular"
    assert early.notes == ("user 'u4' did nothing before this time",)


def test_repeat_after_days_lets_old_items_return(wise: Recommender) -> None:
    after = Repeat(policy="after", days=4.5)
    ids = wise.recommend("u4", n=8, now=US0 + 46 * US_PER_DAY, repeat=after).ids
    assert {"a", "b"} <= set(ids)
    assert not {"c", "d", "e", "f"} & set(ids)


def test_many_users_at_once_equal_one_by_one(wise: Recommender) -> None:
    users = ["u3", "u0", "u9"]
    table = wise.recommend_users(users, n=4)
    for user in users:
        assert table.filter(pl.col("user_id") == user)["item_id"].to_list() == wise.recommend(user, n=4).ids
    assert table["rank"].to_list() == [1, 2, 1, 2, 3, 4, 1, 2, 3, 4]  # u3 has left only two that anybody took
    with pytest.raises(UnknownNameError, match="no user has the id 'u77'"):
        wise.recommend_users(["u1", "u77"])


def test_similar_by_behaviour(wise: Recommender) -> None:
    answer = wise.similar("b", 2)
    assert answer.ids[0] == "c"
    assert "b" not in wise.similar("b", 8).ids
    with pytest.raises(UnknownNameError, match=r"no item has the id 'lonly'.*Did you mean 'lonely'"):
        wise.similar("lonly")
    with pytest.raises(ConfigError, match=r"item 'b' has no text to compare"):
        wise.similar("b", by="text")


def test_questions_that_make_no_sense(wise: Recommender) -> None:
    with pytest.raises(ConfigError, match="n = 0 items cannot be recommended"):
        wise.recommend("u1", n=0)
    with pytest.raises(ConfigError, match="these items have no text, so a text cannot find them"):
        wise.recommend(text="red shoes")


def test_saved_and_loaded_answers_alike(wise: Recommender, tmp_path: Path) -> None:
    back = Recommender.load(wise.save(tmp_path / "model"))
    for user in ("u0", "u4", "u9", "nobody"):
        assert back.recommend(user, n=5) == wise.recommend(user, n=5)
    assert back.similar("c") == wise.similar("c")
    assert repr(back) == repr(wise) == "Recommender(transitions: 8 items, 6 users, 21 events)"


def test_a_saved_recommender_keeps_what_training_reads(tmp_path: Path) -> None:
    data = small_world("time")
    n = len(data.events)
    weather = pl.DataFrame({"weather": ["sun", "rain", None] * (n // 3) + ["sun"] * (n % 3)})
    events = replace(data.events, value=np.arange(n, dtype=np.float32), context=weather)
    relations = pl.DataFrame({"head": ["user:u1"], "relation": ["friend"], "tail": ["user:u2"]})
    data = replace(data, events=events, relations=relations)
    popular = PopularSpec().fit(data, Run(report=silent))
    back = Recommender.load(Recommender(popular, popular, data).save(tmp_path / "model")).data
    assert back.events.value.tolist() == events.value.tolist()
    assert back.events.context.equals(weather)
    assert back.relations.equals(relations)
    assert back.users_table.equals(data.users_table)


def test_what_is_the_same_in_every_event_is_saved_once(wise: Recommender, tmp_path: Path) -> None:
    data = wise.data
    arrays = read_bundle(wise.save(tmp_path / "model")).arrays
    folded = {name for name, array in arrays.items() if name.startswith(("events.", "past.")) and len(array) == 1}
    same = ("kind_ix", "weight", "place_ix")
    assert folded == {"events.value", *(f"events.{name}" for name in same), *(f"past.{name}" for name in same)}
    back = Recommender.load(tmp_path / "model").data
    for name in ("user_ix", "item_ix", "time_us", "kind_ix", "value", "weight", "place_ix"):
        np.testing.assert_array_equal(getattr(back.events, name), getattr(data.events, name), strict=True)
    for name in ("offsets", "item_ix", "kind_ix", "time_us", "place_ix", "weight"):
        np.testing.assert_array_equal(getattr(back.past, name), getattr(data.past, name), strict=True)
    again = Recommender.load(replace(wise, data=back).save(tmp_path / "again"))
    assert again.recommend("u1") == wise.recommend("u1")
    for n in (0, 1):  # one event is the same everywhere, too
        few = Recommender.load(replace(wise, data=data.take(slice(0, n))).save(tmp_path / "few"))
        assert len(few.data.events) == n == len(few.data.past.item_ix)


def test_a_recommender_of_version_2_answers_as_before(wise: Recommender, tmp_path: Path) -> None:
    now = read_bundle(wise.save(tmp_path / "model"))
    n = len(wise.data.events)
    arrays = {name: array for name, array in now.arrays.items() if not name.startswith(("ids.", "search."))}
    for name, array in arrays.items():
        if name.startswith(("events.", "past.")) and len(array) == 1:
            arrays[name] = np.repeat(array, n)
    ids = {"item": wise.catalog.items, "user": wise.data.users, "place": wise.data.places}
    tables = {f"{whose}_ids": pl.DataFrame({"id": pl.Series(known.every(), dtype=pl.String)}) for whose, known in ids.items()}
    meta = {name: value for name, value in now.meta.items() if name != "search"} | {"version": 2}
    write_bundle(tmp_path / "older", Bundle(meta, arrays, {**now.tables, **tables}))
    older = Recommender.load(tmp_path / "older")
    assert older.search is None
    assert [older.recommend(user) for user in ("u0", "u9", "x")] == [wise.recommend(user) for user in ("u0", "u9", "x")]


def test_a_bundle_of_something_else_is_no_recommender(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", Bundle({"kind": "index"}))
    with pytest.raises(ModelFileError, match="holds 'index', not a recommender"):
        Recommender.load(tmp_path / "x")
    write_bundle(tmp_path / "x", Bundle({"kind": "recommender", "version": 99}))
    with pytest.raises(ModelFileError, match="has version 99; this zhiyin reads up to 3"):
        Recommender.load(tmp_path / "x")


def test_new_items_grow_the_catalogue_and_leave_the_old_recommender(wise: Recommender) -> None:
    grown = wise.with_items([{"item_id": "g", "name": "Item g", "colour": "red"}])
    assert grown.catalog.titles(np.array([8])) == ["Item g"]
    assert len(wise.catalog) == 8
    assert grown.recommend("u1", n=3) == wise.recommend("u1", n=3)


def test_bad_new_items(wise: Recommender) -> None:
    with pytest.raises(DataError, match=r"has no column 'item_id'.*It has sku"):
        wise.with_items([{"sku": "g"}])
    with pytest.raises(DataError, match="column 'item_id' of the new items is empty in row 2"):
        wise.with_items([{"item_id": "g"}, {"item_id": None}])
    with pytest.raises(DataError, match="item 'a' is already in the catalogue"):
        wise.with_items(pl.DataFrame({"item_id": ["a"]}))


def test_the_notebook_shows_titles_escaped(wise: Recommender) -> None:
    answer = wise.recommend("u1<script>", history=["a", "b", "c"], n=2)
    shown = answer._repr_html_()
    assert html.escape("Item <d>") in shown and "<script>" not in shown
    assert "Item <d>" in str(answer)
    assert answer.to_dict()["items"][0]["rank"] == 1


def test_joined_keeps_list_order() -> None:
    both = joined(Ragged.of([[1, 2], [], [3]]), Ragged.of([[9], [8, 7], []]))
    assert [list(row) for row in (both[0], both[1], both[2])] == [[1, 2, 9], [8, 7], [3]]
