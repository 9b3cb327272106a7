"""A recommender as a bundle and back: complete, so that the folder alone answers on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray
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
VERSION = 2
"""2 keeps everything that training reads (values, context, user columns, relations), so that a server can train anew
from the folder alone; 1 kept what answers need."""
_EVENT_COLUMNS = ("user_ix", "item_ix", "time_us", "kind_ix", "weight", "place_ix", "value")


def save(recommender: Recommender, folder: str | Path) -> Path:
    """Write the recommender with its data: enough to answer, and to train anew with what happened since."""
    data, catalog = recommender.data, recommender.catalog
    arrays: dict[str, AnyArray] = {f"events.{name}": getattr(data.events, name) for name in _EVENT_COLUMNS}
    arrays |= {f"past.{name}": array for name, array in data.past.arrays().items()}
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
        arrays |= {f"{name}.{key}": array for key, array in state.arrays.items()}
        meta[name] = {"spec": model.spec.described(), "state": dict(state.meta)}
    if recommender.reader is not None:
        state_ = recommender.reader.state
        arrays |= {f"encoder.{key}": array for key, array in state_.arrays.items()}
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
            arrays |= {f"placed.{key}.{name}": array for name, array in model.state().arrays.items()}
    tables = {
        "items": catalog.table,
        "item_ids": pl.DataFrame({"id": pl.Series(catalog.items.ids.to_pylist(), dtype=pl.String)}),
        "user_ids": pl.DataFrame({"id": pl.Series(data.users.ids.to_pylist(), dtype=pl.String)}),
        "place_ids": pl.DataFrame({"id": pl.Series(data.places.ids.to_pylist(), dtype=pl.String)}),
    }
    more = {"context": data.events.context, "users": data.users_table, "relations": data.relations}
    tables |= {name: table for name, table in more.items() if table.width}
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
    return Recommender(model, fallback, data, reader, _placed(meta.get("placements"), everything, data.catalog))


def _placed(said: dict[str, Any] | None, everything: State, catalog: Catalog) -> Placed:
    if said is None:
        return Placed()
    placements = tuple(Placement.parse(values, "the saved placements") for values in said["said"])
    models = {key: _model(told, everything.under(f"placed.{key}"), catalog) for key, told in said["models"].items()}
    return Placed(placements, models, int(said["n_known"]))


def _dataset(bundle: Bundle, everything: State) -> Dataset:
    meta, tables = bundle.meta, bundle.tables
    vectors = {name: Vectors(everything.arrays[f"vectors.{name}"], said) for name, said in meta["vectors"].items()}
    catalog = Catalog(_ids(tables["item_ids"]), tables["items"], meta["title_column"], vectors, bundle.arrays.get("available"))
    columns = everything.under("events").arrays
    value = columns["value"] if "value" in columns else np.full(len(columns["user_ix"]), np.nan, np.float32)
    context = tables.get("context", pl.DataFrame())
    events = Events.trusted(**{name: columns[name] for name in _EVENT_COLUMNS if name != "value"}, value=value, context=context)
    manifest = Manifest.parse(meta["manifest"], "the model's manifest")
    more = {"users_table": tables.get("users", pl.DataFrame()), "relations": tables.get("relations", pl.DataFrame())}
    data = Dataset(manifest, _ids(tables["user_ids"]), catalog, events, tuple(meta["kinds"]), _ids(tables["place_ids"]), **more)
    past = everything.under("past").arrays
    return data.with_past(Past.restored(past)) if past else data


def _ids(table: pl.DataFrame) -> Vocabulary:
    return Vocabulary.trusted(table["id"].to_arrow())


def _model(said: dict[str, Any], state: State, catalog: Catalog) -> Model:
    return spec_of(said["spec"], "the saved model").restore(State(state.arrays, said["state"]), catalog)
