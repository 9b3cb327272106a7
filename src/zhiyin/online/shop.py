"""The items of a running tenant: what was put, changed and deleted since the bundle, and the snapshot that knows it.

A change is durable in the tables first; then the next snapshot is built and takes over. Writers that wait for each
other share one building, so a hundred puts at once cost about as much as one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from zhiyin.base.clock import now_us
from zhiyin.base.errors import DataError, StoreError, UnknownNameError, nearest
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.build_items import available_at
from zhiyin.online.rows import time_of
from zhiyin.online.snapshot import Snapshot
from zhiyin.pipeline.business_file import RuleFile
from zhiyin.pipeline.recommender import Recommender
from zhiyin.store.tables import Change, TableStore
from zhiyin.text.synonyms import Synonyms

if TYPE_CHECKING:
    from zhiyin.pipeline.finding import Finder

ITEMS = "items"
Clock = Callable[[], int]
_LATEST_US = 8_000 * 365 * US_PER_DAY
"""In microseconds: a few years before the last date there is."""
_KINDS = {pl.String: "text", pl.Boolean: "true or false", pl.List: "a list of texts", pl.Datetime: "a time"}


class Shop:
    """``adopt`` is told of every new snapshot; ``since`` is the version of the tables the bundle was trained with."""

    def __init__(
        self,
        snapshot: Snapshot,
        tables: TableStore,
        adopt: Callable[[Snapshot], None],
        *,
        since: int = 0,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self.tables = tables
        self.clock = clock
        self._adopt = adopt
        self._snapshot = snapshot
        self._applied = self._since = since
        # An item deleted before the bundle was trained is in it, and must stay out of sight.
        self._gone = {change.id for change in changed_items(tables, 0)[0] if change.body is None}
        self.partial = False
        """True while a standby is served: most items are not known then, and what is not known is not therefore gone."""
        self._building = threading.Lock()
        self._dirty: set[str] | None = None  # items changed since a search index was begun
        with self._building:
            self._apply(always=bool(self._gone))

    @property
    def columns(self) -> Mapping[str, pl.DataType]:
        """Columns an item may have, without its id."""
        return {name: dtype for name, dtype in self._snapshot.catalog.table.schema.items() if name != self.id_name}

    @property
    def applied(self) -> int:
        """The version of the tables that the newest snapshot knows."""
        return self._applied

    @property
    def id_name(self) -> str:
        """The column that names an item in tables."""
        items = self._snapshot.recommender.data.manifest.items
        return items.id if items else "item_id"

    def check_whole(self) -> None:
        """Raises ``StoreError`` where what is not known may still be there."""
        if self.partial:
            raise StoreError("the model is damaged, and only a part of the items and nobody's past is known", "Put it back first.")

    def put(self, rows: Mapping[str, Mapping[str, Any]], *, partial: bool = False) -> dict[str, int]:
        """Insert or replace items (``partial``: change some columns of known ones); searchable and recommendable when it returns.

        Gives the version of each. Raises ``DataError`` or ``UnknownNameError`` for columns or values that do not fit;
        nothing is stored then.
        """
        checked = {item: self.checked(item, body) for item, body in rows.items()}
        if partial:
            self.check_whole()
            found = self._known(list(checked))
            missing = [item for item in checked if item not in found]
            if missing:
                raise UnknownNameError(f"no item has the id '{missing[0][:80]}'", "Put it first.")
            # The tables hold whole rows, so that what a bundle knew is not lost when it is replaced.
            checked = {item: {**found[item], **body} for item, body in checked.items()}
        self._check_together(checked)
        versions = self.tables.put(ITEMS, checked)
        self.catch_up(max(versions.values(), default=0))
        return versions

    def _check_together(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """What cannot become rows of the catalogue must not be stored: it would be there at every start."""
        try:
            _table(self._snapshot.recommender, rows, strict=True)
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
            raise DataError(
                f"the items do not fit: {str(error).splitlines()[0][:200]}", "Send values of the types they have now."
            ) from None

    def delete(self, ids: Sequence[str]) -> int:
        """Take items out of every answer; gives how many there were."""
        self.check_whole()
        known = [item for item in ids if self._snapshot.catalog.items.find(item) >= 0 and item not in self._gone]
        if not known:
            return 0
        # A row of its own for what only the bundle knew, so that the deletion is a change readers learn of.
        self.tables.put(ITEMS, {item: {} for item in known})
        self.tables.delete(ITEMS, known)
        self.catch_up(self.tables.version())
        return len(known)

    def get(self, item: str) -> dict[str, Any]:
        """An item as it is now; raises ``UnknownNameError`` for one that is not there."""
        found = self._known([item])
        if item not in found:
            self.check_whole()
            raise UnknownNameError(f"no item has the id '{item[:80]}'")
        return found[item]

    def page(self, after: str, n: int) -> list[tuple[str, dict[str, Any]]]:
        """The next n items by id."""
        self.check_whole()
        left = (i for i in self._snapshot.ids_sorted_after(after) if i not in self._gone)
        ids = list(islice(left, n))
        found = self._known(ids)
        return [(item, found[item]) for item in ids]

    def catch_up(self, version: int | None = None) -> None:
        """Build the next snapshot where the tables have changed (up to ``version`` at least)."""
        with self._building:
            if version is not None and self._applied >= version:
                return
            self._apply()

    def refresh(self) -> None:
        """Let items begin and end as their publish and expire times pass."""
        with self._building:
            now = self._available(self._snapshot.recommender)
            if now.catalog is not self._snapshot.catalog:
                self._swap(now)

    @contextmanager
    def replacing(self, snapshot: Snapshot, since: int) -> Iterator[Snapshot]:
        """Holds changes back while another bundle takes over: gives its snapshot with every change it was not trained with."""
        best = snapshot.ranked  # before the lock: a model that hangs must not keep items from being put
        with self._building:
            changed, applied = changed_items(self.tables, since)
            recommender = self._available(with_items(snapshot.recommender, changed))
            fresh = replace(snapshot, recommender=recommender, rule_file=self._snapshot.rule_file, best=best)
            if snapshot.finder is not None:
                fresh = replace(fresh, finder=_followed(snapshot.finder, fresh, {change.id for change in changed}))
            yield fresh
            self._snapshot, self._applied, self._since = fresh, applied, since

    def rule(self, rule_file: RuleFile | None) -> None:
        """Follow other business rules from now on; raises ``ConfigError`` where one makes no sense, and keeps the old ones."""
        with self._building:
            fresh = replace(self._snapshot, rule_file=rule_file, best=self._snapshot.ranked)
            _ = fresh.rules
            self._snapshot = fresh
            self._adopt(fresh)

    def index(self, synonyms: Synonyms | None = None) -> None:
        """Build the search index: from what was saved with the model and what changed since, else by reading all items,
        which takes .2 ms each; answers and changes go on meanwhile.
        """
        from zhiyin.pipeline.finding_saved import finder_of

        with self._building:
            begun, self._dirty, since = self._snapshot, set(), self._since
        changed = [change.id for change in changed_items(self.tables, since)[0]]
        finder = finder_of(begun.recommender, synonyms, changed)
        with self._building:
            now, dirty, self._dirty = self._snapshot, self._dirty or set(), None
            if now.version != begun.version:
                return  # another bundle took over, and has its own index built
            self._snapshot = replace(now, finder=_followed(finder, now, dirty), best=now.ranked)
            self._adopt(self._snapshot)

    def _apply(self, *, always: bool = False) -> None:
        changed, self._applied = changed_items(self.tables, self._applied)
        if not changed and not always:
            return
        self._gone |= {change.id for change in changed if change.body is None}
        self._gone -= {change.id for change in changed if change.body is not None}
        self._swap(self._available(with_items(self._snapshot.recommender, changed)), {change.id for change in changed})

    def _available(self, recommender: Recommender) -> Recommender:
        """The same with what may be shown now: not deleted, switched on, published, not expired."""
        catalog = recommender.catalog
        shown = available_at(recommender.data.manifest, catalog.table, self.clock())
        if self._gone:
            rows = catalog.items.ix_of(sorted(self._gone))
            shown = np.ones(len(catalog), np.bool_) if shown is None else shown
            shown[rows[rows >= 0]] = False
        same = (shown is None and catalog.available is None) or (
            shown is not None and catalog.available is not None and np.array_equal(shown, catalog.available)
        )
        return recommender if same else recommender.with_catalog(replace(catalog, available=shown))

    def _swap(self, recommender: Recommender, changed: Collection[str] = ()) -> None:
        old = self._snapshot
        if self._dirty is not None:
            self._dirty |= set(changed)
        fresh = replace(old, recommender=recommender, revision=old.revision + 1, finder=None, best=old.ranked)
        self._snapshot = replace(fresh, finder=None if old.finder is None else _followed(old.finder, fresh, changed))
        self._adopt(self._snapshot)

    def _known(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        catalog = self._snapshot.catalog
        there = [(i, catalog.items.find(i)) for i in ids if i not in self._gone]
        there = [(i, ix) for i, ix in there if ix >= 0]
        if not there:
            return {}
        rows = catalog.table[[ix for _, ix in there]].drop(self.id_name, strict=False).to_dicts()
        return {i: {name: _plain(value) for name, value in row.items()} for (i, _), row in zip(there, rows, strict=True)}

    def checked(self, item: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The values of an item, each fit for its column. Raises ``DataError`` where one is not."""
        columns = self.columns
        out = {}
        for name, value in body.items():
            if name == self.id_name:
                if str(value) != item:
                    raise DataError(f"item '{item[:80]}' says {name} = '{str(value)[:80]}' of itself", "Leave it out, or say the same.")
                continue
            if name not in columns:
                raise DataError(f"item '{item[:80]}': the items have no column '{name[:80]}'", nearest(name, columns))
            out[name] = value if value is None else _fitting(item, name, value, columns[name])
        return out


