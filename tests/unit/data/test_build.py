"""What the manifest says of tables is what the Dataset holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from zhiyin.base.errors import ConfigError, DataError, MissingDataError
from zhiyin.data.build import build, build_with_report
from zhiyin.data.dataset import Dataset
from zhiyin.data.folder import load, read_folder, read_manifest
from zhiyin.data.schema import Manifest
from zhiyin.data.split import by_column, default_split, split_by
from zhiyin.data.tables import Tables, manifest_toml, write

T0 = 1_700_000_000


def manifest(**values: Any) -> Manifest:
    values.setdefault("events", {"time": "time"})
    return Manifest.parse({"name": "test", **values})


def events(*rows: tuple[Any, ...], columns: tuple[str, ...] = ("user_id", "item_id", "time")) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=list(columns), orient="row")


def names(data: Dataset) -> list[tuple[str, str]]:
    return list(zip(data.users.names(data.events.user_ix), data.catalog.items.names(data.events.item_ix), strict=True))


def test_ids_are_text_and_time_sorts() -> None:
    data = build(Tables(manifest(), events((7, 30, T0 + 2), (5, 31, T0), (7, 31, T0 + 1))))
    assert names(data) == [("5", "31"), ("7", "31"), ("7", "30")]
    assert data.users.ids.to_pylist() == ["7", "5"]
    assert data.events.time_us.tolist() == [T0 * 10**6, (T0 + 1) * 10**6, (T0 + 2) * 10**6]
    assert data.events.weight.tolist() == [1, 1, 1]
    assert data.kinds == ("event",)
    assert np.isnan(data.events.value).all()


def test_float_ids_are_the_whole_numbers_they_hold() -> None:
    table = pl.DataFrame({"user_id": [17850.0, 13047.0], "item_id": ["a", "b"], "time": [T0, T0]})
    assert build(Tables(manifest(), table)).users.ids.to_pylist() == ["17850", "13047"]


def test_catalogue_begins_with_the_items_table() -> None:
    items = pl.DataFrame(
        {"item_id": [1, 2], "title": ["one", None], "tags": ["a|b", None], "cost": ["1.5", ""], "made": ["2020-01-01", None]}
    )
    m = manifest(items={"title": "title", "columns": {"tags": "list", "cost": "price", "made": "time", "title": "text"}})
    data, report = build_with_report(Tables(m, events(("u", 9, T0), ("u", 2, T0 + 1)), items))
    assert data.catalog.items.ids.to_pylist() == ["1", "2", "9"]
    assert data.catalog.titles(np.arange(3)) == ["one", "2", "9"]
    assert data.catalog.table["tags"].to_list() == [["a", "b"], None, None]
    assert data.catalog.table["cost"].to_list() == [1.5, None, None]
    assert data.catalog.table["made"].dtype == pl.Datetime("us", "UTC")
    assert report.table().rows() == [("events", "item_id", "noted", "items that the items table does not know", 1)]
    assert data.catalog.available is None


def test_kinds_carry_weights_in_the_order_of_the_manifest() -> None:
    table = events(("u", "a", T0, "buy"), ("u", "b", T0, "view"), ("u", "c", T0, "skip"), columns=("user_id", "item_id", "time", "what"))
    data = build(Tables(manifest(events={"time": "time", "kind": "what"}, weights={"view": 1, "buy": 4, "skip": 0, "never": 2}), table))
    assert data.kinds == ("view", "buy", "skip")
    assert data.events.weight.tolist() == [4, 1, 0]
    assert len(data.positive.events) == 2
    free = build(Tables(manifest(events={"time": "time", "kind": "what"}), table))
    assert free.kinds == ("buy", "view", "skip")
    assert free.events.weight.tolist() == [1, 1, 1]


def test_rating_threshold() -> None:
    table = events(("u", "a", T0, 4.0), ("u", "b", T0, 3.0), ("u", "c", T0, None), columns=("user_id", "item_id", "time", "rating"))
    data = build(Tables(manifest(events={"time": "time", "value": "rating"}, positive_from=4), table))
    assert data.events.weight.tolist() == [1, 0, 0]
    assert data.events.value.tolist()[:2] == [4, 3]


def test_places_context_and_the_named_columns() -> None:
    columns = ("user_id", "item_id", "time", "shop", "weather", "degrees", "part", "where", "trace_id")
    table = events(
        ("u", "a", T0, 5, "sun", 20, "train", "home", "t1"),
        ("u", "b", T0 + 1, None, None, None, "test", "cart", None),
        columns=columns,
    )
    e = {"time": "time", "place": "shop", "split": "part", "placement": "where", "trace": "trace_id", "context": ["weather", "degrees"]}
    data = build(Tables(manifest(events=e), table))
    assert data.places.ids.to_pylist() == ["5"]
    assert data.events.place_ix.tolist() == [0, -1]
    assert data.events.context.to_dict(as_series=False) == {
        "weather": ["sun", None],
        "degrees": [20, None],
        "placement": ["home", "cart"],
        "trace": ["t1", None],
        "split": ["train", "test"],
    }


def test_sessions_stand_for_people_nobody_named() -> None:
    table = events(
        ("u", "s1", "a", T0), (None, "s2", "b", T0 + 1), (None, "s2", "c", T0 + 2), columns=("user_id", "sid", "item_id", "time")
    )
    m = manifest(events={"time": "time", "session": "sid"})
    data, report = build_with_report(Tables(m, table))
    assert data.users.ids.to_pylist() == ["u", "session:s2"]
    assert data.events.context["session"].to_list() == ["s1", "s2", "s2"]
    assert report.rows("noted") == 2
    anonymous = build(Tables(m, table.drop("user_id")))
    assert anonymous.users.ids.to_pylist() == ["session:s1", "session:s2"]


def test_position_orders_and_settles_ties() -> None:
    table = events(("u", "a", 2), ("v", "b", 1), ("u", "c", 1), columns=("user_id", "item_id", "pos"))
    data = build(Tables(manifest(order="position", events={"position": "pos"}), table))
    assert names(data) == [("v", "b"), ("u", "c"), ("u", "a")]
    assert data.events.time_us.tolist() == [1, 1, 2]
    tied = table.with_columns(time=pl.lit(T0))
    assert names(build(Tables(manifest(events={"time": "time", "position": "pos"}), tied))) == [("v", "b"), ("u", "c"), ("u", "a")]
    none = build(Tables(manifest(order="none", events={}), table))
    assert none.events.time_us.tolist() == [0, 0, 0]
    assert names(none) == [("u", "a"), ("v", "b"), ("u", "c")]


def test_variants_collapse_into_their_parent() -> None:
    items = pl.DataFrame(
        {"item_id": ["p", "p-red", "q-s", "q-m", "solo"], "parent_id": [None, "p", "q", "q", None], "title": ["P", "red", "S", "M", "solo"]}
    )
    m = manifest(items={"title": "title", "parent": "parent_id"}, collapse_variants=True)
    data, report = build_with_report(Tables(m, events(("u", "p-red", T0), ("u", "q-m", T0), ("u", "solo", T0), ("u", "new", T0)), items))
    assert data.catalog.items.ids.to_pylist() == ["p", "q", "solo", "new"]
    assert data.catalog.titles(np.arange(4)) == ["P", "S", "solo", "new"]
    assert data.events.item_ix.tolist() == [0, 1, 2, 3]
    assert report.rows("merged", "items") == 2
    apart = build(Tables(manifest(items={"parent": "parent_id"}), events(("u", "p-red", T0)), items))
    assert len(apart.catalog) == 5


def test_available_as_of_the_newest_event() -> None:
    items = pl.DataFrame(
        {
            "item_id": ["off", "on", "later", "gone", "open"],
            "live": ["no", "yes", None, "1", "true"],
            "from": [None, None, T0 + 10, None, T0 - 9],
            "to": [None, T0 + 10, None, T0 + 1, None],
        }
    )
    m = manifest(items={"available": "live", "publish": "from", "expire": "to"})
    data = build(Tables(m, events(("u", "on", T0), ("u", "x", T0 + 1)), items))
    assert data.catalog.available is not None
    assert dict(zip(data.catalog.items.ids.to_pylist(), data.catalog.available.tolist(), strict=True)) == {
        "off": False, "on": True, "later": False, "gone": False, "open": True, "x": True,
    }  # fmt: skip


def test_users_and_relations() -> None:
    users = pl.DataFrame({"uid": [2, 3], "age": [30, None], "city": ["Bonn", None]})
    relations = pl.DataFrame({"h": ["a", "z"], "r": ["made by", "in"], "t": ["firm", "firm"]})
    m = manifest(
        users={"id": "uid", "columns": {"age": "number", "city": "category"}}, relations={"head": "h", "relation": "r", "tail": "t"}
    )
    data, report = build_with_report(Tables(m, events((3, "a", T0), (4, "a", T0)), users=users, relations=relations))
    assert data.users.ids.to_pylist() == ["2", "3", "4"]
    assert data.users_table.to_dict(as_series=False) == {"uid": ["2", "3", "4"], "age": [30, None, None], "city": ["Bonn", None, None]}
    assert data.relations.columns == ["head", "relation", "tail"]
    assert report.rows("noted", "relations") == 1


def test_tables_and_manifest_must_agree() -> None:
    table, items = events(("u", "a", T0)), pl.DataFrame({"item_id": ["a"]})
    with pytest.raises(MissingDataError, match=r"the manifest has \[items\], but no items table was given"):
        build(Tables(manifest(items={}), table))
    with pytest.raises(ConfigError, match=r"items table was given, but the manifest has no \[items\]"):
        build(Tables(manifest(), table, items))


def test_future_depends_on_the_clock_given() -> None:
    table = events(("u", "a", 2_500_000_000))
    assert len(build(Tables(manifest(), table), now_us=2_500_000_000_000_000).events) == 1
    with pytest.raises(DataError, match="lies in the future"):
        build(Tables(manifest(), table), now_us=T0 * 10**6)


def test_write_and_read_again(tmp_path: Path) -> None:
    m = manifest(
        events={"file": "logs/old.csv", "time": "time", "kind": "what it is"},
        weights={"看": 1, 'say "hi"': 2, "tab\there": 0.5},
        items={"columns": {"中文": "text"}},
        repeat={"policy": "after", "days": 30},
        clean={"missing": {"中文": "flag"}},
    )
    table = events(("u", "a", T0, "看"), ("u", "b", T0, "tab\there"), columns=("user_id", "item_id", "time", "what it is"))
    items = pl.DataFrame({"item_id": ["a"], "中文": ["字"]})
    folder = write(Tables(m, table, items, extra={"reviews": table}), tmp_path / "new")
    assert sorted(p.name for p in folder.iterdir()) == ["events.parquet", "items.parquet", "reviews.parquet", "zhiyin.toml"]
    again = read_folder(folder)
    assert again.manifest.weights == m.weights
    assert again.manifest == m.model_copy(update={"events": m.events.model_copy(update={"file": "events.parquet"})})
    assert again.events.equals(table)
    assert read_manifest(folder / "zhiyin.toml") == again.manifest
    assert names(load(folder)) == names(build(Tables(m, table, items)))
    assert manifest_toml(again.manifest) == (folder / "zhiyin.toml").read_text("utf-8")


PARTS = [
    ("u", "a", 1, "train"),
    ("v", "a", 1, "Training"),
    ("u", "b", 2, "valid"),
    ("u", "c", 3, "test"),
    ("v", "b", 4, "test"),
    ("v", "c", 5, "unused"),
]


def test_published_split_by_column() -> None:
    table = events(*PARTS, columns=("user_id", "item_id", "pos", "part"))
    data = build(Tables(manifest(order="position", events={"position": "pos", "split": "part"}), table))
    split = by_column(data)
    assert len(split.train.events) == 2
    assert len(split.before_test.events) == 3
    assert [r.tolist() for r in (split.test.truth.items[0], split.test.truth.items[1])] == [[2], [1]]
    assert split.test.requests.history.lengths.tolist() == [2, 1]
    assert split.note == "published split by column; repeat never; 2 requests; 1 events in no part"
    assert "split" not in split.test.requests.context
    assert default_split(data).note == split_by("column", data).note == split.note


def test_split_column_must_mark_all_parts() -> None:
    table = events(*PARTS[:3], columns=("user_id", "item_id", "pos", "part"))
    m = manifest(order="position", events={"position": "pos", "split": "part"})
    with pytest.raises(DataError, match=r"marks no event as test: it holds 'train', 'training', 'valid'"):
        by_column(build(Tables(m, table)))
    with pytest.raises(ConfigError, match="has no column that splits its events"):
        by_column(build(Tables(manifest(order="position", events={"position": "pos"}), table)))
