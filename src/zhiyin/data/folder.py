"""A folder with ``zhiyin.toml`` and tables -> a Dataset."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import polars as pl

from zhiyin.base.errors import ConfigError, DataError, MissingDataError
from zhiyin.data.build import FURTHER, assemble
from zhiyin.data.clean import LoadReport
from zhiyin.data.columns import Source
from zhiyin.data.dataset import Dataset
from zhiyin.data.derive import described
from zhiyin.data.encoding import to_utf8
from zhiyin.data.files import read_table, source_of
from zhiyin.data.schema import Manifest
from zhiyin.data.tables import MANIFEST_FILE, Tables, columns_of

QUARANTINE = "quarantine"
DERIVED = ("items", "users")  # may stand in the events file


def load(folder: str | Path, now_us: int | None = None) -> Dataset:
    """The Dataset of a folder: read, checked and cleaned as its ``zhiyin.toml`` says.

    Bad rows that a rule under [clean] lets go are written to ``quarantine/`` in the folder, with
    file, row and reason; ``load_with_report`` also gives the counts. Times later than a day after
    ``now_us`` (None = the clock) are refused. Cost: ten million events take seconds and under 2 GB.
    """
    return load_with_report(folder, now_us)[0]


def load_with_report(folder: str | Path, now_us: int | None = None, *, quarantine: bool = True) -> tuple[Dataset, LoadReport]:
    """The Dataset and what was read, dropped and changed; ``quarantine = False`` writes nothing."""
    path = Path(folder)
    manifest = read_manifest(path)
    sources = {}
    for name in ("events", *FURTHER):
        part = getattr(manifest, name)
        if part is not None:
            wanted, text = columns_of(manifest, name)
            sources[name] = source_of(path / part.file, name, columns=wanted, text=text)
            if name in DERIVED and part.file == manifest.events.file:
                sources[name] = _out_of_events(sources[name], part.id, wanted)
    data, report = assemble(manifest, sources, now_us)
    if quarantine:
        _write_quarantine(path / QUARANTINE, [s.file for s in sources.values()], report.quarantine)
    return data, report


def _out_of_events(source: Source, id_column: str, wanted: set[str]) -> Source:
    """Items or users that have no file of their own: the events name them again and again."""
    columns = [c for c in source.names if c in wanted]
    rows = pl.DataFrame({c: source.get(c) for c in columns})
    return Source.of(source.name, f"{source.file} ({source.name})", described(rows, id_column, columns))


def read_folder(folder: str | Path) -> Tables:
    """The raw tables that the manifest names, for those who look at rows: checks, conversions."""
    path = Path(folder)
    manifest = read_manifest(path)
    frames: dict[str, pl.DataFrame | None] = {}
    for name in ("events", *FURTHER):
        part = getattr(manifest, name)
        wanted, text = columns_of(manifest, name) if part is not None else (set(), set())
        frame = None if part is None else read_table(path / part.file, text=text)
        if frame is not None and name in DERIVED and part.file == manifest.events.file:
            frame = described(frame, part.id, [c for c in frame.columns if c in wanted])
        frames[name] = frame
    events = frames["events"]
    return Tables(manifest, pl.DataFrame() if events is None else events, frames["items"], frames["users"], frames["relations"])


def read_manifest(folder: str | Path) -> Manifest:
    """``zhiyin.toml`` of a folder (or the file itself), checked; unknown keys name the nearest known one."""
    path = Path(folder)
    file = path if path.suffix == ".toml" else path / MANIFEST_FILE
    if path.suffix != ".toml" and not path.is_dir():
        if path.exists():
            raise MissingDataError(
                f"'{path}' is a file, not a folder with {MANIFEST_FILE}", "Put it into a folder of its own, then: zhiyin init FOLDER"
            )
        raise MissingDataError(f"the data folder '{path}' does not exist", f"Give a folder with tables and {MANIFEST_FILE}.")
    if not file.is_file():
        raise MissingDataError(f"{file.parent} has no {MANIFEST_FILE}", f"Make one: zhiyin init {file.parent}")
    try:
        values = tomllib.loads(to_utf8(file.read_bytes(), file.name).decode())
    except tomllib.TOMLDecodeError as error:
        said = re.sub(r" \(at .*\)$", "", str(error))
        at = re.search(r"line (\d+)", str(error))
        place = f" line {at[1]}" if at else " at its end"
        raise ConfigError(f"{file.name}{place} is not TOML: {said[:1].lower()}{said[1:]}", "Text needs quotation marks.") from None
    return Manifest.parse(values, where=file.name)


def _write_quarantine(folder: Path, files: list[str], rows: pl.DataFrame) -> None:
    """One CSV per table; those of an earlier reading leave, so that what is there is true."""
    try:
        for file in files:
            (folder / f"{file}.csv").unlink(missing_ok=True)
        if rows.height:
            folder.mkdir(exist_ok=True)
        for (file,), part in rows.partition_by("file", as_dict=True).items():
            part.write_csv(folder / f"{file}.csv")
    except OSError as error:
        raise DataError(
            f"the {rows.height:,} bad rows cannot be written to {folder}: {error.strerror}", "Make the folder writable."
        ) from error
