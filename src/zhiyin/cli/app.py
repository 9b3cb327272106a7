"""The command ``zhiyin``: one file per command. Listing them costs nothing: each imports what it needs when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from zhiyin import __version__
from zhiyin.cli.assess import assess
from zhiyin.cli.check import check
from zhiyin.cli.compare import compare
from zhiyin.cli.data import app as data
from zhiyin.cli.demo import demo
from zhiyin.cli.doctor import doctor
from zhiyin.cli.dump import dump, restore, upgrade
from zhiyin.cli.features import features
from zhiyin.cli.init import init
from zhiyin.cli.keys import app as keys
from zhiyin.cli.models import models
from zhiyin.cli.page import page
from zhiyin.cli.placements import placements
from zhiyin.cli.pull import pull
from zhiyin.cli.recommend import recommend
from zhiyin.cli.retrain import retrain, rollback
from zhiyin.cli.serve import serve
from zhiyin.cli.similar import similar
from zhiyin.cli.start import start
from zhiyin.cli.train import train

EPILOG = "Exit codes: 0 done, 1 something unexpected, 2 a mistake that the one sentence on stderr says how to mend, 130 stopped by ctrl-C."

app = typer.Typer(
    name="zhiyin",
    help="知音: from plain tables to measured recommendations.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"zhiyin {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", callback=lambda v: _version(asked=v))] = False,
) -> None:
    """知音: from plain tables to measured recommendations.

    Start with `zhiyin demo`, or with your own tables: `zhiyin start FOLDER`.
    """


for command in (
    *(demo, start, init, check, assess),
    *(train, compare, recommend, page, placements, similar, features, models),
    *(serve, doctor, pull, retrain, rollback, dump, restore, upgrade),
):
    app.command(command.__name__)(command)
app.add_typer(keys, name="keys")
app.add_typer(data, name="data")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ``arguments`` defaults to those of the process."""
    app(args=None if arguments is None else list(arguments), prog_name="zhiyin")
