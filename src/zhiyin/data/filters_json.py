"""Filters written as JSON, for programs that build them.

    {"all": [..]}   {"any": [..]}   {"not": {..}}
    {"column": "price", "ge": 10, "lt": 20}          eq ne lt le gt ge; several hold together
    {"column": "category", "in": ["shoes", "hats"]}  {"column": "tags", "contains": "sale"}
    {"column": "brand", "missing": true}
    {"within": {"column": "place", "latitude": 31.2, "longitude": 121.5, "radius_m": 2000}}

The same limits on depth and size hold as for text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zhiyin.base.errors import nearest
from zhiyin.data import filters_check as check
from zhiyin.data.filters_check import MAX_DEPTH, MAX_PARTS, Columns, problem
from zhiyin.data.filters_tree import JSON_OF, Filter, Op, all_of, any_of, negated

OPS: dict[str, Op] = {json: op for op, json in JSON_OF.items()}
ASKED = (*OPS, "in", "contains", "missing")
GROUPS = ("all", "any", "not", "within", "column")
PLACE = ("column", "latitude", "longitude", "radius_m", "radius_km")


def parse_json(said: Any, columns: Columns) -> Filter:
    """Raises ``ConfigError`` with the path to the first mistake."""
    return _Reader(columns).read(said, "filter", 0)


class _Reader:
    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.parts = 0

    def count(self, at: str, n: int = 1) -> None:
        self.parts += n
        if self.parts > MAX_PARTS:
            raise problem(at, "a filter has too many parts", f"At most {MAX_PARTS} comparisons and values.")

    def read(self, said: Any, at: str, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise problem(at, "a filter is nested too deep", f"At most {MAX_DEPTH} levels.")
        if not isinstance(said, Mapping):
            raise problem(at, f"an object {{ }} is needed, not {check.shown(said)}")
        group = next((key for key in GROUPS if key in said), None)
        if group is None:
            key = str(next(iter(said), ""))[:40]
            raise problem(at, f"nothing is known by '{key}'" if key else "the object is empty", nearest(key, GROUPS))
        if group != "column" and len(said) > 1:
            other = next(str(key)[:40] for key in said if key != group)
            raise problem(at, f"'{group}' stands alone, without '{other}'", 'Put both into {"all": [..]}.')
        match group:
            case "all" | "any":
                return (all_of if group == "all" else any_of)(self.several(said[group], f"{at}.{group}", depth))
            case "not":
                return negated(self.read(said["not"], f"{at}.not", depth + 1))
            case "within":
                return self.within(said["within"], f"{at}.within")
        return self.comparisons(said, at)

    def several(self, said: Any, at: str, depth: int) -> list[Filter]:
        if not isinstance(said, list | tuple) or not said:
            raise problem(at, "a list of at least one filter is needed")
        return [self.read(part, f"{at}[{i}]", depth + 1) for i, part in enumerate(said)]

    def comparisons(self, said: Mapping[str, Any], at: str) -> Filter:
        column, asked = said["column"], [key for key in said if key != "column"]
        if not isinstance(column, str):
            raise problem(f"{at}.column", f"a column is named by text, not {check.shown(column)}")
        if not asked:
            self.columns.kind(column, at)
            raise problem(at, f"column '{column}' is asked nothing", f"Known: {', '.join(ASKED)}.")
        return all_of([self.one(column, key, said[key], at) for key in asked])

    def one(self, column: str, key: str, value: Any, at: str) -> Filter:
        self.count(at)
        if key in OPS:
            return check.compare(self.columns, column, OPS[key], value, at)
        if key == "in":
            if not isinstance(value, list | tuple):
                raise problem(f"{at}.in", f"a list is needed, not {check.shown(value)}")
            self.count(at, len(value))
            return check.among(self.columns, column, list(value), at)
        if key == "contains":
            return check.contains(self.columns, column, value, at)
        if key == "missing":
            if not isinstance(value, bool):
                raise problem(f"{at}.missing", f"true or false is needed, not {check.shown(value)}")
            return check.missing(self.columns, column, at, wanted=value)
        raise problem(at, f"nothing is known by '{str(key)[:40]}'", nearest(str(key)[:40], ASKED))

    def within(self, said: Any, at: str) -> Filter:
        self.count(at)
        if not isinstance(said, Mapping):
            raise problem(at, f"an object {{ }} is needed, not {check.shown(said)}")
        for key in said:
            if key not in PLACE:
                raise problem(at, f"nothing is known by '{str(key)[:40]}'", nearest(str(key)[:40], PLACE))
        column = said.get("column")
        if column is not None and not isinstance(column, str):
            raise problem(f"{at}.column", f"a column is named by text, not {check.shown(column)}")
        if ("radius_m" in said) == ("radius_km" in said):
            raise problem(at, "one of radius_m and radius_km is needed")
        radius = said.get("radius_m")
        if radius is None:
            km = said["radius_km"]
            radius = km * 1000.0 if isinstance(km, int | float) and not isinstance(km, bool) else km
        return check.within(self.columns, column, (said.get("latitude"), said.get("longitude")), radius, at)
