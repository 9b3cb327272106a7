"""What hour, weekday, context and facts about people add to a recommender that does not know them.

The first candidates of each list are ranked anew by  z(score) + strength * lift(item | value), where
lift = log of (share of the item among events with that value, shrunk to the whole) / (its share in all
events). The strength is chosen on validation; 0 is among the choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp

from zhiyin.base.arrays import AnyArray, Float64, Int64
from zhiyin.data.context import as_words
from zhiyin.data.cut import Split
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.data.truth import Holdout, ndcg_at
from zhiyin.models.roles import Retriever
from zhiyin.spacetime.calendar import day_of_week, hour_of_day

CANDIDATES, SHRINK_EVENTS, MOST_VALUES = 100, 100.0, 200
STRENGTHS = (0.0, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class ContextGain:
    """NDCG@10 per test request with one column used; ``strength`` 0 = it was of no use on validation."""

    column: str
    strength: float
    values: Float64  # (n_requests,)


def context_gains(model: Retriever, split: Split, run: Run) -> Iterator[ContextGain]:
    """One for every column that events (or people) and requests share and that has two values or more."""
    train = split.train
    past = dict(_columns(train))
    asked = [dict(_request_columns(h.requests, train)) for h in (split.validation, split.test)]
    found: list[Slates] = []
    for name, values in past.items():
        if name not in asked[0] or name not in asked[1]:
            continue
        codes = _codes(values)
        if not 2 <= len(codes) <= MOST_VALUES:
            continue
        run.report({"stage": "assess", "note": f"context: {name}"})
        found = found or [model.retrieve(h.requests, CANDIDATES) for h in (split.validation, split.test)]
        counts = _counts(_coded(values, codes), train, len(codes))
        lifts = [_lift(counts, slates, _coded(column[name], codes)) for slates, column in zip(found, asked, strict=True)]
        quality = [float(np.nanmean(_reranked(found[0], lifts[0], s, split.validation))) for s in STRENGTHS]
        strength = STRENGTHS[int(np.argmax(quality))]
        yield ContextGain(name, strength, _reranked(found[1], lifts[1], strength, split.test))


def _columns(data: Dataset) -> Iterator[tuple[str, AnyArray | pl.Series]]:
    """The value of every column at every event: (n_events,)."""
    events = data.events
    yield from _clock(events.time_us, data)
    for name in events.context.columns:
        yield name, events.context[name]
    yield from _of_people(data, events.user_ix)


def _request_columns(requests: Requests, data: Dataset) -> Iterator[tuple[str, AnyArray | pl.Series]]:
    yield from _clock(requests.now_us, data)
    yield from requests.context.items()
    yield from _of_people(data, requests.user_ix)


def _clock(time_us: Int64, data: Dataset) -> Iterator[tuple[str, AnyArray]]:
    if data.manifest.order == "time":
        yield "hour of day", hour_of_day(time_us, data.manifest.time_zone)
        yield "day of the week", day_of_week(time_us, data.manifest.time_zone)


def _of_people(data: Dataset, user_ix: AnyArray) -> Iterator[tuple[str, pl.Series]]:
    table = data.users_table
    for name in table.columns:
        column = table[name]
        if isinstance(column.dtype, pl.List) or column.n_unique() > min(MOST_VALUES, len(column) - 1):
            continue  # a list, or as good as a name
        known = column.gather(pl.Series(np.where(user_ix >= 0, user_ix, 0)))
        yield f"person: {name}", known.cast(pl.String).set(pl.Series(user_ix < 0), None)


def _codes(values: AnyArray | pl.Series) -> Mapping[str, int]:
    kinds = as_words(values).drop_nulls().unique().sort()
    return {value: i for i, value in enumerate(kinds.to_list())}


def _coded(values: AnyArray | pl.Series, codes: Mapping[str, int]) -> Int64:
    """Row of ``codes`` for every value, -1 for what is missing or new: (n,)."""
    return as_words(values).replace_strict(codes, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()


def _counts(code: Int64, data: Dataset, n: int) -> sp.csr_matrix:
    """Events by value and item: (n_values, n_items)."""
    known = code >= 0
    return sp.csr_matrix((np.ones(int(known.sum())), (code[known], data.events.item_ix[known])), shape=(n, data.n_items))


def _lift(counts: sp.csr_matrix, slates: Slates, code: Int64) -> Float64:
    """log lift of every flat candidate under its request's value, 0 where the value is unknown: (n_flat,)."""
    row = np.repeat(code, slates.lengths)
    item = slates.item_ix
    whole = np.asarray(counts.sum(axis=0)).ravel()
    share = (whole[item] + 1e-3) / (whole.sum() + 1e-3 * len(whole))
    total = np.asarray(counts.sum(axis=1)).ravel()
    at = np.maximum(row, 0)
    own = np.asarray(counts[at, item]).ravel() if len(item) else np.zeros(0)
    lift = np.log((own + SHRINK_EVENTS * share) / (total[at] + SHRINK_EVENTS)) - np.log(share)
    return np.where(row >= 0, lift, 0.0)


def _reranked(slates: Slates, lift: Float64, strength: float, holdout: Holdout) -> Float64:
    if not strength:
        return ndcg_at(slates, holdout.truth)
    score = slates.standardised(slates.score) + strength * lift
    return ndcg_at(slates.reordered(score.astype(np.float32)), holdout.truth)
