"""``zhiyin init``: guess what a folder of tables means, and write it down."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhiyin.base.errors import ConfigError, MissingDataError
from zhiyin.cli.outcome import JsonOption, aside, emit, ending, tell

if TYPE_CHECKING:
    from zhiyin.data.guess import Guess


@ending
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder with tables: CSV, TSV, JSONL or Parquet, gz and zst too.")],
    name: Annotated[str, typer.Option(help="The name of the data set; default: that of the folder.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a zhiyin.toml that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write zhiyin.toml for a folder of tables: columns, types, time, language, each with how sure the guess is.

    Read it, correct it, then run: zhiyin check FOLDER

    Example: zhiyin init shop
    """
    from zhiyin.data.guess import guess
    from zhiyin.data.importing import FORMATS, recognise
    from zhiyin.data.tables import MANIFEST_FILE

    if folder.is_file():
        raise ConfigError(f"'{folder}' is a file", f"Put it into a folder of its own, or take the one-step way: zhiyin start {folder}")
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder '{folder}'", "Give the folder that holds the tables.")
    file = folder / MANIFEST_FILE
    if file.exists() and not force:
        raise ConfigError(f"{file} is there already", "Say --force to replace it by a fresh guess.")
    known = recognise(folder)
    if known is not None:
        aside(f"These look like {FORMATS[known].title}'s files: zhiyin data import {folder} --to NEW_FOLDER knows their columns exactly.")
    found = guess(folder, name)
    file.write_text(manifest_text(found), encoding="utf-8")
    if as_json:
        emit({"manifest": str(file), **guessed(found)})
        return
    for line in lines(found):
        tell(line)
    tell(f"written: {file}")
    tell(f"Next: read it, correct it, then: zhiyin check {folder}")


def manifest_text(found: Guess) -> str:
    """The guess as commented TOML."""
    from zhiyin.data.manifest_text import to_toml

    return to_toml(found.manifest, found.comments())


def pointing_back(found: Guess, tables: Path, folder: Path) -> Guess:
    """The guess for a manifest that stands in another folder than the tables (a file or a folder) it names."""
    home = tables.parent if tables.is_file() else tables
    way = Path(os.path.relpath(home.resolve(), folder.resolve()))
    parts = {name: getattr(found.manifest, name) for name in ("events", "items", "users", "relations")}
    moved = {n: p.model_copy(update={"file": (way / p.file).as_posix()}) for n, p in parts.items() if p is not None}
    return replace(found, manifest=found.manifest.model_copy(update=moved))


def guessed(found: Guess) -> dict[str, Any]:
    """The guess for a script."""
    return {
        "name": found.manifest.name,
        "files": [{"file": f.file, "format": f.format, "rows": f.rows, "columns": list(f.columns)} for f in found.files],
        "decisions": [{"key": d.key, "value": d.value, "sure": round(d.sure, 3), "reason": d.reason} for d in found.decisions],
        "doubts": [d.key for d in found.doubts],
        "unused": dict(found.unused),
    }


def lines(found: Guess) -> list[str]:
    """The guess for people: files, then decisions with how sure each is, doubts marked."""
    doubtful = {d.key for d in found.doubts}
    width = max((len(d.key) for d in found.decisions), default=0)
    said = [f"{f.file}: {f.format}, {f.rows:,} rows, columns {', '.join(f.columns)}" for f in found.files]
    said += [f"{'?' if d.key in doubtful else ' '} {d.key:<{width}} = {d.value}   {d.sure:.0%} sure: {d.reason}" for d in found.decisions]
    said += [f"  left aside: {name}: {why}" for name, why in found.unused.items()]
    if doubtful:
        said.append(f"Look at the {len(doubtful)} marked ? first.")
    return said
