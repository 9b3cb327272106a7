"""Every rule of [clean] does what it says, and every row it touches is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.errors import DataError
from zhiyin.data.build import build_with_report
from zhiyin.data.clean import LoadReport, bursts, few_events, robust_scale
from zhiyin.data.dataset import Dataset
from zhiyin.data.folder import load_with_report
from zhiyin.data.schema import Manifest
from zhiyin.data.tables import Tables

T0 = 1_700_000_000
COLUMNS = {"user_id": pl.String, "item_id": pl.String, "time": pl.Int64, "value": pl.Float64}


def cleaned(rows: list[tuple[Any, ...]], clean: dict[str, Any], **events: Any) -> tuple[Dataset, LoadReport]:
    table = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    m = Manifest.parse({"name": "test", "events": {"time": "time", "value": "value", **events}, "clean": clean})
    return build_with_report(Tables(m, table))


def test_dedupe_exact_and_same_time() -> None:
    rows = [("u", "a", T0, 1.0), ("u", "a", T0, 1.0), ("u", "a", T0, 2.0), ("u", "a", T0 + 1, 1.0)]
    data, report = cleaned(rows, {"dedupe": "exact"})
    assert data.events.value.tolist() == [1, 2, 1]
    assert report.rows("dropped") == 1
    data, report = cleaned(rows, {"dedupe": "same-time"})
    assert data.events.value.tolist() == [1, 1]
    assert report.rows("dropped") == 2
    assert report.quarantine.is_empty()  # doubles are sound rows


def test_missing_drop_fill_flag() -> None:
    rows = [("u", "a", T0, 1.0), (None, "b", T0, None), ("v", None, T0, 3.0), (" ", "d", T0, None)]
    data, report = cleaned(rows, {"missing": {"user_id": "drop", "item_id": "none", "value": 9}})
    assert data.users.ids.to_pylist() == ["u", "v"]
    assert data.catalog.items.ids.to_pylist() == ["a", "none"]
    assert data.events.value.tolist() == [1, 3]
    assert report.table().rows() == [
        ("events", "user_id", "dropped", "is empty", 2),
        ("events", "item_id", "filled", "was empty, is none", 1),
        ("events", "value", "filled", "was empty, is 9.0", 2),
    ]
    assert report.quarantine.rows() == [
        ("events.parquet", 2, "user_id", None, "is empty"),
        ("events.parquet", 4, "user_id", " ", "is empty"),
    ]
    data, report = cleaned([rows[0], ("u", "b", T0, None)], {"missing": {"value": "flag"}})
    assert data.events.context["value_missing"].to_list() == [False, True]
    assert report.lines() == ["events: 2 of 2 rows kept", "events 'value': 1 rows flagged: is empty"]


def test_outliers_clip_and_drop() -> None:
    rows = [("u", "a", T0, float(v)) for v in [1, 2, 3, 4, 5, 1000]]
    data, report = cleaned(rows, {"outlier": {"value": "clip"}, "outlier_z": 3})
    reach = 3 * 1.4826 * 1.5  # the median is 3.5, the median distance from it 1.5
    assert data.events.value.tolist() == pytest.approx([1, 2, 3, 4, 5, 3.5 + reach])
    assert report.rows("clipped") == 1
    data, report = cleaned(rows, {"outlier": {"value": "drop"}, "outlier_z": 3})
    assert data.events.value.tolist() == [1, 2, 3, 4, 5]
    assert report.quarantine["value"].to_list() == ["1000.0"]
    assert report.quarantine["reason"][0] == "lies outside -3.1717 .. 10.1717 (robust z above 3)"


def test_equal_numbers_have_no_outliers_and_rare_ones_do() -> None:
    assert robust_scale(np.full(5, 2.0)) == (2, 0)
    assert robust_scale(np.array([0.0, 0, 0, 0, 10])) == (0, pytest.approx(1.2533 * 2))
    data, _ = cleaned([("u", "a", T0, 2.0)] * 3, {"outlier": {"value": "drop"}})
    assert len(data.events) == 3


def test_bursts_leave() -> None:
    slow = [("u", f"i{n}", T0 + 60 * n, 1.0) for n in range(5)]
    bot = [("bot", f"i{n}", T0 + n, 1.0) for n in range(4)] + [("bot", "i9", T0 + 900, 1.0)]
    data, report = cleaned(slow + bot, {"burst_per_minute": 3})
    assert np.bincount(data.events.user_ix).tolist() == [5, 1]
    assert report.quarantine["row"].to_list() == [6, 7, 8, 9]
    assert report.quarantine["reason"][0] == "more than 3 events of one user in a minute"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 200)), max_size=40), st.integers(1, 4))
def test_bursts_by_definition(rows: list[tuple[int, int]], per_minute: int) -> None:
    user = np.array([r[0] for r in rows], np.int32)
    time = np.array([r[1] for r in rows], np.int64) * 1_000_000
    windows = [[j for j in range(len(rows)) if user[j] == user[i] and time[i] <= time[j] < time[i] + 60_000_000] for i in range(len(rows))]
    want = {j for window in windows if len(window) > per_minute for j in window}
    assert set(np.flatnonzero(bursts(user, time, per_minute)).tolist()) == want


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=40), st.integers(1, 3), st.integers(1, 3))
def test_enough_events_of_all_that_stay(rows: list[tuple[int, int, bool]], min_user: int, min_item: int) -> None:
    user, item = np.array([r[0] for r in rows], np.int32), np.array([r[1] for r in rows], np.int32)
    keep = np.array([r[2] for r in rows], np.bool_)
    left = keep & ~few_events(user, item, keep, min_user, min_item)
    assert all(np.bincount(user[left])[user[left]] >= min_user)
    assert all(np.bincount(item[left])[item[left]] >= min_item)
    # It is the largest such set: leaving rows one by one in any order ends at the same one.
    alive = set(np.flatnonzero(keep).tolist())
    while True:
        gone = [
            r for r in alive
            if sum(user[s] == user[r] for s in alive) < min_user or sum(item[s] == item[r] for s in alive) < min_item
        ]  # fmt: skip
        if not gone:
            break
        alive.discard(gone[0])
    assert set(np.flatnonzero(left).tolist()) == alive


def test_minimum_counts_are_reported() -> None:
    rows = [("u", "a", T0, 1.0), ("u", "b", T0, 1.0), ("v", "a", T0, 1.0), ("v", "b", T0, 1.0), ("w", "a", T0, 1.0)]
    data, report = cleaned(rows, {"min_user_events": 2, "min_item_events": 2})
    assert data.n_users == 2
    assert dict(report.kept) == {"events": 4}
    assert dict(report.read) == {"events": 5}


FOLDER = """
name = "bad rows"
time_zone = "Asia/Shanghai"
[events]
file = "events.csv"
time = "time"
value = "价格"
[clean.missing]
time = "drop"
"价格" = "drop"
"""


def test_quarantine_is_written_and_renewed(tmp_path: Path) -> None:
    (tmp_path / "zhiyin.toml").write_text(FOLDER, "utf-8")
    head = "user_id,item_id,time,价格\n"
    (tmp_path / "events.csv").write_text(f"{head}a,x,2024-01-01 08:00,5\nb,x,soon,5\nc,x,2024-01-01 08:00,五\nd,x,,5\n", "utf-8")
    data, report = load_with_report(tmp_path)
    assert data.users.ids.to_pylist() == ["a"]
    assert data.events.time_us.tolist() == [1_704_067_200_000_000]
    put_aside = pl.read_csv(tmp_path / "quarantine" / "events.csv.csv")
    assert put_aside.rows() == [
        ("events.csv", 2, "time", "soon", "is no time"),
        ("events.csv", 4, "time", None, "is empty"),
        ("events.csv", 3, "价格", "五", "is not a number"),
    ]
    assert report.rows("dropped") == 3
    (tmp_path / "events.csv").write_text(f"{head}a,x,2024-01-01 08:00,5\n", "utf-8")
    load_with_report(tmp_path)
    assert not list((tmp_path / "quarantine").iterdir())


def test_items_equal_in_every_column_are_kept_once() -> None:
    items = pl.DataFrame({"item_id": ["a", "b", "a"], "title": ["A", "B", "A"], "tags": [["x"], [], ["x"]]})
    values = {"name": "t", "events": {"time": "time"}, "items": {"title": "title", "columns": {"tags": "list"}}}
    events = pl.DataFrame({"user_id": ["u"], "item_id": ["b"], "time": [T0]})
    data, report = build_with_report(Tables(Manifest.parse({**values, "clean": {"dedupe": "exact"}}), events, items))
    assert data.catalog.items.ids.to_pylist() == ["a", "b"]
    assert report.rows("dropped", "items") == 1
    with pytest.raises(DataError, match=r"has 'a' twice in column 'item_id', in rows 1 and 3"):
        build_with_report(Tables(Manifest.parse(values), events, items))
