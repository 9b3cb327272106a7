"""``zhiyin features``: what each feature of a two-stage recommender is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhiyin.cli.given import SeedOption, SplitOption, open_data
from zhiyin.cli.outcome import JsonOption, PlotsOption, ending, hand_over
from zhiyin.cli.progress import progress

if TYPE_CHECKING:
    from zhiyin.data.cut import Split
    from zhiyin.data.run import Run
    from zhiyin.models.two_stage import Candidates, TwoStage


@ending
def features(
    model_or_data: Annotated[
        str, typer.Argument(metavar="MODEL_OR_DATA", help="A saved two-stage model, a folder with zhiyin.toml, or a known data set.")
    ],
    requests: Annotated[int, typer.Option(min=10, help="Validation and test requests that are asked.")] = 400,
    out: Annotated[Path | None, typer.Option(help="The page; default: NAME-features.html, here.")] = None,
    split: SplitOption = "default",
    seed: SeedOption = 0,
    plots: PlotsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report every feature: its family, coverage, drift, importance, stability, and signs of a leak.

    Data gets a quick two-stage model (no sequence model, a minute). A saved model is judged as it stands, on
    the split of the events it keeps: it must not have been refitted on them.

    Example: zhiyin features shop
    """
    from zhiyin.data.run import Run
    from zhiyin.evaluate.features import feature_report

    with progress() as report:
        run = Run(seed=seed, report=report)
        model, cut, serving = opened(model_or_data, split, run)
        found = feature_report(model, cut, run, requests, serving=serving)
    hand_over(found, out or Path(f"{found.data}-features.html"), plots, as_json=as_json)


def opened(said: str, split: str, run: Run) -> tuple[TwoStage, Split, Candidates | None]:
    """The model of a folder, or a quick one for data; the split whose past it knows; and what would serve, if not the model as it is."""
    from zhiyin.base.errors import ConfigError
    from zhiyin.data.split import split_by
    from zhiyin.evaluate.features import kept_up, quick_two_stage
    from zhiyin.models.two_stage import TwoStage
    from zhiyin.store.bundle import MANIFEST

    if not (Path(said) / MANIFEST).is_file():
        from zhiyin.pipeline.train import readable

        data = readable(open_data(said), run)[0]
        cut = split_by(split, data, None, run.seed)
        quick = quick_two_stage(cut, run)
        return quick, cut, kept_up(quick.stage, cut.before_test)
    from zhiyin.pipeline.recommender import Recommender

    saved = Recommender.load(said)
    if not isinstance(saved.model, TwoStage):
        raise ConfigError(
            f"model '{said}' is '{saved.model.spec.kind}', which reads no features",
            "Train one with --model two-stage, or give the data: zhiyin features DATA.",
        )
    return saved.model, split_by(split, saved.data, None, run.seed), None
