"""Filters against an evaluator that looks at one item at a time, and against garbage."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.errors import ConfigError
from zhiyin.data.filters import Columns, mask_of, parse_filter
from zhiyin.data.filters_check import Kind
from zhiyin.data.filters_tree import All, AnyOf, Compare, Contains, Filter, Missing, Not, OneOf, Within

KINDS: dict[str, Kind] = {
    "name": "text", "stock code": "text", "tags": "list", "price": "number", "n": "number", "since": "time", "on": "flag",
    "lat": "latitude", "lon": "longitude",
}  # fmt: skip
COLUMNS = Columns(KINDS)
SCHEMA = {
    "name": pl.String, "stock code": pl.String, "tags": pl.List(pl.String), "price": pl.Float32, "n": pl.Int16,
    "since": pl.Datetime("us", "UTC"), "on": pl.Boolean, "lat": pl.Float64, "lon": pl.Float64,
}  # fmt: skip
WORDS = st.sampled_from(["red", "Red", "shoe", "shoes", "a", "红", "鞋", "x-y", "c++", 'say "hi"', "it's\\", "line\nbreak"])
TEXTS = st.lists(WORDS, min_size=1, max_size=3).map(" ".join) | st.just("红鞋Red")
NUMBERS = st.sampled_from([-1.5, 0.0, 0.25, 1.0, 2.0, 7.0])
DAYS = st.integers(1, 6).map(lambda day: datetime(2024, 5, day, tzinfo=UTC))
DEGREES = st.sampled_from([-89.0, -45.5, 0.0, 31.2, 31.21, 45.0, 90.0])


def or_none(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "name": or_none(TEXTS | st.just("")), "stock code": or_none(TEXTS), "tags": or_none(st.lists(WORDS, max_size=3)),
            "price": or_none(NUMBERS | st.just(math.nan)), "n": or_none(st.integers(-2, 7)), "since": or_none(DAYS),
            "on": or_none(st.booleans()), "lat": or_none(DEGREES), "lon": or_none(DEGREES.map(lambda d: 2 * d)),
        }
    ),
    max_size=12,
)  # fmt: skip


def comparison(column: str, values: st.SearchStrategy[Any], ops: tuple[str, ...]) -> st.SearchStrategy[Any]:
    one = st.tuples(st.sampled_from(ops), values).map(lambda said: {"column": column, said[0]: said[1]})
    return one | st.lists(values, min_size=1, max_size=3).map(lambda said: {"column": column, "in": said})


ORDER = ("eq", "ne", "lt", "le", "gt", "ge")
LEAVES = st.one_of(
    comparison("name", TEXTS, ("eq", "ne")),
    comparison("stock code", TEXTS, ("eq", "ne")),
    comparison("price", NUMBERS, ORDER),
    comparison("n", NUMBERS, ORDER),
    comparison("since", DAYS.map(datetime.isoformat), ORDER),
    comparison("on", st.booleans(), ("eq", "ne")),
    st.tuples(st.sampled_from(["name", "tags"]), TEXTS | WORDS).map(lambda said: {"column": said[0], "contains": said[1]}),
    st.sampled_from(list(KINDS)).map(lambda column: {"column": column, "missing": True}),
    st.tuples(DEGREES, DEGREES, st.sampled_from([1_000.0, 1_500.0, 2e6, 1e7, 2e7])).map(
        lambda at: {"within": {"latitude": at[0], "longitude": 2 * at[1], "radius_m": at[2]}}
    ),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts})
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts})
        | inner.map(lambda part: {"not": part})
    ),
    max_leaves=8,
)


def passes(said: Filter, item: dict[str, Any]) -> bool:
    """One item by plain Python, straight from the definitions."""
    match said:
        case All(parts):
            return all(passes(part, item) for part in parts)
        case AnyOf(parts):
            return any(passes(part, item) for part in parts)
        case Not(part):
            return not passes(part, item)
        case Within(latitude=latitude, longitude=longitude, radius_m=radius):
            return unknown(item["lat"]) is unknown(item["lon"]) is False and metres(item, latitude, longitude) <= radius
    value = item[said.column]
    if isinstance(said, Missing) or unknown(value):
        return isinstance(said, Missing) and unknown(value)
    match said:
        case OneOf(values=values):
            return value in values
        case Contains(value=wanted):
            return wanted in value if isinstance(value, list) else stands_in(wanted, value)
        case Compare(op=op, value=other):
            return {
                "=": value == other, "!=": value != other,
                **({} if isinstance(value, str) else {"<": value < other, "<=": value <= other, ">": value > other, ">=": value >= other}),
            }[op]  # fmt: skip


def unknown(value: Any) -> bool:
    return value is None or value == "" or value == [] or value != value


def metres(item: dict[str, Any], latitude: float, longitude: float) -> float:
    """Great-circle distance by the angle between two directions."""

    def direction(lat: float, lon: float) -> tuple[float, float, float]:
        a, b = math.radians(lat), math.radians(lon)
        return math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a)

    gap = math.dist(direction(item["lat"], item["lon"]), direction(latitude, longitude))
    return 2 * 6_371_008.8 * math.asin(min(1.0, gap / 2))


def stands_in(words: str, text: str) -> bool:
    def letter(c: str) -> bool:
        return (c.isalnum() and not "\u3400" <= c <= "\u9fff") or c == "_"

    words, text = " ".join(words.lower().split()), " ".join(text.lower().split())
    for found in re.finditer(f"(?={re.escape(words)})", text):
        before, after = text[: found.start()][-1:], text[found.start() + len(words) :][:1]
        if re.search(r"[\u3400-\u9fff]", words) or not ((before and letter(before)) or (after and letter(after))):
            return True
    return False


@given(FILTERS, ITEMS)
@settings(max_examples=300, deadline=None)
def test_a_mask_is_what_looking_at_each_item_finds(said: dict[str, Any], items: list[dict[str, Any]]) -> None:
    parsed = parse_filter(said, COLUMNS)
    table = pl.DataFrame(items, schema=SCHEMA)
    assert mask_of(parsed, table).tolist() == [passes(parsed, item) for item in items], str(parsed)


@given(FILTERS)
@settings(max_examples=200, deadline=None)
def test_a_filter_is_written_and_read_back(said: dict[str, Any]) -> None:
    parsed = parse_filter(said, COLUMNS)
    assert parse_filter(str(parsed), COLUMNS) == parsed
    assert str(parse_filter(parsed.as_json(), COLUMNS)) == str(parsed)


def read_or_refused(said: Any) -> None:
    """Either it is a filter, which says itself again, or one sentence says why not; nothing else may happen."""
    try:
        parsed = parse_filter(said, COLUMNS)
    except ConfigError as error:
        assert error.message.strip()
        assert "\n" not in error.message
    else:
        assert parse_filter(str(parsed), COLUMNS) == parsed


@given(st.lists(st.sampled_from([*'()[],"`\\<=!.', "price", "name", "not ", "and ", "or ", "in", "is ", "contains", "within", "7", "é"])))
@settings(max_examples=300, deadline=None)
def test_garbage_is_refused_in_one_sentence(parts: list[str]) -> None:
    read_or_refused("".join(parts))


KEYS = ["all", "any", "not", "column", "within", "eq", "lt", "in", "contains", "missing", "latitude", "radius_km", "price"]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.sampled_from(["price", "name", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
@settings(max_examples=300, deadline=None)
def test_json_garbage_is_refused_too(said: Any) -> None:
    read_or_refused(said if not isinstance(said, str) else {"all": said})
