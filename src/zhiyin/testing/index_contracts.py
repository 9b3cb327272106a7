"""What every index promises, as checks that any of them, own or private, can be run against.

    from zhiyin.testing.index_contracts import Case, check_index
    check_index(Case(lambda rows, queries: MyIndex(rows)))

Exact indexes must agree with brute force; others must find ``recall`` of it, and keep every other promise
all the same: what is forbidden never comes back, and k rows do when k exist.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from zhiyin.base.arrays import Bool, Float32, Ragged
from zhiyin.base.errors import ConfigError, ZhiyinError
from zhiyin.data.requests import Masks
from zhiyin.data.slates import Slates
from zhiyin.index.exact import Index

K = 10


class ContractError(ZhiyinError, AssertionError):
    """An index does not keep what every index promises."""

    code = "E900"


@dataclass(frozen=True)
class Case:
    """``make(rows, queries)`` builds the index; ``queries`` are examples of what will be asked.

    ``spread`` is how far rows lie from the centre of their cluster, which lies about 1 from the origin in each
    dimension: 0.1 and ``n_clusters`` of a hundred rows each are easy for approximate indexes.
    """

    make: Callable[[Float32, Float32], Index]
    recall: float = 1.0
    n_rows: int = 3_000
    dim: int = 16
    spread: float = 0.3
    n_clusters: int = 40
    seed: int = 0

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    @cached_property
    def _world(self) -> tuple[Float32, Float32]:
        """Rows in clusters, a few long ones, a zero one; and queries in the same clusters."""
        rng = np.random.default_rng(self.seed)
        centres = rng.standard_normal((self.n_clusters, self.dim))
        rows, queries = (
            centres[rng.integers(0, self.n_clusters, n)] + self.spread * rng.standard_normal((n, self.dim)) for n in (self.n_rows, 300)
        )
        rows[rng.integers(0, self.n_rows, 3)] *= 8.0
        rows[self.n_rows // 2] = 0.0
        return rows.astype(np.float32), queries.astype(np.float32)

    @property
    def rows(self) -> Float32:
        return self._world[0]

    @property
    def queries(self) -> Float32:
        return self._world[1][:48]

    @cached_property
    def index(self) -> Index:
        return self.make(self.rows, self._world[1][48:])

    @cached_property
    def seen(self) -> Ragged:
        """Some of the best of each query, some others, for one query nothing."""
        scores = self.queries @ self.rows.T
        best = np.argsort(-scores, axis=1)[:, :30]
        rng = np.random.default_rng(self.seed + 1)
        lists = [np.unique(np.concatenate([rng.choice(b, 12, replace=False), rng.integers(0, self.n_rows, 8)])) for b in best]
        return Ragged.of([[], *lists[1:]])

    def mask(self, share: float, *, seed: int = 2) -> Bool:
        """Read-only, as masks of filters are."""
        mask = np.random.default_rng(self.seed + seed).random(self.n_rows) < share
        mask.setflags(write=False)
        return mask

    def require(self, kept: bool, promise: str) -> None:
        if not kept:
            raise ContractError(f"an index breaks its contract: {promise}", "See zhiyin.testing.index_contracts.")

    def right(self, found: Slates, rows: Float32, queries: Float32, what: str, k: int = K, **limits: Any) -> None:
        """Well-formed, nothing forbidden, as many as there are, and as good as brute force."""
        may, scores = permitted(rows, queries, **limits), queries.astype(np.float64) @ rows.T.astype(np.float64)
        self.require(len(found) == len(queries), f"{what}: one list per query")
        self.require(found.item_ix.dtype == np.int32 and found.score.dtype == np.float32, f"{what}: int32 rows and float32 scores")
        hits = total = 0
        for q in range(len(queries)):
            got = found.item_ix[found.offsets[q] : found.offsets[q + 1]]
            said = found.score[found.offsets[q] : found.offsets[q + 1]]
            there = int(may[q].sum())
            self.require(len(got) == min(k, there), f"{what}: {min(k, there)} rows exist and {len(got)} came")
            self.require(bool(may[q][got].all()), f"{what}: nothing forbidden comes back")
            self.require(len(np.unique(got)) == len(got), f"{what}: a row comes once")
            self.require(bool(np.allclose(said, scores[q][got], rtol=1e-4, atol=1e-4)), f"{what}: scores are inner products")
            self.require(bool((np.diff(said) <= 0).all()), f"{what}: best first")
            if there:
                last = np.sort(scores[q][may[q]])[::-1][: len(got)][-1]
                hits += int((scores[q][got] >= last - 1e-4 * max(1.0, abs(last))).sum())
                total += len(got)
        self.require(hits >= self.recall * total, f"{what}: {hits} of {total} best rows found, {self.recall:.3f} of them promised")


def permitted(
    rows: Float32, queries: Float32, *, exclude: Ragged | None = None, candidates: Ragged | None = None, allowed: Bool | None = None
) -> Bool:
    """What may come back, by the definition: (n_queries, n_rows)."""
    may: Bool = np.outer(queries.any(axis=1), rows.any(axis=1))
    if candidates is not None:
        given = np.zeros_like(may)
        given[candidates.rows, candidates.values] = True
        may &= given
    if exclude is not None:
        may[exclude.rows, exclude.values] = False
    if allowed is not None:
        may &= allowed
    return may


def finds(case: Case) -> None:
    """The best rows, for short lists and long ones, with some left out."""
    for k in (1, K, 150):
        case.right(case.index.search(case.queries, k), case.rows, case.queries, f"k = {k}", k)
    case.right(case.index.search(case.queries, K, exclude=case.seen), case.rows, case.queries, "with exclusions", exclude=case.seen)
    everything = Ragged.of([np.arange(case.n_rows)] * len(case.queries))
    case.require(not len(case.index.search(case.queries, K, exclude=everything).item_ix), "all excluded, nothing comes")


def filtered(case: Case) -> None:
    """As many as a filter leaves, whether it leaves much or little, new or met before, read-only or not."""
    for share in (0.9, 0.6, 0.1, 0.002):
        mask = case.mask(share)
        for time in range(3):
            limits: dict[str, Any] = {"exclude": case.seen, "allowed": mask if time else mask.copy()}
            case.right(case.index.search(case.queries, K, **limits), case.rows, case.queries, f"a filter of {share}", **limits)
    case.require(
        not len(case.index.search(case.queries, K, allowed=np.zeros(case.n_rows, np.bool_)).item_ix), "nothing allowed, nothing comes"
    )
    changing = case.mask(0.1).copy()
    case.index.search(case.queries, K, allowed=changing)
    changing[:] = case.mask(0.1, seed=3)
    found = case.index.search(case.queries, K, allowed=changing)
    case.right(found, case.rows, case.queries, "a mask that changed", allowed=changing)
    for seed in range(4, 40):  # more masks than anything should keep
        mask = case.mask(0.3, seed=seed)
        for _ in range(2):
            found = case.index.search(case.queries[:2], K, allowed=mask)
        case.right(found, case.rows, case.queries[:2], "many masks", allowed=mask)


def each_its_own(case: Case) -> None:
    """Queries with filters of their own in one search: each obeys its own, and gets what it would get alone."""
    kinds = [None, case.mask(0.8), case.mask(0.1), case.mask(0.002), np.zeros(case.n_rows, np.bool_)]
    picked = [kinds[(3 * q) % len(kinds)] for q in range(len(case.queries))]
    queries, queries_rows = case.queries.copy(), np.arange(len(case.queries))
    queries[5] = 0.0
    lists = Ragged.of([np.arange(q % 5, case.n_rows, 7) for q in queries_rows])
    every: tuple[dict[str, Any], ...] = ({}, {"exclude": case.seen}, {"exclude": case.seen, "candidates": lists})
    for limits in every:
        for _ in range(3):
            found = case.index.search(queries, K, masks=Masks.of(picked), **limits)
        for mask in kinds:
            at = np.array([q for q in queries_rows if picked[q] is mask])
            own: dict[str, Any] = {name: given.take(at) for name, given in limits.items()}
            case.right(found.take(at), case.rows, queries[at], "a filter for each query", allowed=mask, **own)


def given(case: Case) -> None:
    """Candidates: only those, each once, less the excluded and forbidden ones."""
    lists = [np.arange(q % 5, case.n_rows, 7 + q) for q in range(len(case.queries) - 2)]
    candidates = Ragged.of([*lists, np.array([5, 5, 5, 3]), []])
    case.right(case.index.search(case.queries, K, candidates=candidates), case.rows, case.queries, "candidates", candidates=candidates)
    limits: dict[str, Any] = {"candidates": candidates, "exclude": case.seen, "allowed": case.mask(0.5)}
    case.right(case.index.search(case.queries, K, **limits), case.rows, case.queries, "candidates within a filter", **limits)


def one_by_one(case: Case) -> None:
    """A query alone gets what it gets among others; asked again, the same."""
    whole = case.index.search(case.queries, K, exclude=case.seen)
    rows = [np.array([q]) for q in range(len(case.queries))]
    alone = Slates.concatenated(case.index.search(case.queries[q], K, exclude=case.seen.take(q)) for q in rows)
    case.require(np.array_equal(whole.offsets, alone.offsets), "a query alone gets as many")
    same = (whole.item_ix == alone.item_ix).mean() if len(whole.item_ix) else 1.0
    case.require(bool(same >= (0.999 if case.recall == 1.0 else case.recall)), "a query alone gets the same rows")
    again = case.index.search(case.queries, K, exclude=case.seen)
    case.require(np.array_equal(whole.item_ix, again.item_ix) and np.array_equal(whole.score, again.score), "asked again, the same")


def grows(case: Case) -> None:
    """Added rows are found, removed ones never; the index that was changed answers as before."""
    before = case.index.search(case.queries, K)
    index, rows = case.index, case.rows
    for step in range(6):
        fresh = (case.queries[step : step + 4] * 1.5).astype(np.float32)
        fresh[0] = 0.0 if step == 3 else fresh[0]
        index, rows = index.with_rows(fresh), np.concatenate([rows, fresh])
        gone = np.unique(index.search(case.queries[step : step + 1], 3).item_ix)
        index, rows = index.without(gone), without(rows, gone)
    found = index.search(case.queries, K)
    case.right(found, rows, case.queries, "after single changes")
    many = np.concatenate([case.rows, case.rows[::-1]]) * np.float32(1.01)
    index, rows = index.with_rows(many), np.concatenate([rows, many])
    odd_ones = np.arange(1, len(rows), 2)
    index, rows = index.without(odd_ones), without(rows, odd_ones)
    mask = np.random.default_rng(0).random(len(rows)) < 0.2
    case.right(index.search(case.queries, K), rows, case.queries, "after many changes")
    case.right(index.search(case.queries, K, allowed=mask), rows, case.queries, "and with a filter", allowed=mask)
    case.require(np.array_equal(before.item_ix, case.index.search(case.queries, K).item_ix), "the index before a change stays as it was")


def without(rows: Float32, numbers: Any) -> Float32:
    rows = rows.copy()
    rows[numbers] = 0.0
    return rows


def odd(case: Case) -> None:
    """Zero queries find nothing, no queries give no lists, queries of another width are refused."""
    queries = case.queries.copy()
    queries[::3] = 0.0
    case.right(case.index.search(queries, K, exclude=case.seen), case.rows, queries, "zero queries", exclude=case.seen)
    case.require(len(case.index.search(queries[:1], K).item_ix) == 0, "a zero query alone finds nothing")
    case.require(len(case.index.search(queries[:0], K)) == 0, "no queries, no lists")
    case.require(not len(case.index.search(case.queries, 0).item_ix), "k = 0 gives empty lists")
    case.right(case.index.search(case.queries[:2], 2 * case.n_rows), case.rows, case.queries[:2], "k above all", 2 * case.n_rows)
    for few in (1, 2, 40):
        small = case.make(case.rows[:few], case.queries)
        case.right(small.search(case.queries, K), case.rows[:few], case.queries, f"{few} rows")
    try:
        case.index.search(case.queries[:, 1:], K)
    except ConfigError:
        return
    case.require(False, "queries of another width raise ConfigError")


CHECKS: dict[str, Callable[[Case], None]] = {
    check.__name__: check for check in (finds, filtered, each_its_own, given, one_by_one, grows, odd)
}
"""Every promise by name: a test may run them one by one on one Case."""


def check_index(case: Case) -> None:
    """Run every check; raises ContractError at the first broken promise."""
    for check in CHECKS.values():
        check(case)
