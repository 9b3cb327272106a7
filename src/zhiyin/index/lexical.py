"""BM25 over documents of several fields: which rows hold the words, and how much that says.

BM25F: Robertson, Zaragoza, Taylor, "Simple BM25 extension to multiple weighted fields", CIKM 2004.
For a term t in a row d, with ``c_f`` its count and ``l_f`` the length of field f (``L_f`` on average):

    x = sum over f of  weight_f * c_f / (1 - b_f + b_f * l_f / L_f)
    weight(t, d) = x / (k1 + x)          idf(t) = log(1 + (n - n_t + .5) / (n_t + .5))

``L_f`` are the averages of the rows the index was built from and stay: an index that grew row by row equals one
that got the same rows at once. Terms are plain text; who cuts them from language lives in ``text``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal, Self

import numpy as np
import pyarrow as pa

from zhiyin.base.arrays import AnyArray, Bool, Float32, Int32, Int64, Ragged, found_under, named_under
from zhiyin.base.errors import ConfigError
from zhiyin.data.slates import Slates
from zhiyin.data.vocab import Numbers, Vocabulary
from zhiyin.index.exact import NEVER, forbidden, top_k
from zhiyin.index.lexical_segment import Segment, grown, merged_segments, segment_of

FEW_TERMS = 1_000
"""Terms up to which a restored index makes a table of them; more are found where they lie in the file."""

Document = Sequence[Sequence[str]]
"""One list of terms per field of the index."""


@dataclass(frozen=True, slots=True)
class Field:
    """How much a field counts; ``b`` 0..1 is how much its length is held against it."""

    name: str
    weight: float = 1.0
    b: float = 0.75


@dataclass(frozen=True, slots=True)
class Alternative:
    """Terms that must all be in a row, and how much that is worth (1 = the word itself)."""

    terms: tuple[str, ...]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Group:
    """One thing asked for: a row has it when it has one of the alternatives, and scores by its best one.

    All alternatives get the idf of the most common one: a misspelling that exists once would win otherwise.
    """

    any_of: tuple[Alternative, ...]
    weight: float = 1.0
    required: bool = True


Query = Sequence[Group]


def plain_query(terms: Sequence[str]) -> tuple[Group, ...]:
    """Each distinct term once, as it stands."""
    return tuple(Group((Alternative((term,)),)) for term in dict.fromkeys(terms))


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What a query found: scores (n_rows,), 0 = nothing, and how many required groups each row has (n_rows,)."""

    score: Float32
    n_had: AnyArray
    n_required: int  # groups of the query that are required, whether any row has them or not


