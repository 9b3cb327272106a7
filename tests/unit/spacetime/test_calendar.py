"""Clock and calendar against the standard library, over zones and daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhiyin.base.errors import UnknownNameError
from zhiyin.spacetime.calendar import day_of_week, hour_of_day, hour_of_week, local_us, zone

INSTANTS = st.integers(0, 4_000_000_000)


@given(st.lists(INSTANTS, max_size=20), st.sampled_from(["UTC", "Europe/London", "Asia/Shanghai", "America/New_York", "Asia/Kathmandu"]))
def test_agrees_with_the_standard_library(seconds: list[int], name: str) -> None:
    times = np.array(seconds, np.int64) * 1_000_000
    local = [datetime.fromtimestamp(s, UTC).astimezone(ZoneInfo(name)) for s in seconds]
    assert hour_of_day(times, name).tolist() == [t.hour for t in local]
    assert day_of_week(times, name).tolist() == [t.weekday() for t in local]
    assert hour_of_week(times, name).tolist() == [t.weekday() * 24 + t.hour for t in local]


def test_daylight_saving_moves_the_wall_clock_by_an_hour() -> None:
    before, after = datetime(2011, 3, 27, 0, 30, tzinfo=UTC), datetime(2011, 3, 27, 1, 30, tzinfo=UTC)
    times = np.array([before.timestamp(), after.timestamp()]).astype(np.int64) * 1_000_000
    assert hour_of_day(times, "Europe/London").tolist() == [0, 2]
    assert np.diff(local_us(times, "Europe/London")).tolist() == [2 * 3_600_000_000]


def test_unknown_zone_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"no time zone is named 'Europe/Lodnon' \(E310\). Did you mean 'Europe/London'"):
        zone("Europe/Lodnon")
