"""Models side by side on the same requests: means with intervals, paired differences, slices."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zhiyin.base.arrays import Float64
from zhiyin.base.errors import ConfigError, UnknownNameError, nearest
from zhiyin.data.dataset import Dataset
from zhiyin.data.truth import Holdout
from zhiyin.evaluate.bootstrap import Difference, Estimate, corrected, differences, estimates
from zhiyin.evaluate.facts import ItemFacts
from zhiyin.evaluate.metrics.registry import Metric, metric
from zhiyin.evaluate.protocol import Scores, evaluate
from zhiyin.evaluate.slices import Slice, slice_by
from zhiyin.models.roles import Retriever

if TYPE_CHECKING:
    from zhiyin.page.page import Page

SLICES = ("items", "activity")


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One group of requests: ``estimates[model][metric]``."""

    slice: str
    label: str
    n: int
    estimates: Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True)
class Comparison:
    """What was measured, best model first. Printing it shows the tables.

    ``differences[model][metric]`` is model minus ``against`` on the same requests; Holm's correction
    runs over the models within each metric. When ``against`` is the best by the first metric and
    not named beforehand, its lead is slightly flattered: confirm on other data what hangs on it.
    """

    data: str
    note: str  # the split, the repeat policy
    n: int
    against: str
    metrics: tuple[str, ...]
    estimates: Mapping[str, Mapping[str, Estimate]]  # [model][metric], models best first
    differences: Mapping[str, Mapping[str, Difference]]
    slices: tuple[SliceRow, ...]
    train_cpu_s: Mapping[str, float]  # [model], where known
    users_per_cpu_s: Mapping[str, float]  # [model], requests answered per processor second
    scores: Mapping[str, Scores] = field(repr=False)

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self.estimates)

    @property
    def primary(self) -> str:
        """The metric that orders the models."""
        return self.metrics[0]

    @property
    def sliced(self) -> str:
        """The metric shown by slice: the first that single requests have."""
        return next((m for m in self.metrics if metric(m).per_request), self.primary)

    def to_text(self, width: int = 110) -> str:
        """Tables for a terminal of that many columns."""
        from zhiyin.evaluate.report import as_text

        return as_text(self, width)

    def to_page(self) -> Page:
        """One self-contained HTML page with tables and plots; ``.save(path)`` writes it."""
        from zhiyin.evaluate.report import as_page

        return as_page(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; undefined numbers are None."""
        models = [
            {
                "model": name,
                "train_cpu_s": _plain(self.train_cpu_s.get(name)),
                "users_per_cpu_s": _plain(self.users_per_cpu_s.get(name)),
                "metrics": {m: _numbers(e) for m, e in found.items()},
                "difference": {m: _numbers(d) for m, d in self.differences.get(name, {}).items()},
            }
            for name, found in self.estimates.items()
        ]
        slices = [
            {
                "slice": row.slice,
                "label": row.label,
                "n": row.n,
                "models": {name: {m: _numbers(e) for m, e in found.items()} for name, found in row.estimates.items()},
            }
            for row in self.slices
        ]
        header = {"data": self.data, "note": self.note, "n": self.n, "against": self.against, "metrics": list(self.metrics)}
        return {**header, "models": models, "slices": slices}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False)

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        from zhiyin.evaluate.report import as_html_table

        return as_html_table(self)


def compare(
    models: Mapping[str, Retriever],
    holdout: Holdout,
    train: Dataset,
    *,
    metrics: Iterable[str | Metric] | None = None,
    k: int = 10,
    baseline: str | None = None,
    slices: Sequence[str] = SLICES,
    category: str | None = None,
    note: str = "",
    train_cpu_s: Mapping[str, float] | None = None,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """Measure every model on the same requests and say which differences are real.

    ``train`` is what the models learned from (popularity, cold items and the repeat policy are
    read from it); ``note`` is the split's. The first metric orders the models. ``baseline`` names
    the model that the others are compared with, the best one when None. ``slices``: see
    ``slice_by``; those with a single group are left out. ``progress``: (model, done, of).
    """
    if not models:
        raise ConfigError("there is no model to compare", "Give at least one.")
    if baseline is not None and baseline not in models:
        raise UnknownNameError(f"the baseline '{baseline}' is not among the models", nearest(baseline, models))
    wanted = None if metrics is None else tuple(metrics)
    facts: dict[int, ItemFacts] = {}
    scores: dict[str, Scores] = {}
    for name, model in models.items():
        size = len(model.catalog)
        if size not in facts:
            facts[size] = ItemFacts.of(train, model.catalog, category)
        scores[name] = evaluate(
            model, holdout, wanted, k, facts=facts[size], seed=seed, name=name,
            progress=None if progress is None else _named(progress, name),
        )  # fmt: skip
    names = scores[next(iter(scores))].names
    primary = metric(names[0])
    sign = -1.0 if primary.less_is_better else 1.0
    ranked = sorted(scores, key=lambda name: -np.nan_to_num(sign * scores[name].mean(names[0]), nan=-np.inf))
    scores = {name: scores[name] for name in ranked}
    against = baseline or ranked[0]
    return Comparison(
        data=train.manifest.name,
        note=note or f"repeat {train.manifest.repeat}",
        n=len(holdout),
        against=against,
        metrics=names,
        estimates=_estimated(scores, seed),
        differences=_differences(scores, against, seed),
        slices=tuple(row for s in slices for row in _slice_rows(slice_by(s, holdout, train), scores, seed)),
        train_cpu_s=dict(train_cpu_s or {}),
        users_per_cpu_s={name: s.n / s.retrieve_cpu_s if s.retrieve_cpu_s > 0 else float("inf") for name, s in scores.items()},
        scores=scores,
    )


def _named(progress: Callable[[str, int, int], None], name: str) -> Callable[[int, int], None]:
    return lambda done, of: progress(name, done, of)


def _columns(scores: Mapping[str, Scores]) -> Float64:
    """All models' values side by side: (n_requests, n_models * n_metrics)."""
    return np.stack([values for s in scores.values() for values in s.values.values()], axis=1)


def _per_request(scores: Mapping[str, Scores]) -> list[str]:
    return list(next(iter(scores.values())).values)


def _estimated(scores: Mapping[str, Scores], seed: int) -> dict[str, dict[str, Estimate]]:
    """One resampling for all models and metrics."""
    names = _per_request(scores)
    found = iter(estimates(_columns(scores), seed)) if names else iter(())
    out = {model: {m: next(found) for m in names} for model in scores}
    nan = float("nan")
    return {
        model: {m: out[model][m] if m in out[model] else Estimate(s.totals[m], nan, nan, s.n) for m in s.names}
        for model, s in scores.items()
    }  # fmt: skip


def _differences(scores: Mapping[str, Scores], against: str, seed: int) -> dict[str, dict[str, Difference]]:
    names, rivals = _per_request(scores), [name for name in scores if name != against]
    if not names or not rivals:
        return {}
    base = np.stack([scores[against][m] for m in names], axis=1)
    values = np.concatenate([np.stack([scores[r][m] for m in names], axis=1) for r in rivals], axis=1)
    found = differences(values, np.tile(base, (1, len(rivals))), seed)
    by_metric = {m: corrected(found[i :: len(names)]) for i, m in enumerate(names)}
    return {rival: {m: by_metric[m][i] for m in names} for i, rival in enumerate(rivals)}


def _slice_rows(slice_: Slice, scores: Mapping[str, Scores], seed: int) -> list[SliceRow]:
    """A row for each group that has requests; none when there is only one."""
    groups = [(label, rows) for i, label in enumerate(slice_.labels) if len(rows := slice_.rows(i))]
    names = _per_request(scores)
    if len(groups) < 2 or not names:
        return []
    columns, out = _columns(scores), []
    for label, rows in groups:
        found = iter(estimates(columns[rows], seed))
        out.append(SliceRow(slice_.name, label, len(rows), {model: {m: next(found) for m in names} for model in scores}))
    return out


def _plain(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _numbers(what: Estimate | Difference) -> dict[str, float | None]:
    return {name: _plain(value) for name, value in asdict(what).items()}
