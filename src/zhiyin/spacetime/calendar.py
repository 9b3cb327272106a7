"""When: hour of day, day of week, in local time. (Seconds of daylight saving come from the zone.)"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from zhiyin.base.arrays import Int32, Int64
from zhiyin.base.errors import UnknownNameError, nearest
from zhiyin.base.units import US_PER_DAY, US_PER_HOUR, US_PER_S

HOURS_PER_WEEK = 168


def zone(name: str) -> ZoneInfo:
    """A time zone by IANA name; a clear error with the nearest name otherwise."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError):
        from zoneinfo import available_timezones

        raise UnknownNameError(f"no time zone is named '{name}'", nearest(name, available_timezones())) from None


def local_us(time_us: Int64, zone_name: str = "UTC") -> Int64:
    """Wall-clock microseconds of instants: (n,). The offset is looked up once per distinct hour."""
    if zone_name == "UTC" or not len(time_us):
        return time_us
    tz = zone(zone_name)
    hours, back = np.unique(time_us // US_PER_HOUR, return_inverse=True)
    offsets = [datetime.fromtimestamp(int(h) * 3600, UTC).astimezone(tz).utcoffset() for h in hours]
    shift = np.array([int(o.total_seconds()) * US_PER_S if o else 0 for o in offsets], np.int64)
    return np.asarray(time_us + shift[back], dtype=np.int64)


def hour_of_day(time_us: Int64, zone_name: str = "UTC") -> Int32:
    """0..23: (n,)."""
    return ((local_us(time_us, zone_name) % US_PER_DAY) // US_PER_HOUR).astype(np.int32)


def day_of_week(time_us: Int64, zone_name: str = "UTC") -> Int32:
    """0 = Monday .. 6 = Sunday: (n,). Day 0 of 1970 was a Thursday."""
    return ((local_us(time_us, zone_name) // US_PER_DAY + 3) % 7).astype(np.int32)


def hour_of_week(time_us: Int64, zone_name: str = "UTC") -> Int32:
    """0 = Monday 00:00 .. 167 = Sunday 23:00: (n,)."""
    return (day_of_week(time_us, zone_name) * 24 + hour_of_day(time_us, zone_name)).astype(np.int32)
