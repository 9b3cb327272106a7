"""``zhiyin similar``: items like one, from a saved model."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from zhiyin.cli.outcome import JsonOption, ending
from zhiyin.cli.recommend import ModelArgument, NumberOption, show


@ending
def similar(
    model: ModelArgument,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="An item's id.")],
    n: NumberOption = 10,
    by: Annotated[Literal["auto", "text", "behaviour"], typer.Option(help="Alike in words, or in what people take next.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Show the items most like one.

    Example: zhiyin similar shop-model 71053 --by text
    """
    from zhiyin.pipeline.recommender import Recommender

    show(Recommender.load(model).similar(item, n, by=by), as_json=as_json)
