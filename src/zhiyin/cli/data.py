"""``zhiyin data``: the public data sets that zhiyin can read, when their files are on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zhiyin.cli.outcome import JsonOption, emit, ending, tell

app = typer.Typer(help="Public data sets by name: list them, put one into a folder.", no_args_is_help=True, rich_markup_mode=None)


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
    from zhiyin.base.errors import ConfigError
    from zhiyin.data.sources import read_source, source
    from zhiyin.data.tables import write

    known = source(name)
    folder = to or Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"'{folder}' is there already", "Give a new folder with --to.")
    tables = read_source(name)
    write(tables, folder)
    rows = {part: frame.height for part in ("events", "items", "users", "relations") if (frame := getattr(tables, part)) is not None}
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
