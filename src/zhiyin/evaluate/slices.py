"""For whom and for what does it work? Requests grouped by a label, each group measured alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Int64
from zhiyin.base.errors import MissingDataError, UnknownNameError, nearest
from zhiyin.data.context import as_column
from zhiyin.data.dataset import Dataset
from zhiyin.data.truth import Holdout

MOST_LABELS = 8
"""Rarer values of a column go together into "other"."""

ACTIVITY = (0, 1, 6, 21, 101)
"""Where the groups of history length begin."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A grouping: request i belongs to ``labels[group[i]]``; -1 = to none."""

    name: str
    labels: tuple[str, ...]
    group: Int64  # (n_requests,)

    def rows(self, label: int) -> Int64:
        """Request numbers of one group."""
        return np.flatnonzero(self.group == label)


def slice_by(name: str, holdout: Holdout, train: Dataset) -> Slice:
    """A grouping by name: ``items``, ``activity``, ``context.COLUMN``, ``users.COLUMN``, ``items.COLUMN``.

    ``items`` = were the answers known to training; ``activity`` = length of the history. Numeric
    columns are cut at their quartiles, the rest keep their most frequent values; ``items.COLUMN``
    is that of the first answer.
    """
    kind, _, column = name.partition(".")
    makers: dict[str, Callable[[Holdout, Dataset, str], Slice]] = {"context": _by_context, "users": _by_user, "items": _by_item_column}
    if name == "items":
        return _by_item_age(holdout, train)
    if name == "activity":
        return _by_activity(holdout)
    if kind in makers and column:
        return makers[kind](holdout, train, column)
    known = ["items", "activity", *(f"{kind}.COLUMN" for kind in makers)]
    raise UnknownNameError(f"no slice is named '{name}'", f"Known: {', '.join(known)}.")


def _by_item_age(holdout: Holdout, train: Dataset) -> Slice:
    """Cold = no training event mentions the item."""
    items = holdout.truth.items
    counts = train.item_counts
    known = items.values < len(counts)
    warm = np.zeros(len(items.values), np.bool_)
    warm[known] = counts[items.values[known]] > 0
    n_warm = np.bincount(items.rows, weights=warm, minlength=len(items))
    group = np.where(n_warm == items.lengths, 0, np.where(n_warm == 0, 2, 1))
    return Slice("items", ("all answers warm", "some answers cold", "all answers cold"), np.where(items.lengths > 0, group, -1))


def _by_activity(holdout: Holdout) -> Slice:
    names = [f"{a} events" if b == a + 1 else f"{a}-{b - 1} events" for a, b in pairwise(ACTIVITY)]
    group = np.searchsorted(ACTIVITY, holdout.requests.history.lengths, side="right") - 1
    return Slice("activity", (*names, f"{ACTIVITY[-1]}+ events"), group)


def _by_context(holdout: Holdout, train: Dataset, column: str) -> Slice:
    context = holdout.requests.context
    if column not in context:
        raise MissingDataError(f"the requests have no context column '{column}'", nearest(column, context))
    return _grouped(f"context.{column}", as_column(context[column]))


def _by_user(holdout: Holdout, train: Dataset, column: str) -> Slice:
    if column not in train.users_table.columns:
        raise MissingDataError(f"the users table has no column '{column}'", nearest(column, train.users_table.columns))
    return _grouped(f"users.{column}", _at(train.users_table[column], holdout.requests.user_ix))


def _by_item_column(holdout: Holdout, train: Dataset, column: str) -> Slice:
    table = train.catalog.table
    if column not in table.columns:
        raise MissingDataError(f"the items have no column '{column}'", nearest(column, table.columns))
    items = holdout.truth.items
    first = np.full(len(items), -1, np.int64)
    some = items.lengths > 0
    first[some] = items.values[items.offsets[:-1][some]]
    return _grouped(f"items.{column}", _at(table[column], first))


def _at(values: pl.Series, ix: AnyArray) -> pl.Series:
    """Column values at row numbers, null for -1; of a list its first."""
    if isinstance(values.dtype, pl.List):
        values = values.list.first()
    return values.gather(pl.Series(np.where(ix >= 0, ix, 0))).set(pl.Series(ix < 0), None)


def _grouped(name: str, values: pl.Series) -> Slice:
    if values.dtype.is_numeric() and values.n_unique() > MOST_LABELS:
        return _quartiles(name, values.cast(pl.Float64).to_numpy())
    text = values.cast(pl.String)
    counts = text.drop_nulls().value_counts(sort=True)
    names = sorted(counts[text.name].to_list(), key=lambda v: (-counts.filter(pl.col(text.name) == v)["count"][0], v))
    kept = names[:MOST_LABELS]
    labels = (*kept, "other") if len(names) > len(kept) else tuple(kept)
    place = {label: i for i, label in enumerate(kept)}
    group = [-1 if v is None else place.get(v, len(kept)) for v in text.to_list()]
    return Slice(name, labels, np.asarray(group, np.int64))


def _quartiles(name: str, values: AnyArray) -> Slice:
    real = ~np.isnan(values)
    edges = np.unique(np.quantile(values[real], [0, 0.25, 0.5, 0.75, 1]))
    labels = tuple(f"{a:g} to {b:g}" for a, b in pairwise(edges))
    group = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(labels) - 1)
    return Slice(name, labels, np.where(real, group, -1))
