"""How often things went together before now: the plainest features, and on most data the strongest.

A table ``by = ["item", "hour"]`` counts all events per item and hour of day; ``of = ["item"]`` adds the
share of the item's events that fall in this hour, compared with that hour's share of everything.
``others`` leaves out what the asker did himself, so that nobody is evidence for his own taste.

What never happened was counted 0 times: an answer, and the lowest one, not a gap. So was what is unknown (an item
without the category, a newcomer without an item before): no event is counted under it. A share of nothing is the
usual one, a lift of 0; a lift is a gap (NaN) only where the usual itself is nothing, and days since a first time
that never came are one too.

On data without time an event must not be evidence for itself: training rows name the event they stand for
in the column LEFT_OUT, and it is taken out of each count (in-sample counts harm: measured).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from zhiyin.base.arrays import Float32, Float64, Int64
from zhiyin.base.spec import Spec
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.features.as_of import AsOfCounts
from zhiyin.models.features.dims import CLOCK, Dims, together
from zhiyin.models.features.source import LEFT_OUT, FeatureSpec
from zhiyin.models.roles import State

PRIOR = 5.0
"""A share of few events is pulled to the share of all as by this many events more."""


class Counted(Spec):
    """One table of counts. ``of`` must be part of ``by``; ``half_lives_days`` and ``recency`` only matter on timed data.

    ``recency`` is that of anybody, so it does not go with ``others``.
    """

    by: tuple[str, ...]
    of: tuple[str, ...] = ()
    half_lives_days: tuple[Annotated[float, Field(gt=0)], ...] = ()
    others: bool = False
    recency: bool = False

    @model_validator(mode="after")
    def _part_of_the_whole(self) -> Counted:
        for name in self.of:
            if name not in self.by:
                raise ValueError(f"'of' names '{name}', which is not in by = {list(self.by)}")
        if self.others and self.recency:
            raise ValueError(f"'recency' of by = {list(self.by)} cannot leave out the asker; give it a table without 'others'")
        return self

    @property
    def name(self) -> str:
        return "+".join(self.by) + (".others" if self.others else "")


class CountsSpec(FeatureSpec):
    """Choose always. Without ``tables`` they follow from the data (``default_tables``)."""

    kind: ClassVar[str] = "counts"

    tables: tuple[Counted, ...] = ()

    def family_of(self, column: str) -> str:
        """What is counted by the clock, the place or the circumstances is context."""
        counted = column.partition(".")[2].split("+")
        return "context" if any(by.split(".")[0] in (*CLOCK, "context", "place") for by in counted) else self.family

    def names_on(self, data: Dataset) -> tuple[str, ...]:
        return self._asked_of(data).names

    def _asked_of(self, data: Dataset) -> Counts:
        """What it counts on such data, with nothing counted yet; raises ConfigError for a name that means nothing there."""
        dims = Dims.of(data)
        spec = self if self.tables else self.model_copy(update={"tables": default_tables(dims)})
        for name in dict.fromkeys(name for table in spec.tables for name in table.by):
            dims.check(name)
        return Counts(spec, dims, {})

    def fit(self, data: Dataset) -> Counts:
        nothing = self._asked_of(data)
        spec, dims, positive = nothing.spec, nothing.dims, data.positive
        time = positive.events.time_us if dims.timed else np.zeros(len(positive.events), np.int64)
        instants, when = np.unique(time, return_inverse=True)
        codes: dict[str, Int64] = {}
        stores: dict[tuple[str, ...], AsOfCounts] = {}
        for by, half_lives in _needed(spec.tables).items():
            for name in by:
                if name not in codes:
                    codes[name] = dims.of_events(name, positive)
            keys = together([codes[name] for name in by]) if by else np.zeros(len(time), np.int64)
            known = keys >= 0
            stores[by] = AsOfCounts.at(keys[known], instants, when[known], half_lives if dims.timed else ())
        return replace(nothing, stores=stores)

    def restore(self, state: State, data: Dataset) -> Counts:
        values = {name: tuple(known) for name, known in state.meta["values"].items()}
        contexts = tuple(state.meta["contexts"])
        dims = Dims(data.manifest.time_zone, data.manifest.order, values, data.catalog, contexts)
        shared = {"instants": state.arrays["instants"]}
        stores = {by: AsOfCounts.from_arrays({**state.under(f"store{i}").arrays, **shared}) for i, by in enumerate(_needed(self.tables))}
        return Counts(self, dims, stores)


def default_tables(dims: Dims) -> tuple[Counted, ...]:
    """What is worth counting on data of this kind."""
    categories, contexts = dims.categories[:4], tuple(f"context.{name}" for name in dims.contexts)
    tables = []
    if dims.timed:
        tables += [
            Counted(by=("item",), half_lives_days=(1, 7, 30, 180), recency=True),
            Counted(by=("item", "hour"), of=("item",)),
            Counted(by=("item", "daypart", "weekend"), of=("item",)),
            Counted(by=("previous", "item"), of=("previous",), half_lives_days=(60,)),
            Counted(by=("previous2", "item"), of=("previous2",)),
        ]
        for name in categories:
            tables += [
                Counted(by=(name, "hour"), of=(name,)),
                Counted(by=(f"previous.{name}", name), of=(f"previous.{name}",)),
            ]
    else:
        tables += [Counted(by=("item",), others=True), Counted(by=("user",)), Counted(by=("user", "item"))]
        for name in categories:
            tables += [Counted(by=("user", name), of=("user",)), Counted(by=(name,), others=True)]
    for context in contexts:
        tables += [Counted(by=("item", context), of=("item",), others=True)]
        tables += [Counted(by=("user", "item", context), of=("user", "item"))]
        tables += [Counted(by=(name, context), of=(name,), others=True) for name in categories[:2]]
    return tuple(tables)


@dataclass(frozen=True)
class Counts:
    """``stores`` by what they count."""

    spec: CountsSpec
    dims: Dims
    stores: Mapping[tuple[str, ...], AsOfCounts]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for table in self.spec.tables for name in self._names(table))

    def _names(self, table: Counted) -> Iterator[str]:
        yield f"n.{table.name}"
        if self.dims.timed:
            yield from (f"n.{table.name}.{half_life:g}d" for half_life in table.half_lives_days)
        if table.of:
            yield f"lift.{table.name}"
        if table.recency and self.dims.timed:
            yield f"days_since.{table.name}"

    def features(self, requests: Requests, slates: Slates) -> Float32:
        asked = _Asked(self, requests, slates)
        columns = [column for table in self.spec.tables for column in self._columns(table, asked)]
        if not columns:
            return np.zeros((len(slates.item_ix), 0), np.float32)
        return np.stack(columns, axis=1).astype(np.float32)

    def _columns(self, table: Counted, asked: _Asked) -> Iterator[Float64]:
        n = asked.count(table.by, table.others)
        yield np.log1p(n)
        if self.dims.timed:
            for half_life in table.half_lives_days:
                yield np.log1p(asked.decayed(table.by, half_life, table.others))
        if table.of:
            base = asked.count(table.of, table.others)
            rest = tuple(name for name in table.by if name not in table.of)
            usual = asked.count(rest, table.others) / np.maximum(asked.count((), table.others), 1.0)
            share = (n + PRIOR * usual) / (base + PRIOR)
            yield np.where(usual > 0, np.log(np.maximum(share, 1e-9) / np.maximum(usual, 1e-9)), np.nan)
        if table.recency and self.dims.timed:
            last = asked.last(table.by)
            yield np.where(last >= 0, np.log1p(np.maximum(asked.now - last, 0) / US_PER_DAY), np.nan)

    def state(self) -> State:
        stores = [store.arrays() for store in self.stores.values()]
        shared = {} if not stores else {"instants": stores[0]["instants"]}  # of one log: the same for all
        meta: dict[str, Any] = {"values": {name: list(v) for name, v in self.dims.values.items()}, "contexts": list(self.dims.contexts)}
        return State(shared, meta).holding(
            {f"store{i}": State({k: v for k, v in store.items() if k not in shared}) for i, store in enumerate(stores)}
        )

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, dims=replace(self.dims, catalog=catalog, _codes={}))


class _Asked:
    """Keys and counts of one batch, each made once."""

    def __init__(self, counts: Counts, requests: Requests, slates: Slates) -> None:
        self.counts, self.requests, self.slates = counts, requests, slates
        n = len(slates.item_ix)
        self.now: Int64 = requests.now_us[slates.items.rows] if counts.dims.timed else np.ones(n, np.int64)
        self._codes: dict[str, Int64] = {}
        self._event: Slates | None = None
        self._known = np.zeros(n, np.bool_)
        self._found: dict[tuple[tuple[str, ...], bool], Float64] = {}

    def _keys(self, by: tuple[str, ...]) -> Int64:
        for name in by:
            if name not in self._codes:
                self._codes[name] = self.counts.dims.of_rows(name, self.requests, self.slates)
        return together([self._codes[name] for name in by]) if by else np.zeros(len(self.now), np.int64)

    def count(self, by: tuple[str, ...], others: bool) -> Float64:
        """Events before now, without this one; without the asker's own if ``others``."""
        if (by, others) not in self._found:
            found = self.counts.stores[by].counts(self._keys(by), self.now).astype(np.float64)
            if others and "user" not in by:
                mine = ("user", *by)
                found = found - self.counts.stores[mine].counts(self._keys(mine), self.now)
            else:
                found = found - self._left_out(by)
            self._found[by, others] = np.maximum(found, 0.0)
        return self._found[by, others]

    def decayed(self, by: tuple[str, ...], half_life: float, others: bool) -> Float64:
        """The same, older events weighing less."""
        found = self.counts.stores[by].decayed(self._keys(by), self.now, half_life)
        if not others or "user" in by:
            return found
        mine = ("user", *by)
        return np.maximum(found - self.counts.stores[mine].decayed(self._keys(mine), self.now, half_life), 0.0)

    def last(self, by: tuple[str, ...]) -> Int64:
        return self.counts.stores[by].last_us(self._keys(by), self.now)

    def _left_out(self, by: tuple[str, ...]) -> Float64:
        """1 where the event a row stands for was counted under the row's key: (n_rows,)."""
        named = self.slates.columns.get(LEFT_OUT)
        if named is None:
            return np.zeros(len(self.now))
        if self._event is None:
            there = np.isfinite(named)
            self._known = there
            self._event = Slates(self.slates.offsets, np.where(there, named, 0).astype(np.int32), self.slates.score)
        dims = self.counts.dims
        codes = [dims.of_rows(name, self.requests, self._event) if name in dims.of_item else self._codes[name] for name in by]
        event = together(codes) if by else np.zeros(len(self.now), np.int64)
        return np.asarray(self._known & (event == self._keys(by)), np.float64)


def _needed(tables: tuple[Counted, ...]) -> dict[tuple[str, ...], tuple[float, ...]]:
    """Every combination to be counted, with the half-lives asked of it."""
    needed: dict[tuple[str, ...], tuple[float, ...]] = {}
    for table in tables:
        wanted = [(table.by, table.half_lives_days)]
        if table.of:
            wanted += [(table.of, ()), (tuple(name for name in table.by if name not in table.of), ()), ((), ())]
        if table.others:
            wanted += [(("user", *by), half_lives) for by, half_lives in wanted if "user" not in by]
        for by, half_lives in wanted:
            needed[by] = tuple(sorted({*needed.get(by, ()), *half_lives}))
    return needed
