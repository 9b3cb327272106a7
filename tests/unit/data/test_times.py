"""Times in every way people write them come out as the same microseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.data.times import days, iso, time_reader

INSTANT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
US = 1_700_000_000_000_000
INSTANTS = st.datetimes(datetime(1975, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


def read(values: object, unit: str = "auto", zone: str = "UTC", dtype: object = None) -> list[int | None]:
    raw = values if isinstance(values, pl.Series) else pl.Series("time", values, dtype=dtype)  # type: ignore[arg-type]
    parsed = time_reader(unit, zone)(raw, "events column 'time'")  # type: ignore[arg-type]
    assert not parsed.problems
    return parsed.values.to_list()


@pytest.mark.parametrize(
    ("value", "unit", "zone"),
    [
        (1_700_000_000, "auto", "UTC"),
        (1_700_000_000_000, "auto", "UTC"),
        (1_700_000_000_000_000, "auto", "Asia/Shanghai"),
        (1_700_000_000.0, "auto", "UTC"),
        (1_700_000_000, "s", "UTC"),
        ("1700000000", "auto", "UTC"),
        ("2023-11-14T22:13:20Z", "auto", "Asia/Shanghai"),
        ("2023-11-14 22:13:20 UTC", "auto", "UTC"),
        ("2023-11-14T22:13:20.000+00:00", "iso", "UTC"),
        ("2023-11-14T23:13:20+0100", "iso", "UTC"),
        ("2023-11-14 22:13:20", "auto", "UTC"),
        ("2023-11-15 06:13:20", "auto", "Asia/Shanghai"),
        ("2023/11/15 06:13:20", "auto", "Asia/Shanghai"),
        ("2023年11月15日 06:13:20", "auto", "Asia/Shanghai"),
        ("14.11.2023 22:13:20", "auto", "UTC"),
        ("11/14/2023 22:13:20", "auto", "UTC"),
        ("14/11/2023 22:13:20", "auto", "UTC"),
        (datetime(2023, 11, 14, 22, 13, 20), "auto", "UTC"),
        (datetime(2023, 11, 14, 17, 13, 20), "auto", "America/New_York"),
        (INSTANT, "auto", "America/New_York"),
    ],
)
def test_one_instant(value: object, unit: str, zone: str) -> None:
    assert read([value, None], unit, zone) == [US, None]


@pytest.mark.parametrize("value", ["2023-11-14", "2023/11/14", 20231114, "20231114", datetime(2023, 11, 14).date()])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai"])
def test_dates_begin_at_local_midnight(value: object, zone: str) -> None:
    midnight = datetime(2023, 11, 14, tzinfo=ZoneInfo(zone))
    for unit in ("auto", "date"):
        assert read([value], unit, zone) == [round(midnight.timestamp() * 1e6)]


def test_clock_changes() -> None:
    skipped, ahead, twice = read(["2023-03-26 02:30", "2023-03-26 03:30", "2023-10-29 02:30"], "auto", "Europe/Berlin")
    assert skipped == ahead  # the clocks jump from 2 to 3
    assert twice == int(datetime(2023, 10, 29, 0, 30, tzinfo=UTC).timestamp() * 1e6)  # the first of the two


@settings(max_examples=60, deadline=None)
@given(st.lists(INSTANTS, min_size=1, max_size=20), st.sampled_from(["s", "ms", "us", "iso"]), st.booleans())
def test_units_agree(instants: list[datetime], unit: str, auto: bool) -> None:
    us = [(t - datetime(1970, 1, 1, tzinfo=UTC)) // (datetime(1970, 1, 1, 0, 0, 0, 1) - datetime(1970, 1, 1)) for t in instants]
    step = {"s": 1_000_000, "ms": 1_000, "us": 1, "iso": 1}[unit]
    written = [t.isoformat() for t in instants] if unit == "iso" else [u // step for u in us]
    assert read(written, "auto" if auto else unit) == [u // step * step for u in us]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.datetimes(datetime(1975, 1, 1), datetime(2037, 1, 1)), min_size=1, max_size=20),
    st.sampled_from(["Asia/Shanghai", "Europe/London", "America/New_York", "Australia/Lord_Howe"]),
)
def test_local_times_agree_with_the_standard_library(times: list[datetime], zone: str) -> None:
    there = [t.replace(tzinfo=ZoneInfo(zone), fold=0) for t in times]
    exists = [t.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == t.replace(tzinfo=None) for t in there]
    got = read([t.isoformat(sep=" ") for t in times], "iso", zone)
    want = [round((t.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6) for t in there]
    assert [g for g, e in zip(got, exists, strict=True) if e] == [w for w, e in zip(want, exists, strict=True) if e]


def test_mixed_units_name_each_odd_row() -> None:
    parsed = time_reader()(pl.Series([1_700_000_000, 1_700_000_000_000, None, 1_700_000_000, 5]), "p")
    assert [p.why.split(" where")[0] for p in parsed.problems] == ["looks like milliseconds", "is no time in seconds, as most rows are"]
    assert [np.flatnonzero(p.rows).tolist() for p in parsed.problems] == [[1], [4]]
    assert parsed.values.to_list() == [US, None, None, US, None]


def test_words_for_people() -> None:
    assert iso(US) == "2023-11-14 22:13 UTC"
    assert days(np.array([US, US + 36 * 3_600_000_000])) == 1.5
    assert days(np.array([], np.int64)) == 0
