"""What re-rankers share: their configuration, how relevant a list says an item is, and lists put into another order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Bool, Float64, Int32, Int64, flat_positions, offsets_of
from zhiyin.base.errors import ConfigError
from zhiyin.base.spec import Spec
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.rerank.traits import Traits
from zhiyin.models.roles import Reranker

OWN = "score.own"
"""The column with what each item scored before anything was reordered."""

Share = Annotated[float, Field(ge=0, le=1)]


class RerankerSpec(Spec):
    """Base of every re-ranker's configuration. Nothing is learned, so nothing is saved but the spec."""

    kind: ClassVar[str] = ""
    drops: ClassVar[bool] = False
    """True where items may be missing from the result; the others only change the order."""

    def described(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.model_dump(mode="json")}

    def over(self, traits: Traits) -> Reranker:
        """The re-ranker for one catalogue; raises ``ConfigError`` where the items lack what it reads."""
        raise TypeError(f"{type(self).__name__} does not say how to rerank")


@dataclass(frozen=True)
class ByList(ABC):
    """A re-ranker that looks at one list at a time: it chooses what stands in front, the rest follows as it was.

    What is in front are ``requests.n`` items; those behind are what pages to come are made of. Scores of the
    result belong to places and fall from place to place; the column ``score.own`` keeps what each item had.
    """

    traits: Traits

    def rerank(self, requests: Requests, slates: Slates) -> Slates:
        check_known(slates, self.traits.n_items)
        level, offsets = relevance(slates), slates.offsets.tolist()
        found = []
        for row in range(len(slates)):
            begin, end = offsets[row], offsets[row + 1]
            chosen = self.front(requests, row, slates.item_ix[begin:end], level[begin:end], min(requests.n, end - begin))
            found.append(begin + whole(chosen, end - begin))
        return rearranged(slates, np.concatenate(found) if found else np.zeros(0, np.int64), slates.offsets)

    @abstractmethod
    def front(self, requests: Requests, row: int, items: Int32, level: Float64, n: int) -> AnyArray:
        """Positions of the items (m,) that stand in front, best first: at least n, or all; ``level`` (m,) is their relevance."""


def relevance(slates: Slates) -> Float64:
    """Scores of each list between 0 (its last) and 1 (its first), 1 where all are level: (n_flat,).

    Scores of models have no common scale; within a list their distances mean something.
    """
    filled = np.flatnonzero(slates.lengths)
    lengths = slates.lengths[filled]
    score = slates.score.astype(np.float64)
    last = np.repeat(score[slates.offsets[1:][filled] - 1], lengths)
    span = np.repeat(score[slates.offsets[:-1][filled]], lengths) - last
    level: Float64 = np.divide(score - last, span, out=np.ones_like(score), where=span > 0)
    return level


def whole(front: AnyArray, m: int) -> Int64:
    """Positions 0 to m - 1 with those of ``front`` first."""
    left = np.ones(m, np.bool_)
    left[front] = False
    return np.concatenate([np.asarray(front, np.int64), np.flatnonzero(left)])


def rearranged(slates: Slates, positions: Int64, offsets: Int64) -> Slates:
    """The flat rows at ``positions``, list by list; the scores left fall from place to place as they did."""
    columns = {name: column[positions] for name, column in slates.columns.items()}
    columns.setdefault(OWN, slates.score[positions])
    return Slates(offsets, slates.item_ix[positions], slates.score[np.sort(positions)], columns)


def kept(slates: Slates, keep: Bool) -> Slates:
    """The lists without the rows that are False, in the same order."""
    lists = slates.items.rows[keep]
    return rearranged(slates, np.flatnonzero(keep), offsets_of(np.bincount(lists, minlength=len(slates))))


def reranked(rerankers: Sequence[Reranker], requests: Requests, slates: Slates) -> Slates:
    """One after the other: each takes the order before it for relevance."""
    for reranker in rerankers:
        slates = reranker.rerank(requests, slates)
    return slates


def check_known(slates: Slates, n_items: int) -> None:
    """Raise ``ConfigError`` for items that joined the catalogue after the re-ranker was made."""
    if len(slates.item_ix) and int(slates.item_ix.max()) >= n_items:
        raise ConfigError(
            f"a re-ranker made for {n_items:,} items was given a newer one", "Make it anew: spec.over(traits.with_catalog(...))."
        )


def rows_of(matrix: Any, items: Int32, columns: AnyArray | None = None) -> Float64:
    """Rows of a CSR matrix as a dense array: (n, n_columns), only ``columns`` (ascending) where given, only used ones else."""
    at, offsets = flat_positions(matrix.indptr, items)
    column, value = matrix.indices[at], matrix.data[at]
    used = np.unique(column) if columns is None else columns
    place = np.searchsorted(used, column)
    fits = np.zeros(len(column), np.bool_) if not len(used) else used[np.minimum(place, len(used) - 1)] == column
    out = np.zeros((len(items), len(used)))
    out[np.repeat(np.arange(len(items)), np.diff(offsets))[fits], place[fits]] = value[fits]
    return out
