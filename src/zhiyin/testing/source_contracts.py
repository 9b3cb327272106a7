"""What every feature source promises, as checks that any registered or private source can be run against.

    from zhiyin.testing.source_contracts import check_source
    check_source(MySpec(), folder=tmp_path)

A broken promise raises ContractError and says which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Float32, Ragged
from zhiyin.base.digest import digest_arrays
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.schema import Manifest, Order
from zhiyin.data.slates import Slates
from zhiyin.models.features.registry import source_of
from zhiyin.models.features.source import FAMILIES, FeatureSpec, FittedSource
from zhiyin.models.roles import State
from zhiyin.store.bundle import Bundle, read_bundle, write_bundle
from zhiyin.testing.contracts import ContractError
from zhiyin.testing.small import small_world

__all__ = ["SOURCE_CHECKS", "SourceCase", "check_source", "every_pair", "rich_world", "with_event"]

WEATHER = ("sun", "rain")


def rich_world(order: Order = "time", seed: int = 0) -> Dataset:
    """The small world with a price, a category, coordinates (each with gaps), weather at every event, and friends."""
    data = small_world(order, n_users=25, n_items=20, n_events=300, seed=seed)
    rng = np.random.default_rng(seed)
    n = data.n_items

    def gaps(values: AnyArray) -> pl.Series:
        return pl.Series([None if i % 7 == 3 else float(v) for i, v in enumerate(values)])

    table = data.catalog.table.with_columns(
        price=gaps(np.round(np.exp(rng.normal(2, 1, n)), 2)),
        group=pl.Series([None if i % 9 == 4 else f"g{i % 3}" for i in range(n)]),
        latitude=gaps(rng.uniform(40.6, 40.8, n)),
        longitude=gaps(rng.uniform(-74.1, -73.9, n)),
    )
    manifest = data.manifest.model_dump(mode="json", exclude_none=True)
    manifest["items"] = {
        "columns": {"title": "text", "price": "price", "group": "category", "latitude": "latitude", "longitude": "longitude"}
    }
    who = rng.integers(0, data.n_users, (60, 2))
    relations = pl.DataFrame({"head": [f"user:u{h}" for h in who[:, 0]], "relation": "friend", "tail": [f"user:u{t}" for t in who[:, 1]]})
    weather = pl.DataFrame({"weather": rng.choice(WEATHER, len(data.events))})
    return replace(
        data,
        manifest=Manifest.parse(manifest),
        catalog=replace(data.catalog, table=table),
        events=replace(data.events, context=weather),
        relations=relations,
    )


def with_event(data: Dataset, user: AnyArray, item: AnyArray, time_us: AnyArray) -> Dataset:
    """The same data with more events, on rainy days."""
    e = data.events
    events = Events.of(
        np.concatenate([e.user_ix, user]),
        np.concatenate([e.item_ix, item]),
        np.concatenate([e.time_us, time_us]),
        weight=np.concatenate([e.weight, np.ones(len(user), np.float32)]),
        context=pl.concat([e.context, pl.DataFrame({"weather": ["rain"] * len(user)})]),
    )
    return replace(data, events=events)


def every_pair(data: Dataset, now_us: AnyArray | None = None) -> tuple[Requests, Slates]:
    """Everybody, and a stranger without a past, asked about every item at his ``now_us`` (n_users + 1,)."""
    users = np.append(np.arange(data.n_users), -1)
    now = np.full(len(users), (data.events.time_us.max() if len(data.events) else 0) + 1, np.int64) if now_us is None else now_us
    history = data.history(users, now if data.manifest.order == "time" else None)
    weather = np.array([WEATHER[i % 2] for i in range(len(users))], dtype=object)
    requests = Requests.of(history, users, now, context={"weather": weather})
    n = len(data.catalog)
    offsets = np.arange(0, (len(users) + 1) * n, n, dtype=np.int64)
    return requests, Slates(offsets, np.tile(np.arange(n, dtype=np.int32), len(users)), np.zeros(len(users) * n, np.float32))


@dataclass(frozen=True)
class SourceCase:
    """A spec on data, fitted once for all checks."""

    spec: FeatureSpec
    data: Dataset
    folder: Path

    @cached_property
    def source(self) -> FittedSource:
        return self.spec.fit(self.data)

    @cached_property
    def asked(self) -> tuple[Requests, Slates]:
        return every_pair(self.data)

    @cached_property
    def values(self) -> Float32:
        return self.source.features(*self.asked)

    def require(self, kept: bool, promise: str) -> None:
        if not kept:
            raise ContractError(f"feature source '{self.spec.kind}' breaks its contract: {promise}", "See zhiyin.testing.source_contracts.")


def same(one: Float32, other: Float32) -> bool:
    """Equal but for rounding, gaps in the same places."""
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-4, atol=1e-4, equal_nan=True))


def one_value_each(case: SourceCase) -> None:
    """One float32 per row and name, finite or NaN; names are distinct; nothing given is changed."""

    def mark() -> str:
        requests, slates = case.asked
        past = requests.history
        return digest_arrays(requests.now_us, past.item_ix, past.time_us, past.weight, slates.offsets, slates.item_ix)

    before = mark()
    shape = (len(case.asked[1].item_ix), len(case.source.names))
    case.require(case.values.dtype == np.float32 and case.values.shape == shape, "one float32 per row and name")
    case.require(not bool(np.isinf(case.values).any()), "values are finite or NaN")
    case.require(len(set(case.source.names)) == len(case.source.names), "every name stands once")
    case.require(case.spec.names_on(case.data) == case.source.names, "names_on tells the names before anything is fitted")
    case.require(mark() == before, "requests and slates stay as they were")
    families = {case.source.spec.family_of(name) for name in case.source.names}
    case.require(families <= set(FAMILIES), "every column is of one of the four families")


def row_alone(case: SourceCase) -> None:
    """A request alone gets what it gets among others; none, and one without candidates, get nothing."""
    requests, slates = case.asked
    for row in (0, 3, len(requests) - 1):
        at = np.array([row])
        mine = case.values[slates.offsets[row] : slates.offsets[row + 1]]
        case.require(same(mine, case.source.features(requests.take(at), slates.take(at))), "a batch of one equals its row of the batch")
    for some in (np.zeros(0, np.int64), np.array([0, 1])):
        got = case.source.features(requests.take(some), slates.take(some).top(0))
        case.require(got.shape == (0, len(case.source.names)), "no candidates, no rows")


def any_order(case: SourceCase) -> None:
    """The order in which candidates are given does not matter."""
    requests, slates = case.asked
    mixed = slates.reordered(np.random.default_rng(0).random(len(slates.item_ix)).astype(np.float32))
    theirs = np.lexsort((mixed.item_ix, mixed.items.rows))
    case.require(same(case.values, case.source.features(requests, mixed)[theirs]), "the order of candidates changes nothing")


def saved(case: SourceCase) -> None:
    """Through a bundle and back it says the same; its spec comes back from its description."""
    spec = case.source.spec
    case.require(source_of(spec.described()) == spec, "source_of(spec.described()) is the spec")
    state = case.source.state()
    write_bundle(case.folder / spec.kind, Bundle({"state": dict(state.meta)}, state.arrays))
    back = read_bundle(case.folder / spec.kind)
    without = case.data.take(slice(0, 0))  # what was saved must be enough: events do not come along
    restored = spec.restore(State(back.arrays, back.meta["state"]), without)
    case.require(restored.names == case.source.names, "a saved source has the same names")
    case.require(same(case.values, restored.features(*case.asked)), "a saved source says the same")


def grown(case: SourceCase) -> None:
    """Over a catalogue with new items it answers for them too, and for the old ones as before (prices move among more)."""
    catalog = _with_new(case.data.catalog)
    source = case.source.with_catalog(catalog)
    requests, slates = case.asked
    names = [i for i, name in enumerate(source.names) if not name.endswith(".position")]
    case.require(source.names == case.source.names, "new items bring no new names")
    case.require(same(case.values[:, names], source.features(requests, slates)[:, names]), "new items change nothing for the old ones")
    n = len(catalog)
    items = np.tile(np.arange(n, dtype=np.int32), len(requests))
    wide = Slates(np.arange(0, n * len(requests) + 1, n, dtype=np.int64), items, np.zeros(len(items), np.float32))
    case.require(not bool(np.isinf(source.features(requests, wide)).any()), "new items get finite values or NaN")
    past = Histories.of_items(Ragged.of([[n - 1], [0, n - 2]]))
    later = Requests.of(past, np.array([0, -1]), now_us=requests.now_us[0])
    case.require(not bool(np.isinf(source.features(later, wide.take(np.array([0, 1])))).any()), "histories may hold new items")


def _with_new(catalog: Catalog) -> Catalog:
    told = catalog.table.head(1).with_columns(pl.lit("new1").alias("item_id"))
    untold = pl.DataFrame({"item_id": ["new2"]})
    return catalog.with_rows(["new1"], told).with_rows(["new2"], untold)


def later_events(case: SourceCase) -> None:
    """On data with time, events at the very instant that is asked about, or a microsecond later, change nothing."""
    if case.data.manifest.order != "time" or not case.spec.as_of:
        return
    now = np.full(case.data.n_users + 1, int(case.data.events.time_us[-1]) - 30 * US_PER_DAY, np.int64)
    people = np.repeat(np.arange(case.data.n_users), 2)
    more = with_event(case.data, people, people % case.data.n_items, np.tile([now[0], now[0] + 1], case.data.n_users))
    before = case.source.features(*every_pair(case.data, now))
    after = case.source.spec.fit(more).features(*every_pair(more, now))
    case.require(bool(np.array_equal(before, after, equal_nan=True)), "an event one microsecond late changes nothing")


SOURCE_CHECKS: dict[str, Callable[[SourceCase], None]] = {
    check.__name__: check for check in (one_value_each, row_alone, any_order, saved, grown, later_events)
}
"""Every promise by name: a test may run them one by one on one SourceCase."""


def check_source(spec: FeatureSpec, *, folder: Path, data: Dataset | None = None) -> None:
    """Run every check on a spec; raises ContractError at the first broken promise. ``folder`` receives a saved source."""
    case = SourceCase(spec, rich_world() if data is None else data, folder)
    for check in SOURCE_CHECKS.values():
        check(case)
