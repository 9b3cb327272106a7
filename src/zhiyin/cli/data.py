"""``zhiyin data``: the public data sets that zhiyin can read, when their files are on this machine, and what others export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhiyin.base.errors import ConfigError
from zhiyin.cli.outcome import JsonOption, emit, ending, tell

if TYPE_CHECKING:
    from zhiyin.data.tables import Tables

app = typer.Typer(
    help="Public data sets by name: list them, put one into a folder; import what other recommenders export.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

TOLD = ("name", "about", "terms", "statistics", "behaviour")


@app.command("list")
@ending
def list_sources(as_json: JsonOption = False) -> None:
    """List the known data sets, and whether their files are here (ZHIYIN_DATA says where to look).

    Example: ZHIYIN_DATA=/data zhiyin data list
    """
    from zhiyin.data.sources import SOURCES, available, source

    here = set(available())
    known = [source(name) for name in SOURCES.names()]
    if as_json:
        emit({"data": [{**{key: getattr(s, key) for key in TOLD}, "present": s.name in here} for s in known]})
        return
    width = max(len(s.name) for s in known)
    for s in known:
        tell(f"{s.name:<{width}}  {'here  ' if s.name in here else 'absent'}  {s.about}")
    tell("\nEach has its own terms: zhiyin data list --json shows them. Into a folder: zhiyin data add NAME")


@app.command("add")
@ending
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from zhiyin data list.")],
    to: Annotated[Path | None, typer.Option(help="The new folder; default: NAME, here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a known data set as a folder with zhiyin.toml and Parquet tables.

    Example: zhiyin data add ml-1m-seq --to films
    """
    from zhiyin.data.sources import read_source, source
    from zhiyin.data.tables import write

    known = source(name)
    folder = to or Path(name)
    must_be_new(folder)
    tables = read_source(name)
    write(tables, folder)
    rows = rows_of(tables)
    extra = {part: frame.height for part, frame in tables.extra.items()}
    if as_json:
        emit({"name": name, "folder": str(folder), "rows": rows, "extra": extra, "terms": known.terms})
        return
    tell(f"{folder}: {', '.join(f'{n:,} {part}' for part, n in rows.items())}")
    if extra:
        tell(f"beside them: {', '.join(f'{n:,} {part}' for part, n in extra.items())}")
    tell(f"terms: {known.terms}")
    if known.behaviour:
        tell(f"Next: zhiyin check {folder}   or   zhiyin train {folder}")
    else:
        tell("Nobody acted on these items: they can be read, but not checked or trained on.")


@app.command("import")
@ending
def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The exported files: feedback, interactions, NAME.inter, ...")],
    to: Annotated[Path, typer.Option(help="The new folder.")],
    form: Annotated[str | None, typer.Option("--from", help="gorse, personalize or recbole; default: seen by the files.")] = None,
    name: Annotated[str, typer.Option(help="The name of the data set; default: that of FOLDER.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Turn an export of Gorse, Amazon Personalize or RecBole into a folder with zhiyin.toml and Parquet tables.

    Example: zhiyin data import export --from gorse --to shop
    """
    from zhiyin.data.importing import FORMATS, import_folder
    from zhiyin.data.tables import write

    must_be_new(to)
    found = import_folder(folder, form, name)
    write(found.tables, to)
    rows, manifest = rows_of(found.tables), found.tables.manifest
    if as_json:
        told = {"format": found.format, "folder": str(to), "files": dict(found.files), "rows": rows}
        emit({**told, "weights": manifest.weights, "left_aside": dict(found.left_aside)})
        return
    tell(f"{FORMATS[found.format].title}: {', '.join(f'{n:,} {part} from {found.files[part]}' for part, n in rows.items())}")
    for place, why in found.left_aside.items():
        tell(f"  left aside: {place}: {why}")
    if manifest.weights:
        tell(f"weights: {', '.join(f'{kind} {weight:g}' for kind, weight in manifest.weights.items())} (0 = seen, no sign of liking)")
    tell(f"written: {to}   Next: look at {to}/zhiyin.toml, then: zhiyin check {to}")


def must_be_new(folder: Path) -> None:
    """Refuse a folder that holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"'{folder}' is there already", "Give a new folder with --to.")


def rows_of(tables: Tables) -> dict[str, int]:
    """How many rows each table has."""
    parts = ("events", "items", "users", "relations")
    return {part: frame.height for part in parts if (frame := getattr(tables, part)) is not None}
