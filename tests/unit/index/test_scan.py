"""The scan of bytes: its bound holds, so its answers are the exact ones, ties and outliers included."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.arrays import Bool, Float32, Ragged
from zhiyin.index import scan_bytes
from zhiyin.index.exact import ExactIndex
from zhiyin.index.scan import ScanIndex, Subsets
from zhiyin.index.scan_bytes import Bytes
from zhiyin.index.scan_part import FEW, Part

KINDS = ("plain", "lengths", "one dimension", "whole numbers", "tiny", "far from zero")


def rows_of(kind: str, n: int, dim: int, seed: int) -> Float32:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, dim))
    match kind:
        case "lengths":
            rows *= rng.lognormal(0, 2, (n, 1))
        case "one dimension":
            rows[:, 1:] *= 1e-4
        case "whole numbers":  # ties everywhere
            rows = rng.integers(-1, 2, (n, dim)).astype(np.float64)
        case "tiny":
            rows *= 1e-15
        case "far from zero":
            rows += 50.0
    return rows.astype(np.float32)


def read_only(mask: Bool) -> Bool:
    mask.setflags(write=False)
    return mask


@given(st.sampled_from(KINDS), st.integers(0, 1_000), st.integers(1, 70), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_no_score_in_bytes_is_further_off_than_it_says(kind: str, seed: int, n: int, dim: int) -> None:
    rows, queries = rows_of(kind, n, dim, seed), rows_of(kind, 3, dim, seed + 1)
    queries = queries[queries.any(axis=1)]
    packed = Bytes.of(rows)
    said = packed.scores(packed.asked(queries))
    exact = queries.astype(np.float64) @ rows.T.astype(np.float64)
    assert (np.abs(exact - said.scores[:, :n] * said.step[:, None]) <= (said.slack * said.step)[:, None]).all()
    assert not said.scores[:, n:].any(), "padding scores 0"


@pytest.mark.parametrize("kind", KINDS)
def test_it_finds_what_the_exact_index_finds(kind: str) -> None:
    rows, queries = rows_of(kind, 4_000, 24, 0), rows_of(kind, 40, 24, 1)
    exact, scan = ExactIndex.of(rows), ScanIndex.of(rows)
    assert scan.part.n_packed > FEW
    rng = np.random.default_rng(2)
    seen = Ragged.of([rng.choice(4_000, 50, replace=False) for _ in range(40)])
    for allowed in (None, read_only(rng.random(4_000) < 0.3), read_only(rng.random(4_000) < 0.9)):
        for _ in range(2):
            one = exact.search(queries, 10, exclude=seen, allowed=allowed)
            two = scan.search(queries, 10, exclude=seen, allowed=allowed)
            np.testing.assert_array_equal(one.offsets, two.offsets)
            np.testing.assert_allclose(one.score, two.score, rtol=1e-5, atol=1e-35)
            if kind == "whole numbers":  # sums of whole numbers are exact, so ties must be settled alike
                np.testing.assert_array_equal(one.item_ix, two.item_ix)


def test_processors_without_products_of_bytes_get_queries_of_seven_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert scan_bytes.levels() in (63, 127)
    monkeypatch.setattr(scan_bytes, "levels", lambda: 63)
    rows, queries = rows_of("plain", 3_000, 24, 0), rows_of("plain", 40, 24, 1)
    scan = ScanIndex.of(rows)
    assert scan.part.packed is not None and scan.part.packed.levels == 63
    np.testing.assert_array_equal(scan.search(queries, 10).item_ix, ExactIndex.of(rows).search(queries, 10).item_ix)


def test_rows_too_long_for_the_common_scale_stay_as_they_are() -> None:
    rows = rows_of("plain", 3_000, 8, 0)
    rows[[5, 7]] *= 1e6
    scan = ScanIndex.of(rows)
    assert scan.part.loose.tolist() == [5, 7]
    assert Bytes.of(rows[:1_000]).residual < 1.5
    found = scan.search(rows[5:6], 2)
    assert found.item_ix[0] == 5


def test_few_candidates_are_scored_again() -> None:
    rows, queries = rows_of("plain", 50_000, 64, 0), rows_of("plain", 8, 64, 1)
    numbers = ScanIndex.of(rows).part.search(queries, 10, None)[1]
    assert 10 * 8 <= len(numbers) < 100 * 8


def test_what_masks_leave_is_kept_while_they_may_not_change() -> None:
    rows = rows_of("plain", 5_000, 8, 0)
    scan, query = ScanIndex.of(rows), rows[:1]
    mask = read_only(np.arange(5_000) % 3 == 0)
    first = scan.part_for(mask)
    assert first.packed is scan.part.packed, "met once: the others are hidden"
    second = scan.part_for(mask)
    assert second.packed is not scan.part.packed and second.n_packed + len(second.loose) == 1_667, "met again: rows of its own"
    assert scan.part_for(mask) is second
    assert scan.part_for(read_only(mask.copy())) is not second, "known by identity, not by content"
    changing = mask.copy()
    assert scan.part_for(changing) is not scan.part_for(changing)
    assert scan.search(query, 1, allowed=mask).item_ix[0] % 3 == 0


def test_masks_kept_are_bounded_and_let_go() -> None:
    subsets = Subsets(limit=3_000)
    part = Part.of(rows_of("plain", 1_000, 4, 0), np.arange(1_000))
    masks = [read_only(np.ones(5, np.bool_)) for _ in range(6)]
    for mask in masks:
        subsets.keep(mask, part)
    assert [subsets.find(mask) is not None for mask in masks] == [False, False, False, True, True, True]
    gone = weakref.ref(masks[0])
    del masks, mask
    gc.collect()
    assert gone() is None


def test_what_was_packed_is_not_packed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((3_000, 16)).astype(np.float32)
    rows[[1, 5]], rows[7] = 0.0, 100.0  # empty ones, and one too long for the scale
    queries = rng.standard_normal((20, 16)).astype(np.float32)
    index = ScanIndex.of(rows).with_rows(rng.standard_normal((4, 16)).astype(np.float32))
    arrays = index.part.arrays
    assert len(arrays["loose"]) > 4 and not index.without(np.array([3])).part.arrays
    monkeypatch.setattr(Part, "of", lambda *_: pytest.fail("packed again"))
    again = ScanIndex.of(index.matrix, arrays)
    np.testing.assert_array_equal(again.live, index.live)
    for one in (again, again.without(np.array([3]))):
        other = index if one is again else index.without(np.array([3]))
        np.testing.assert_array_equal(one.search(queries, 9).item_ix, other.search(queries, 9).item_ix)
