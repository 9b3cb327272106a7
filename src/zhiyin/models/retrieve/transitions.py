"""Transitions: which item follows which, a Markov chain softened over the last few items.

T[i, j] = sum over i -> j within ``reach`` steps of ``gap_decay ** (gap - 1)`` (plus ``backward``
times the reverse), row-scaled by degree. Score of j = sum over the last ``last`` items of
``history_decay ** age * T[i, j]``. A closed form that costs a second and, where order matters,
beats EASE and ALS that ignore order more than twofold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Annotated, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from zhiyin.base.arrays import Float32, Float64, offsets_of
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.models.retrieve.dense import DenseRetriever, never_where_zero, widened
from zhiyin.models.retrieve.profile import liked, profile_matrix
from zhiyin.models.retrieve.sparse import MANY_ITEMS, best_of_sparse
from zhiyin.models.roles import ModelSpec, State

PAIRS = 32_000_000
"""So many pairs at most are counted at a time, or those of one item: a gigabyte, however many there are (10 million events took 4.3)."""


class TransitionsSpec(ModelSpec):
    """Choose where the next step depends on the last ones (films, music, browsing, places).

    ``row_power`` divides by (row sum)^p, ``column_power`` by (column sum)^p. With ``reach`` 1, powers 1
    and 0 and no ``backward`` this is the probability of the next item; the defaults, chosen on the
    validation parts of ml-1m-seq and amazon_beauty together, rank an eighth better. ``followers`` keeps
    only that many strongest ones of each item (0 = all).
    """

    kind: ClassVar[str] = "transitions"

    last: Annotated[int, Field(ge=1)] = 10
    history_decay: Annotated[float, Field(gt=0, le=1)] = 0.6
    reach: Annotated[int, Field(ge=1, le=50)] = 10
    gap_decay: Annotated[float, Field(gt=0, le=1)] = 0.8
    backward: Annotated[float, Field(ge=0)] = 0.1
    row_power: Annotated[float, Field(ge=0, le=1)] = 0.5
    column_power: Annotated[float, Field(ge=0, le=1)] = 0.1
    followers: Annotated[int, Field(ge=0)] = 0

    def fit(self, data: Dataset, run: Run) -> Transitions:
        return Transitions(self, data.catalog, self.scaled(data)[0])

    def scaled(self, data: Dataset) -> tuple[sp.csr_matrix, Float64, Float64]:
        """Scaled counts (n_items, n_items), and what those in row i and column j were multiplied with: (n_items,) each.

        Rows are pruned a block at a time. What a column is multiplied with is known only when all are counted, so
        where there are several blocks each is counted twice: twice the time, a fraction of the memory.
        """
        blocks = self._counted(data.positive)
        sums = [[np.asarray(block.sum(axis=axis)).ravel() for axis in (1, 0)] for block in blocks()]
        rows = _inverse_power(np.concatenate([row for row, _ in sums]), self.row_power)
        columns = _inverse_power(np.sum([column for _, column in sums], axis=0), self.column_power)
        parts, first = [], 0
        for block in blocks():
            mine = rows[first : first + block.shape[0]]
            scaled = sp.csr_matrix(sp.diags(mine) @ block @ sp.diags(columns), dtype=np.float32)
            parts.append(strongest(scaled, self.followers))
            first += block.shape[0]
        return sp.vstack(parts, format="csr") if len(parts) > 1 else parts[0], rows, columns

    def _counted(self, data: Dataset) -> Callable[[], Iterable[sp.csr_matrix]]:
        """Makes the blocks of counts, as often as it is called; a single one is made once."""
        pairs = data.item_counts * (self.reach * (2 if self.backward else 1))
        block = (np.cumsum(pairs) - pairs) // PAIRS
        cuts = np.concatenate([[0], np.flatnonzero(np.diff(block)) + 1, [data.n_items]])

        def blocks() -> Iterator[sp.csr_matrix]:
            for first, stop in pairwise(cuts.tolist()):
                yield follow_counts(data, self.reach, self.gap_decay, self.backward, range(first, stop))

        if len(cuts) > 2:
            return blocks
        whole = list(blocks())
        return lambda: whole

    def restore(self, state: State, catalog: Catalog) -> Transitions:
        a = state.arrays
        n = len(a["indptr"]) - 1
        return Transitions(self, catalog, sp.csr_matrix((a["data"], a["indices"], a["indptr"]), shape=(n, n)))


def follow_counts(data: Dataset, reach: int, gap_decay: float, backward: float, rows: range | None = None) -> sp.csr_matrix:
    """Weighted counts of "j came after i" over all users for the items i of ``rows`` (default all): (n_rows, n_items)."""
    rows = range(data.n_items) if rows is None else rows
    at, _ = data.by_user
    user, item = data.events.user_ix[at], data.events.item_ix[at]
    total = sp.csr_matrix((len(rows), data.n_items), dtype=np.float64)
    for gap in range(1, reach + 1):
        same = (user[gap:] == user[:-gap]) & (item[gap:] != item[:-gap])
        for before, after, share in ((item[:-gap], item[gap:], 1.0), (item[gap:], item[:-gap], backward)):
            if share:
                mine = same & (before >= rows.start) & (before < rows.stop)
                values = np.full(int(mine.sum()), share * gap_decay ** (gap - 1))
                total = total + sp.csr_matrix((values, (before[mine] - rows.start, after[mine])), shape=total.shape)
    return total


def strongest(matrix: sp.csr_matrix, n: int) -> sp.csr_matrix:
    """Only the n largest values of each row; all of them with n = 0."""
    lengths = np.diff(matrix.indptr)
    if not n or not len(lengths) or lengths.max() <= n:
        return matrix
    row = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((matrix.indices, -matrix.data, row))
    kept = np.sort(order[np.arange(len(order)) - np.repeat(matrix.indptr[:-1], lengths) < n])
    return sp.csr_matrix((matrix.data[kept], matrix.indices[kept], offsets_of(np.minimum(lengths, n))), shape=matrix.shape)


def _inverse_power(sums: Float64, power: float) -> Float64:
    return np.where(sums > 0, np.power(np.maximum(sums, 1e-12), -power), 0.0)


@dataclass(frozen=True)
class Transitions(DenseRetriever):
    spec: TransitionsSpec
    catalog: Catalog
    follows: sp.csr_matrix  # (n_items at fit, n_items at fit)

    def scores(self, requests: Requests) -> Float32:
        return widened(never_where_zero(self.evidence(requests)), len(self.catalog))

    def retrieve(self, requests: Requests, k: int) -> Slates:
        if len(self.catalog) < MANY_ITEMS or isinstance(self._rows, np.ndarray):
            return super().retrieve(requests, k)
        return Slates.concatenated(best_of_sparse(self._found(part), part, self.catalog, k) for part in requests.chunks(512))

    def evidence(self, requests: Requests) -> Float32:
        """The same for the items known at fit, 0 where nothing is known: (n_requests, n_items at fit)."""
        found = self._found(requests)
        scores: Float32 = found if isinstance(found, np.ndarray) else found.toarray()
        return scores

    def _found(self, requests: Requests) -> sp.csr_matrix | Float32:
        """``evidence``, sparse where the counts are."""
        recent = liked(requests.history).last(self.spec.last)
        profile = profile_matrix(recent, len(self.catalog), self.spec.history_decay)[:, : self.follows.shape[0]]
        return profile @ self._rows

    @cached_property
    def _rows(self) -> sp.csr_matrix | Float32:
        """Dense where the counts are: adding up full rows is then three times faster than merging lists."""
        n = self.follows.shape[0]
        return self.follows.toarray() if n * n <= 2**26 and self.follows.nnz > n * n / 50 else self.follows

    def state(self) -> State:
        f = self.follows
        return State({"data": f.data, "indices": f.indices, "indptr": f.indptr})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)
