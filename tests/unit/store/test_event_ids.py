"""The memory of ids: never forgets, is exact, stays small."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zhiyin.store.event_ids import IdTable, Sieve, hashed


@given(st.lists(st.lists(st.integers(0, 50), max_size=20), max_size=12))
def test_a_sieve_knows_what_was_added(columns: list[list[int]]) -> None:
    sieve = Sieve()
    added: set[int] = set()
    assert not sieve
    for column in columns:
        sieve.add([np.array(column, np.uint64)])
        added |= set(column)
        everything = np.arange(60, dtype=np.uint64)
        assert set(everything[sieve.maybe(everything)].tolist()) == added
        assert bool(sieve) == bool(added)


def test_a_sieve_takes_few_bytes_an_id_in_few_runs() -> None:
    sieve = Sieve()
    rng = np.random.default_rng(0)
    for n in rng.integers(1, 2000, 200):
        sieve.add([rng.integers(0, 2**64, n, dtype=np.uint64)])
    sizes = [len(run) for run in sieve._runs]
    assert len(sizes) <= 12 and all(a > 2 * b for a, b in pairwise(sizes))
    assert len(sieve._bits) <= 4 * sum(sizes)
    fresh = rng.integers(0, 2**64, 20_000, dtype=np.uint64)
    assert not sieve.maybe(fresh).any() and all(sieve.maybe(run).all() for run in sieve._runs)


@given(st.lists(st.integers(0, 5), max_size=30))
def test_a_table_gives_every_place_of_a_hash(hashes: list[int]) -> None:
    table = IdTable.of(hashes, [10 * i for i in range(len(hashes))], 999, 7)
    back = IdTable.from_bytes(table.to_bytes(), check=True)
    assert back is not None and (back.size, back.crc) == (999, 7)
    for known in (table, back):
        asked = np.arange(7, dtype=np.uint64)
        assert known.starts(asked) == [[10 * i for i, h in enumerate(hashes) if h == want] for want in range(7)]


def test_a_damaged_table_is_none() -> None:
    data = IdTable.of([3, 1, 2], [0, 5, 9], 20, 1).to_bytes()
    for at in range(32, len(data)):
        assert IdTable.from_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], check=True) is None or at < 32
    assert IdTable.from_bytes(data[:-1], check=True) is None
    assert IdTable.from_bytes(b"", check=False) is None and IdTable.from_bytes(b"x" * 64, check=False) is None


def test_hashes_are_the_same_in_every_process() -> None:
    assert hashed(["知音", "zhiyin"]).tolist() == [10614091765158713800, 16516217994315369912]
