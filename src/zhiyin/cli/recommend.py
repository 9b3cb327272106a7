"""``zhiyin recommend``: ask a saved model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from zhiyin.base.errors import ConfigError
from zhiyin.cli.given import RepeatOption, repeat_of, time_of
from zhiyin.cli.outcome import JsonOption, emit, ending, tell

if TYPE_CHECKING:
    from zhiyin.pipeline.answer import Answer

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A folder that zhiyin train wrote.")]
NumberOption = Annotated[int, typer.Option("-n", "--number", min=1, help="How many items.")]


@ending
def recommend(
    model: ModelArgument,
    user: Annotated[str | None, typer.Option(help="A user's id.")] = None,
    history: Annotated[str | None, typer.Option(help="Item ids instead of a user, oldest first, separated by commas.")] = None,
    text: Annotated[str | None, typer.Option(help="Words instead of a user: what is wanted.")] = None,
    n: NumberOption = 10,
    now: Annotated[
        str | None, typer.Option(help="The time of asking: 2024-05-31T18:30 or Unix seconds. Default: just after the newest event.")
    ] = None,
    exclude: Annotated[str, typer.Option(help="Item ids that must not come, separated by commas.")] = "",
    placement: Annotated[str, typer.Option(help="Where the list will stand: home, item, cart, search ...")] = "home",
    repeat: RepeatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recommend items for a known user, a history, or a text.

    Somebody unknown gets what is popular, and the answer says so.

    Example: zhiyin recommend shop-model --user u17 -n 5
    """
    from zhiyin.pipeline.recommender import Recommender

    if user is None and history is None and text is None:
        raise ConfigError("nobody to recommend for", "Give --user ID, --history ID,ID,... or --text WORDS.")
    recommender = Recommender.load(model)
    past = None if history is None else listed(history)
    answer = recommender.recommend(
        user,
        history=past,
        text=text,
        n=n,
        now=time_of(now),
        exclude=listed(exclude),
        placement=placement,
        repeat=repeat_of(repeat),
    )
    show(answer, as_json=as_json)


def listed(said: str) -> list[str]:
    """Ids between commas; spaces around them do not count."""
    return [part.strip() for part in said.split(",") if part.strip()]


def show(answer: Answer, *, as_json: bool) -> None:
    """An answer as JSON, or as lines for people."""
    if as_json:
        emit(answer.to_dict())
        return
    tell(f"{answer.asked} · served by {answer.served_by} · repeat {answer.repeat}")
    for note in answer.notes:
        tell(f"note: {note}")
    if not len(answer):
        tell("nothing to recommend: everything is excluded")
    for rank, item in enumerate(answer, 1):
        told = f"  ({item.text})" if item.text else ""
        tell(f"{rank:3d}. {item.title}  [{item.item_id}]  {item.score:.3f}{told}")
