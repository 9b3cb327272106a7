"""Postings of some rows: for each term the rows that hold it and how strongly; never changed, only merged.

Segments grow like the digits of a binary counter: a new one is merged with the one before it as long as that
is at most twice its size. One row in a catalogue of n costs log n small merges on average, and no search meets more
than log n segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Float32, Int32, Int64, offsets_of

S = TypeVar("S", bound=Sized)

Weigh = Callable[[AnyArray, AnyArray, AnyArray], Float32]
"""(field counts (n_fields, n), lengths of the fields (n_fields, n_rows), row of each (n,)) -> weights (n,)."""


def grown(parts: tuple[S, ...], new: S, merged: Callable[[S, S], S]) -> tuple[S, ...]:
    """The parts and a new one, merged from the end until each is more than twice the size of the next."""
    out = [*parts, new]
    while len(out) > 1 and len(out[-2]) <= 2 * len(out[-1]):
        last = out.pop()
        out[-1] = merged(out[-1], last)
    return tuple(out)


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """``rows[offsets[t] : offsets[t + 1]]`` hold term t, ascending; ``stale`` rows are here no longer."""

    place: Mapping[str, int]  # term -> t
    offsets: Int64  # (n_terms + 1,)
    rows: Int32  # (n_postings,) numbers of the whole index
    weights: Float32  # (n_postings,)
    held: Int32  # (n_held,) ascending: rows that were put here
    stale: Bool | None = None  # (largest row + 1,) True = gone or changed since

    def __len__(self) -> int:
        return len(self.held)

    @property
    def live(self) -> Int32:
        """Rows that are still here."""
        return self.held if self.stale is None else self.held[~self.stale[self.held]]

    def postings(self, term: str) -> tuple[Int32, Float32]:
        """Rows and weights of a term; empty where nothing holds it."""
        at = self.place.get(term)
        if at is None:
            return self.rows[:0], self.weights[:0]
        part = slice(self.offsets[at], self.offsets[at + 1])
        rows, weights = self.rows[part], self.weights[part]
        if self.stale is None:
            return rows, weights
        kept = ~self.stale[rows]
        return rows[kept], weights[kept]

    def without(self, rows: AnyArray) -> Segment:
        """The same without these rows; the postings stay until the next merge."""
        rows = np.asarray(rows)
        at = np.searchsorted(self.held, rows)
        mine = rows[(at < len(self.held)) & (self.held[np.minimum(at, len(self.held) - 1)] == rows)]
        if not len(mine):
            return self
        stale = np.zeros(int(self.held[-1]) + 1, np.bool_) if self.stale is None else self.stale.copy()
        stale[mine] = True
        return replace(self, stale=stale)


def segment_of(numbers: AnyArray, documents: Iterable[Sequence[Sequence[str]]], n_fields: int, weigh: Weigh) -> Segment:
    """Count the terms of documents, one list per field, and weigh each term of each row."""
    place: dict[str, int] = {}
    terms: list[int] = []
    lengths: list[list[int]] = []
    for fields in documents:
        lengths.append([len(field) for field in fields])
        for field in fields:
            terms.extend([place.setdefault(term, len(place)) for term in field])
    length = np.array(lengths, np.int64).reshape(len(lengths), n_fields)
    n, term = len(lengths), np.array(terms, np.int64)
    row = np.repeat(np.arange(n), length.sum(axis=1))
    field_of = np.repeat(np.tile(np.arange(n_fields), n), length.ravel())
    keys, inverse = np.unique(term * max(n, 1) + row, return_inverse=True)  # ascending: by term, then by row
    counts = np.bincount(field_of * len(keys) + inverse, minlength=n_fields * len(keys)).reshape(n_fields, -1)
    of_term, of_row = np.divmod(keys, max(n, 1))
    weights = np.asarray(weigh(counts, length.T, of_row), np.float32)
    held = np.asarray(numbers, np.int32)
    offsets = offsets_of(np.bincount(of_term, minlength=len(place)))
    return Segment(place, offsets, held[of_row], weights, held)


def merged_segments(a: Segment, b: Segment) -> Segment:
    """The live rows of both as one."""
    place = dict(a.place)
    moved = np.array([place.setdefault(term, len(place)) for term in b.place], np.int64)
    parts = []
    for segment, to in ((a, np.arange(len(a.place))), (b, moved)):
        term = to[np.repeat(np.arange(len(segment.place)), np.diff(segment.offsets))]
        kept = slice(None) if segment.stale is None else ~segment.stale[segment.rows]
        parts.append((term[kept], segment.rows[kept], segment.weights[kept]))
    term, rows, weights = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    held = np.sort(np.concatenate([a.live, b.live]))
    order = np.argsort(term.astype(np.int64) << 32 | rows, kind="stable")
    offsets = offsets_of(np.bincount(term, minlength=len(place)))
    return Segment(place, offsets, rows[order], weights[order], held)
