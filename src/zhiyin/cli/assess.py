"""``zhiyin assess``: is a recommender worth it on this data?"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhiyin.cli.given import RepeatOption, SeedOption, SplitOption, open_data, repeat_of
from zhiyin.cli.outcome import JsonOption, PlotsOption, aside, emit, ending, tell
from zhiyin.cli.progress import progress

if TYPE_CHECKING:
    from zhiyin.data.cut import Split
    from zhiyin.data.dataset import Dataset


@ending
def assess(
    data: Annotated[
        str, typer.Argument(metavar="FILE_OR_FOLDER", help="A table of events, a folder of tables, or the name of a known data set.")
    ],
    worth: Annotated[float, typer.Option(min=0, max=900, help="Least gain worth the trouble, in percent of a simple rule.")] = 5.0,
    out: Annotated[Path | None, typer.Option(help="The page; default: NAME-assess.html, here.")] = None,
    split: SplitOption = "default",
    repeat: RepeatOption = None,
    seed: SeedOption = 0,
    plots: PlotsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say in a minute or two what a recommender would gain here, what it would cost, and whether it is worth it.

    Quick models are compared with popularity and with "buy again" on people's real later choices, and
    asked anew without text, order, repeats and context. Tables without a zhiyin.toml are taken as they
    are guessed (the guesses are printed); nothing but the page is written.

    Example: zhiyin assess orders.csv
    """
    from dataclasses import replace

    from zhiyin.data.run import Run
    from zhiyin.data.split import split_by
    from zhiyin.evaluate.assess.measure import assess as measured
    from zhiyin.pipeline.train import readable

    policy = repeat_of(repeat)
    given = opened(data)
    if policy is not None:
        given = replace(given, manifest=given.manifest.model_copy(update={"repeat": policy}))

    def cut(whole: Dataset) -> Split:
        return split_by(split, whole, policy, seed)

    with progress() as report:
        run = Run(seed=seed, report=report)
        found = measured(readable(given, run)[0], split=cut, worth=worth / 100, run=run)
    page = found.to_page()
    path = page.save(out or Path(f"{found.data}-assess.html"))
    if plots is not None:
        page.save_plots(plots)
    if as_json:
        emit({**found.to_dict(), "report": str(path)})
    else:
        tell(found.to_text())
        if found.verdict.answer != "not worth it here":
            tell(f"Next: zhiyin train {data}")
    aside(f"report: {path}")


def opened(said: str) -> Dataset:
    """The data of a folder or name; tables that nobody described are guessed and left as they are."""
    from zhiyin.data.tables import MANIFEST_FILE

    path = Path(said)
    if not path.exists() or (path / MANIFEST_FILE).is_file():
        return open_data(said)
    from zhiyin.cli.init import lines, manifest_text
    from zhiyin.data.folder import load
    from zhiyin.data.guess import guess

    found = guess(path)
    for line in lines(found):
        aside(line)
    home = path.parent if path.is_file() else path
    with tempfile.TemporaryDirectory(prefix="zhiyin-") as folder:
        # The manifest stands elsewhere, so it points back at the tables.
        below = Path(os.path.relpath(home.resolve(), Path(folder).resolve()))
        manifest = found.manifest
        parts = {name: getattr(manifest, name) for name in ("events", "items", "users", "relations")}
        moved = {n: p.model_copy(update={"file": (below / (p.file or path.name)).as_posix()}) for n, p in parts.items() if p is not None}
        text = manifest_text(type(found)(manifest.model_copy(update=moved), found.decisions, found.files, found.unused))
        (Path(folder) / MANIFEST_FILE).write_text(text, encoding="utf-8")
        return load(folder)
