"""``zhiyin keys``: who may ask a served folder for what."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhiyin.cli.outcome import JsonOption, aside, emit, ending, tell

if TYPE_CHECKING:
    from zhiyin.serve.access import Keys

app = typer.Typer(
    help="Make, list, rotate and revoke the keys of a served folder; a running server follows within a second.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder that zhiyin serve is given.")]
NameOption = Annotated[str, typer.Option("--name", help="Who will use it: shop-frontend, for example.")]


@app.command()
@ending
def make(
    folder: FolderArgument,
    name: NameOption,
    scope: Annotated[
        list[str], typer.Option("--scope", help="ingest (send events), recommend, read (items, traces, figures) or admin; may be repeated.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept.

    From its first key on a server answers to keys only.

    Example: zhiyin keys make shop --name frontend --scope recommend --scope ingest
    """
    from zhiyin.base.clock import now_us

    keys = _keys(folder)
    first = keys.open
    _told(keys.make(name, scope, now_us()), as_json)
    if first:
        aside(f"from now on '{folder.name}' answers to keys only")


@app.command("list")
@ending
def list_keys(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Names, scopes and dates; never the keys themselves.

    Example: zhiyin keys list shop
    """
    found = _keys(folder).listed()
    rows = [{"name": k.name, "scopes": k.scopes, "made": _day(k.made_us), "until": _day(k.until_us) if k.until_us else None} for k in found]
    if as_json:
        emit({"keys": rows})
        return
    if not rows:
        tell("no keys")
    width = max((len(k.name) for k in found), default=0)
    for key in found:
        ends = f", until {_day(key.until_us)}" if key.until_us else ""
        tell(f"{key.name:<{width}}  {', '.join(key.scopes)}  (made {_day(key.made_us)}{ends})")


@app.command()
@ending
def rotate(
    folder: FolderArgument,
    name: NameOption,
    overlap_h: Annotated[float, typer.Option(min=0, help="So many hours the old key works beside the new one.")] = 24.0,
    as_json: JsonOption = False,
) -> None:
    """Make a new key of the same name and scopes; the old one ends after the overlap.

    Example: zhiyin keys rotate shop --name frontend --overlap-h 1
    """
    from zhiyin.base.clock import now_us

    _told(_keys(folder).rotate(name, now_us(), round(overlap_h * 3.6e9)), as_json)
    aside(f"the old key of '{name}' {f'ends in {overlap_h:g} hours' if overlap_h else 'has ended'}")


@app.command()
@ending
def revoke(folder: FolderArgument, name: NameOption, as_json: JsonOption = False) -> None:
    """End every key of a name at once.

    Example: zhiyin keys revoke shop --name frontend
    """
    keys = _keys(folder)
    n_gone = keys.revoke(name)
    if as_json:
        emit({"ended": n_gone})
    else:
        tell(f"{n_gone} key{'s' if n_gone > 1 else ''} of '{name}' ended")
    if not len(keys):
        aside(f"'{folder.name}' has no key left and answers nobody; make one with the scope admin")


def _keys(folder: Path) -> Keys:
    from zhiyin.base.errors import MissingDataError
    from zhiyin.online.tenant import make_home
    from zhiyin.serve.access import Keys

    if not folder.is_dir():
        raise MissingDataError(f"there is no folder '{folder}'", "Give the one that zhiyin train wrote.")
    return Keys(make_home(folder))


def _told(secret: str, as_json: bool) -> None:
    if as_json:
        emit({"key": secret})
    else:
        tell(secret)


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
