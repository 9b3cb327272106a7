"""``zhiyin assess``: is a recommender worth it on this data?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from zhiyin.cli.given import RepeatOption, SeedOption, SplitOption, open_data, repeat_of
from zhiyin.cli.outcome import JsonOption, PlotsOption, aside, ending, hand_over, tell
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
    hand_over(found, out or Path(f"{found.data}-assess.html"), plots, as_json=as_json)
    if not as_json and found.verdict.answer != "not worth it here":
        tell(f"Next: zhiyin {'train' if described(data) else 'start'} {quote(data)}")


def described(said: str) -> bool:
    """True for a folder with zhiyin.toml and for a known name, False for tables that are guessed."""
    from zhiyin.data.tables import MANIFEST_FILE

    path = Path(said)
    return not path.exists() or (path / MANIFEST_FILE).is_file()


def opened(said: str) -> Dataset:
    """The data of a folder or name; tables that nobody described are guessed and left as they are."""
    if described(said):
        return open_data(said)
    from zhiyin.cli.init import lines, manifest_text, pointing_back
    from zhiyin.data.folder import load
    from zhiyin.data.guess import guess
    from zhiyin.data.tables import MANIFEST_FILE

    path = Path(said)
    found = guess(path)
    for line in lines(found):
        aside(line)
    with tempfile.TemporaryDirectory(prefix="zhiyin-") as folder:
        text = manifest_text(pointing_back(found, path, Path(folder)))
        (Path(folder) / MANIFEST_FILE).write_text(text, encoding="utf-8")
        return load(folder)
