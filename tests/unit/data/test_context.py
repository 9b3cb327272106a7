"""A context value is the same word in the table and in a request, whatever is missing beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from zhiyin.data.context import as_array, as_words
from zhiyin.data.requests import Histories, Requests
from zhiyin.models.features.dims import Dims
from zhiyin.testing.small import small_world

COLUMNS = [
    pl.Series([1, 2, 3]), pl.Series([None, 2, 3]), pl.Series([True, False, True]), pl.Series([None, False, True]),
    pl.Series(["b", "a", "b"]), pl.Series([None, "a", "b"]), pl.Series([None, "a", "b"], dtype=pl.Categorical),
    pl.Series([None, None, None], dtype=pl.String), pl.Series([1.5, None, 2.0]),
]  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: f"{c.dtype}-{c.null_count()}")
def test_words_of_a_request_are_those_of_the_table(column: pl.Series) -> None:
    assert as_words(as_array(column)).to_list() == as_words(column).to_list()
    for i in range(len(column)):  # one request alone reads as it does among others
        assert as_words(as_array(column[i : i + 1])).to_list() == as_words(column)[i : i + 1].to_list()


def test_nan_is_nothing() -> None:
    assert as_words(np.array([np.nan, 1.0])).to_list() == [None, "1.0"]
    assert as_words(np.array([], object)).to_list() == []


@pytest.mark.parametrize("column", [pl.Series("c", [True, False, None] * 233 + [True]), pl.Series("c", [1, 2, None] * 233 + [1])])
def test_counts_find_truths_and_whole_numbers(column: pl.Series) -> None:
    data = small_world()
    data = replace(data, events=replace(data.events, context=column.to_frame()))
    dims = Dims.of(data)
    requests = Requests.of(Histories.empty(len(column)), context={"c": as_array(column)})
    np.testing.assert_array_equal(dims._of_requests("context.c", requests), dims.of_events("context.c", data))
