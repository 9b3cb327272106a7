"""Going on: what was begun and not finished, and the next part of a series.

Unfinished: the newest event of an item is one of ``started``. Next part: the item after it in its series
(column ``series``, in the order of ``number`` or of the catalogue), or, without such a column, the one that
nearly everybody takes next: c_ij / (c_i + ``shrink``) >= ``sure``, c_ij how often j was the next thing after i.
score = (1 if unfinished, else the share) * ``history_decay`` ^ age; what was had already is no next part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
import polars as pl
import scipy.sparse as sp
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Float32, Int32
from zhiyin.base.errors import UnknownNameError, nearest
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.models.retrieve.dense import DenseRetriever, never_where_zero, widened
from zhiyin.models.retrieve.profile import age_in_events, newest_of_each, profile_matrix
from zhiyin.models.retrieve.recent import kind_numbers
from zhiyin.models.roles import ModelSpec, State


class GoingOnSpec(ModelSpec):
    """Choose for films, books, lessons and games; see ``due-again`` for what is used up and bought again.

    ``started`` are event kinds such as "play" that another kind ("finish") follows when a thing is done.
    """

    kind: ClassVar[str] = "going-on"

    started: tuple[str, ...] = ()
    series: str | None = None
    number: str | None = None
    sure: Annotated[float, Field(gt=0, le=1)] = 0.25
    shrink: Annotated[float, Field(ge=0)] = 5.0
    history_decay: Annotated[float, Field(gt=0, le=1)] = 0.8

    def fit(self, data: Dataset, run: Run) -> GoingOn:
        following = self._followers(data.positive) if self.series is None else self._parts(data.catalog)
        return GoingOn(self, data.catalog, following, kind_numbers(data, self.started))

    def _followers(self, data: Dataset) -> sp.csr_matrix:
        """Share of people who went from i to j at the next instant, where it is nearly everybody: (n_items, n_items)."""
        rows, offsets = data.by_user
        e, user = data.events, np.repeat(np.arange(data.n_users), np.diff(offsets))
        item, time = e.item_ix[rows], e.time_us[rows]
        # Events of one instant have no order, so neither side of a step may be one of several.
        alone = np.ones(len(rows), np.bool_)
        tied = (user[1:] == user[:-1]) & (time[1:] == time[:-1])
        alone[1:] &= ~tied
        alone[:-1] &= ~tied
        step = (user[1:] == user[:-1]) & (item[1:] != item[:-1]) & alone[1:] & alone[:-1]
        counts = sp.csr_matrix((np.ones(int(step.sum())), (item[:-1][step], item[1:][step])), shape=(data.n_items, data.n_items))
        share = sp.coo_matrix(sp.diags(1.0 / np.maximum(np.asarray(counts.sum(axis=1)).ravel() + self.shrink, 1)) @ counts)
        kept = share.data >= self.sure
        return sp.csr_matrix((share.data[kept].astype(np.float32), (share.row[kept], share.col[kept])), shape=share.shape)

    def _parts(self, catalog: Catalog) -> sp.csr_matrix:
        """1 from each part to the next one of its series: (n_items, n_items)."""
        for name in (self.series, self.number):
            if name is not None and name not in catalog.table.columns:
                raise UnknownNameError(f"the items table has no column '{name}'", nearest(name, catalog.table.columns))
        number = pl.col(self.number) if self.number else pl.int_range(pl.len())
        table = catalog.table.select(series=pl.col(str(self.series)).cast(pl.String), number=number, at=pl.int_range(pl.len()))
        table = table.filter(pl.col("series").is_not_null() & pl.col("number").is_not_null()).sort("series", "number", "at")
        same = (table["series"] == table["series"].shift(1)).fill_null(value=False).to_numpy()[1:]
        at = table["at"].to_numpy()
        one: Float32 = np.ones(int(same.sum()), np.float32)
        return sp.csr_matrix((one, (at[:-1][same], at[1:][same])), shape=(len(catalog), len(catalog)))

    def restore(self, state: State, catalog: Catalog) -> GoingOn:
        a = state.arrays
        n = len(a["indptr"]) - 1
        return GoingOn(self, catalog, sp.csr_matrix((a["data"], a["indices"], a["indptr"]), shape=(n, n)), a["started_ix"])


@dataclass(frozen=True)
class GoingOn(DenseRetriever):
    spec: GoingOnSpec
    catalog: Catalog
    following: sp.csr_matrix  # (n_items at fit, n_items at fit)
    started_ix: Int32  # event kinds that begin a thing

    def scores(self, requests: Requests) -> Float32:
        n_items, known = len(self.catalog), self.following.shape[0]
        history = requests.history
        profile = profile_matrix(history, n_items, self.spec.history_decay)
        found = widened((profile[:, :known] @ self.following).toarray().astype(np.float32), n_items)
        found[~np.isfinite(found)] = 0.0
        had: AnyArray = np.repeat(np.arange(len(history)), history.lengths)
        found[had, history.item_ix] = 0.0
        if len(self.started_ix):
            self._add_unfinished(found, history)
        return never_where_zero(found)

    def _add_unfinished(self, found: Float32, history: Histories) -> None:
        at, indptr = newest_of_each(history, len(self.catalog))
        rows = np.repeat(np.arange(len(history)), np.diff(indptr))
        open_ = np.isin(history.kind_ix[at], self.started_ix)
        at, rows = at[open_], rows[open_]
        found[rows, history.item_ix[at]] = np.maximum(self.spec.history_decay ** age_in_events(history)[at].astype(np.float64), 1e-30)

    def state(self) -> State:
        f = self.following
        return State({"data": f.data, "indices": f.indices, "indptr": f.indptr, "started_ix": self.started_ix})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)
