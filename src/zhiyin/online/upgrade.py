"""The files of a tenant in the present format: models step by step, and the stores, of which there is one format yet."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from zhiyin.base.errors import MissingDataError
from zhiyin.online.bundles import Bundles, version_of
from zhiyin.online.masked import renamed
from zhiyin.online.stores import Stores
from zhiyin.online.tenant import live_folder
from zhiyin.store.bundle import FORMAT_VERSION, MANIFEST, read_bundle, write_bundle
from zhiyin.store.disk import Disk
from zhiyin.store.frames import MARK
from zhiyin.store.segments import SegmentFolder


def upgrade(folder: Path, stores: Stores) -> list[str]:
    """Bring models and stores to the present format; a sentence for each change, none where nothing was to do.

    A server may run meanwhile. Raises ``ModelFileError`` or ``StoreError`` for what a newer zhiyin wrote, before anything is changed.
    """
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder '{folder}'", "Give the one that zhiyin train wrote.")
    bundles = Bundles(folder, live_folder(folder))
    state = bundles.read()
    old = [(entry, bundles.path(entry), format_of(bundles.path(entry))) for entry in state.entries if bundles.path(entry).is_dir()]
    for _, path, _ in old:
        read_bundle(path)  # refuses what is newer or damaged
    check_stores(folder, stores)
    done = []
    tables = stores.tables(folder, "read")
    try:
        for entry, path, version in old:
            if version >= FORMAT_VERSION:
                continue
            write_bundle(path, read_bundle(path))
            fresh = msgspec.structs.replace(entry, version=version_of(path))
            renamed(tables, entry.version, fresh.version)
            entries = [fresh if e.name == entry.name else e for e in state.entries]
            state = msgspec.structs.replace(state, entries=entries)
            if bundles.home.is_dir():
                bundles.write(state)
            done.append(f"model '{entry.name}': format {version} -> {FORMAT_VERSION}")
    finally:
        tables.close()
    return done


def format_of(path: Path) -> int:
    """The format of a model folder; its soundness is another question."""
    try:
        return int(json.loads((path / MANIFEST).read_text(encoding="utf-8"))["format_version"])
    except (OSError, ValueError, KeyError, TypeError):
        return FORMAT_VERSION


def check_stores(folder: Path, stores: Stores) -> None:
    """Open and read the beginning of both. Raises ``StoreError`` for what cannot be read, or only by a newer zhiyin."""
    events = live_folder(folder) / "events"
    if stores.database is None and events.is_dir():
        files = SegmentFolder(events, Disk())
        for first in files.firsts():
            files.check_version(files.disk.read(files.log(first), 0, len(MARK)), first)
    log = stores.log(folder, "read")
    try:
        next(log.read(), None)
    finally:
        log.close()
    tables = stores.tables(folder, "read")
    try:
        tables.changes(0, 1)
    finally:
        tables.close()
