"""Search for settings: which of the values in ``search_space`` rank best on validation.

Trials are drawn by Optuna's tree-structured Parzen estimator (Akiba et al., KDD 2019) and kept in its
journal, so that the same command goes on where it was stopped. Every draw depends on the seed and on
the trials before it alone: a search that was interrupted finds what an uninterrupted one finds. What
is handed in here ends with the validation part: a search cannot look at the test.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zhiyin.base.clock import cpu_s
from zhiyin.base.digest import digest_arrays, digest_json
from zhiyin.base.errors import ConfigError, FitError, MissingExtraError
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.data.truth import Holdout, ndcg_at
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.blend import BlendSpec, default_parts
from zhiyin.models.roles import ModelSpec
from zhiyin.models.two_stage import TwoStageSpec
from zhiyin.pipeline.build import quick_spec
from zhiyin.pipeline.search_found import Budget, Found, Part, Tried
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
    sample = validation.sample(VALIDATION_REQUESTS, run.seed)
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
    """What is searched on its own, by name: the parts of a blend, or the model itself.

    Of two stages only the first is searched: the second learns from the validation requests that trials are judged by.
    """
    if isinstance(spec, TwoStageSpec):
        return parts_of(spec_of(spec.first), data)
    if not isinstance(spec, BlendSpec):
        return {spec.kind: spec}
    out: dict[str, ModelSpec] = {}
    for table in spec.parts or default_parts(data):
        part = spec_of(table)
        same = sum(name.split(" ")[0] == part.kind for name in out)
        out[f"{part.kind} {same + 1}" if same else part.kind] = part
    return out


def _assembled(spec: ModelSpec, parts: Mapping[str, ModelSpec]) -> ModelSpec:
    if isinstance(spec, TwoStageSpec):
        return spec.model_copy(update={"first": _table(_assembled(spec_of(spec.first), parts))})
    if not isinstance(spec, BlendSpec):
        return next(iter(parts.values()))
    return spec.model_copy(update={"parts": tuple(_table(part) for part in parts.values())})


def _table(spec: ModelSpec) -> dict[str, Any]:
    """As in a TOML file, where None is not written; kept only where it is not the default, as Python can say it."""
    usual = type(spec).model_fields
    return {k: v for k, v in spec.described().items() if v is not None or usual[k].default is not None}


def _space(spec: ModelSpec) -> dict[str, Knob]:
    """The settings that the person left to us."""
    return {name: knob for name, knob in SPACES.get(spec.kind, {}).items() if name not in spec.model_fields_set}


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
