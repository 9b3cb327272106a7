"""A recommender as a bundle and back: complete, so that the folder alone answers on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, found_under, named_under
from zhiyin.base.errors import ModelFileError
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.past import Past
from zhiyin.data.schema import Manifest
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.registry import spec_of
from zhiyin.models.roles import Model, State
from zhiyin.pipeline.placed import Placed
from zhiyin.pipeline.placement import Placement
from zhiyin.store.bundle import Bundle, read_bundle, write_bundle
from zhiyin.text.encoder import EncoderState
from zhiyin.text.templates import ItemTemplate
from zhiyin.text.vectors import Reader

if TYPE_CHECKING:
    from zhiyin.pipeline.recommender import Recommender

KIND = "recommender"
VERSION = 3
"""3 keeps what search learned, and ids such that they are found where they lie in the file; 2 kept everything that
training reads (values, context, user columns, relations), so that a server can train anew from the folder alone; 1
kept what answers need."""
_EVENT_COLUMNS = ("item_ix", "time_us", "kind_ix", "weight", "place_ix", "value")
_PAST_COLUMNS = ("item_ix", "kind_ix", "time_us", "place_ix", "weight")


def save(recommender: Recommender, folder: str | Path, *, search: bool = True) -> Path:
    """Write the recommender with its data: enough to answer, and to train anew with what happened since.

    ``search`` also reads every item, for a server that starts can search at once then (.2 ms an item).
    """
    data, catalog = recommender.data, recommender.catalog
    arrays: dict[str, AnyArray] = {"events.user_ix": data.events.user_ix, "past.offsets": data.past.offsets}
    arrays |= named_under("events", {name: _once(getattr(data.events, name)) for name in _EVENT_COLUMNS})
    arrays |= named_under("past", {name: _once(getattr(data.past, name)) for name in _PAST_COLUMNS})
    for whose, ids in (("items", catalog.items), ("users", data.users), ("places", data.places)):
        arrays |= named_under(f"ids.{whose}", ids.arrays())
    meta: dict[str, Any] = {
        "kind": KIND,
        "version": VERSION,
        "manifest": data.manifest.model_dump(mode="json", exclude_none=True),
        "kinds": list(data.kinds),
        "title_column": catalog.title_column,
        "vectors": {name: vectors.fingerprint for name, vectors in catalog.vectors.items()},
    }
    arrays |= {f"vectors.{name}": vectors.matrix for name, vectors in catalog.vectors.items()}
    if catalog.available is not None:
        arrays["available"] = catalog.available
    parts: dict[str, Model] = {"model": recommender.model}
    if recommender.fallback is not recommender.model:
        parts["fallback"] = recommender.fallback
    for name, model in parts.items():
        state = model.state()
        arrays |= named_under(name, state.arrays)
        meta[name] = {"spec": model.spec.described(), "state": dict(state.meta)}
    if recommender.reader is not None:
        state_ = recommender.reader.state
        arrays |= named_under("encoder", state_.arrays)
        meta["reader"] = {
            "template": recommender.reader.template.model_dump(mode="json"),
            "encoder": dict(state_.meta),
            "reason": recommender.reader.reason,
        }
    if recommender.placed.placements:
        placed = recommender.placed
        meta["placements"] = {
            "said": [placement.model_dump(mode="json", exclude_none=True) for placement in placed.placements],
            "n_known": placed.n_known,
            "models": {key: {"spec": model.spec.described(), "state": dict(model.state().meta)} for key, model in placed.models.items()},
        }
        for key, model in placed.models.items():
            arrays |= named_under(f"placed.{key}", model.state().arrays)
    if search:
        from zhiyin.pipeline.finding_saved import read_items

        read = read_items(data)
        arrays |= named_under("search", read.arrays)
        meta["search"] = dict(read.meta)
    more = {"context": data.events.context, "users": data.users_table, "relations": data.relations}
    tables = {"items": catalog.table, **{name: table for name, table in more.items() if table.width}}
    path = Path(folder)
    write_bundle(path, Bundle(meta, arrays, tables))
    return path


def load(folder: str | Path) -> Recommender:
    """Read a recommender; every byte is checked against the manifest first."""
    from zhiyin.pipeline.recommender import Recommender

    bundle = read_bundle(folder)
    meta = bundle.meta
    if meta.get("kind") != KIND:
        raise ModelFileError(f"'{folder}' holds '{meta.get('kind')}', not a recommender", "Give a folder that zhiyin train wrote.")
    if int(meta["version"]) > VERSION:
        raise ModelFileError(f"recommender '{folder}' has version {meta['version']}; this zhiyin reads up to {VERSION}", "Upgrade zhiyin.")
    everything = State(bundle.arrays)
    data = _dataset(bundle, everything)
    model = _model(meta["model"], everything.under("model"), data.catalog)
    fallback = _model(meta["fallback"], everything.under("fallback"), data.catalog) if "fallback" in meta else model
    reader = None
    if "reader" in meta:
        encoder = EncoderState(everything.under("encoder").arrays, meta["reader"]["encoder"])
        reader = Reader(ItemTemplate.parse(meta["reader"]["template"], f"model '{folder}'"), encoder, meta["reader"]["reason"])
    search = State(everything.under("search").arrays, meta["search"]) if "search" in meta else None
    return Recommender(model, fallback, data, reader, _placed(meta.get("placements"), everything, data.catalog), search=search)


def _placed(said: dict[str, Any] | None, everything: State, catalog: Catalog) -> Placed:
    if said is None:
        return Placed()
    placements = tuple(Placement.parse(values, "the saved placements") for values in said["said"])
    models = {key: _model(told, everything.under(f"placed.{key}"), catalog) for key, told in said["models"].items()}
    return Placed(placements, models, int(said["n_known"]))


def _dataset(bundle: Bundle, everything: State) -> Dataset:
    meta, tables = bundle.meta, bundle.tables
    vectors = {name: Vectors(everything.arrays[f"vectors.{name}"], said) for name, said in meta["vectors"].items()}
    items, users, places = (_ids(bundle, whose) for whose in ("items", "users", "places"))
    catalog = Catalog(items, tables["items"], meta["title_column"], vectors, bundle.arrays.get("available"))
    columns: dict[str, AnyArray] = {"value": np.array([np.nan], np.float32), **found_under("events", bundle.arrays)}
    n = len(columns["user_ix"])
    columns = {name: _again(column, n) for name, column in columns.items()}
    events = Events.trusted(**columns, context=tables.get("context", pl.DataFrame()))
    manifest = Manifest.parse(meta["manifest"], "the model's manifest")
    more = {"users_table": tables.get("users", pl.DataFrame()), "relations": tables.get("relations", pl.DataFrame())}
    data = Dataset(manifest, users, catalog, events, tuple(meta["kinds"]), places, **more)
    past = found_under("past", bundle.arrays)
    if not past:
        return data
    return data.with_past(Past(past["offsets"], **{name: _again(past[name], n) for name in _PAST_COLUMNS}))


def _once(column: AnyArray) -> AnyArray:
    """A column that says the same in every row, as one row: most data have one kind of event and no places."""
    bits = np.ascontiguousarray(column).view(f"u{column.itemsize}")  # NaN is not equal to itself
    return column[:1] if len(column) > 1 and bool((bits == bits[0]).all()) else column


def _again(column: AnyArray, n: int) -> AnyArray:
    """Such a column with all its rows, in the memory of one."""
    return np.broadcast_to(column, n) if len(column) == 1 else column


def users_of(folder: str | Path) -> Vocabulary:
    """The users of a saved recommender. Raises ``ModelFileError`` where it is damaged."""
    return _ids(read_bundle(folder), "users")


def _ids(bundle: Bundle, whose: str) -> Vocabulary:
    known = found_under(f"ids.{whose}", bundle.arrays)
    return Vocabulary.restored(known) if known else Vocabulary.trusted(bundle.tables[f"{whose.removesuffix('s')}_ids"]["id"].to_arrow())


def _model(said: dict[str, Any], state: State, catalog: Catalog) -> Model:
    return spec_of(said["spec"], "the saved model").restore(State(state.arrays, said["state"]), catalog)
