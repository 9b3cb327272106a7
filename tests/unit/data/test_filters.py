"""Filters: what can be said, what a mistake is answered with, what missing values mean, what is kept."""

from __future__ import annotations

import gc
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from zhiyin.base.errors import ConfigError, UnknownNameError
from zhiyin.data.catalog import Catalog
from zhiyin.data.filters import Columns, Filters, mask_of, parse_filter
from zhiyin.data.schema import Manifest
from zhiyin.data.vocab import Vocabulary

ROWS: list[dict[str, Any]] = [
    {"category": "shoes", "price": 10.0, "tags": ["sale", "new"], "title": "Red running shoes", "place": "31.2, 121.5"},
    {"category": "hats", "price": 25.0, "tags": ["new"], "title": "A hat for the sun", "place": "31.21,121.51"},
    {"category": "shoes", "price": None, "tags": [], "title": "跑步鞋 iPhone壳", "place": "39.9,116.4"},
    {"category": None, "price": 20.0, "tags": None, "title": None, "place": None},
    {"category": "", "price": float("nan"), "tags": ["sale"], "title": "", "place": "-33.9,151.2"},
]
DAYS = [date(2024, 5, 1), date(2024, 5, 2), None, date(2025, 1, 1), date(2023, 1, 1)]
MANIFEST = Manifest.parse(
    {
        "name": "shop", "order": "none", "time_zone": "Asia/Shanghai",
        "items": {"columns": {"lat": "latitude", "lon": "longitude", "category": "category"}},
    }
)  # fmt: skip


def shop() -> Catalog:
    table = pl.DataFrame(ROWS, schema_overrides={"tags": pl.List(pl.String)}).with_columns(
        pl.Series("item_id", [f"i{i}" for i in range(5)]),
        pl.Series("lat", [31.2, 31.21, 39.9, None, -33.9]),
        pl.Series("lon", [121.5, 121.51, 116.4, None, 151.2]),
        pl.Series("stock", [True, False, None, True, True]),
        pl.Series("stock code", [1, 2, 3, 4, 5]),
        pl.Series("since", [datetime(2024, 5, 1, 12, tzinfo=UTC), None, *[datetime(2024, 6, 1, tzinfo=UTC)] * 3]),
        pl.Series("day", DAYS),
    )
    return Catalog(Vocabulary(table["item_id"].to_list()), table)


COLUMNS = Columns.of(shop(), MANIFEST)


@pytest.mark.parametrize(
    ("said", "rows"),
    [
        ("price < 20", [0]),
        ("price <= 20", [0, 3]),
        ("10 < price ≤ 25", [1, 3]),
        ("25 = price", [1]),
        ("price != 20", [0, 1]),
        ("not price = 20", [0, 1, 2, 4]),
        ("price in [10, 25.0]", [0, 1]),
        ("price not in [10, 25]", [2, 3, 4]),
        ("price is missing", [2, 4]),
        ("PRICE IS NOT MISSING".replace("PRICE", "price"), [0, 1, 3]),
        ('category = "shoes"', [0, 2]),
        ("category != 'shoes'", [1]),
        ('not category = "shoes"', [1, 3, 4]),
        ('category in ["shoes", "hats"]', [0, 1, 2]),
        ("category is missing", [3, 4]),
        ('tags contains "sale"', [0, 4]),
        ("tags is missing", [2, 3]),
        ('title contains "running SHOES"', [0]),
        ('title contains "shoe"', []),
        ('title contains "hat"', [1]),
        ('title contains "iphone"', [2]),
        ('title contains "步鞋"', [2]),
        ("stock", [0, 3, 4]),
        ("not stock", [1, 2]),
        ("stock = false", [1]),
        ("`stock code` >= 4", [3, 4]),
        ('since < "2024-05-01T20:01"', [0]),
        ('since < "2024-05-01T19:59"', []),
        ('since >= "2024-06-01T00:00+00:00"', [2, 3, 4]),
        ('day = "2024-05-02T00:00+00:00"', [1]),
        ("within(lat, 31.2, 121.5, 2 km)", [0, 1]),
        ("within(31.2, 121.5, 500 m)", [0]),
        ("within(place, 31.2, 121.5, 2km)", [0, 1]),
        ("not within(31.2, 121.5, 2 km)", [2, 3, 4]),
        ('price < 20 or category = "hats" and stock', [0]),
        ('(price < 20 or category = "hats") and not stock', [1]),
        ('price < 30 and (category in ["hats"] or tags contains "sale") and within(place, 31.2, 121.5, 2 km)', [0, 1]),
    ],
)
def test_text_finds(said: str, rows: list[int]) -> None:
    parsed = parse_filter(said, COLUMNS)
    assert np.flatnonzero(mask_of(parsed, shop().table)).tolist() == rows
    assert parse_filter(str(parsed), COLUMNS) == parsed, "the canonical text says the same"
    assert parse_filter(parsed.as_json(), COLUMNS) == parsed, "so does its JSON"


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"column": "price", "ge": 10, "lt": 25}, "10 <= price < 25"),
        ({"any": [{"column": "category", "eq": "hats"}, {"not": {"column": "stock", "eq": True}}]}, 'category = "hats" or not stock'),
        ({"column": "tags", "contains": "sale"}, 'tags contains "sale"'),
        ({"column": "price", "missing": False}, "price is not missing"),
        (
            {"all": [{"column": "category", "in": ["a"]}, {"column": "category", "in": ["b", "a", "b"]}]},
            'category="a" and category in ["a","b"]',
        ),
        ({"within": {"column": "lat", "latitude": 31.2, "longitude": 121.5, "radius_km": 2}}, "within(31.2, 121.5, 2000 m)"),
        ({"column": "since", "gt": "2024-05-01"}, 'since > "2024-05-01T00:00+08:00"'),
    ],
)  # fmt: skip
def test_json_says_the_same_as_text(said: dict[str, Any], text: str) -> None:
    assert parse_filter(said, COLUMNS) == parse_filter(text, COLUMNS)