def _followed(finder: Finder, snapshot: Snapshot, changed: Collection[str]) -> Finder:
    """A search index brought up to the catalogue of a snapshot."""
    known = len(finder.data.catalog)
    rows = sorted(ix for ix in map(snapshot.catalog.items.find, changed) if 0 <= ix < known)
    return finder.with_data(snapshot.recommender.data, rows)


def changed_items(tables: TableStore, since: int) -> tuple[list[Change], int]:
    """The newest change of every item beyond a version, and the version reached."""
    changed: dict[str, Change] = {}
    while changes := tables.changes(since, 5_000):
        since = changes[-1].version
        changed |= {change.id: change for change in changes if change.collection == ITEMS}
    return list(changed.values()), since


def with_items(recommender: Recommender, changes: Sequence[Change]) -> Recommender:
    """A recommender that knows these changes of its items; what a row does not say is null."""
    if not changes:
        return recommender
    table = _table(recommender, {change.id: change.body for change in changes if change.body is not None}, strict=False)
    return recommender.with_changes(table, [change.id for change in changes if change.body is None])


def _table(recommender: Recommender, rows: Mapping[str, Mapping[str, Any]], *, strict: bool) -> pl.DataFrame:
    """Rows by id as a table of the catalogue's types. What does not fit raises where ``strict``, and is null elsewhere:
    a row may have been stored under a bundle whose column had another type."""
    items = recommender.data.manifest.items
    named = items.id if items else "item_id"
    series = [pl.Series(named, list(rows), pl.String)]
    for name, dtype in recommender.catalog.table.schema.items():
        if name != named:
            values = [_from_json(body.get(name), dtype, strict) for body in rows.values()]
            series.append(pl.Series(name, values, dtype, strict=strict))
    return pl.DataFrame(series)


