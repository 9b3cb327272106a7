"""``zhiyin dump``, ``restore`` and ``upgrade``: a served folder as one file, back again, and in the present format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zhiyin.cli.outcome import DatabaseOption, JsonOption, emit, ending, tell

ServedArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="What zhiyin serve serves.")]


@ending
def dump(
    folder: ServedArgument,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The archive to write, a zip file.")],
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy everything living into one file: events, items, users, keys (hashed), rules, models. A server may run meanwhile.

    Guard the file: it holds the histories of people.

    Example: zhiyin dump shop --out shop.zip
    """
    from zhiyin.online.dump import write_dump
    from zhiyin.online.stores import Stores

    told = write_dump(folder, out, Stores(database))
    if as_json:
        emit({"file": str(out), "bytes": told.size, "sha256": told.sha256})
    else:
        tell(f"{out}: {told.size:,} bytes, sha256 {told.sha256}")


@ending
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What zhiyin dump wrote.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where it shall be; nothing may stand there.")],
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a dump back, all of it or nothing; then serve it as before.

    Example: zhiyin restore shop.zip shop
    """
    from dataclasses import asdict

    from zhiyin.online.restore import restore as restored
    from zhiyin.online.stores import Stores

    found = restored(file, folder, Stores(database))
    if as_json:
        emit({"folder": str(folder), **asdict(found)})
    else:
        tell(f"{folder}: {found.events:,} events, {found.rows:,} rows, model {found.model}")


@ending
def upgrade(folder: ServedArgument, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Bring models and stores to the format of this zhiyin; what a newer one wrote is refused.

    Example: zhiyin upgrade shop
    """
    from zhiyin.online.stores import Stores
    from zhiyin.online.upgrade import upgrade as upgraded

    done = upgraded(folder, Stores(database))
    if as_json:
        emit({"done": done})
        return
    for sentence in done or ["nothing to do: everything is in the present format"]:
        tell(sentence)
