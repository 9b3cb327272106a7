"""Search for settings: which of the values in ``search_space`` rank best on validation.

Trials are drawn by Optuna's tree-structured Parzen estimator (Akiba et al., KDD 2019) and kept in its
journal, so that the same command goes on where it was stopped. Every draw depends on the seed and on
the trials before it alone: a search that was interrupted finds what an uninterrupted one finds. What
is handed in here ends with the validation part: a search cannot look at the test.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from zhiyin.base.clock import cpu_s
from zhiyin.base.digest import digest_arrays, digest_json
from zhiyin.base.errors import ConfigError, FitError, MissingExtraError
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.data.tables import toml_key, toml_value
from zhiyin.data.truth import Holdout, ndcg_at
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.blend import BlendSpec, default_parts
from zhiyin.models.roles import ModelSpec
from zhiyin.pipeline.build import quick_spec
from zhiyin.pipeline.search_space import SPACES, Knob
from zhiyin.pipeline.train import Splitter, readable

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

JOURNAL = "search.journal"
RANDOM_TRIALS = 6
"""Drawn at random, after the default, before the estimator has something to learn from."""
MOST_REPEATS = 20
"""So many draws in a row that were tried before: the space is exhausted."""
VALIDATION_REQUESTS = 6_000


@dataclass(frozen=True, slots=True)
class Budget:
    """``trials`` and ``cpu_minutes`` in all, those before an interruption included; None = no limit."""

    trials: int | None = None
    cpu_minutes: float | None = None

    @classmethod
    def parse(cls, said: str) -> Budget:
        """``"30"`` trials, ``"20m"`` or ``"1.5h"`` of processor time, ``"30,20m"`` whichever ends first."""
        trials, minutes = None, None
        for part in said.replace(" ", "").lower().split(","):
            number = re.fullmatch(r"(\d+(?:\.\d+)?)(m|min|h)?", part)
            value = float(number[1]) if number else 0.0
            if number is None or not value or (number[2] is None and not value.is_integer()):
                raise ConfigError(f"--search {said} is no budget", "Say a number of trials (30), CPU minutes (20m), or both (30,20m).")
            if number[2] is None:
                trials = int(value)
            else:
                minutes = value * (60 if number[2] == "h" else 1)
        return cls(trials, minutes)

    def over(self, trials: int, spent_s: float) -> bool:
        return (self.trials is not None and trials >= self.trials) or (self.cpu_minutes is not None and spent_s >= 60 * self.cpu_minutes)

    def share(self, trials: int, spent_s: float, left: int) -> Budget:
        """What one of ``left`` searches may use after so much was used."""
        return Budget(
            None if self.trials is None else (self.trials - trials) // left,
            None if self.cpu_minutes is None else max(self.cpu_minutes - spent_s / 60, 0.0) / left,
        )


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial. ``value`` is NDCG@10 on validation, None where there is none; ``how`` says why:
    done, repeated (settings tried before: costs nothing), pruned (hopeless), or the words of a failure."""

    part: str
    settings: Mapping[str, Any]
    value: float | None
    cpu_s: float
    how: str