def test_order_doubles_and_nesting_do_not_matter() -> None:
    one = parse_filter('price < 20 and (stock and tags contains "sale") and price < 20', COLUMNS)
    assert str(one) == str(parse_filter('(tags contains "sale" and price < 20.0) and stock', COLUMNS))
    assert str(one) == 'price < 20 and stock = true and tags contains "sale"'
    assert parse_filter("not not stock", COLUMNS) == parse_filter("stock", COLUMNS)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("prise < 20", "filter, character 1: the items have no column 'prise' (E310). Did you mean 'price'?"),
        ('price < "20"', 'filter, character 1: column \'price\' holds numbers, not "20" (E300). Write it without quotes: 20 or 2.5.'),
        ("price < cheap", "filter, character 9: a value is missing before 'cheap' (E300). Text stands in quotes: \"cheap\"."),
        ("category = 5", "filter, character 1: column 'category' holds text, not 5 (E300). Write it in quotes: \"...\"."),
        ('category < "x"', "filter, character 1: column 'category' holds text, which '<' does not order (E300). Use = or != or in."),
        ('tags = "sale"', "filter, character 1: column 'tags' holds lists, which '=' does not compare (E300). Say: tags contains \"...\"."),
        ('price contains "2"', "filter, character 1: column 'price' holds numbers, which contain nothing (E300). contains asks"),
        ("stock = 1", "filter, character 1: column 'stock' is true or false, not 1 (E300)."),
        ('since > "soon"', 'filter, character 1: column \'since\' holds times, not "soon" (E300). Write "2024-05-01" or'),
        ("price <", "filter, character 8: a value is missing before the end (E300)."),
        ("price < 20 price > 3", "filter, character 12: 'price' stands where 'and', 'or' or the end should (E300)."),
        ("(price < 20", "filter, character 12: ')' is missing before the end (E300)."),
        ('title = "x', "filter, character 9: '\"' means nothing here (E300). A quote is not closed."),
        ("price & 3", "filter, character 7: '&' means nothing here (E300). Text stands in quotes"),
        ("price", "filter, character 6: column 'price' is followed by the end (E300). Say =, !=, <,"),
        ("price is 3", "filter, character 10: 'is' is followed by '3' (E300). Say: is missing, or is not missing."),
        ("price in []", "filter, character 1: 'in' has no values (E300). Give at least one."),
        ("price < 1e999", "filter, character 1: a number is not finite (E300). Leave the comparison out."),
        ("within(121.5, 31.2, 2 km)", "filter, character 1: 121.5 degrees lie outside -90 .. 90 (E300). The order is latitude, longitude."),
        ("within(31.2, 121.5, 2)", "filter, character 22: the radius has no unit before ')' (E300). Say: 500 m or 2 km."),
        ("within(price, 31.2, 121.5, 2 km)", "filter, character 1: column 'price' holds numbers, not places (E300). Known: lat, place."),
        ("within(31.2, 121.5, 0 m)", "filter, character 1: a radius of 0 m is not on this earth (E300)."),
        ("", "filter, character 1: a column is missing before the end (E300)."),
        ({"column": "prise", "lt": 1}, "filter: the items have no column 'prise' (E310). Did you mean 'price'?"),
        ({"all": [{"column": "price", "less": 1}]}, "filter.all[0]: nothing is known by 'less' (E300)."),
        ({"al": []}, "filter: nothing is known by 'al' (E300). Did you mean 'all'?"),
        ({"all": []}, "filter.all: a list of at least one filter is needed (E300)."),
        ({"not": [1]}, "filter.not: an object { } is needed, not [1] (E300)."),
        ({}, "filter: the object is empty (E300)."),
        ({"column": "price"}, "filter: column 'price' is asked nothing (E300). Known: eq, ne"),
        ({"column": "price", "lt": True}, "filter: column 'price' holds numbers, not true (E300)."),
        ({"column": 3, "lt": 1}, "filter.column: a column is named by text, not 3 (E300)."),
        ({"column": "price", "in": "10"}, 'filter.in: a list is needed, not "10" (E300).'),
        ({"column": "price", "missing": 1}, "filter.missing: true or false is needed, not 1 (E300)."),
        ({"not": {"column": "stock", "eq": True}, "column": "stock"}, "filter: 'not' stands alone, without 'column' (E300)."),
        ({"within": {"latitude": 1, "longitude": 2}}, "filter.within: one of radius_m and radius_km is needed (E300)."),
        ({"within": {"latitude": None, "longitude": 2, "radius_m": 1}}, "filter.within: a number is needed, not None (E300)."),
        ({"within": {"lat": 1, "radius_m": 1}}, "filter.within: nothing is known by 'lat' (E300). Did you mean 'latitude'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_its_place(said: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_filter(said, COLUMNS)
    assert str(caught.value).startswith(sentence)


def test_depth_and_size_are_bounded() -> None:
    too_deep = "a filter is nested too deep"
    with pytest.raises(ConfigError, match=too_deep):
        parse_filter("(" * 4_900 + "stock" + ")" * 4_900, COLUMNS)
    with pytest.raises(ConfigError, match=too_deep):
        parse_filter("not " * 2_000 + "stock", COLUMNS)
    nested: dict[str, Any] = {"column": "stock", "eq": True}
    for _ in range(100_000):
        nested = {"not": nested}
    with pytest.raises(ConfigError, match=too_deep):
        parse_filter(nested, COLUMNS)
    with pytest.raises(ConfigError, match="10,001 characters are too many"):
        parse_filter("x" * 10_001, COLUMNS)
    with pytest.raises(ConfigError, match="a filter has too many parts"):
        parse_filter("price in [" + "1," * 501 + "1]", COLUMNS)
    with pytest.raises(ConfigError, match="a filter has too many parts"):
        parse_filter({"column": "price", "in": [1] * 501}, COLUMNS)
    long = parse_filter(f'title contains "{"word " * 1_900}"', COLUMNS)
    assert not mask_of(long, shop().table).any()


def test_kinds_come_from_the_table_and_the_manifest() -> None:
    kinds = {
        "category": "text", "price": "number", "tags": "list", "title": "text", "place": "point", "item_id": "text", "lat": "latitude",
        "lon": "longitude", "stock": "flag", "stock code": "number", "since": "time", "day": "time",
    }  # fmt: skip
    assert COLUMNS.kinds == kinds
    assert Columns.of(shop()).kinds["lat"] == "number", "only the manifest says what is a latitude"
    with pytest.raises(ConfigError, match="no column of longitudes goes with 'lat'"):
        parse_filter("within(31, 121, 1 km)", Columns({"lat": "latitude"}))
    with pytest.raises(ConfigError, match="the items have no place"):
        parse_filter("within(31, 121, 1 km)", Columns({"price": "number"}))
    with pytest.raises(UnknownNameError):
        parse_filter("x is missing", Columns())


def test_masks_are_kept_per_catalogue_and_bounded() -> None:
    filters, catalog = Filters(COLUMNS, limit=2), shop()
    mask = filters.mask("price < 20 and stock", catalog)
    assert mask.tolist() == [True, False, False, False, False]
    assert not mask.flags.writeable, "an index may rely on it"
    assert filters.mask("stock and price < 20.0", catalog) is mask, "another way to say it is the same filter"
    assert filters.mask(filters.parse("price < 20 and stock"), catalog) is mask
    grown = catalog.with_rows(["new"], pl.DataFrame({"price": [1.0], "stock": [True]}))
    assert filters.mask("price < 20 and stock", grown).tolist() == [True, False, False, False, False, True]
    for bound in range(5):
        filters.mask(f"price < {bound}", catalog)
    assert len(filters._masks) == 2 and len(filters._parsed) == 2
    del catalog, grown
    gc.collect()
    assert all(entry[0]() is None for entry in filters._masks.values()), "a kept mask does not keep an old catalogue"
