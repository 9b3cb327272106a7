"""The vector cache: nothing is encoded twice, by nobody, and a broken file says so."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from zhiyin.base.arrays import Float32
from zhiyin.base.errors import DataError
from zhiyin.text.cache import VectorCache, cache_folder, encode_cached
from zhiyin.text.encoder import EncoderState, unit_rows


class Counting:
    """An encoder that counts the texts it is given."""

    name, dim = "counting", 3

    def __init__(self, fingerprint: str = "a") -> None:
        self.fingerprint = fingerprint
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> Float32:
        self.seen += texts
        return unit_rows(np.array([[len(t), t.count("a") + 1, 1] for t in texts], np.float32))

    def unknown_share(self, texts: Sequence[str]) -> float:
        return 0.0

    def describe(self) -> EncoderState:
        return EncoderState({}, {"fingerprint": self.fingerprint})


def test_the_second_run_encodes_nothing(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "deep" / "v.sqlite")
    texts = ["a", "bb", "a", "长", "\ud800"]
    first, second = Counting(), Counting()
    made = encode_cached(first, texts, cache)
    again = encode_cached(second, [*texts, "a"], cache)
    assert sorted(first.seen) == sorted(set(texts)) and second.seen == []
    np.testing.assert_array_equal(made, again[:-1])
    np.testing.assert_array_equal(made, Counting().encode(texts))


def test_another_encoder_shares_nothing(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "v.sqlite")
    encode_cached(Counting("a"), ["x"], cache)
    other = Counting("b")
    encode_cached(other, ["x"], cache)
    assert other.seen == ["x"]


def test_progress_and_loss_of_at_most_one_batch(tmp_path: Path) -> None:
    cache, rows = VectorCache(tmp_path / "v.sqlite"), []
    texts = [f"text {'x' * i}" for i in range(10)]

    def killed(row: object) -> None:
        rows.append(row)
        if len(rows) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_cached(Counting(), texts, cache, killed, batch=4)
    assert rows[0] == {"stage": "text", "step": 4, "of": 10}
    rest = Counting()
    encode_cached(rest, texts, cache)
    assert len(rest.seen) == 2


def _write(path: Path, start: int) -> None:
    cache = VectorCache(path)
    for i in range(start, start + 20):
        cache.write("e", [f"t{i}"], np.full((1, 2), i, np.float32))


def test_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write, args=(path, start)) for start in (0, 10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    matrix, found = VectorCache(path).read("e", [f"t{i}" for i in range(31)], 2)
    assert found.tolist() == [True] * 30 + [False]
    np.testing.assert_array_equal(matrix[:30, 0], np.arange(30))


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(DataError, match=r"cannot be used: file is not a database \(E200\)\. Delete the file; it is made again"):
        VectorCache(path).read("e", ["t"], 2)


def test_more_texts_than_one_lookup(tmp_path: Path) -> None:
    cache, texts = VectorCache(tmp_path / "v.sqlite"), [str(i) for i in range(1203)]
    encode_cached(Counting(), texts, cache)
    again = Counting()
    encode_cached(again, texts, cache)
    assert again.seen == []


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZHIYIN_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path and VectorCache().path == tmp_path / "text_vectors.sqlite"
    monkeypatch.delenv("ZHIYIN_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "zhiyin"
