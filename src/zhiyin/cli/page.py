"""``zhiyin page``: several shelves for one person, from a saved model."""

from __future__ import annotations

from typing import Annotated

import typer

from zhiyin.cli.given import time_of
from zhiyin.cli.outcome import JsonOption, emit, ending, tell
from zhiyin.cli.recommend import (
    ContextOption,
    ExcludeOption,
    HistoryOption,
    ItemsOption,
    LanguageOption,
    ModelArgument,
    NowOption,
    PlaceOption,
    UserOption,
    listed,
    pairs,
    show_shelf,
)


@ending
def page(
    model: ModelArgument,
    user: UserOption = None,
    history: HistoryOption = None,
    items: ItemsOption = None,
    placements: Annotated[
        str | None, typer.Option(metavar="NAME,NAME,...", help="The shelves from top to bottom. Default: those of a home page.")
    ] = None,
    now: NowOption = None,
    exclude: ExcludeOption = "",
    place: PlaceOption = None,
    context: ContextOption = None,
    language: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a page of shelves with titles, on which no item stands twice.

    Example: zhiyin page shop-model --user u17 --placements again,home,because,new
    """
    from zhiyin.pipeline.recommender import Recommender

    made = Recommender.load(model).page(
        user,
        listed(placements),
        history=listed(history),
        items=listed(items),
        now=time_of(now),
        exclude=listed(exclude) or (),
        place=place,
        context=pairs(context),
        language=language,
    )
    if as_json:
        emit(made.to_dict())
        return
    tell(made.asked)
    for note in made.notes:
        tell(f"note: {note}")
    for shelf in made:
        tell()
        show_shelf(shelf)