@dataclass(frozen=True, slots=True)
class Part:
    """What came of one model: the default's quality, the best one's, and its settings."""

    name: str
    default: float
    best: float
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """``spec`` is what to train; the rest says how it was found."""

    spec: ModelSpec
    parts: tuple[Part, ...]
    tried: tuple[Tried, ...]
    n_validation: int

    @property
    def cpu_s(self) -> float:
        """Processor seconds of all trials, earlier sittings included."""
        return sum(t.cpu_s for t in self.tried)

    def to_text(self) -> str:
        """What a person wants to know of a search."""
        pruned = sum(t.how == "pruned" for t in self.tried)
        lines = [
            f"search: {len(self.tried)} trials ({pruned} pruned as hopeless) in {self.cpu_s:,.1f} CPU s, "
            f"by ndcg@10 on {self.n_validation:,} validation requests; the test was not looked at"
        ]
        for part in self.parts:
            said = ", ".join(f"{k} = {toml_value(_rounded(v))}" for k, v in part.settings.items() if v is not None) or "as it was"
            lines.append(f"  {part.name}: {part.default:.4f} by default, {part.best:.4f} with {said}")
        if len(self.parts) > 1:
            lines.append("  Parts are searched one by one; the model weighs them afterwards.")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        parts = [{"part": p.name, "default": p.default, "best": p.best, "settings": dict(p.settings)} for p in self.parts]
        return {
            "trials": len(self.tried), "pruned": sum(t.how == "pruned" for t in self.tried), "cpu_s": self.cpu_s,
            "metric": "ndcg@10 on validation", "n": self.n_validation, "parts": parts, "best": self.spec.described(),
        }  # fmt: skip

    def table(self) -> pl.DataFrame:
        """All trials in the order they were made; settings as JSON text."""
        rows = [(t.part, i, t.value, round(t.cpu_s, 2), t.how, toml_value(t.settings)) for i, t in enumerate(self.tried)]
        return pl.DataFrame(rows, schema=["model", "trial", "validation_ndcg@10", "cpu_s", "how", "settings"], orient="row")

    def to_toml(self) -> str:
        """The best settings as a file that ``--model`` takes."""
        head = f"# found by zhiyin train --search: {len(self.tried)} trials, {self.cpu_s:,.0f} CPU s, judged by validation\n"
        values = self.spec.described()
        parts = values.pop("parts", ())
        return head + _toml_lines(values) + "".join(f"\n[[parts]]\n{_toml_lines(part)}" for part in parts)


def _toml_lines(values: Mapping[str, Any]) -> str:
    return "".join(f"{toml_key(k)} = {toml_value(v)}\n" for k, v in values.items() if v is not None)


