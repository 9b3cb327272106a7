"""Vectors that grow share their memory, and nobody ever sees another one's rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zhiyin.data.catalog import Vectors

DIM = 3
STEP = st.tuples(st.sampled_from(["longer", "blank", "filled"]), st.integers(0, 30), st.integers(0, 6))


@given(st.lists(STEP, max_size=25), st.integers(0, 5))
def test_every_generation_stays_as_it_was(steps: list[tuple[str, int, int]], n: int) -> None:
    """Each step changes some earlier generation; a plain copy says what it must be then, and for ever."""
    rng = np.random.default_rng(len(steps))
    first = rng.standard_normal((n, DIM)).astype(np.float32)
    found, expected = [Vectors(first, "v")], [first.copy()]
    for what, which, size in steps:
        old, plain = found[which % len(found)], expected[which % len(found)].copy()
        if what == "longer":
            # What was made to be filled is filled at once, by whoever made it.
            values = rng.standard_normal((size, DIM)).astype(np.float32)
            at = np.arange(len(plain), len(plain) + size)
            found.append(old.longer(size).filled(at, values))
            expected.append(np.concatenate([plain, values]))
            continue
        rows = rng.choice(len(plain), min(size, len(plain)), replace=False) if len(plain) else np.zeros(0, np.int64)
        values = rng.standard_normal((len(rows), DIM)).astype(np.float32)
        values[: what == "blank"] = 0.0
        found.append(old.blank(rows).filled(rows, values) if what == "blank" else old.filled(rows, values))
        plain[rows] = values
        expected.append(plain)
    for one, plain in zip(found, expected, strict=True):
        assert (one.matrix == plain).all() and one.fingerprint == "v"
        assert one.present.tolist() == (np.abs(plain).sum(axis=1) > 0).tolist()


def test_one_more_row_is_no_copy_of_all() -> None:
    grown = Vectors(np.ones((1000, DIM), np.float32), "v").longer(1).filled(np.array([1000]), np.ones((1, DIM), np.float32))
    again = grown.longer(1).filled(np.array([1001]), np.full((1, DIM), 2, np.float32))
    beside = grown.longer(1).filled(np.array([1001]), np.full((1, DIM), 3, np.float32))
    assert np.shares_memory(grown.matrix, again.matrix) and not np.shares_memory(grown.matrix, beside.matrix)
    assert again.matrix[1001].tolist() == [2] * DIM and beside.matrix[1001].tolist() == [3] * DIM


def test_vectors_of_a_mapped_file_are_never_written() -> None:
    mapped = np.ones((4, DIM), np.float32)
    mapped.setflags(write=False)
    known = Vectors(mapped, "v")
    assert known.filled(np.zeros(0, np.int64), np.zeros((0, DIM), np.float32)).matrix is mapped
    assert known.filled(np.array([2]), np.full((1, DIM), 5, np.float32)).matrix[2].tolist() == [5] * DIM
    assert known.longer(1).filled(np.zeros(0, np.int64), np.zeros((0, DIM), np.float32)).matrix[4].tolist() == [0] * DIM
    assert mapped[2].tolist() == [1] * DIM
