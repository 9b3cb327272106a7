"""``zhiyin demo``: a simulated town, four models measured, one page to click through, and a server that answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhiyin.cli.given import SeedOption
from zhiyin.cli.outcome import JsonOption, aside, emit, ending, tell
from zhiyin.cli.progress import progress

if TYPE_CHECKING:
    import polars as pl

    from zhiyin.cli.demo_page import Newcomer
    from zhiyin.data.tables import Tables
    from zhiyin.models.roles import ModelSpec
    from zhiyin.pipeline.recommender import Recommender
    from zhiyin.pipeline.train import Contest

N_NEWCOMERS = 5
SHOWN_TO = 20  # a newcomer counts as shown to somebody when it is among his first 20


@ending
def demo(
    out: Annotated[Path, typer.Option(help="The folder of the town, the model and the page.")] = Path("demo-out"),
    users: Annotated[int, typer.Option(min=50, max=5000, help="People in the town.")] = 300,
    quick: Annotated[bool, typer.Option("--quick", help="A smaller town and a shorter training: half a minute.")] = False,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="End with the page; --json does so too.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the server; a free one where it is taken.")] = 8765,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """See zhiyin at work on a simulated town: tables, four models measured, one page to click through, and a server.

    The page has people to pick with their history and their lists side by side by model, items that are
    new in town, and plots. It is one file and opens offline. The server answers until ctrl-C.

    Example: zhiyin demo --users 300 --out /tmp/town
    """
    from zhiyin.cli.demo_page import page_of
    from zhiyin.data.build import build
    from zhiyin.data.run import Run
    from zhiyin.data.tables import write
    from zhiyin.evaluate.compare import compare
    from zhiyin.pipeline.train import contest
    from zhiyin.testing.town import town

    people = min(users, 120) if quick else users
    aside(f"building a town of {people} people")
    whole = town(people, seed=seed).tables()
    folder = write(whole, out / "town")
    known, later = without_newcomers(whole)
    with progress() as report:
        fought = contest(build(known), small_models(quick=quick), run=Run(seed=seed, threads=1, report=report))
    aside("measuring")
    comparison = compare(
        fought.models, fought.split.test, fought.split.train, note=fought.split.note, train_cpu_s=fought.train_cpu_s, seed=seed
    )
    newcomers = welcomed(fought, known, later)
    best = fought.recommender("sequence")
    model = best.save(out / "town-model")
    path = page_of(comparison, fought, newcomers).save(out / "demo.html")
    if as_json:
        emit(
            {
                "page": str(path),
                "town": str(folder),
                "model": str(model),
                "measured": comparison.to_dict(),
                "new_items": [n.told() for n in newcomers],
            }
        )
        return
    tell(comparison.to_text())
    for newcomer in newcomers:
        tell(newcomer.sentence())
    tell(f"\ntown: {folder}   model: {model}")
    tell(f"Next: zhiyin recommend {model} --user {best.data.users[0]}   zhiyin similar {model} {best.catalog.items[0]}")
    tell(f"page: {path.resolve()}")
    if not no_serve:
        answer_for(model, best, port)


def answer_for(model: Path, town: Recommender, port: int) -> None:
    """Serve the town until ctrl-C, and say what to ask it."""
    from zhiyin.base.errors import ConfigError
    from zhiyin.serve.listen import bound
    from zhiyin.serve.run import serve
    from zhiyin.serve.settings import Settings

    settings = Settings(port=port, deadline_ms=500)  # for somebody who looks, on a machine that may be busy
    try:
        bound(settings).close()
    except ConfigError:
        settings = settings.model_copy(update={"port": 0})
    try:
        serve([model], settings, lambda address: tell(invitation(address, model.name, town)))
    except KeyboardInterrupt:
        tell(f"stopped; zhiyin serve {model} goes on where it was")


def invitation(address: str, tenant: str, town: Recommender) -> str:
    """Where the server is, and three lines for another terminal that work as they stand."""
    person = town.data.users[0]
    liked = town.recommend(person, n=1).ids[0]
    event = {"event_id": "my-first", "user": person, "item": liked}
    asked = [("recommend", {"user": person, "n": 3}), ("event", event), ("search", {"text": "footbal", "n": 3})]
    lines = [f"  curl {address}/v1/{tenant}/{what} -d '{json.dumps(said)}'" for what, said in asked]
    return "\n".join(["", f"the town is served at {address} (ctrl-C stops). In another terminal:", *lines])


def small_models(*, quick: bool) -> dict[str, ModelSpec]:
    """The four of the demo, the flagship in a size that two processor cores train in half a minute."""
    from zhiyin.models.registry import spec_of

    small = {"kind": "sequence", "dim": 64, "max_len": 50, "batch_size": 8, "shared_items": True, "learning_rate": 2e-3}
    small["epochs"] = 6 if quick else 14
    return {"popular": spec_of("popular"), "ease": spec_of("ease"), "content": spec_of("content"), "sequence": spec_of(small)}


def without_newcomers(whole: Tables) -> tuple[Tables, Tables]:
    """The town before its latest items came: tables without them, and the items with what was done with them."""
    import polars as pl

    events, items = whole.events, whole.items
    if items is None:  # the town always has items; the type does not know
        return whole, whole
    first = (
        events.group_by("item_id")
        .agg(pl.col("time").min().alias("first"), pl.len().alias("n"))
        .with_columns(pl.col("item_id").cast(pl.String))
    )
    cut = events["time"].cast(pl.Int64).quantile(0.8)
    late = first.filter(pl.col("first").cast(pl.Int64) >= (cut or 0)).sort("n", "item_id", descending=[True, False])
    chosen = late["item_id"].head(N_NEWCOMERS).to_list()
    is_new = pl.col("item_id").cast(pl.String).is_in(chosen)
    before = replace(whole, events=events.filter(~is_new), items=items.filter(~is_new))
    return before, replace(whole, events=events.filter(is_new), items=items.filter(is_new))


def welcomed(fought: Contest, known: Tables, later: Tables) -> list[Newcomer]:
    """What becomes of each new item, by model, once ``with_items`` has told its text: whom it is shown to, and who really took it."""
    if later.items is None or not later.items.height:
        return []
    found: list[Newcomer] = []
    for name in ("content", "sequence"):
        found = shown_to(fought.recommender(name).with_items(later.items), name, later, found)
    return found


def shown_to(grown: Recommender, model: str, later: Tables, found: list[Newcomer]) -> list[Newcomer]:
    """The newcomers with one more model's figures."""
    import polars as pl

    from zhiyin.cli.demo_page import Newcomer

    everyone = grown.data.users.ids.to_pylist()
    lists = grown.recommend_users(everyone, SHOWN_TO)
    out = []
    items: pl.DataFrame = later.items if later.items is not None else pl.DataFrame()
    for i, row in enumerate(items.iter_rows(named=True)):
        item = str(row["item_id"])
        takers = set(later.events.filter(pl.col("item_id").cast(pl.String) == item)["user_id"].cast(pl.String).to_list()) & set(everyone)
        shown = set(lists.filter(pl.col("item_id") == item)["user_id"].to_list())
        old = found[i] if found else Newcomer(item, str(row["title"]), str(row["description"]), len(takers), len(everyone), {})
        out.append(replace(old, shown={**old.shown, model: (len(shown), len(shown & takers))}))
    return out