def need_optuna() -> None:
    """Raise, with the pip command, where searching is not possible."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise MissingExtraError("searching for settings needs optuna, which is not installed", 'pip install "zhiyin[search]"') from None


def search(spec: ModelSpec, train: Dataset, validation: Holdout, budget: Budget, run: Run) -> Found:
    """The best settings of a model within a budget; a blend's parts one after another, the costly ones last.

    ``run.folder`` keeps the journal that a later search with the same data, model and seed goes on
    from (None = nothing is kept). Raises ``ConfigError`` where nothing can be searched or the budget is
    too small, ``MissingExtraError`` without Optuna, and whatever the default settings cannot be fitted for.
    """
    need_optuna()
    if not len(validation):
        raise ConfigError("the split leaves no validation requests to judge settings by", "Give more events or another split.")
    sample = _sample(validation, run.seed)
    names = parts_of(spec, train)
    free = {name: _space(part) for name, part in names.items()}
    order = sorted((name for name, space in free.items() if space), key=lambda name: names[name].validates)
    if not order:
        known = ", ".join(SPACES)
        raise ConfigError(f"model '{spec.kind}' has no settings left to search", f"Those of {known} can be, unless your file sets them.")
    if budget.trials is not None and budget.trials < 2 * len(order):
        raise ConfigError(
            f"{budget.trials} trials are too few for the {len(order)} models to search", f"Give {2 * len(order)} at least, or CPU minutes."
        )
    tried: list[Tried] = []
    found: dict[str, Part] = {}
    for i, name in enumerate(order):
        share = budget.share(len(tried), sum(t.cpu_s for t in tried), len(order) - i)
        one = _Search(name, names[name], free[name], train, sample, run)
        found[name], trials = one.within(share)
        tried += trials
    best = {name: names[name].model_copy(update=dict(found[name].settings)) if name in found else names[name] for name in names}
    parts = tuple(found[name] for name in names if name in found)
    return Found(_assembled(spec, best), parts, tuple(tried), len(sample))


def searched(data: Dataset, spec: ModelSpec, budget: Budget, *, split: Splitter, run: Run, quick: bool = False) -> Found:
    """The same from a whole data set: read its texts, cut it, and search on the past of the split alone."""
    need_optuna()
    data, _ = readable(data, run)
    cut = split(data)
    return search(quick_spec(spec, data) if quick else spec, cut.train, cut.validation, budget, run)


def parts_of(spec: ModelSpec, data: Dataset) -> dict[str, ModelSpec]:
    """What is searched on its own, by name: the parts of a blend, or the model itself."""
    if not isinstance(spec, BlendSpec):
        return {spec.kind: spec}
    out: dict[str, ModelSpec] = {}
    for table in spec.parts or default_parts(data):
        part = spec_of(table)
        same = sum(name.split(" ")[0] == part.kind for name in out)
        out[f"{part.kind} {same + 1}" if same else part.kind] = part
    return out


def _assembled(spec: ModelSpec, parts: Mapping[str, ModelSpec]) -> ModelSpec:
    if not isinstance(spec, BlendSpec):
        return next(iter(parts.values()))
    return spec.model_copy(update={"parts": tuple({k: v for k, v in p.described().items() if v is not None} for p in parts.values())})


def _space(spec: ModelSpec) -> dict[str, Knob]:
    """The settings that the person left to us."""
    return {name: knob for name, knob in SPACES.get(spec.kind, {}).items() if name not in spec.model_fields_set}


def _sample(holdout: Holdout, seed: int) -> Holdout:
    if len(holdout) <= VALIDATION_REQUESTS:
        return holdout
    return holdout.take(np.sort(np.random.default_rng(seed).choice(len(holdout), VALIDATION_REQUESTS, replace=False)))


def _rounded(value: Any) -> Any:
    return float(f"{value:.3g}") if isinstance(value, float) else value


class _Search:
    """The trials of one model."""

    def __init__(self, name: str, spec: ModelSpec, space: Mapping[str, Knob], train: Dataset, validation: Holdout, run: Run) -> None:
        self.name, self.spec, self.space = name, spec, space
        self.train, self.validation, self.run = train, validation, run
        self.study = self._opened()

    def within(self, budget: Budget) -> tuple[Part, list[Tried]]:
        """Try until the budget is used; the default is tried whatever it costs."""
        repeats = 0
        while True:
            done = [told for t in self.study.trials if (told := self._told(t)) is not None]
            spent = sum(t.cpu_s for t in done)
            if done and (budget.over(len(done), spent) or repeats >= MOST_REPEATS):
                break
            how = self._next(len(done), None if budget.cpu_minutes is None or not done else 60 * budget.cpu_minutes - spent)
            repeats = repeats + 1 if how == "repeated" else 0
            self._report(len(done) + 1, budget)
        best = self.study.best_trial
        # The default's own settings need not be written down.
        default = next(t.value for t in done if t.value is not None)
        settings = self._settings(best) if best.value is not None and best.value > default else {}
        return Part(self.name, default, max(default, best.value or 0.0), settings), done

    def _next(self, n: int, left_s: float | None) -> str:
        """Make one trial and tell how it went."""
        import optuna

        self.study.sampler = optuna.samplers.TPESampler(seed=(self.run.seed * 1_000_003 + n) % 2**32, n_startup_trials=RANDOM_TRIALS)
        trial = self.study.ask()
        settings = {name: knob.suggested(trial, name) for name, knob in self.space.items()}
        before = cpu_s()
        folder = None if self.run.folder is None else self.run.folder / f"trial-{digest_json([self.spec.described(), settings])}"
        how = "done"
        try:
            known = next((t.value for t in self.study.trials if t.state.name == "COMPLETE" and t.params == settings), None)
            if known is not None:
                how, value = "repeated", known
            else:
                value = self._quality(
                    settings, replace(self.run, holdout=self.validation, folder=folder, report=self._watch(trial, left_s))
                )
            state = None
        except optuna.TrialPruned:
            how, value, state = "pruned", None, optuna.trial.TrialState.PRUNED
        except (FitError, ConfigError) as error:
            if n == 0:
                raise
            how, value, state = str(error), None, optuna.trial.TrialState.FAIL
        trial.set_user_attr("cpu_s", cpu_s() - before)
        trial.set_user_attr("how", how)
        self.study.tell(trial, value, state)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        return how

    def _quality(self, settings: Mapping[str, Any], run: Run) -> float:
        model = self.spec.model_copy(update=dict(settings)).fit(self.train, run)
        found = ndcg_at(model.retrieve(self.validation.requests, 10), self.validation.truth)
        return float(np.nanmean(found))

    def _watch(self, trial: Trial, left_s: float | None) -> Any:
        """Pass progress on, and give up on a trial that validates worse than most did, or that the budget cannot pay."""
        import optuna

        started = cpu_s()

        def report(row: Mapping[str, Any]) -> None:
            self.run.report({**row, "trial": trial.number})
            if "validation" in row and "epoch" in row:
                trial.report(float(row["validation"]), int(row["epoch"]))
                if trial.should_prune():
                    raise optuna.TrialPruned
            if left_s is not None and cpu_s() - started > left_s:
                raise optuna.TrialPruned

        return report

    def _report(self, n: int, budget: Budget) -> None:
        last = self.study.trials[-1]
        said = last.user_attrs["how"] + (f", ndcg@10 {last.value:.4f}" if last.value is not None else "")
        best = self.study.best_value
        row = {"stage": f"search {self.name}", "step": n, "of": budget.trials or n, "note": said, "best": best}
        self.run.report(row if last.value is None else {**row, "value": last.value})

    def _told(self, trial: FrozenTrial) -> Tried | None:
        """A trial as it is reported; None for one that was never finished."""
        how = trial.user_attrs.get("how")
        if how is None or not trial.state.is_finished():
            return None
        return Tried(self.name, self._settings(trial), trial.value if how in ("done", "repeated") else None, trial.user_attrs["cpu_s"], how)

    def _settings(self, trial: FrozenTrial) -> dict[str, Any]:
        return {name: trial.params[name] for name in self.space if name in trial.params}

    def _opened(self) -> Study:
        """The study of exactly this question, with what was found before; its first trial is the default."""
        import optuna
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage: Any = None
        if self.run.folder is not None:
            self.run.folder.mkdir(parents=True, exist_ok=True)
            storage = optuna.storages.JournalStorage(JournalFileBackend(str(self.run.folder / JOURNAL)))
        pruner = optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=2)
        study = optuna.create_study(
            storage=storage, study_name=f"{self.name} {self._question()}", direction="maximize", pruner=pruner, load_if_exists=True
        )
        stopped = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.RUNNING]
        for trial in stopped:  # in the middle: made again, from its checkpoint
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if not any("how" in trial.user_attrs for trial in study.trials):
            values = self.spec.model_dump()
            study.enqueue_trial({name: values[name] for name in self.space}, skip_if_exists=not stopped)
        elif stopped:
            study.enqueue_trial(stopped[-1].params)
        return study

    def _question(self) -> str:
        """A digest of all that the outcome of a trial depends on."""
        events, truth = self.train.events, self.validation.truth.items
        history = self.validation.requests.history
        arrays = digest_arrays(
            events.user_ix, events.item_ix, events.time_us, events.weight, history.offsets, history.item_ix, truth.offsets, truth.values
        )
        texts = {name: v.fingerprint for name, v in self.train.catalog.vectors.items()}
        spaces = {name: repr(knob) for name, knob in self.space.items()}
        return digest_json([self.spec.described(), spaces, self.run.seed, arrays, texts])


def write_found(found: Found, out: Path) -> None:
    """``best.toml`` and ``trials.csv`` beside the model in ``out``."""
    (out / "best.toml").write_text(found.to_toml(), encoding="utf-8")
    found.table().write_csv(out / "trials.csv")
