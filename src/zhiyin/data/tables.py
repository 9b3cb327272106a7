"""Raw tables with the meaning of their columns: what a reader, a generator or a notebook hands in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from zhiyin.data.schema import Manifest

MANIFEST_FILE = "zhiyin.toml"
NUMERIC = ("number", "price", "latitude", "longitude", "time")


@dataclass(frozen=True)
class Tables:
    """Tables as they came, with the manifest's column names; ``build`` makes a Dataset of them.

    ``extra`` holds further tables by name (ratings of text, impressions): they are written beside
    the others and do not enter the Dataset.
    """

    manifest: Manifest
    events: pl.DataFrame
    items: pl.DataFrame | None = None
    users: pl.DataFrame | None = None
    relations: pl.DataFrame | None = None
    extra: Mapping[str, pl.DataFrame] = field(default_factory=dict)


def write(tables: Tables, folder: str | Path) -> Path:
    """Write the tables as Parquet and the manifest as ``zhiyin.toml``; gives the folder back.

    The manifest on disk names the Parquet files written here, whatever the files were called before.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    given = {"events": tables.events, "items": tables.items, "users": tables.users, "relations": tables.relations}
    update: dict[str, Any] = {}
    for name, frame in given.items():
        part = getattr(tables.manifest, name)
        if frame is None or part is None:
            continue
        file = part.file if part.file.endswith(".parquet") and "/" not in part.file else f"{name}.parquet"
        frame.write_parquet(path / file, compression="zstd")
        update[name] = part.model_copy(update={"file": file})
    for name, frame in tables.extra.items():
        frame.write_parquet(path / f"{name}.parquet", compression="zstd")
    manifest = tables.manifest.model_copy(update=update)
    (path / MANIFEST_FILE).write_text(manifest_toml(manifest), encoding="utf-8")
    return path


def manifest_toml(manifest: Manifest) -> str:
    """The manifest as TOML text: only what differs from the defaults, and the names of the files."""
    values = manifest.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    values = {"name": manifest.name, "order": manifest.order, **values}
    for name in ("events", "items", "users", "relations"):
        part = getattr(manifest, name)
        if part is not None:
            values[name] = {"file": part.file, **values.get(name, {})}
    return "\n".join(_toml_lines(values)).lstrip("\n") + "\n"


def _toml_lines(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[str]:
    lines = [f"{toml_key(k)} = {toml_value(v)}" for k, v in values.items() if not isinstance(v, Mapping)]
    for name, inner in values.items():
        if isinstance(inner, Mapping):
            below = (*path, name)
            lines += ["", f"[{'.'.join(map(toml_key, below))}]", *_toml_lines(inner, below)]
    return lines


def toml_key(name: str) -> str:
    """A name as TOML writes it on the left of "=": in quotation marks where it must be."""
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else toml_value(name)


def toml_value(value: Any) -> str:
    """A plain value, list or table as TOML writes it on the right of "="; what is None is left out of tables."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{toml_key(k)} = {toml_value(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    # JSON writes text, numbers and booleans as TOML does, but leaves DEL as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def columns_of(manifest: Manifest, name: str) -> tuple[set[str], set[str]]:
    """The columns of a table that the manifest names, and those of them that are text."""
    part = getattr(manifest, name)
    plain = {k: v for k, v in part.model_dump().items() if isinstance(v, str) and k not in ("file", "time_unit")}
    typed: dict[str, str] = getattr(part, "columns", {})
    numeric = {plain.get(k) for k in ("time", "value", "position", "publish", "expire", "available")}
    numeric |= {c for c, t in typed.items() if t in NUMERIC}
    context = set(getattr(part, "context", ()))
    wanted = {*plain.values(), *typed, *context}
    return wanted, wanted - numeric - context
