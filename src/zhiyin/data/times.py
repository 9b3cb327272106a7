"""Times as people write them -> microseconds since 1970 (UTC), and the rows that are no time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray
from zhiyin.base.errors import ConfigError, DataError
from zhiyin.base.units import US_PER_DAY, US_PER_S
from zhiyin.data.columns import Parsed, Problem, blank_to_null, mask
from zhiyin.data.schema import TimeUnit

UNITS = {"seconds": US_PER_S, "milliseconds": 1_000, "microseconds": 1}
# The instants 1973-03-03 .. 5138-11-16 in seconds, milliseconds, microseconds lie in ranges that do not overlap.
FIRST, LAST = 1e8, 1e11
EARLIEST_US = -2_208_988_800 * US_PER_S  # 1900
LATEST_US = 7_258_118_400 * US_PER_S  # 2200
NAIVE = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%d.%m.%Y %H:%M:%S%.f", "%d.%m.%Y %H:%M", "%d.%m.%Y")
SLASHED = (("%m/%d/%Y", "month first"), ("%d/%m/%Y", "day first"))


def time_reader(unit: TimeUnit = "auto", zone: str = "UTC", latest_us: int | None = None) -> Callable[[pl.Series, str], Parsed]:
    """A reader for ``Rows.settle``: Int64 microseconds, null where absent or unreadable.

    ``unit``: ``auto`` tells seconds, milliseconds and microseconds apart by size; ``iso`` and ``date``
    are text. Times without an offset are local times of ``zone``. ``latest_us`` refuses later times.
    """

    def read(raw: pl.Series, place: str) -> Parsed:
        raw = blank_to_null(raw)
        values, problems = _microseconds(raw, unit, zone, place)
        for problem in problems:
            values = values.set(pl.Series(problem.rows), None)
        for out, why in ((values < EARLIEST_US, "is before the year 1900"), (values > LATEST_US, "is after the year 2200")):
            if out.any():
                hint = f'Is events.time_unit = "{unit}" right? {_guess(raw)}' if raw.dtype.is_numeric() else ""
                problems.append(Problem(mask(out.fill_null(False)), why, hint.rstrip()))
                values = values.set(out.fill_null(False), None)
        late = (values > latest_us).fill_null(False) if latest_us is not None else None
        if late is not None and late.any():
            first = iso(int(values.filter(late)[0]))
            problems.append(Problem(mask(late), f"lies in the future ({first})", "Correct it, or check time_unit and time_zone."))
            values = values.set(late, None)
        return Parsed(values, problems)

    return read


def _guess(raw: pl.Series) -> str:
    size = abs(float(raw.median() or 0))  # type: ignore[arg-type]
    fits = [name for name, us in UNITS.items() if FIRST <= size * us / US_PER_S < LAST]
    return f"The numbers look like {fits[0]}." if fits else ""


def _microseconds(raw: pl.Series, unit: TimeUnit, zone: str, place: str) -> tuple[pl.Series, list[Problem]]:
    if raw.dtype == pl.Datetime:
        return _instants(raw.dt.cast_time_unit("us"), zone), []
    if raw.dtype == pl.Date:
        return _instants(raw.cast(pl.Datetime("us")), zone), []
    if raw.dtype == pl.Null:
        return raw.cast(pl.Int64), []
    if raw.dtype.is_numeric():
        if unit == "iso":
            raise ConfigError(f'{place} holds numbers, but events.time_unit is "iso"', 'Say time_unit = "auto", "s", "ms" or "us".')
        return _numbers(raw, unit, zone, place)
    if raw.dtype != pl.String:
        raise DataError(f"{place} holds values of type {raw.dtype}, not times", "Write ISO times or seconds since 1970.")
    return _texts(raw.str.strip_chars(), unit, zone, place)


def _texts(raw: pl.Series, unit: TimeUnit, zone: str, place: str) -> tuple[pl.Series, list[Problem]]:
    number = raw.cast(pl.Float64, strict=False)
    n_numbers, n_given = len(number) - number.null_count(), len(raw) - raw.null_count()
    if unit in ("s", "ms", "us") or (unit in ("auto", "date") and n_numbers * 2 > n_given):
        whole = raw.cast(pl.Int64, strict=False)
        values, problems = _numbers(whole if whole.null_count() == number.null_count() else number, unit, zone, place)
        odd = raw.is_not_null() & number.is_null()
        if odd.any():
            problems.insert(0, Problem(mask(odd), "is no time, the other rows are numbers"))
        return values, problems
    values, ambiguous = _iso(raw, zone, date=unit == "date")
    if ambiguous:
        rows = mask(values.is_null() & raw.is_not_null())
        hint = "Write 2010-12-31, so that day and month cannot be confused."
        return values, [Problem(rows, "may be day/month or month/day", hint)]
    odd = raw.is_not_null() & values.is_null()
    hint = "Write times as 2024-05-31T18:30:00+02:00 or as seconds since 1970." if n_given and int(odd.sum()) == n_given else ""
    return values, [Problem(mask(odd), "is no time", hint)] if odd.any() else []


def _numbers(raw: pl.Series, unit: TimeUnit, zone: str, place: str) -> tuple[pl.Series, list[Problem]]:
    if unit == "date":
        return _compact_dates(raw, zone, place, unit)
    x = np.asarray(raw.cast(pl.Float64).fill_null(np.nan).to_numpy(), dtype=np.float64)
    given = ~np.isnan(x)
    problems = []
    if np.isinf(x).any():
        problems.append(Problem(np.isinf(x), "is not a finite time"))
        given &= ~np.isinf(x)
    if unit == "auto":
        classes = np.stack([given & (np.abs(x) * us >= FIRST * US_PER_S) & (np.abs(x) * us < LAST * US_PER_S) for us in UNITS.values()])
        counts = classes.sum(axis=1)
        name = list(UNITS)[int(counts.argmax())]
        if not counts.any() and given.any():
            return _compact_dates(raw, zone, place, unit)
        scale = UNITS[name]
        for i, other in enumerate(UNITS):
            if other != name and counts[i]:
                hint = 'Bring all rows to one unit, or say events.time_unit = "s", "ms" or "us".'
                problems.append(Problem(classes[i], f"looks like {other} where most rows are {name}", hint))
        odd = given & ~classes.any(axis=0)
        if odd.any():
            problems.append(Problem(odd, f"is no time in {name}, as most rows are"))
    else:
        scale = {"s": US_PER_S, "ms": 1_000, "us": 1}[unit]
    fits = given & (np.abs(x) * scale < 2**62)
    if (given & ~fits).any():
        problems.append(Problem(given & ~fits, "is too large for a time"))
    whole = raw.dtype.is_integer()
    kept = pl.Series(fits)
    if whole:
        return raw.cast(pl.Int64, strict=False).set(~kept, None) * scale, problems
    return pl.Series(np.round(np.where(fits, x, 0) * scale).astype(np.int64)).set(~kept, None), problems


def _compact_dates(raw: pl.Series, zone: str, place: str, unit: TimeUnit) -> tuple[pl.Series, list[Problem]]:
    """Numbers such as 20240531. Where most are none, they are no times at all: an order, or too large."""
    text = raw.cast(pl.Int64, strict=False).cast(pl.String)
    days = text.set(text.str.len_chars() != 8, None).str.to_date("%Y%m%d", strict=False)
    odd = raw.is_not_null() & days.is_null()
    if odd.any() and 2 * int(odd.sum()) >= len(raw) - raw.null_count():
        raise DataError(*_no_time(place, raw.filter(odd)[0], unit))
    return _instants(days.cast(pl.Datetime("us")), zone), [Problem(mask(odd), "is no date such as 20240531")] if odd.any() else []


def _no_time(place: str, number: float, unit: TimeUnit) -> tuple[str, str]:
    """What is said of a number that is no date and not as large as any instant since 1973."""
    if unit == "date":
        return f"{place}: {number} is no date such as 20240531", 'Say time_unit = "auto" where numbers count seconds since 1970.'
    if abs(number) >= FIRST:
        return f"{place}: {number} is too large for microseconds since 1970", "Divide nanoseconds by 1,000."
    return (
        f"{place}: {number} is neither a date such as 20240531 nor as large as seconds since 1970",
        'If it numbers a user\'s events, say order = "position" and events.position; '
        'if it counts time from another beginning, say time_unit = "s", "ms" or "us".',
    )


def _iso(raw: pl.Series, zone: str, *, date: bool) -> tuple[pl.Series, bool]:
    """Microseconds of written times, and whether what is left could be read in two ways."""
    text = raw.str.replace(r"^(\d{4})[/年.](\d{1,2})[/月.](\d{1,2})日?", "${1}-${2}-${3}")
    text = text.str.replace(r"^(\d{4}-\d{1,2}-\d{1,2})T", "${1} ").str.replace(r"\s*(Z|UTC|GMT)$", "+00:00")
    values = _nothing(len(raw))
    if date:
        return _instants(text.str.to_datetime("%Y-%m-%d", strict=False, time_unit="us"), zone), False
    offset = text.str.contains(r"\d{2}:\d{2}(:\d{2}(\.\d+)?)?\s?[+-]\d{2}:?\d{2}$").fill_null(False)
    if offset.any():
        aware = text.set(~offset, None)
        for form in ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z"):
            values = _or(values, aware.str.replace(r"\s([+-])", "${1}").str.to_datetime(form, strict=False, time_unit="us").cast(pl.Int64))
        text = text.set(offset, None)
    for form in NAIVE:
        left = text.set(values.is_not_null(), None)
        if not left.null_count() < len(left):
            break
        values = _or(values, _instants(left.str.to_datetime(form, strict=False, time_unit="us"), zone))
    left = text.set(values.is_not_null(), None)
    if left.null_count() == len(left) or not left.str.contains("/", literal=True).any():
        return values, False
    return _slashed(left, values, zone)


def _slashed(left: pl.Series, values: pl.Series, zone: str) -> tuple[pl.Series, bool]:
    """12/31/2010 or 31/12/2010: the way that reads every row; ambiguous where both do."""
    readings = []
    for day, _ in SLASHED:
        read = _nothing(len(left))
        for clock in ("%H:%M:%S%.f", "%H:%M", ""):
            read = _or(read, _instants(left.str.to_datetime(f"{day} {clock}".strip(), strict=False, time_unit="us"), zone))
        readings.append(read)
    complete = [r.null_count() == left.null_count() for r in readings]
    if all(complete) and not readings[0].equals(readings[1]):
        return values, True
    best = readings[0] if complete[0] or readings[0].null_count() <= readings[1].null_count() else readings[1]
    return _or(values, best), False


def _nothing(n: int) -> pl.Series:
    return pl.repeat(None, n, dtype=pl.Int64, eager=True)


def _or(first: pl.Series, second: pl.Series) -> pl.Series:
    return pl.select(pl.coalesce(first, second)).to_series()


def _instants(times: pl.Series, zone: str) -> pl.Series:
    """Microseconds (UTC) of a Datetime column; naive times are read on the clocks of ``zone``.

    A time that the clocks jump over in spring is taken an hour later; one that they show twice in
    autumn is taken as the first.
    """
    if times.dtype.time_zone is not None or zone == "UTC":  # type: ignore[attr-defined]
        return times.cast(pl.Int64)
    there = times.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    skipped = times.is_not_null() & there.is_null()
    if skipped.any():
        later = times.dt.offset_by("1h").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        there = pl.select(pl.coalesce(there, later)).to_series()
    return there.cast(pl.Int64)


def iso(time_us: int) -> str:
    """An instant for people: 2024-05-31 18:30 UTC."""
    return datetime.fromtimestamp(time_us / US_PER_S, UTC).strftime("%Y-%m-%d %H:%M UTC")


def days(time_us: AnyArray) -> float:
    """The span of times in days."""
    return float((time_us.max() - time_us.min()) / US_PER_DAY) if len(time_us) else 0.0
