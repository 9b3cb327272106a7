"""What finding ten of 100,000 costs: the indexes of zhiyin beside faiss, CPU time and recall, no HTTP.

    python bench/index_speed.py [--rows 100000] [--world grouped|spread] [--only CASE,..] [--json PATH]

``grouped`` is the world of the serve bench (12 true dimensions of 64, loose groups); ``spread`` has no groups
and rows of unequal length, where approximate indexes find little. One thread. Requests: alone, 8 and 32
together; ``plain``, ``seen`` (10 to 20 seen things left out), ``filter`` (seen, and one of 10 categories),
``mixed`` (every second request has the filter; together, those of one filter are asked together).
faiss cannot leave things out for each request, so it is asked for more and what is forbidden is dropped, doubled until ten are left, as in
``serve_baseline.py``; its IVF gets the filter as a selector. Figures are CPU milliseconds per request:
median, least and most of 5 rounds, the indexes taking turns.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from rows import Row, show, write
from serve_world import Size, World
from zhiyin.base.arrays import Bool, Float32, Ragged, offsets_of
from zhiyin.data.slates import Slates
from zhiyin.index.ann import AnnIndex
from zhiyin.index.exact import ExactIndex
from zhiyin.index.scan import ScanIndex

K, ROUNDS, ASKED, CATEGORIES = 10, 5, 320, 10
Search = Callable[[Float32, Ragged | None, Bool | None], Slates]


@dataclass(frozen=True)
class Questions:
    rows: Float32
    users: Float32
    seen: Ragged
    masks: tuple[Bool, ...]  # read-only, one per category

    @classmethod
    def of(cls, world: str, n_rows: int, n_users: int = 12_000) -> Questions:
        made = World.of(Size(users=n_users, items=n_rows))
        rows, users = made.items, made.users
        if world == "spread":
            rng = np.random.default_rng(1)
            rows = (rng.standard_normal(rows.shape) * rng.lognormal(0, 0.3, (n_rows, 1))).astype(np.float32)
            users = rng.standard_normal(users.shape).astype(np.float32)
        masks = tuple(made.category == c for c in range(CATEGORIES))
        for mask in masks:
            mask.setflags(write=False)
        return cls(rows, users, Ragged(made.offsets.astype(np.int64), made.seen), masks)


@dataclass
class Peer:
    """A faiss index with the same promises: seen things and filters, and ten come back."""

    index: Any
    selects: bool
    n_probed: int = 0

    def search(self, queries: Float32, exclude: Ragged | None, allowed: Bool | None) -> Slates:
        import faiss

        n, n_rows = len(queries), self.index.ntotal
        extra = 0 if exclude is None else int(exclude.lengths.max())
        params, fetch = None, K + extra
        if self.selects:
            selector = None if allowed is None else faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
            params = faiss.SearchParametersIVF(nprobe=self.n_probed, sel=selector)
        elif allowed is not None:
            fetch = int(1.2 * fetch / allowed.mean())
        while True:
            fetch = min(fetch, n_rows)
            score, found = self.index.search(queries, fetch, params=params)
            keep = found >= 0
            for q in range(n if exclude is not None else 0):
                keep[q] &= ~np.isin(found[q], exclude[q])  # type: ignore[index]
            if allowed is not None and not self.selects:
                keep &= allowed[found]
            if fetch == n_rows or self.selects or bool((keep.sum(axis=1) >= K).all()):
                break
            fetch *= 2
        kept = [np.flatnonzero(row)[:K] for row in keep]
        lists = [found[q][at] for q, at in enumerate(kept)]
        scores = np.concatenate([score[q][at] for q, at in enumerate(kept)])
        return Slates(offsets_of(np.array([len(at) for at in kept])), np.concatenate(lists).astype(np.int32), scores)


def ours(index: Any) -> Search:
    return lambda queries, exclude, allowed: index.search(queries, K, exclude=exclude, allowed=allowed)


def faiss_index(said: str, rows: Float32, *, n_probed: int = 0) -> Search:
    import faiss

    index = faiss.index_factory(rows.shape[1], said, faiss.METRIC_INNER_PRODUCT)
    faiss.omp_set_num_threads(2)
    index.train(rows)
    index.add(rows)
    faiss.omp_set_num_threads(1)
    if said.startswith("HNSW"):
        index.hnsw.efSearch = 64
    return Peer(index, said.startswith("IVF"), n_probed).search


CASES: dict[str, Callable[[Questions], Search]] = {
    "exact": lambda q: ours(ExactIndex.of(q.rows)),
    "scan": lambda q: ours(ScanIndex.of(q.rows)),
    "ann": lambda q: ours(AnnIndex.of(q.rows, q.users[-256:])),
    "faiss HNSW32 ef 64": lambda q: faiss_index("HNSW32", q.rows),
    "faiss IVF512 32 cells": lambda q: faiss_index("IVF512,Flat", q.rows, n_probed=32),
}


def built(name: str, questions: Questions) -> tuple[Search, list[Row]]:
    """An index, the seconds it took and the memory it holds (with the libraries it is the first to load)."""
    gc.collect()
    before, started = resident_mb(), time.process_time()
    search = CASES[name](questions)
    spent = time.process_time() - started
    gc.collect()
    held = resident_mb() - before
    return search, [Row("index", name, metric, value, value, value, 1) for metric, value in {"memory_mb": held, "build_s": spent}.items()]


def calls(questions: Questions, what: str, size: int, n: int = ASKED) -> list[tuple[Float32, Ragged | None, Bool | None]]:
    """The requests in order, ``size`` at a time; of ``mixed`` every second has a filter, and those go together."""
    out: list[tuple[Float32, Ragged | None, Bool | None]] = []
    for start in range(0, n, size):
        users = np.arange(start, start + size)
        filtered = (users % 2 == 1) if what == "mixed" else np.full(size, what == "filter")
        for part, mask in ((users[filtered], questions.masks[start // size % CATEGORIES]), (users[~filtered], None)):
            if len(part):
                out.append((questions.users[part], None if what == "plain" else questions.seen.take(part), mask))
    return out


def costs(what: str, size: int, searches: dict[str, Search], questions: Questions) -> list[Row]:
    """CPU milliseconds per request; rounds go from index to index, so that what else the machine does hits all alike."""
    asked = calls(questions, what, size)
    n = sum(len(call[0]) for call in asked)
    spent: dict[str, list[float]] = {name: [] for name in searches}
    for turn in range(ROUNDS + 1):
        for name, search in searches.items():
            started = time.process_time()
            for call in asked:
                search(*call)
            if turn:  # in the first one caches fill, as in a server that has run for a second
                spent[name].append((time.process_time() - started) / n * 1e3)
    return [Row("index", name, f"{what} x{size}", float(np.median(ms)), min(ms), max(ms), n, "cpu ms") for name, ms in spent.items()]


def recall(name: str, what: str, search: Search, truth: Search, questions: Questions, n: int = 1_000) -> Row:
    """Share of the exact ten that were found, asked one at a time; intervals over requests."""
    shares = [float(np.isin(truth(*call).item_ix, search(*call).item_ix).mean()) for call in calls(questions, what, 1, n)]
    error = 1.96 * float(np.std(shares)) / len(shares) ** 0.5
    mean = float(np.mean(shares))
    return Row("index", name, f"recall@10 {what}", mean, mean - error, min(1.0, mean + error), len(shares))


def equal(questions: Questions, n: int = 10_000) -> list[Row]:
    """How many of 10,000 requests (half with a filter) get another list from the scan than from the exact index.

    Those that differ only in items whose scores are level within 1e-6 are counted apart: float32 sums
    depend on the order of summing.
    """
    exact, scan = ours(ExactIndex.of(questions.rows)), ours(ScanIndex.of(questions.rows))
    different = rounding = 0
    for call in calls(questions, "mixed", 32, n):
        one, two = exact(*call), scan(*call)
        for q in range(len(call[0])):
            a, b = (slice(s.offsets[q], s.offsets[q + 1]) for s in (one, two))
            if not np.array_equal(one.item_ix[a], two.item_ix[b]):
                level = len(one.score[a]) == len(two.score[b]) and np.allclose(one.score[a], two.score[b], rtol=1e-6, atol=1e-7)
                rounding, different = rounding + level, different + (not level)
    values = {"other lists": different, "level, other order": rounding}
    return [Row("index", "scan", metric, value, value, value, n) for metric, value in values.items()]


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096 / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--world", choices=("grouped", "spread"), default="grouped")
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    rows: list[Row] = []
    with threadpool_limits(1):
        questions, searches = Questions.of(given.world, given.rows), {}
        for name in given.only.split(","):
            searches[name], more = built(name, questions)
            rows += more
        truth = ours(ScanIndex.of(questions.rows))
        rows += [recall(name, what, search, truth, questions) for name, search in searches.items() for what in ("plain", "seen", "filter")]
        for what in ("plain", "seen", "filter", "mixed"):
            for size in (1, 8, 32):
                rows += costs(what, size, searches, questions)
        if "scan" in searches:
            rows += equal(questions)
    show(rows, f"{given.rows:,} rows of 64, {given.world}")
    write(rows, given.json)


if __name__ == "__main__":
    main()
