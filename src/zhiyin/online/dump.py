"""Everything living of a tenant as one archive, and back: a zip file that any tool can open.

    manifest.json             format, what is in it, size and sha256 of every other file
    events.jsonl              every event, in the order of the log
    tables.jsonl              every change of a row that still holds, in the order of their versions; no body = deleted
    bundles.json              what is served and what was before; "after" and "since" count lines of the two above
    bundles/NAME/...          those models, the one trained by hand as "origin"
    live/...                  keys (hashed), rules, synonyms, expectations, webhooks, what was shown

The events end at one position, the rows are those of one version, a little later: no event names an item whose row came
before it and is missing. The same state gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import zipfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from zhiyin import __version__
from zhiyin.base.errors import ConfigError, MissingDataError, StoreError
from zhiyin.online.bulk_formats import Pieces
from zhiyin.online.bundles import Bundles, State, version_of
from zhiyin.online.stores import Stores
from zhiyin.online.tenant import live_folder
from zhiyin.store.disk import Disk
from zhiyin.store.event_log import EventLog
from zhiyin.store.tables import TableStore

FORMAT, VERSION = "zhiyin-dump", 1
MANIFEST, EVENTS, TABLES, BUNDLES, LIVE = "manifest.json", "events.jsonl", "tables.jsonl", "bundles.json", "live"
KEPT = ("keys.json", "*.toml", "*.txt", "traces/*.traces")
"""Which files of FOLDER.live come along as they are."""
_PIECE = 1 << 20
_encode = msgspec.json.Encoder().encode


class ChangedRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of ``tables.jsonl``."""

    collection: str
    id: str
    body: dict[str, Any] | None = None


@dataclass(frozen=True)
class Dumped:
    """The file that was written."""

    size: int
    sha256: str


def write_dump(folder: Path, out: Path, stores: Stores) -> Dumped:
    """The archive as a file, whole or not at all. Raises ``ConfigError`` where a file stands there already."""
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder '{folder}'", "Give the one that zhiyin serve is given.")
    if out.exists():
        raise ConfigError(f"'{out}' is there already", "Choose another name.")
    disk, fresh = Disk(), out.with_name(f".{out.name}.{secrets.token_hex(4)}.new")
    digest, size = hashlib.sha256(), 0
    with ExitStack() as kept:
        kept.callback(disk.remove, fresh)
        log, tables = stores.log(folder, "read"), stores.tables(folder, "read")
        kept.callback(log.close)
        kept.callback(tables.close)
        file = disk.grow(fresh)
        kept.callback(file.close)
        for piece in dumped(Bundles(folder, live_folder(folder)), log, tables):
            file.write(piece)
            digest.update(piece)
            size += len(piece)
        file.sync()
        disk.rename(fresh, out)
        disk.sync_folder(out.absolute().parent)
    return Dumped(size, digest.hexdigest())


def dumped(bundles: Bundles, log: EventLog, tables: TableStore) -> Iterator[bytes]:
    """The archive, piece by piece, while everything goes on. Raises ``StoreError`` where a model is replaced meanwhile."""
    archive = _Archive()
    state = bundles.read()
    for entry in state.entries:
        path = bundles.path(entry)
        if path.is_dir():  # of older models some may have been removed
            yield from archive.folder(path, f"bundles/{entry.name}", entry.version)
    for pattern in KEPT:
        for path in sorted(bundles.home.glob(pattern)):
            yield from archive.add(f"{LIVE}/{path.relative_to(bundles.home).as_posix()}", _blocks(path))
    events = _Lines(e.after for e in state.entries)
    yield from archive.add(EVENTS, events.of((position, _encode(record)) for position, record in log.read()))
    rows = _Lines(e.since for e in state.entries)
    yield from archive.add(TABLES, rows.of(_changes(tables)))
    there = {name.split("/")[1] for name in archive.files if name.startswith("bundles/")}
    entries = [msgspec.structs.replace(e, after=events.until(e.after), since=rows.until(e.since)) for e in state.entries if e.name in there]
    yield from archive.add(BUNDLES, [_encode(State(state.served, entries))])
    said = {
        "format": FORMAT, "version": VERSION, "zhiyin": __version__, "tenant": bundles.folder.name,
        "events": events.n, "rows": rows.n, "position": events.last, "tables": rows.last, "files": archive.files,
    }  # fmt: skip
    yield from archive.add(MANIFEST, [json.dumps(said, indent=1).encode()])
    yield from archive.end()


def _changes(tables: TableStore) -> Iterator[tuple[int, bytes]]:
    """Read to the end, a row that changes meanwhile comes again: in the end all rows are those of the last version."""
    since = 0
    while changes := tables.changes(since, 2_000):
        for change in changes:
            yield change.version, _encode(ChangedRow(change.collection, change.id, change.body))
        since = changes[-1].version


class _Lines:
    """Numbered lines as pieces; remembers how many came up to certain numbers."""

    def __init__(self, wanted: Iterable[int]) -> None:
        self._wanted = sorted(set(wanted))
        self._found = [0] * len(self._wanted)
        self.n = self.last = 0

    def of(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
        waiting: list[bytes] = []
        size = 0
        for number, line in lines:
            self.n, self.last = self.n + 1, number
            for place in range(bisect_right(self._wanted, number - 1), len(self._wanted)):
                self._found[place] = self.n
            waiting.append(line + b"\n")
            size += len(line)
            if size >= _PIECE:
                yield b"".join(waiting)
                waiting, size = [], 0
        yield b"".join(waiting)

    def until(self, number: int) -> int:
        """How many lines have at most this number."""
        return self._found[self._wanted.index(number)]


class _Archive:
    """A zip file that is written in one go, and the digests of what is in it."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, str | int]] = {}
        self._pieces = Pieces()
        self._zip = zipfile.ZipFile(self._pieces, "w", zipfile.ZIP_DEFLATED, compresslevel=1)

    def add(self, name: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
        digest, size = hashlib.sha256(), 0
        with self._zip.open(name, "w", force_zip64=True) as file:
            for block in blocks:
                file.write(block)
                digest.update(block)
                size += len(block)
                yield from self._pieces.taken()
        self.files[name] = {"sha256": digest.hexdigest(), "size": size}
        yield from self._pieces.taken()

    def folder(self, path: Path, name: str, version: str) -> Iterator[bytes]:
        """The files of a model, all of one version."""
        try:
            for file in sorted(path.iterdir()):
                if file.is_file():
                    yield from self.add(f"{name}/{file.name}", _blocks(file))
            same = version_of(path) == version
        except FileNotFoundError:
            same = False
        if not same:
            raise StoreError(f"the model in '{path}' was replaced while it was copied", "Dump again.")

    def end(self) -> Iterator[bytes]:
        self._zip.close()
        yield from self._pieces.taken()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_PIECE):
            yield block
