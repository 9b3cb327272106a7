"""A filter over the whole item table at once: (n_items,) booleans.

Each comparison is one pass of a column; what is missing is false, as ``filters_tree`` states.
"""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from zhiyin.base.arrays import Bool, Float64
from zhiyin.data.filters_check import POINT
from zhiyin.data.filters_tree import All, AnyOf, Compare, Contains, Filter, Missing, Not, OneOf, Value, Within

EARTH_M = 6_371_008.8  # mean radius
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}"  # scripts without spaces: a word may begin and end anywhere
_EDGE = rf"[\W_{_UNSPACED}]"


def mask_of(said: Filter, table: pl.DataFrame) -> Bool:
    """Rows of the table that pass, as a fresh array."""
    match said:
        case All(parts) | AnyOf(parts):
            found = mask_of(parts[0], table)
            for part in parts[1:]:
                (np.logical_and if isinstance(said, All) else np.logical_or)(found, mask_of(part, table), out=found)
            return found
        case Not(part):
            found = mask_of(part, table)
            return np.logical_not(found, out=found)
        case Within():
            return _near(said, table)
        case Missing(column):
            return _bools(_present(table[column]).is_null())
        case Contains(column, value):
            return _bools(_containing(_present(table[column]), value))
        case OneOf(column, values):
            given, wanted = _comparable(_present(table[column]), values)
            return _bools(given.is_in(wanted.implode()))
        case Compare():
            return _compared(said, table)


def _bools(found: pl.Series) -> Bool:
    return np.array(found.fill_null(False).to_numpy(), np.bool_)


def _present(column: pl.Series) -> pl.Series:
    """Null where nothing is known."""
    if column.dtype.is_float():
        return column.fill_nan(None)
    if isinstance(column.dtype, pl.List | pl.Array):
        lists = column.cast(pl.List(pl.String))
        return lists.set(lists.list.len() == 0, None) if len(lists) and (lists.list.len() == 0).any() else lists
    if column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        text = column.cast(pl.String)
        return text.set(text.str.len_bytes() == 0, None)
    return column


def _comparable(column: pl.Series, values: tuple[Value, ...]) -> tuple[pl.Series, pl.Series]:
    """Column and values in one type: doubles, microseconds, text or truth."""
    if column.dtype.is_numeric():
        return column.cast(pl.Float64), pl.Series([float(v) for v in values], dtype=pl.Float64)  # type: ignore[arg-type]
    if column.dtype in (pl.Datetime, pl.Date):
        return column.dt.epoch("us"), pl.Series(list(values)).dt.epoch("us")
    return column, pl.Series(list(values))


def _compared(said: Compare, table: pl.DataFrame) -> Bool:
    given, wanted = _comparable(_present(table[said.column]), (said.value,))
    value = wanted[0]
    match said.op:
        case "=":
            return _bools(given == value)
        case "!=":
            return _bools(given != value)
        case "<":
            return _bools(given < value)
        case "<=":
            return _bools(given <= value)
        case ">":
            return _bools(given > value)
        case ">=":
            return _bools(given >= value)


def _containing(column: pl.Series, value: str) -> pl.Series:
    if isinstance(column.dtype, pl.List):
        return column.list.contains(value)
    return column.str.contains(word_pattern(value))


def word_pattern(words: str) -> str:
    """A pattern that finds these words one after another, whatever case and space; not inside longer words."""
    body = r"\s+".join(re.escape(word) for word in words.split())
    return rf"(?i)(?:^|{_EDGE}){body}(?:$|{_EDGE})" if not _unspaced(words) else rf"(?i){body}"


def _unspaced(words: str) -> bool:
    """Chinese, Japanese: the words of such a text are not marked off."""
    return any("\u3040" <= letter <= "\u30ff" or "\u3400" <= letter <= "\u9fff" for letter in words)


def _near(said: Within, table: pl.DataFrame) -> Bool:
    latitude, longitude = _places(said, table)
    away = distance_m(latitude, longitude, said.latitude, said.longitude)
    with np.errstate(invalid="ignore"):
        return np.asarray(away <= said.radius_m)


def _places(said: Within, table: pl.DataFrame) -> tuple[Float64, Float64]:
    """Degrees, NaN where unknown: (n,) each."""
    if said.other is not None:
        pair = [table[name].cast(pl.Float64).to_numpy() for name in (said.column, said.other)]
    else:
        text = table[said.column].cast(pl.String)
        pair = [text.str.extract(POINT, group).cast(pl.Float64, strict=False).to_numpy() for group in (1, 2)]
    return np.asarray(pair[0], np.float64), np.asarray(pair[1], np.float64)


def distance_m(latitude: Float64, longitude: Float64, to_latitude: float, to_longitude: float) -> Float64:
    """Great-circle metres (haversine) from points in degrees (n,) to one point."""
    phi, to_phi = np.radians(latitude), np.radians(to_latitude)
    half = np.sin((phi - to_phi) / 2) ** 2 + np.cos(phi) * np.cos(to_phi) * np.sin(np.radians(longitude - to_longitude) / 2) ** 2
    return np.asarray(2 * EARTH_M * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0))))
