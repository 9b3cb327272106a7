"""Random tables written and read again give the same Dataset, with the ids and the order they came in."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from zhiyin.data.build import build
from zhiyin.data.dataset import Dataset
from zhiyin.data.folder import load, read_folder
from zhiyin.data.schema import EventsTable, ItemsTable, Manifest
from zhiyin.data.tables import Tables, write

IDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=8).filter(
    lambda s: s.strip() != ""
)
ROWS = st.lists(
    st.tuples(
        IDS,
        IDS,
        st.integers(1_000_000_000, 1_600_000_000),
        st.sampled_from(["view", "购买"]),
        st.one_of(st.none(), st.floats(-1e6, 1e6, width=32)),
        st.one_of(st.none(), IDS),
        st.one_of(st.none(), st.sampled_from(["sun", "rain"])),
    ),
    min_size=1,
    max_size=30,
)
SCHEMA = {
    "user_id": pl.String, "item_id": pl.String, "time": pl.Int64, "kind": pl.String,
    "value": pl.Float32, "place": pl.String, "weather": pl.String,
}  # fmt: skip


TEXT = ("item_id", "title")


def tables_of(rows: list[tuple[object, ...]], item_ids: list[str], name: str) -> Tables:
    manifest = Manifest(
        name=name,
        events=EventsTable(time="time", time_unit="s", kind="kind", value="value", place="place", context=("weather",)),
        items=ItemsTable(title="title", columns={"title": "text"}),
        weights={"view": 1.0, "购买": 3.0},
    )
    items = pl.DataFrame(
        {"item_id": item_ids, "title": [f"title of {i}" for i in item_ids]}, schema={"item_id": pl.String, "title": pl.String}
    )
    return Tables(manifest, pl.DataFrame(rows, schema=SCHEMA, orient="row"), items)


def assert_equal(a: Dataset, b: Dataset) -> None:
    assert a.users.ids.equals(b.users.ids)
    assert a.catalog.items.ids.equals(b.catalog.items.ids)
    assert a.places.ids.equals(b.places.ids)
    assert a.kinds == b.kinds
    assert_frame_equal(a.catalog.table, b.catalog.table)
    assert_frame_equal(a.events.context, b.events.context)
    for name in ("user_ix", "item_ix", "time_us", "kind_ix", "value", "weight", "place_ix"):
        np.testing.assert_array_equal(getattr(a.events, name), getattr(b.events, name), err_msg=name)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.lists(IDS, unique=True, max_size=5), IDS)
def test_write_then_load(rows: list[tuple[object, ...]], item_ids: list[str], name: str) -> None:
    tables = tables_of(rows, item_ids, name)
    with tempfile.TemporaryDirectory() as place:
        folder = write(tables, Path(place) / "folder")
        assert_equal(load(folder), build(tables))
        assert read_folder(folder).manifest == tables.manifest


@settings(max_examples=60, deadline=None)
@given(ROWS, st.lists(IDS, unique=True, max_size=5))
def test_rows_keep_their_ids_and_their_order(rows: list[tuple[object, ...]], item_ids: list[str]) -> None:
    data = build(tables_of(rows, item_ids, "x"))
    want = sorted(rows, key=lambda row: row[2])  # type: ignore[arg-type, return-value]
    assert data.users.names(data.events.user_ix) == [row[0] for row in want]
    assert data.catalog.items.names(data.events.item_ix) == [row[1] for row in want]
    assert data.events.time_us.tolist() == [row[2] * 1_000_000 for row in want]  # type: ignore[operator]
    assert [data.kinds[k] for k in data.events.kind_ix] == [row[3] for row in want]
    assert [None if p < 0 else data.places[p] for p in data.events.place_ix] == [row[5] for row in want]
    assert data.events.context["weather"].to_list() == [row[6] for row in want]
    assert data.catalog.items.ids.to_pylist()[: len(item_ids)] == item_ids


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_csv_says_the_same_as_parquet(rows: list[tuple[object, ...]]) -> None:
    tables = tables_of(rows, [], "x")
    with tempfile.TemporaryDirectory() as place:
        folder = write(tables, place)
        whole = load(folder)
        tables.events.write_csv(folder / "events.csv")
        text = (folder / "zhiyin.toml").read_text("utf-8").replace("events.parquet", "events.csv")
        (folder / "zhiyin.toml").write_text(text, "utf-8")
        assert_equal(load(folder), whole)
