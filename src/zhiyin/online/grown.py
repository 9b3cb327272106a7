"""The data of a bundle with what happened since: what a retraining learns from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from zhiyin.base.errors import FitError
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.record import EventRecord
from zhiyin.online.people import SESSION


@dataclass(frozen=True)
class Grown:
    """``data`` is all of it, ``n_new`` how many events came from the log, ``after`` the position of the last of them."""

    data: Dataset
    n_new: int
    after: int


def grown(data: Dataset, log: Iterable[tuple[int, EventRecord]], masked: Iterable[int] = (), after: int = 0) -> Grown:
    """``data`` (its catalogue already has the items put since) with the events of the log; masked users are left out.

    Sessions that never logged in are people of their own. Only data ordered by time can grow.
    """
    if data.manifest.order != "time":
        raise FitError(
            f"data set '{data.manifest.name}' has order = \"{data.manifest.order}\", and events of a server have times",
            "Train anew by hand, from tables with a time column.",
        )
    records = list(log)
    became: dict[str | None, str] = {r.session: r.user for _, r in records if r.session and r.user}
    known = [(r, data.catalog.items.find(r.item)) for _, r in records]
    fit = [(r, ix) for r, ix in known if ix >= 0]
    who = [r.user or became.get(r.session) or SESSION + str(r.session) for r, _ in fit]
    users = data.users.extended(who)
    kinds = list(dict.fromkeys([*data.kinds, *(r.kind for r, _ in fit)]))
    places = data.places.extended(r.place for r, _ in fit if r.place)
    e = data.events
    keep = ~np.isin(e.user_ix, np.fromiter(masked, np.int64))
    old = data.take(keep).events if not keep.all() else e

    def joined(column: Any, more: list[Any]) -> Any:
        return np.concatenate([column, np.asarray(more, column.dtype)])

    weights = data.manifest.weights
    floor = data.manifest.positive_from
    weight = [0.0 if floor is not None and r.value is not None and r.value < floor else weights.get(r.kind, 1.0) for r, _ in fit]
    events = Events.of(
        joined(old.user_ix, users.ix_of(who).tolist()),
        joined(old.item_ix, [ix for _, ix in fit]),
        joined(old.time_us, [r.time_us for r, _ in fit]),
        kind_ix=joined(old.kind_ix, [kinds.index(r.kind) for r, _ in fit]),
        value=joined(old.value, [np.nan if r.value is None else r.value for r, _ in fit]),
        weight=joined(old.weight, weight),
        place_ix=joined(old.place_ix, [places.find(r.place) if r.place else -1 for r, _ in fit]),
        context=_context(old.context, [r for r, _ in fit]),
    )
    table = data.users_table
    if table.width:
        table = pl.concat([table, pl.DataFrame({table.columns[0]: users.ids.to_pylist()[table.height :]})], how="diagonal")
    whole = replace(data, users=users, events=events, kinds=tuple(kinds), places=places, users_table=table)
    return Grown(whole, len(fit), records[-1][0] if records else after)


def _context(old: pl.DataFrame, records: list[EventRecord]) -> pl.DataFrame:
    """The context columns of old and new events; what a new event does not say is null."""
    if not old.width:
        return old
    more = {name: [(r.context or {}).get(name) for r in records] for name in old.columns}
    fresh = pl.DataFrame({name: pl.Series(name, values, strict=False) for name, values in more.items()})
    return pl.concat([old, fresh.cast({name: old.schema[name] for name in old.columns}, strict=False)])
