"""``zhiyin train``: tables to a saved, measured recommender."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhiyin.cli.given import DataArgument, RepeatOption, SeedOption, SplitOption, open_data, repeat_of
from zhiyin.cli.outcome import Interrupted, JsonOption, aside, emit, ending, tell
from zhiyin.cli.progress import progress

if TYPE_CHECKING:
    from zhiyin.data.cut import Split
    from zhiyin.data.dataset import Dataset
    from zhiyin.evaluate.compare import Comparison
    from zhiyin.models.roles import ModelSpec
    from zhiyin.pipeline.recommender import Recommender
    from zhiyin.pipeline.search_found import Budget, Found
    from zhiyin.pipeline.train import Trained

SearchOption = Annotated[
    str | None,
    typer.Option(
        "--search",
        metavar="BUDGET",
        help="Search for settings, by validation alone: 30 trials, 20m CPU minutes, or 30,20m. Of two stages, for those of the first.",
    ),
]
TrackerOption = Annotated[
    str | None, typer.Option("--tracker", metavar="tensorboard|wandb", help="Also keep curves in OUT.training; wandb stays offline.")
]
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
    search: SearchOption = None,
    tracker: TrackerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model, measure it beside popularity, and save it.

    Stop it with ctrl-C and the same command goes on from the last checkpoint, kept in OUT.training
    with the log (log.jsonl). There --search also leaves the best settings it found, best.toml, which --model
    takes, and every trial, trials.csv.

    Example: zhiyin train shop --model ease --out shop-model --search 20
    """
    from zhiyin.pipeline.build import read_spec
    from zhiyin.pipeline.search import need_optuna
    from zhiyin.pipeline.search_found import Budget
    from zhiyin.train.tracking import check_tracker

    spec = read_spec(model)
    check_tracker(tracker)
    budget = None
    if search is not None:
        budget = Budget.parse(search)
        need_optuna()
    job = Job(out, quick=quick, split=split, repeat=repeat, refit=refit, seed=seed, threads=threads, tracker=tracker)
    recommender, comparison, found = job.done(open_data(data), spec, budget)
    result = summary(recommender, comparison, out)
    best, trials = job.work / "best.toml", job.work / "trials.csv"
    if found is not None:
        result["search"] = {**found.to_dict(), "settings": str(best), "trials_table": str(trials)}
    if as_json:
        emit(result)
        return
    tell(comparison.to_text())
    if found is not None:
        tell(f"{found.to_text()}\nsettings: {best}   trials: {trials}")
    tell(f"saved: {out}")
    tell(f"Next: zhiyin recommend {quote(str(out))} --user {quote(result['example_user'])}")


@dataclass(frozen=True)
class Job:
    """A training as the options describe it; ``out`` is the folder of the model."""

    out: Path
    quick: bool
    split: str
    repeat: str | None
    refit: bool | None
    seed: int
    threads: int | None
    tracker: str | None

    @property
    def work(self) -> Path:
        """Where checkpoints, logs, trials and curves are."""
        return self.out.with_name(self.out.name + ".training")

    def done(self, data: Dataset, spec: ModelSpec, budget: Budget | None) -> tuple[Recommender, Comparison, Found | None]:
        """Search if asked to, fit, save, and measure beside popularity on the split's test requests."""
        from zhiyin.base.clock import cpu_s
        from zhiyin.data.run import Run
        from zhiyin.data.split import split_by
        from zhiyin.pipeline.search import searched
        from zhiyin.pipeline.search_found import write_found
        from zhiyin.pipeline.train import train as fit_and_measure
        from zhiyin.train.tracking import tracked, tracking

        policy = repeat_of(self.repeat)
        if policy is not None:
            data = replace(data, manifest=data.manifest.model_copy(update={"repeat": policy}))

        def cut(given: Dataset) -> Split:
            return split_by(self.split, given, policy, self.seed)

        with progress() as report, tracking(self.tracker, self.work, f"{data.manifest.name} {spec.kind}", spec.described()) as curves:
            run = Run(seed=self.seed, threads=self.threads, folder=self.work, report=tracked(report, curves))
            try:
                found = None if budget is None else searched(data, spec, budget, split=cut, run=run, quick=self.quick)
                if found is not None:
                    write_found(found, self.work)
                before = cpu_s()
                done = fit_and_measure(data, found.spec if found else spec, split=cut, run=run, quick=self.quick, refit=self.refit)
                spent = cpu_s() - before
            except KeyboardInterrupt:
                raise Interrupted(kept(self.work)) from None
            done.recommender.save(self.out)
            aside(f"model saved in {self.out}; measuring")
            comparison = _measured(done, spent, self.seed)
            if curves is not None:
                for name, e in comparison.estimates[done.measured.spec.kind].items():
                    curves.point(f"test/{name}", e.value, 0)
        return done.recommender, comparison, found


def _measured(done: Trained, spent_s: float, seed: int) -> Comparison:
    """The model beside popularity, on the requests it never saw."""
    from zhiyin.data.run import Run
    from zhiyin.evaluate.compare import compare
    from zhiyin.models.retrieve.popular import PopularSpec

    kind, split = done.measured.spec.kind, done.split
    models = {kind: done.measured}
    if kind != "popular":
        models["popular"] = PopularSpec().fit(split.train, Run())
    return compare(models, split.test, split.train, note=split.note, baseline=kind, train_cpu_s={kind: spent_s}, seed=seed)


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
        "example_user": data.users[int(data.events.user_ix[-1])],
        "measured": comparison.to_dict(),
    }
