"""``zhiyin doctor``: what is wrong with an installation, and why somebody gets what he gets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhiyin.cli.dump import ServedArgument
from zhiyin.cli.outcome import DatabaseOption, JsonOption, emit, ending, tell

if TYPE_CHECKING:
    from zhiyin.online.stores import Stores


@ending
def doctor(
    folder: ServedArgument,
    user: Annotated[str | None, typer.Option(help="Explain what this person gets.")] = None,
    n: Annotated[int, typer.Option(min=1, max=1000, help="Length of his lists.")] = 10,
    server: Annotated[str | None, typer.Option(help="Where it is served; default: the usual address of this machine.")] = None,
    key: Annotated[str | None, typer.Option(envvar="ZHIYIN_KEY", help="A key of that server with the scope read.")] = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at everything a served folder stands on; with --user at one person. Changes nothing, a server may run.

    Exit code 1 says that something is broken.

    Example: zhiyin doctor shop --user u17
    """
    from zhiyin.online.stores import Stores

    stores = Stores(database)
    if user is not None:
        _explain(folder, stores, user, n, as_json=as_json)
        return
    from zhiyin.serve.doctor import Patient, examine
    from zhiyin.serve.settings import Settings

    found = examine(Patient(folder, stores, Settings.here(os.environ), server, key))
    if as_json:
        emit(found.to_dict())
    else:
        tell(found.to_text())
    if not found.well:
        raise typer.Exit(1)


def _explain(folder: Path, stores: Stores, user: str, n: int, *, as_json: bool) -> None:
    import msgspec

    from zhiyin.serve.why import explain

    why = explain(folder, stores, user, n)
    if as_json:
        emit(msgspec.to_builtins(why))
    else:
        tell(why.to_text())
