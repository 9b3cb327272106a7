"""From bytes to values: what is no JSON, what is too deep, what says of itself that it is something else."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.serve.errors import RequestError
from zhiyin.serve.reading import Json, check_json, check_names, deeper

texts = st.text(st.sampled_from('ab[]{}"\\,:é'), max_size=6)
values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@settings(max_examples=300, deadline=None)
@given(values, st.integers(0, 5), st.booleans())
def test_depth_is_told_without_reading(value: Any, levels: int, ascii_only: bool) -> None:
    assert deeper(json.dumps(value, ensure_ascii=ascii_only).encode(), levels) == (depth(value) > levels)


class Plain(msgspec.Struct):
    names: list[str]


class Open(msgspec.Struct):
    columns: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=9)] | None = None


@pytest.mark.parametrize(
    ("type_", "raw", "status"),
    [
        (Open, b'{"columns":[{"a":' + b"[" * 62 + b"]" * 62 + b"}]}", 400),
        (Open, b'{"columns":[{"a":' + b"[" * 900 + b"]" * 900 + b"}]}", 400),
        (Any, b"[" * 100_000, 400),
        (Plain, b'{"names":["a\\u0000"]}', 400),
        (Plain, b'{"names":["\xff"]}', 400),
        (Plain, b'{"names":["\\ud800"]}', 400),
        (Plain, b'{"names":[NaN]}', 400),
        (Plain, b"", 400),
        (Plain, b'{"names":[]}{}', 400),
        (Plain, b"\xef\xbb\xbf{}", 400),
        (Plain, b"{}", 422),
        (Plain, b'{"names":[1]}', 422),
        (Plain, b'{"names":' + b"[" * 5000, 422),
    ],
)
def test_what_is_not_read_is_told(type_: Any, raw: bytes, status: int) -> None:
    with pytest.raises(RequestError) as error:
        Json(type_).read(raw)
    assert error.value.status == status


def test_what_is_right_is_read_however_many_lists_it_has() -> None:
    wide = {"columns": [{"a": [[]] * 500, "b": '[[[[{{{{\\"'}]}
    assert Json(Open).read(msgspec.json.encode(wide)).columns == wide["columns"]
    deep: Any = []
    for _ in range(60):
        deep = [deep]
    assert Json(Open).read(msgspec.json.encode({"columns": [{"a": deep}]})).columns == [{"a": deep}]


@pytest.mark.parametrize(
    ("headers", "fine"),
    [
        ({}, True),
        ({b"content-type": b"application/json"}, True),
        ({b"content-type": b"Application/JSON; charset=utf-8"}, True),
        ({b"content-type": b"application/ld+json"}, True),
        ({b"content-type": b"application/x-www-form-urlencoded"}, True),  # curl -d
        ({b"content-encoding": b"identity"}, True),
        ({b"content-type": b"text/plain"}, False),
        ({b"content-type": b""}, False),
        ({b"content-type": b"\xff"}, False),
        ({b"content-type": b"multipart/form-data; boundary=x"}, False),
        ({b"content-encoding": b"gzip"}, False),
    ],
)
def test_what_says_that_it_is_something_else_is_refused(headers: dict[bytes, bytes], fine: bool) -> None:
    if fine:
        check_json(headers)
    else:
        with pytest.raises(RequestError) as error:
            check_json(headers)
        assert error.value.status == 415


def test_names_in_the_address_are_text_of_bounded_length() -> None:
    check_names({"item": "a b/ü", "tenant": "shop"})
    for wrong, status in (("a\0b", 400), ("a\ufffdb", 400), ("x" * 513, 422)):
        with pytest.raises(RequestError) as error:
            check_names({"tenant": "shop", "item": wrong})
        assert error.value.status == status
