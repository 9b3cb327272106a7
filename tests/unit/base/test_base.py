"""The ground floor: lists laid flat, specs that refuse, registries that suggest, digests that agree."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import model_validator

from zhiyin.base.arrays import Ragged, flat_positions, offsets_of
from zhiyin.base.digest import digest_arrays, digest_json
from zhiyin.base.errors import ConfigError, DataError, UnknownNameError, ZhiyinError, nearest
from zhiyin.base.registry import Registry
from zhiyin.base.spec import Spec

LISTS = st.lists(st.lists(st.integers(0, 1_000), max_size=6), max_size=8)


class Inner(Spec):
    depth: int = 1
    most: int = 9

    @model_validator(mode="after")
    def _not_too_deep(self) -> Inner:
        if self.depth > self.most:
            raise ValueError(f"'depth' is {self.depth}, more than 'most'")
        if self.depth < 0:
            raise UnknownNameError("no depth is named -1", "Known: 1.")
        return self


class Outer(Spec):
    name: str
    inner: Inner = Inner()
    parts: tuple[str | dict[str, Any], ...] = ()
    LIMIT: ClassVar[int] = 3


@given(LISTS)
def test_ragged_is_a_list_of_lists(lists: list[list[int]]) -> None:
    ragged = Ragged.of(lists)
    assert [row.tolist() for row in (ragged[i] for i in range(len(ragged)))] == lists
    assert ragged.lengths.tolist() == [len(row) for row in lists]
    assert ragged.rows.tolist() == [i for i, row in enumerate(lists) for _ in row]


@given(LISTS, st.data())
def test_ragged_take_is_a_comprehension(lists: list[list[int]], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=10)) if lists else []
    taken = Ragged.of(lists).take(np.array(rows, np.int64))
    assert [taken[i].tolist() for i in range(len(taken))] == [lists[r] for r in rows]


def test_ragged_refuses_numbers_outside() -> None:
    with pytest.raises(IndexError):
        Ragged.of([[1]])[1]


def test_flat_positions_of_repeated_rows() -> None:
    positions, offsets = flat_positions(offsets_of(np.array([2, 0, 3])), np.array([2, 1, 2, 0]))
    assert positions.tolist() == [2, 3, 4, 2, 3, 4, 0, 1]
    assert offsets.tolist() == [0, 3, 3, 6, 8]


def test_errors_read_as_sentence_code_and_remedy() -> None:
    error = DataError("column 'time' is not ascending at row 1,204", "Sort by time first.")
    assert str(error) == "column 'time' is not ascending at row 1,204 (E200). Sort by time first."
    assert isinstance(error, ZhiyinError) and isinstance(error, ValueError)
    assert str(ConfigError("no")) == "no (E300)."


def test_nearest_names_one_or_all() -> None:
    assert nearest("sequenze", ["ease", "sequence"]) == "Did you mean 'sequence'?"
    assert nearest("xyz", ["ease", "sequence"]) == "Known: ease, sequence."
    assert nearest("xyz", []) == ""


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "a", "nmae": 1}, r"unknown key 'nmae' in shop.toml \(E300\). Did you mean 'name'\?"),
        ({"name": "a", "inner": {"dept": 1}}, r"unknown key 'inner.dept' in shop.toml .*Did you mean 'depth'\?"),
        ({}, r"key 'name' is missing in shop.toml"),
        ({"name": "a", "inner": 3}, r"'inner' in shop.toml must be a table \{ \}, not 3"),
        ({"name": ["a"]}, r"'name' in shop.toml must be text in quotes, not \['a'\]"),
        ({"name": "a", "parts": ["b", 3]}, r"'parts.1' in shop.toml must be text in quotes or a table \{ \}, not 3"),
        ({"name": "a", "inner": {"depth": 10}}, r"'inner' in shop.toml: 'depth' is 10, more than 'most' \(E300\)"),
        ({"name": "a", "inner": {"depth": -1}}, r"^no depth is named -1 \(E310\). Known: 1.$"),
        ({"name": "a", "inner": {"depth": "deep"}}, r"'inner.depth' in shop.toml must be a whole number, not 'deep'"),
    ],
)
def test_specs_refuse_with_place_and_remedy(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Outer.parse(values, "shop.toml")


def test_what_is_wrong_between_keys_is_told_of_the_whole() -> None:
    for where, subject in (("shop.toml", "shop.toml"), ("", "Inner")):
        with pytest.raises(ConfigError, match=f"^{subject}: 'depth' is 10, more than 'most'"):
            Inner.parse({"depth": 10}, where)


def test_equal_specs_have_equal_digests_and_cannot_change() -> None:
    one, other = Outer(name="a"), Outer.parse({"inner": {"depth": 1}, "name": "a"})
    assert one.digest() == other.digest() != Outer(name="b").digest()
    with pytest.raises(ValueError, match="frozen"):
        one.name = "b"  # type: ignore[misc]


def test_digests_see_values_shapes_and_types() -> None:
    a = np.arange(6)
    assert digest_arrays(a) == digest_arrays(a.copy())
    assert len({digest_arrays(x) for x in (a, a.reshape(2, 3), a.astype(np.int32), a + 1)}) == 4
    assert digest_json({"b": 1, "a": 2}) == digest_json({"a": 2, "b": 1})


def test_registry_imports_late_and_suggests() -> None:
    shelf = Registry("tool", "zhiyin.no_such_group", {"root": "math:sqrt"})
    assert shelf.names() == ["root"]
    assert shelf.get("root")(9) == 3
    with pytest.raises(UnknownNameError, match=r"no tool is named 'rot' \(E310\). Did you mean 'root'"):
        shelf.get("rot")
