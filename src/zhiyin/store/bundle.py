"""A folder that holds what was learned: arrays, tables, and a manifest that vouches for each byte.

    model/
      manifest.json         format, format_version, zhiyin, meta, files {name: size, sha256, crc32}, sha256 of all that
      arrays.safetensors    every array, flat names ("ease.weights")
      table.items.arrow     one Arrow IPC file per table

No pickle and no code: reading a bundle runs nothing that the folder brought along. The sums find
damage, not malice: whoever can write the folder can write its manifest too. So what is compared at every start is
CRC-32, of each 16 MiB, at memory's speed; SHA-256 names the content, and is compared where somebody asks for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from zhiyin import __version__
from zhiyin.base.arrays import AnyArray
from zhiyin.base.digest import crc32_file, sha256_file
from zhiyin.base.errors import ModelFileError
from zhiyin.store.tensors import read_tensors, write_tensors

FORMAT = "zhiyin-bundle"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ARRAYS = "arrays.safetensors"

_TABLE = re.compile(r"table\.([A-Za-z0-9_][A-Za-z0-9_-]*)\.arrow")


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is saved together and must be swapped together. ``meta`` is JSON-able."""

    meta: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, AnyArray] = field(default_factory=dict)
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)


def _dotted(bundle: Bundle) -> Bundle:
    """Format 0 joined the parts of an array's name with "/"; ``State.under`` wants "."."""
    return replace(bundle, arrays={name.replace("/", "."): array for name, array in bundle.arrays.items()})


UPGRADES: dict[int, Callable[[Bundle], Bundle]] = {0: _dotted}
"""Format version -> the step to the next one. A new format adds one line here and one test."""


def write_bundle(folder: Path | str, bundle: Bundle) -> None:
    """Save all of a bundle or nothing: written to a hidden folder beside, synced, then renamed.

    An older bundle in ``folder`` is replaced; anything else that stands there is refused. A process
    killed at the worst moment leaves the old bundle, whole, under ``.NAME.*.old``.
    """
    target = Path(folder)
    _check_replaceable(target)
    token = secrets.token_hex(4)
    fresh, old = (target.with_name(f".{target.name}.{token}.{end}") for end in ("new", "old"))
    fresh.mkdir(parents=True)
    try:
        _write_parts(fresh, bundle)
        if target.exists():
            target.rename(old)
        try:
            fresh.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    _sync(target.parent)


def read_bundle(folder: Path | str, *, thorough: bool = False) -> Bundle:
    """Load a bundle after checking every byte, by SHA-256 where ``thorough``; arrays are memory-mapped and read-only.

    Raises ModelFileError, in one sentence, for a folder that is missing, not a bundle, incomplete,
    damaged, from a newer zhiyin, or whose manifest names files outside of it.
    """
    root = Path(folder)
    manifest = _manifest(root)
    version = int(manifest["format_version"])
    arrays: Mapping[str, AnyArray] = {}
    tables: dict[str, pl.DataFrame] = {}
    for name, said in manifest["files"].items():
        table = _TABLE.fullmatch(name)
        path = _checked_file(root, name, said, known=name == ARRAYS or table is not None, thorough=thorough)
        try:
            if table:
                tables[table.group(1)] = pl.read_ipc(path)
            else:
                arrays = read_tensors(path)
        except (pl.exceptions.PolarsError, ValueError, OSError) as error:
            raise ModelFileError(f"file '{name}' of model '{root}' cannot be read: {error}", "Save the model again.") from None
    bundle = Bundle(manifest["meta"], arrays, tables)
    for step in range(version, FORMAT_VERSION):
        bundle = UPGRADES[step](bundle)
    return bundle


def _write_parts(root: Path, bundle: Bundle) -> None:
    if bundle.arrays:
        write_tensors(root / ARRAYS, bundle.arrays)
    for name, table in bundle.tables.items():
        if not _TABLE.fullmatch(f"table.{name}.arrow"):
            raise ModelFileError(f"table name '{name}' cannot be a file name", "Use letters, digits, '_' and '-'.")
        table.write_ipc(root / f"table.{name}.arrow", compression="uncompressed")
    paths = sorted(root.iterdir())
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "zhiyin": __version__,
        "meta": dict(bundle.meta),
        "files": {path.name: {"size": path.stat().st_size, "sha256": sha256_file(path), "crc32": crc32_file(path)} for path in paths},
    }
    try:
        manifest["sha256"] = manifest_digest(manifest)
        text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"the meta of a bundle is not plain JSON: {error}", "Use text, numbers, lists and tables of them.") from None
    (root / MANIFEST).write_text(text + "\n", encoding="utf-8")
    for path in [*paths, root / MANIFEST, root]:
        _sync(path)


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """64 hex digits of everything in a manifest but the digest itself."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _sync(path: Path) -> None:
    """Bytes reach the disk before a rename makes them the model; folders cannot be synced everywhere."""
    with contextlib.suppress(PermissionError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _check_replaceable(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ModelFileError(f"'{target}' is not a folder", "Give another place for the model.")
    if target.is_dir() and not (target / MANIFEST).is_file() and any(target.iterdir()):
        raise ModelFileError(f"folder '{target}' holds something that is not a model", "Give another place; nothing was overwritten.")


def _manifest(root: Path) -> dict[str, Any]:
    if not root.is_dir():
        raise ModelFileError(f"there is no model folder '{root}'", "Check the path, or train and save one first.")
    path = root / MANIFEST
    if not path.is_file():
        raise ModelFileError(f"'{root}' is not a model folder: it has no {MANIFEST}", "Give the folder that was saved.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ModelFileError(f"{MANIFEST} of model '{root}' is damaged: it is not JSON", "Save the model again.") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelFileError(f"'{root}' is not a model folder: its {MANIFEST} is of another kind", "Give the folder that was saved.")
    version = manifest.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ModelFileError(
            f"model '{root}' has format {version}, written by zhiyin {manifest.get('zhiyin')}; "
            f"zhiyin {__version__} reads up to {FORMAT_VERSION}",
            "Upgrade zhiyin.",
        )
    whole = isinstance(version, int) and version >= 0 and isinstance(manifest.get("files"), dict) and isinstance(manifest.get("meta"), dict)
    if not whole or manifest.get("sha256") != manifest_digest(manifest):
        raise ModelFileError(f"{MANIFEST} of model '{root}' is damaged: its sha256 does not match", "Save the model again.")
    return manifest


def _checked_file(root: Path, name: str, said: Any, *, known: bool, thorough: bool) -> Path:
    """The path of a file the manifest lists, once size and content are what it says; older bundles have no CRC-32."""
    path = root / name
    again = "Copy it again, or save the model again."
    if not known or path.is_symlink() or not isinstance(said, dict) or not isinstance(said.get("size"), int):
        raise ModelFileError(f"{MANIFEST} of model '{root}' names a file no model has: {name!r}", "Do not trust it.")
    if not path.is_file():
        raise ModelFileError(f"file '{name}' of model '{root}' is missing", "Copy the whole folder, or save the model again.")
    size = path.stat().st_size
    if size < said["size"]:
        raise ModelFileError(f"file '{name}' of model '{root}' is truncated: {size:,} of {said['size']:,} bytes", "Copy it again.")
    slow = thorough or "crc32" not in said
    if size != said["size"] or (sha256_file(path) != said.get("sha256") if slow else crc32_file(path) != said["crc32"]):
        raise ModelFileError(f"file '{name}' of model '{root}' is damaged: its {'sha256' if slow else 'crc32'} does not match", again)
    return path
