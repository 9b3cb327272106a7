"""``zhiyin compare``: models on the same past, measured on the same requests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zhiyin.cli.given import RepeatOption, SeedOption, SplitOption, open_data, repeat_of
from zhiyin.cli.outcome import JsonOption, PlotsOption, Reported, ending, hand_over
from zhiyin.cli.progress import progress
from zhiyin.cli.train import QuickOption


@ending
def compare(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Names (zhiyin models) or TOML files; one is enough.")],
    on: Annotated[str, typer.Option("--on", metavar="DATA", help="A folder with zhiyin.toml, or the name of a known data set.")],
    split: SplitOption = "default",
    repeat: RepeatOption = None,
    metrics: Annotated[str | None, typer.Option(help="Such as ndcg@10,recall@50; the first orders the table. Default: all.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Length of the lists for metrics without @.")] = 10,
    sweep: Annotated[
        str | None, typer.Option(metavar="KNOB", help="Turn one from 0 to 1: diversity, dpp, novelty, tail, calibrated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The report; default: DATA-compare.html (or DATA-KNOB.html), here.")] = None,
    quick: QuickOption = False,
    seed: SeedOption = 0,
    plots: PlotsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit models, rank the whole catalogue for every test request, and say which differences are real.

    Prints the table and writes a self-contained HTML report with plots. With --sweep every model's lists
    are re-ranked at each setting of the knob, and the report draws what it brings against what it costs.

    Example: zhiyin compare popular transitions ease --on shop
    """
    from zhiyin import api
    from zhiyin.data.run import Run
    from zhiyin.evaluate.sweep import knob_named

    api.named(models)  # a misspelt name must not wait for the data
    if sweep is not None:
        knob_named(sweep)
    data = open_data(on)
    asked = None if metrics is None else [m.strip() for m in metrics.split(",") if m.strip()]
    with progress() as report:
        run = Run(seed=seed, report=report)
        found: Reported
        if sweep is None:
            found = api.compare(*models, on=data, split=split, repeat=repeat_of(repeat), metrics=asked, k=k, quick=quick, run=run)
        else:
            found = api.sweep(*models, on=data, knob=sweep, split=split, repeat=repeat_of(repeat), metrics=asked, k=k, quick=quick, run=run)
    hand_over(found, out or Path(f"{data.manifest.name}-{sweep or 'compare'}.html"), plots, as_json=as_json)
