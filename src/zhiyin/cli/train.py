"""``zhiyin train``: tables to a saved, measured recommender."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhiyin.cli.given import DataArgument, RepeatOption, SeedOption, SplitOption, open_data, repeat_of
from zhiyin.cli.outcome import Interrupted, JsonOption, aside, emit, ending, tell
from zhiyin.cli.progress import progress

if TYPE_CHECKING:
    from zhiyin.data.dataset import Dataset
    from zhiyin.evaluate.compare import Comparison
    from zhiyin.models.roles import ModelSpec
    from zhiyin.pipeline.recommender import Recommender

QuickOption = Annotated[bool, typer.Option("--quick", help="Small settings: a first answer in a minute or two.")]


@ending
def train(
    data: DataArgument,
    model: Annotated[str, typer.Option(help="A model's name (zhiyin models), or a TOML file with its settings.")] = "zhiyin",
    out: Annotated[Path, typer.Option(help="The folder of the model. An older model in it is replaced.")] = Path("model"),
    quick: QuickOption = False,
    split: SplitOption = "default",
    repeat: RepeatOption = None,
    refit: Annotated[
        bool | None,
        typer.Option("--refit/--no-refit", help="After measuring, learn from the test period too. Default: where it costs seconds."),
    ] = None,
    seed: SeedOption = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads; default: all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model, measure it beside popularity, and save it.

    Stop it with ctrl-C and the same command goes on from the last checkpoint, kept in OUT.training
    with the log (log.jsonl).

    Example: zhiyin train shop --model ease --out shop-model
    """
    from zhiyin.pipeline.build import read_spec

    spec = read_spec(model)
    dataset = open_data(data)
    recommender, comparison = trained(dataset, spec, out, quick=quick, split=split, repeat=repeat, refit=refit, seed=seed, threads=threads)
    result = summary(recommender, comparison, out)
    if as_json:
        emit(result)
        return
    tell(comparison.to_text())
    tell(f"saved: {out}")
    tell(f"Next: zhiyin recommend {out} --user {result['example_user']}" if result["example_user"] else f"Next: zhiyin recommend {out}")


def trained(
    data: Dataset,
    spec: ModelSpec,
    out: Path,
    *,
    quick: bool,
    split: str,
    repeat: str | None,
    refit: bool | None,
    seed: int,
    threads: int | None = None,
) -> tuple[Recommender, Comparison]:
    """Fit, save under ``out``, and measure beside popularity on the split's test requests."""
    from zhiyin.base.clock import cpu_s
    from zhiyin.data.run import Run
    from zhiyin.data.split import split_by
    from zhiyin.evaluate.compare import compare
    from zhiyin.models.retrieve.popular import PopularSpec
    from zhiyin.pipeline.train import train as fit_and_measure

    policy = repeat_of(repeat)
    if policy is not None:
        data = replace(data, manifest=data.manifest.model_copy(update={"repeat": policy}))
    work = out.with_name(out.name + ".training")
    before = cpu_s()
    with progress() as report:
        run = Run(seed=seed, threads=threads, folder=work, report=report)
        try:
            done = fit_and_measure(data, spec, split=lambda d: split_by(split, d, policy, seed), run=run, quick=quick, refit=refit)
        except KeyboardInterrupt:
            raise Interrupted(kept(work)) from None
    spent = cpu_s() - before
    done.recommender.save(out)
    aside(f"model saved in {out}; measuring")
    models = {spec.kind: done.measured}
    if spec.kind != "popular":
        models["popular"] = PopularSpec().fit(done.split.train, Run())
    comparison = compare(
        models, done.split.test, done.split.train, note=done.split.note, baseline=spec.kind, train_cpu_s={spec.kind: spent}, seed=seed
    )
    return done.recommender, comparison


def kept(work: Path) -> str:
    """What an interrupted fit left behind, in one sentence."""
    if work.is_dir() and any(work.iterdir()):
        return f"The last checkpoint is in {work}; the same command goes on from there."
    return "No checkpoint was reached, so nothing was kept."


def summary(recommender: Recommender, comparison: Comparison, out: Path) -> dict[str, Any]:
    """What a script wants to know of a training."""
    data = recommender.data
    return {
        "model": str(out),
        "kind": recommender.model.spec.kind,
        "items": len(recommender.catalog),
        "users": data.n_users,
        "events": len(data.events),
        "repeat": str(data.manifest.repeat),
        "text_encoder": None if recommender.reader is None else recommender.reader.reason,
        "example_user": data.users[int(data.events.user_ix[-1])] if len(data.events) else None,
        "measured": comparison.to_dict(),
    }
