"""From raw tables to a Dataset: ids to numbers, time to microseconds, kinds to weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from zhiyin.base.clock import now_us as clock_us
from zhiyin.base.errors import ConfigError, MissingDataError, nearest
from zhiyin.data.build_events import arranged, read_events
from zhiyin.data.build_items import catalog_of, grown, number, read_items, read_users
from zhiyin.data.clean import Ledger, LoadReport, Rows
from zhiyin.data.columns import Source, read_ids, read_text
from zhiyin.data.dataset import Dataset
from zhiyin.data.schema import Manifest
from zhiyin.data.tables import Tables, columns_of
from zhiyin.data.vocab import Vocabulary

FURTHER = ("items", "users", "relations")


def build(tables: Tables, now_us: int | None = None) -> Dataset:
    """The Dataset of raw tables: cleaned as the manifest says, sorted by time.

    Events later than a day after ``now_us`` (None = the clock) are refused as bad times.
    """
    return build_with_report(tables, now_us)[0]


def build_with_report(tables: Tables, now_us: int | None = None) -> tuple[Dataset, LoadReport]:
    """The Dataset and what was dropped or changed on the way."""
    m = tables.manifest
    sources = {"events": Source.of("events", m.events.file, tables.events)}
    for name in FURTHER:
        frame, spec = getattr(tables, name), getattr(m, name)
        if frame is not None:
            sources[name] = Source.of(name, spec.file if spec else f"the {name} table", frame)
    return assemble(m, sources, now_us)


def assemble(manifest: Manifest, sources: Mapping[str, Source], now_us: int | None = None) -> tuple[Dataset, LoadReport]:
    """The same from columns that are fetched one by one; reading a folder ends here."""
    for name in FURTHER:
        if getattr(manifest, name) is not None and name not in sources:
            raise MissingDataError(f"the manifest has [{name}], but no {name} table was given")
        if getattr(manifest, name) is None and name in sources:
            raise ConfigError(f"{sources[name].file} was given, but the manifest has no [{name}]", "Say there what its columns are.")
    _check_rules(manifest)
    ledger = Ledger()
    items = read_items(manifest, sources["items"], ledger) if "items" in sources else None
    users = read_users(manifest, sources["users"], ledger) if "users" in sources else None
    columns = read_events(manifest, sources["events"], ledger, clock_us() if now_us is None else now_us)
    columns.user, user_ids = number(columns.user, columns.user_names, columns.keep, users)
    columns.item, item_ids = number(columns.item, columns.item_names, columns.keep, items)
    if items is not None:
        unknown = columns.keep & (columns.item >= len(items.ids))
        ledger.note("events", manifest.events.item, "noted", "items that the items table does not know", int(unknown.sum()))
    events = arranged(columns)
    newest = int(events.time_us[-1]) if manifest.order == "time" else None
    data = Dataset(
        manifest,
        user_ids,
        catalog_of(manifest, items, item_ids, newest),
        events,
        columns.kinds,
        Vocabulary(columns.place_names.to_arrow()),
        grown(users, manifest.users.id, user_ids) if users is not None and manifest.users else pl.DataFrame(),
        _relations(manifest, sources["relations"], item_ids, ledger) if "relations" in sources else pl.DataFrame(),
    )
    return data, ledger.report()


def _check_rules(manifest: Manifest) -> None:
    """Each column with a cleaning rule must be one that the manifest names."""
    named = set().union(*(columns_of(manifest, name)[0] for name in ("events", *FURTHER) if getattr(manifest, name) is not None))
    for key in ("missing", "outlier"):
        for column in getattr(manifest.clean, key):
            if column not in named:
                raise ConfigError(f"clean.{key} has a rule for column '{column}', which the manifest names nowhere", nearest(column, named))


def _relations(manifest: Manifest, source: Source, items: Vocabulary, ledger: Ledger) -> pl.DataFrame:
    """Triples of ids under the names head, relation, tail."""
    spec = manifest.relations
    if spec is None:
        return pl.DataFrame()
    rows = Rows(source, manifest.clean, ledger)
    columns = {}
    for key, reader in (("head", read_ids), ("relation", read_text), ("tail", read_ids)):
        name = getattr(spec, key)
        columns[key] = rows.settle(name, source.column(name, f"relations.{key}"), reader, needed=True).cast(pl.String)
    kept = np.flatnonzero(rows.keep)
    frame = pl.DataFrame({k: v.gather(kept).alias(k) for k, v in columns.items()})
    strangers = (items.ix_of(frame["head"].to_arrow()) < 0) & (items.ix_of(frame["tail"].to_arrow()) < 0)
    ledger.note("relations", "", "noted", "neither end is an item", int(strangers.sum()))
    rows.done()
    return frame
