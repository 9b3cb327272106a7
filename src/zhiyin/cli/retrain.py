"""``zhiyin retrain`` and ``zhiyin rollback``: a newer model for a tenant, or the one before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zhiyin.cli.outcome import DatabaseOption, JsonOption, aside, emit, ending, tell
from zhiyin.cli.progress import progress
from zhiyin.cli.train import QuickOption

FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="What zhiyin serve serves.")]


@ending
def retrain(
    folder: FolderArgument,
    quick: QuickOption = False,
    force: Annotated[bool, typer.Option("--force", help="Also without new events, and also if it is not better.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a new model on what happened since, and serve it if it is not worse and meets expectations.toml.

    A running server goes over to it by itself, without dropping a request.

    Example: zhiyin retrain shop
    """
    from dataclasses import asdict

    from zhiyin.data.run import Run
    from zhiyin.online.retrain import retrain as trained_anew
    from zhiyin.online.stores import Stores

    with progress() as report:
        outcome = trained_anew(folder, Run(seed=seed, report=report), quick=quick, force=force, stores=Stores(database))
    if as_json:
        emit(asdict(outcome))
        return
    tell(f"{outcome.n_new:,} new events; {'promoted ' + outcome.name if outcome.promoted else 'not promoted'}")
    for why in outcome.why:
        tell(f"  {why}")


@ending
def rollback(folder: FolderArgument) -> None:
    """Serve the model before the present one; events and items that came since stay.

    Example: zhiyin rollback shop
    """
    from zhiyin.online.bundles import Bundles
    from zhiyin.online.tenant import live_folder

    entry = Bundles(folder, live_folder(folder)).rollback()
    tell(f"serving {entry.name} (model {entry.version})")
    aside("a running server goes over to it within a second")
