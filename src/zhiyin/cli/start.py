"""``zhiyin start``: from tables to a measured recommender in one step."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from zhiyin.base.errors import ConfigError, MissingDataError
from zhiyin.cli.check import looked_over
from zhiyin.cli.given import SeedOption
from zhiyin.cli.init import lines, manifest_text, pointing_back
from zhiyin.cli.outcome import Interrupted, JsonOption, aside, emit, ending, interactive, tell
from zhiyin.cli.progress import progress
from zhiyin.cli.train import kept

if TYPE_CHECKING:
    from zhiyin.data.dataset import Dataset
    from zhiyin.evaluate.compare import Comparison


@ending
def start(
    tables: Annotated[Path, typer.Argument(metavar="FILE_OR_FOLDER", help="One table of events, or a folder of tables.")],
    out: Annotated[Path | None, typer.Option(help="Where model and reports go; default: NAME-zhiyin, here.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the guesses as they are.")] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the report in a browser.")] = False,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Guess what the tables mean, ask, check them, train quick models, measure them, and show the report.

    A zhiyin.toml that is there already is taken as it is.

    Example: zhiyin start orders.csv --yes
    """
    if not tables.exists():
        raise MissingDataError(f"there is no file or folder '{tables}'", "Give a table of events, or the folder that holds the tables.")
    target = out or Path(f"{tables.resolve().name.split('.')[0]}-zhiyin")
    folder = with_manifest(tables, target, sure=yes, quiet=as_json)
    data, findings = looked_over(str(folder))
    checked = findings.to_page().save(target / "check.html")
    if not as_json:
        tell(findings.to_text())
    comparison = quick_models(data, target, seed)
    report = comparison.to_page().save(target / "report.html")
    user = data.users[int(data.events.user_ix[-1])]
    if as_json:
        emit(
            {
                "data": str(folder),
                "model": str(target / "model"),
                "check": str(checked),
                "report": str(report),
                "measured": comparison.to_dict(),
            }
        )
        return
    tell(comparison.to_text())
    tell(f"data: {folder}   model: {target / 'model'}   check: {checked}")
    ask = f"zhiyin recommend {quote(str(target / 'model'))} --user {quote(user)}"
    tell(f"Next: {ask}   Better and slower: zhiyin train {quote(str(folder))}")
    tell(f"report: {report.resolve()}")
    if not no_open and interactive():
        typer.launch(report.resolve().as_uri())


def with_manifest(tables: Path, target: Path, *, sure: bool, quiet: bool) -> Path:
    """The folder with zhiyin.toml: the given one, or ``target/data`` pointing at a single file."""
    from zhiyin.data.guess import guess
    from zhiyin.data.tables import MANIFEST_FILE

    folder = tables if tables.is_dir() else target / "data"
    if (folder / MANIFEST_FILE).is_file():
        aside(f"{folder / MANIFEST_FILE} is there: taken as it is")
        return folder
    found = guess(tables)
    if not quiet:
        for line in lines(found):
            tell(line)
    if not sure:
        if quiet or not interactive():
            raise ConfigError("nobody is here to confirm these guesses", "Look at them with zhiyin init, or say --yes.")
        typer.confirm("Is that what the tables mean?", default=True, abort=True)
    folder.mkdir(parents=True, exist_ok=True)
    if tables.is_file():
        found = pointing_back(found, tables, folder)
    (folder / MANIFEST_FILE).write_text(manifest_text(found), encoding="utf-8")
    return folder


def quick_models(data: Dataset, target: Path, seed: int) -> Comparison:
    """Fit the baselines and the default, all quick; save the default under ``target/model``."""
    from zhiyin.data.run import Run
    from zhiyin.evaluate.compare import compare
    from zhiyin.models.registry import spec_of
    from zhiyin.pipeline.train import contest

    names = ["popular", "zhiyin"]
    names[1:1] = ["ease"] if data.n_items <= 20_000 else ["item-neighbours"]
    if data.manifest.order != "none":
        names.insert(1, "transitions")
    work = target / "training"
    with progress() as report:
        try:
            run = Run(seed=seed, folder=work, report=report)
            fought = contest(data, {name: spec_of(name) for name in names}, run=run, quick=True)
        except KeyboardInterrupt:
            raise Interrupted(kept(work)) from None
    fought.recommender("zhiyin").with_placements().save(target / "model")
    split = fought.split
    return compare(fought.models, split.test, split.train, note=split.note, train_cpu_s=fought.train_cpu_s, seed=seed)
