"""A tenant from an archive that ``dump`` wrote, on an empty place: all of it, or nothing."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

import msgspec

from zhiyin import __version__
from zhiyin.base.errors import ConfigError, DataError, MissingDataError, ModelFileError, StoreError
from zhiyin.data.record import EventRecord
from zhiyin.online.bundles import FILE, ORIGIN, State
from zhiyin.online.dump import BUNDLES, EVENTS, FORMAT, LIVE, MANIFEST, TABLES, VERSION, ChangedRow
from zhiyin.online.stores import Stores
from zhiyin.online.tenant import live_folder, make_home
from zhiyin.store.disk import Disk
from zhiyin.store.event_log import EventLog
from zhiyin.store.tables import TableStore

_NAME = re.compile(r"(bundles/[\w.-]+/[\w.-]+|live/([\w-]+/)?[\w.-]+|events\.jsonl|tables\.jsonl|bundles\.json)", re.ASCII)
_PIECE = 1 << 20
_BATCH = 2_000
_LONGEST = 8 << 20
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


@dataclass(frozen=True)
class Restored:
    """What came back: ``tenant`` is the name it had."""

    tenant: str
    events: int
    rows: int
    model: str


def restore(file: Path, folder: Path, stores: Stores) -> Restored:
    """Make ``folder`` and FOLDER.live, or with a database its tables, from an archive.

    Everything is checked before anything is made. Raises ``ConfigError`` where something stands there already, ``DataError`` for
    a file that is no whole dump, ``ModelFileError`` for one of a newer zhiyin.
    """
    home = live_folder(folder)
    for place in (folder, home):
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise ConfigError(f"'{place}' is there already", "Restore to another place, or move that away first.")
    if not file.is_file():
        raise MissingDataError(f"there is no file '{file}'", "Give the one that zhiyin dump wrote.")
    try:
        with zipfile.ZipFile(file) as archive:
            said = _checked(archive, file)
            return _made(archive, said, folder, stores)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"'{file}' is no whole dump: {error}".rstrip("."), "Copy it again.") from None


def _checked(archive: zipfile.ZipFile, file: Path) -> dict[str, Any]:
    """The manifest, once every byte is what it says."""
    try:
        said = json.loads(archive.read(MANIFEST))
        files = dict(said["files"].items())
        version = int(said["version"])
    except (KeyError, ValueError, TypeError, AttributeError):
        raise DataError(f"'{file}' is no dump: it has no {MANIFEST} that can be read", "Give a file that zhiyin dump wrote.") from None
    if said.get("format") != FORMAT:
        raise DataError(f"'{file}' is no dump: its {MANIFEST} is of another kind", "Give a file that zhiyin dump wrote.")
    if version > VERSION:
        made = f"format {version}, written by zhiyin {said.get('zhiyin')}"
        raise ModelFileError(f"'{file}' has {made}; zhiyin {__version__} reads up to {VERSION}", "Upgrade zhiyin.")
    if not {EVENTS, TABLES, BUNDLES} <= set(files):
        raise DataError(f"'{file}' is no whole dump: its {MANIFEST} misses a part", "Dump again.")
    there = {info.filename: info.file_size for info in archive.infolist()}
    for name, told in files.items():
        if not _NAME.fullmatch(name) or ".." in name or not isinstance(told, dict):
            raise DataError(f"'{file}' names a file no dump has: {name[:80]!r}", "Do not trust it.")
        if there.get(name) != told.get("size"):
            raise DataError(f"'{name}' in '{file}' is missing or cut off", "Copy it again.")
        digest = hashlib.sha256()
        with archive.open(name) as part:
            while block := part.read(_PIECE):
                digest.update(block)
        if digest.hexdigest() != told.get("sha256"):
            raise DataError(f"'{name}' in '{file}' is damaged: its sha256 does not match", "Copy it again.")
    return dict(said)


def _made(archive: zipfile.ZipFile, said: dict[str, Any], folder: Path, stores: Stores) -> Restored:
    home = live_folder(folder)
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.new")
    fresh_home = live_folder(fresh)
    disk = Disk()
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, fresh, ignore_errors=True)
        undo.callback(shutil.rmtree, fresh_home, ignore_errors=True)
        make_home(fresh)
        for name in said["files"]:
            if (place := _place(name, fresh, fresh_home)) is not None:
                disk.make_folder(place.parent)
                _copied(archive, name, place)
        state = msgspec.json.decode(archive.read(BUNDLES), type=State)
        # A database is at its own place; files grow where they will be renamed with everything else.
        state, n_events, n_rows = _filled(archive, state, stores, folder if stores.database else fresh)
        disk.write_new(fresh_home / FILE, msgspec.json.format(msgspec.json.encode(state), indent=1))
        for made in (fresh_home, fresh):
            disk.sync_folder(made)
        for old in (home, folder):
            if old.is_dir():
                old.rmdir()  # it is empty
        fresh_home.rename(home)
        fresh.rename(folder)
        disk.sync_folder(folder.absolute().parent)
    model = next(e.version for e in state.entries if e.name == state.served)
    return Restored(str(said.get("tenant", "")), n_events, n_rows, model)


def _place(name: str, folder: Path, home: Path) -> Path | None:
    """Where a file of the archive belongs; None for what goes into stores."""
    first, _, rest = name.partition("/")
    if first == LIVE:
        return home / rest
    if first == "bundles":
        bundle, _, file = rest.partition("/")
        return folder / file if bundle == ORIGIN else home / "bundles" / bundle / file
    return None


def _copied(archive: zipfile.ZipFile, name: str, place: Path) -> None:
    file = Disk().grow(place)
    try:
        with archive.open(name) as part:
            while block := part.read(_PIECE):
                file.write(block)
        file.sync()
    finally:
        file.close()


def _filled(archive: zipfile.ZipFile, state: State, stores: Stores, folder: Path) -> tuple[State, int, int]:
    """Events and rows into the stores, and the state of the bundles with the numbers these stores gave."""
    tables = stores.tables(folder)
    try:
        log = stores.log(folder)
        try:
            if tables.version() or next(log.read(), None) is not None:
                raise ConfigError("the database holds events or rows already", "Restore into an empty one.")
            with archive.open(EVENTS) as part:
                events = _Events(log)
                n_events, after = _poured(_lines(part, EventRecord), events, [e.after for e in state.entries])
            with archive.open(TABLES) as part:
                n_rows, since = _poured(_lines(part, ChangedRow), _Rows(tables), [e.since for e in state.entries])
        finally:
            log.close()
    finally:
        tables.close()
    entries = [msgspec.structs.replace(e, after=after[e.after], since=since[e.since]) for e in state.entries]
    return State(state.served, entries), n_events, n_rows


class _Into(Protocol[T_contra]):
    """A store that takes lines; ``end`` is its newest number."""

    def put(self, some: Sequence[T_contra]) -> None: ...

    def end(self) -> int: ...


class _Events:
    def __init__(self, log: EventLog) -> None:
        self.log = log

    def put(self, some: Sequence[EventRecord]) -> None:
        """Raises ``StoreError`` where an event was there already."""
        if not all(self.log.append(some)):
            raise StoreError("an event of the dump is in the log already", "Restore to an empty place.")

    def end(self) -> int:
        return self.log.status().end


class _Rows:
    """Rows get their versions in the order in which they had them; one that was deleted is put and deleted."""

    def __init__(self, tables: TableStore) -> None:
        self.tables = tables

    def put(self, some: Sequence[ChangedRow]) -> None:
        waiting: dict[str, dict[str, Any]] = {}
        collection = ""
        for row in some:
            if waiting and (row.collection != collection or row.body is None or row.id in waiting):
                self.tables.put(collection, waiting)
                waiting = {}
            collection = row.collection
            if row.body is not None:
                waiting[row.id] = row.body
            else:
                self.tables.put(collection, {row.id: {}})
                self.tables.delete(collection, [row.id])
        if waiting:
            self.tables.put(collection, waiting)

    def end(self) -> int:
        return self.tables.version()


def _poured(lines: Iterator[T], into: _Into[T], wanted: list[int]) -> tuple[int, dict[int, int]]:
    """All lines into a store; how many, and for each wanted number of lines the newest number in the store after them."""
    ends = {0: into.end()}
    n, waiting = 0, list[T]()
    stops = set(wanted)
    for line in lines:
        waiting.append(line)
        n += 1
        if len(waiting) >= _BATCH or n in stops:
            into.put(waiting)
            waiting = []
            ends[n] = into.end()
    if waiting:
        into.put(waiting)
    return n, {number: ends[number] for number in stops}


def _lines(part: IO[bytes], kind: type[T]) -> Iterator[T]:
    decoder = msgspec.json.Decoder(kind)
    n = 0
    while line := part.readline(_LONGEST):
        n += 1
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(f"line {n:,} of the dump cannot be read: {error}".rstrip("."), "Dump again.") from None
