"""``zhiyin placements``: what a saved model can fill, and how to give it others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zhiyin.cli.outcome import JsonOption, aside, emit, ending, tell
from zhiyin.cli.progress import progress
from zhiyin.cli.recommend import ModelArgument


@ending
def placements(
    model: ModelArgument,
    file: Annotated[
        Path | None, typer.Option("--set", metavar="FILE", help="A TOML file of placements: the model is saved with these instead.")
    ] = None,
    fit: Annotated[bool, typer.Option("--fit", help="Save the model with the presets its data can fill.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the placements of a model as TOML, ready to be changed; or give it others, fitting what they need.

    Example: zhiyin placements shop-model > placements.toml
    """
    from zhiyin.base.errors import ConfigError
    from zhiyin.data.run import Run
    from zhiyin.pipeline.placement import placements_toml, read_placements
    from zhiyin.pipeline.recommender import Recommender

    if file is not None and fit:
        raise ConfigError("--set and --fit both say which placements to have", "Give one of them.")
    given = None if file is None else read_placements(file)
    recommender = Recommender.load(model)
    if given is not None or fit:
        with progress() as report:
            recommender = recommender.with_placements(given, Run(report=report))
        recommender.save(model)
        aside(f"saved: {model}")
    found = recommender.placed.placements
    if as_json:
        emit({"placements": [placement.model_dump(mode="json", exclude_none=True) for placement in found]})
        return
    tell(placements_toml(found) if found else "# no placements yet: zhiyin placements MODEL --fit")