def caught_up(recommender: Recommender, tables: TableStore, since: int) -> Recommender:
    """A recommender with every item that was put, changed or deleted beyond a version."""
    return with_items(recommender, changed_items(tables, since)[0])


def _fitting(item: str, name: str, value: Any, dtype: pl.DataType) -> Any:
    """The value as JSON keeps it; raises ``DataError`` where the column holds something else."""
    if dtype == pl.String and isinstance(value, str):
        return value
    if dtype == pl.Boolean and isinstance(value, bool):
        return value
    if dtype.is_integer() and isinstance(value, int) and not isinstance(value, bool):
        return value
    if dtype.is_float() and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(dtype, pl.List) and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return value
    if isinstance(dtype, pl.Datetime) and isinstance(value, int | str) and not isinstance(value, bool):
        at_us = time_of(value, 0)
        if at_us <= _LATEST_US:
            return at_us
    kind = next((words for known, words in _KINDS.items() if isinstance(dtype, known) or dtype == known), "a number")
    raise DataError(f"item '{item[:80]}': '{name}' must be {kind}, not {str(value)[:60]!r}", "Send another value.")


def _from_json(value: Any, dtype: pl.DataType, strict: bool) -> Any:
    if value is None or not isinstance(dtype, pl.Datetime):
        return value
    if not isinstance(value, int) or abs(value) > _LATEST_US:
        if strict:
            raise ValueError(f"{str(value)[:40]} is no time")
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)


def _plain(value: Any) -> Any:
    """A value of the table as JSON says it: times as microseconds."""
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1e6)
    return value
