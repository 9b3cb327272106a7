"""``zhiyin recommend``: ask a saved model, for one person or for all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from zhiyin.base.errors import ConfigError
from zhiyin.cli.given import RepeatOption, repeat_of, time_of
from zhiyin.cli.outcome import Interrupted, JsonOption, aside, emit, ending, tell
from zhiyin.cli.progress import progress

if TYPE_CHECKING:
    from zhiyin.pipeline.answer import Answer
    from zhiyin.pipeline.batch import Batch

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A folder that zhiyin train wrote.")]
NumberOption = Annotated[int, typer.Option("-n", "--number", min=1, help="How many items.")]
UserOption = Annotated[str | None, typer.Option(help="A user's id.")]
HistoryOption = Annotated[str | None, typer.Option(help="Item ids instead of a user, oldest first, separated by commas.")]
ItemsOption = Annotated[str | None, typer.Option(help="What a product page or a cart is about: item ids, separated by commas.")]
NowOption = Annotated[
    str | None, typer.Option(help="The time of asking: 2024-05-31T18:30 or Unix seconds. Default: just after the newest event.")
]
ExcludeOption = Annotated[str, typer.Option(help="Item ids that must not come, separated by commas.")]
PlaceOption = Annotated[str | None, typer.Option(help="Where it is asked: a place id of the data.")]
ContextOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="A context column as it is now (device=phone); may be given several times.")
]
LanguageOption = Annotated[Literal["en", "zh"] | None, typer.Option(help="Of the titles of shelves. Default: that of the data.")]


@ending
def recommend(
    model: ModelArgument,
    user: UserOption = None,
    history: HistoryOption = None,
    text: Annotated[str | None, typer.Option(help="Words instead of a user: what is wanted.")] = None,
    items: ItemsOption = None,
    n: Annotated[int | None, typer.Option("-n", "--number", min=1, help="How many items. Default: as the placement says, or 10.")] = None,
    now: NowOption = None,
    exclude: ExcludeOption = "",
    placement: Annotated[str, typer.Option(help="Where the list will stand: home, product, cart ... (zhiyin placements MODEL).")] = "home",
    place: PlaceOption = None,
    context: ContextOption = None,
    language: LanguageOption = None,
    repeat: RepeatOption = None,
    all_users: Annotated[bool, typer.Option("--all-users", help="Lists for everybody, written to --out.")] = False,
    out: Annotated[Path | None, typer.Option(help="With --all-users: the Parquet file to write.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Recommend items for a known user, a history, a text, or a cart; or write lists for all users.

    Somebody unknown gets what is popular, and the answer says so. With --all-users a --context is that of
    everybody; stop it with ctrl-C and the same command goes on from the parts in OUT.parts.

    Example: zhiyin recommend shop-model --placement cart --items p3,p7
    """
    from zhiyin.pipeline.recommender import Recommender

    if all_users:
        if out is None:
            raise ConfigError("--all-users needs a file to write the lists to", "Say --out lists.parquet.")
        if any(said is not None for said in (user, history, text, items, place, language)) or exclude:
            raise ConfigError("--all-users goes with no single user, history, text, items, place, language or exclusion", "Leave them out.")
        from zhiyin.pipeline.batch import Batch

        batch = Batch(Recommender.load(model), placement, n, time_of(now), repeat_of(repeat), pairs(context))
        write_all(batch, out, as_json=as_json)
        return
    if out is not None:
        raise ConfigError("--out goes with --all-users", "Say --all-users, or --json for one answer.")
    if user is None and history is None and text is None and items is None:
        raise ConfigError("nobody to recommend for", "Give --user ID, --history ID,ID,..., --text WORDS, or --items with --placement.")
    answer = Recommender.load(model).recommend(
        user,
        history=listed(history),
        text=text,
        items=listed(items),
        n=n,
        now=time_of(now),
        exclude=listed(exclude) or (),
        placement=placement,
        place=place,
        context=pairs(context),
        repeat=repeat_of(repeat),
        language=language,
    )
    show(answer, as_json=as_json)


def write_all(batch: Batch, out: Path, *, as_json: bool) -> None:
    """Run a batch with progress; ctrl-C says what was kept."""
    from zhiyin.pipeline.batch import kept, parts_folder

    if parts_folder(out).is_dir():
        aside(f"going on with {parts_folder(out)}")
    with progress() as report:
        try:
            n_rows = batch.write(out, report)
        except KeyboardInterrupt:
            raise Interrupted(kept(out)) from None
    n_users = batch.recommender.data.n_users
    if as_json:
        emit({"out": str(out), "placement": batch.placement, "users": n_users, "rows": n_rows})
        return
    tell(f"{n_rows:,} rows for {n_users:,} users at '{batch.placement}': {out}")


def listed(said: str | None) -> list[str] | None:
    """Ids between commas; spaces around them do not count."""
    return None if said is None else [part.strip() for part in said.split(",") if part.strip()]


def pairs(said: list[str] | None) -> dict[str, str]:
    """NAME=VALUE options as a table."""
    for one in said or ():
        if "=" not in one or one.startswith("="):
            raise ConfigError(f"--context '{one}' is not NAME=VALUE", "Say --context device=phone, for example.")
    return dict(one.split("=", 1) for one in said or ())


def show(answer: Answer, *, as_json: bool) -> None:
    """An answer as JSON, or as lines for people."""
    if as_json:
        emit(answer.to_dict())
        return
    tell(f"{answer.asked} · served by {answer.served_by} · repeat {answer.repeat}")
    show_shelf(answer)


def show_shelf(answer: Answer) -> None:
    """Title, notes and items of one shelf."""
    if answer.title:
        tell(answer.title)
    for note in answer.notes:
        tell(f"note: {note}")
    if not len(answer):
        tell("nothing to recommend: nothing is known, or everything is excluded")
    for rank, item in enumerate(answer, 1):
        told = f"  ({item.text})" if item.text else ""
        tell(f"{rank:3d}. {item.title}  [{item.item_id}]  {item.score:.3f}{told}")
