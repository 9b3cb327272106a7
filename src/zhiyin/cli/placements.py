"""``zhiyin placements``: what a saved model can fill, and how to give it others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhiyin.cli.outcome import JsonOption, aside, emit, ending, tell
from zhiyin.cli.progress import progress
from zhiyin.cli.recommend import ModelArgument

if TYPE_CHECKING:
    from zhiyin.pipeline.recommender import Recommender


@ending
def placements(
    model: ModelArgument,
    file: Annotated[
        Path | None, typer.Option("--set", metavar="FILE", help="A TOML file of placements: the model is saved with these instead.")
    ] = None,
    fit: Annotated[bool, typer.Option("--fit", help="Save the model with the presets its data can fill.")] = False,
    rules: Annotated[
        Path | None, typer.Option("--rules", metavar="FILE", help="A TOML file of business rules: say what contradicts what, and where.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the placements of a model as TOML, ready to be changed; or give it others, fitting what they need.

    With --rules nothing is listed or changed: business rules are checked against the model's items and placements.

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
    if rules is not None:
        _check(rules, recommender, as_json=as_json)
        return
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


def _check(file: Path, recommender: Recommender, *, as_json: bool) -> None:
    """Print the conflicts of a file of rules as of now."""
    from zhiyin.base.clock import now_us
    from zhiyin.data.findings import many
    from zhiyin.pipeline.business_conflicts import conflicts
    from zhiyin.pipeline.business_file import read_rules

    book = read_rules(file)
    found = conflicts(book, recommender.data, now_us=now_us(), placements=recommender.placed.placements)
    n = sum(1 for _ in book.book.rules())
    if as_json:
        emit({"rules": n, "conflicts": [conflict.to_dict() for conflict in found]})
        return
    tell("\n".join(map(str, found)) if found else f"{many(n, 'rule')}, and nothing contradicts another rule or the items.")