@dataclass(frozen=True, eq=False)
class LexicalIndex:
    """Finds rows by terms. Immutable: rows are appended, replaced and removed in new indexes, never renumbered.

    Choose it where the words matter (names, models, part numbers); ``ExactIndex`` finds by meaning.
    """

    fields: tuple[Field, ...]
    k1: float
    averages: Float32 | None  # (n_fields,) L_f; None until there are rows
    segments: tuple[Segment, ...]
    n_rows: int

    @classmethod
    def of(cls, documents: Sequence[Document], fields: Sequence[Field] = (Field("text"),), k1: float = 1.5) -> Self:
        """Row i holds document i. Raises ``ConfigError`` for a document with another number of fields."""
        return cls(tuple(fields), k1, None, (), 0).with_rows(documents)

    def __len__(self) -> int:
        """Rows that are there."""
        return sum(len(segment.live) for segment in self.segments)

    def with_rows(self, documents: Sequence[Document]) -> Self:
        """Append rows. One row in 100,000 costs well under a millisecond on average."""
        grown_to = self.n_rows + len(documents)
        return self._put(np.arange(self.n_rows, grown_to), documents, grown_to)

    def replaced(self, rows: AnyArray, documents: Sequence[Document]) -> Self:
        """Rows (n,), all known and distinct, that hold something else from now on."""
        order = np.argsort(rows, kind="stable")
        return self.without(rows)._put(np.asarray(rows)[order], [documents[i] for i in order], self.n_rows)

    def without(self, rows: AnyArray) -> Self:
        """Rows that are found no more; their numbers are not given again."""
        return replace(self, segments=tuple(segment.without(rows) for segment in self.segments))

    def _put(self, rows: AnyArray, documents: Sequence[Document], n_rows: int) -> Self:
        if not len(documents):
            return self
        wrong = next((len(document) for document in documents if len(document) != len(self.fields)), None)
        if wrong is not None:
            raise ConfigError(
                f"a document has {wrong} fields, the index {len(self.fields)}", f"Give {', '.join(f.name for f in self.fields)}."
            )
        averages = self.averages
        if averages is None:
            lengths = np.array([[len(field) for field in document] for document in documents], np.float32)
            averages = np.maximum(lengths.mean(axis=0), 1e-6).astype(np.float32)
        ready = replace(self, averages=averages, n_rows=n_rows)
        new = segment_of(rows, documents, len(self.fields), ready._weigh)
        return replace(ready, segments=grown(self.segments, new, merged_segments))

    def _weigh(self, counts: AnyArray, lengths: AnyArray, row: AnyArray) -> Float32:
        x = np.zeros(counts.shape[1], np.float32)
        averages = np.ones(len(self.fields), np.float32) if self.averages is None else self.averages
        for field, count, length, average in zip(self.fields, counts, lengths, averages, strict=True):
            x += field.weight * count / (1 - field.b + field.b * length[row] / average)
        return np.asarray(x / (self.k1 + x), np.float32)

    # Finding.

    def search(
        self,
        queries: Sequence[Query],
        k: int,
        *,
        exclude: Ragged | None = None,
        candidates: Ragged | None = None,
        allowed: Bool | None = None,
        have: Literal["any", "all"] = "any",
    ) -> Slates:
        """The k rows of highest score for each query, best first, ties by row number; rows without a word of it never.

        ``have = "all"`` keeps the rows that have every required group. ``exclude`` and ``candidates`` are per query,
        ``allowed`` (n_rows,) is for all: as many rows come back as exist under them.
        """
        found = []
        for i, query in enumerate(queries):
            scored = self.scores(query)
            kept = scored.score > 0
            if have == "all":
                kept &= scored.n_had == scored.n_required
            scores = np.where(kept, scored.score, NEVER)[None, :]
            at = np.array([i])
            forbidden(
                scores,
                exclude=None if exclude is None else exclude.take(at),
                candidates=None if candidates is None else candidates.take(at),
                allowed=allowed,
            )
            found.append(top_k(scores, k))
        return Slates.concatenated(found)

    def scores(self, query: Query) -> Scored:
        """Every row's score; costs the postings of the query's terms and one pass over the rows."""
        score, had = np.zeros(self.n_rows, np.float32), np.zeros(self.n_rows, np.int16)
        best = np.zeros(self.n_rows, np.float32)  # within the group at hand
        n = len(self)
        for group in query:
            hits, idf = self._hits(group, n)
            scale = np.float32(group.weight * idf)
            if len(hits) == 1:
                rows, weights = hits[0]
                score[rows] += scale * weights
                had[rows] += group.required
                continue
            for rows, weights in hits:
                best[rows] = np.maximum(best[rows], weights)
            for rows, _ in hits:  # a row that several alternatives hit counts where it is met first
                mine = best[rows]
                score[rows] += scale * mine
                had[rows] += (mine > 0) & group.required
                best[rows] = 0.0
        return Scored(score, had, sum(group.required for group in query))

    def weights(self, terms: Sequence[str], rows: AnyArray) -> Float32:
        """weight(t, d) of terms in rows, 0 where absent: (n_terms, n)."""
        out = np.zeros((len(terms), len(rows)), np.float32)
        for i, term in enumerate(terms):
            held, weights = self._postings(term)
            there, at = _found(held, rows)
            out[i, there] = weights[at[there]]
        return out

    def count(self, term: str) -> int:
        """Rows that hold a term."""
        return len(self._postings(term)[0])

    def idf(self, term: str) -> float:
        """Of a term as it is now."""
        return _idf(len(self), self.count(term))

    def table(self) -> tuple[list[str], Int64, Int32, Float32]:
        """Every live posting: all terms, and for each posting its term's number, row and weight."""
        whole = self._whole()
        term = np.repeat(np.arange(len(whole.place)), np.diff(whole.offsets))
        return list(whole.place), term, whole.rows, whole.weights

    def state(self) -> dict[str, AnyArray]:
        """Arrays for safetensors; ``restore`` with the same fields and k1 gives the index back."""
        whole = self._whole()
        terms = Vocabulary.trusted(pa.array(list(whole.place), pa.string())).arrays(FEW_TERMS)
        return {
            **named_under("terms", terms),
            "offsets": whole.offsets,
            "rows": whole.rows,
            "weights": whole.weights,
            "held": whole.held,
            "averages": np.zeros(0, np.float32) if self.averages is None else self.averages,
            "n_rows": np.array([self.n_rows], np.int64),
        }

    @classmethod
    def restore(cls, state: Mapping[str, AnyArray], fields: Sequence[Field] = (Field("text"),), k1: float = 1.5) -> Self:
        terms = Vocabulary.restored(found_under("terms", state))
        segment = Segment(Numbers(terms), state["offsets"], state["rows"], state["weights"], state["held"])
        averages = state["averages"] if len(state["averages"]) else None
        return cls(tuple(fields), k1, averages, (segment,) if len(segment) else (), int(state["n_rows"][0]))

    def _whole(self) -> Segment:
        """All that is live as one segment."""
        none = segment_of(np.zeros(0, np.int32), (), len(self.fields), self._weigh)
        return reduce(merged_segments, self.segments, none)

    def _hits(self, group: Group, n: int) -> tuple[list[tuple[Int32, Float32]], float]:
        """Rows and weights of each alternative that some row has, and the idf they share."""
        hits, idfs = [], []
        for alternative in group.any_of:
            parts = [self._postings(term) for term in alternative.terms]
            rows, weights = parts[0] if len(parts) == 1 else _in_all(parts)
            if len(rows):
                idfs.append(sum(_idf(n, len(held)) for held, _ in parts))
                hits.append((rows, weights * np.float32(alternative.weight)))
        return hits, min(idfs, default=0.0)

    def _postings(self, term: str) -> tuple[Int32, Float32]:
        """Rows, ascending, and weights of a term over all segments; a row is live in one of them only."""
        parts = [part for part in (segment.postings(term) for segment in self.segments) if len(part[0])]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return np.zeros(0, np.int32), np.zeros(0, np.float32)
        rows, weights = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.argsort(rows, kind="stable")  # runs that are sorted already: cheap
        return rows[order], weights[order]


def _in_all(parts: Sequence[tuple[Int32, Float32]]) -> tuple[Int32, Float32]:
    """Rows that every part has, with the mean of their weights."""
    first, *others = sorted(parts, key=lambda part: len(part[0]))
    rows, total = first
    for held, weights in others:
        there, at = _found(held, rows)
        rows, total = rows[there], total[there] + weights[at[there]]
    return rows, total / np.float32(len(parts))


def _found(held: Int32, rows: AnyArray) -> tuple[Bool, Int64]:
    """Which rows stand in the ascending ``held``, and where."""
    if not len(held):
        return np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.int64)
    at = np.minimum(np.searchsorted(held, rows), len(held) - 1)
    return held[at] == rows, at


def _idf(n: int, n_t: int) -> float:
    return float(np.log1p((n - n_t + 0.5) / (n_t + 0.5)))
