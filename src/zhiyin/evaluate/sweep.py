"""What a knob costs: one model's lists, re-ranked at every setting of it, measured on the same requests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zhiyin.base.arrays import Float64
from zhiyin.base.errors import ConfigError, DataError, UnknownNameError, nearest
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.data.truth import Holdout
from zhiyin.evaluate.bootstrap import Difference, Estimate, corrected, differences, estimates
from zhiyin.evaluate.facts import ItemFacts
from zhiyin.evaluate.metrics.lists import Judged
from zhiyin.evaluate.metrics.registry import TOTALS, Metric, metrics_of
from zhiyin.evaluate.validate import refuse_broken
from zhiyin.models.rerank.knobs import DEPTH
from zhiyin.models.rerank.registry import reranker_of
from zhiyin.models.rerank.traits import Traits
from zhiyin.models.roles import Reranker, Retriever

if TYPE_CHECKING:
    from zhiyin.page.page import Page


@dataclass(frozen=True, slots=True)
class Knob:
    """A setting of a re-ranker between 0 (the model's own lists) and 1, and the metric it is meant to move."""

    kind: str
    field: str
    moves: str


KNOBS = {
    "diversity": Knob("mmr", "diversity", "diversity"),
    "dpp": Knob("dpp", "diversity", "diversity"),
    "novelty": Knob("novelty", "novelty", "novelty"),
    "tail": Knob("tail", "share", "tail-share"),
    "calibrated": Knob("calibrated", "strength", "calibration-kl"),
}
VALUES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
BESIDE = ("coverage", "tail-share", "novelty", "diversity", "calibration-kl")
"""Measured beside accuracy and what the knob moves, as far as the items allow."""

CELLS = 400_000
"""Candidate rows held at once."""


def knob_named(name: str) -> Knob:
    """Raises ``UnknownNameError`` with the nearest."""
    if name not in KNOBS:
        raise UnknownNameError(f"no knob is named '{name}'", nearest(name, KNOBS))
    return KNOBS[name]


@dataclass(frozen=True)
class Sweep:
    """``estimates[model][i][metric]`` at ``values[i]``; ``differences`` likewise, to the lists at 0 on the same requests.

    Holm's correction runs over the settings within each model and metric. ``metrics`` begin with the one
    that judges the lists and the one the knob moves. Printing it shows the tables.
    """

    data: str
    note: str
    n: int
    knob: str
    values: tuple[float, ...]
    metrics: tuple[str, ...]
    depth: int
    estimates: Mapping[str, tuple[Mapping[str, Estimate], ...]]
    differences: Mapping[str, tuple[Mapping[str, Difference], ...]]  # [model][i][metric], totals are not in it
    scores: Mapping[str, Mapping[str, Float64]] = field(repr=False)  # [model][metric] (n_values, n_requests)

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self.estimates)

    def to_text(self, width: int = 110) -> str:
        """Tables for a terminal of that many columns."""
        from zhiyin.evaluate.sweep_report import as_text

        return as_text(self, width)

    def to_page(self) -> Page:
        """One self-contained HTML page with tables and plots; ``.save(path)`` writes it."""
        from zhiyin.evaluate.sweep_report import as_page

        return as_page(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; undefined numbers are None."""
        header = {"data": self.data, "note": self.note, "n": self.n, "knob": self.knob, "depth": self.depth, "metrics": list(self.metrics)}
        models = [{"model": name, "settings": [self._setting(name, i) for i in range(len(self.values))]} for name in self.models]
        return {**header, "values": list(self.values), "models": models}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False)

    def __str__(self) -> str:
        return self.to_text()

    def _setting(self, model: str, i: int) -> dict[str, Any]:
        found, against = self.estimates[model][i], self.differences[model][i]
        return {
            "value": self.values[i],
            "metrics": {m: _numbers(e) for m, e in found.items()},
            "difference": {m: _numbers(d) for m, d in against.items()},
        }


def sweep(
    models: Mapping[str, Retriever],
    knob: str,
    holdout: Holdout,
    train: Dataset,
    *,
    metrics: Iterable[str | Metric] | None = None,
    k: int = 10,
    values: Sequence[float] = VALUES,
    depth: int = DEPTH,
    category: str | None = None,
    note: str = "",
    seed: int = 0,
) -> Sweep:
    """Retrieve ``depth`` candidates once, re-rank them at every value of the knob, measure the first k.

    ``train`` is what the models learned from: popularity and the tail are read from it. The first of
    ``metrics`` judges the lists (ndcg when None). The value 0 is always among those measured. Raises
    ``ConfigError`` where the items lack what the knob's metric needs.
    """
    settings = tuple(sorted({0.0, *values}))
    if settings[0] < 0 or settings[-1] > 1:
        raise ConfigError(f"a knob turns from 0 to 1, and {settings[0] if settings[0] < 0 else settings[-1]:g} was asked for")
    if not models or not len(holdout):
        raise DataError("there is nothing to sweep over: no model, or no request in the hold-out", "Give both.")
    scores: dict[str, dict[str, Float64]] = {}
    wanted: tuple[Metric, ...] = ()
    for name, model in models.items():
        facts = ItemFacts.of(train, model.catalog, category)
        wanted = _wanted(knob, metrics, k, facts)
        turned = _Turned.of(knob, settings, train, model, facts, category)
        scores[name] = turned.measured(holdout, wanted, max(depth, k), name)
    rows = [str(m) for m in wanted if m.per_request]
    return Sweep(
        data=train.manifest.name,
        note=note or f"repeat {train.manifest.repeat}",
        n=len(holdout),
        knob=knob,
        values=settings,
        metrics=tuple(map(str, wanted)),
        depth=max(depth, k),
        estimates={name: _estimated(found, rows, tuple(map(str, wanted)), len(holdout), seed) for name, found in scores.items()},
        differences={name: _differences(found, rows, seed) for name, found in scores.items()},
        scores={name: {m: found[m] for m in rows} for name, found in scores.items()},
    )


@dataclass(frozen=True)
class _Turned:
    """One model with the re-rankers of every setting; None leaves its lists as they are."""

    model: Retriever
    rerankers: tuple[Reranker | None, ...]
    facts: ItemFacts

    @classmethod
    def of(cls, knob: str, settings: Sequence[float], train: Dataset, model: Retriever, facts: ItemFacts, category: str | None) -> _Turned:
        turn = knob_named(knob)
        known = Traits.of(train).with_catalog(model.catalog)
        traits = known if category is None else replace(known, category=category)
        made = [reranker_of({"kind": turn.kind, turn.field: value}).over(traits) if value else None for value in settings]
        return cls(model, tuple(made), facts)

    def measured(self, holdout: Holdout, wanted: Sequence[Metric], depth: int, name: str) -> dict[str, Float64]:
        """Metric -> (n_settings, n_requests), or (n_settings,) for one of all lists together."""
        n, n_items, length = len(holdout), len(self.model.catalog), max(m.k for m in wanted)
        found = {str(m): np.empty((len(self.rerankers), n)) for m in wanted if m.per_request}
        exposure = {str(m): np.zeros((len(self.rerankers), n_items), np.int64) for m in wanted if not m.per_request}
        step = max(1, CELLS // depth)
        for start in range(0, n, step):
            part = holdout.take(np.arange(start, min(start + step, n)))
            asked = replace(part.requests, n=length)
            slates = self.model.retrieve(asked, depth)
            refuse_broken(slates, asked, n_items, name)
            for i, reranker in enumerate(self.rerankers):
                judged = self._judged(reranker, asked, slates, part, length)
                for m in wanted:
                    if m.per_request:
                        found[str(m)][i, start : start + len(part)] = m.of(judged)
                    else:
                        exposure[str(m)][i] += np.bincount(judged.top(m.k).item_ix, minlength=n_items)
        shown = self.facts.available
        totals = {str(m): np.array([TOTALS[m.name](row, shown) for row in exposure[str(m)]]) for m in wanted if not m.per_request}
        return {**found, **totals}

    def _judged(self, reranker: Reranker | None, asked: Requests, slates: Slates, part: Holdout, length: int) -> Judged:
        turned = slates if reranker is None else reranker.rerank(asked, slates)
        return Judged(turned.top(length), part.truth, part.requests, self.facts)


def _wanted(knob: str, metrics: Iterable[str | Metric] | None, k: int, facts: ItemFacts) -> tuple[Metric, ...]:
    """The judging metric, what the knob moves, and what else can be told; raises where the knob's cannot be."""
    moved = metrics_of([knob_named(knob).moves], k)[0]
    if not moved.possible(facts):
        need = "text vectors of the items" if moved.name == "diversity" else "a category or list column of the items"
        raise ConfigError(f"sweeping '{knob}' is measured by {moved}, which needs {need}", f"Sweep one of: {', '.join(KNOBS)}.")
    asked = metrics_of(["ndcg"] if metrics is None else metrics, k)
    beside = [m for m in metrics_of(BESIDE, k) if m.possible(facts)] if metrics is None else []
    return tuple(dict.fromkeys((asked[0], moved, *asked[1:], *beside)))


def _estimated(
    found: Mapping[str, Float64], rows: Sequence[str], names: Sequence[str], n: int, seed: int
) -> tuple[Mapping[str, Estimate], ...]:
    """One resampling for all settings and metrics."""
    told = iter(estimates(np.concatenate([found[m] for m in rows]).T, seed))
    means = {m: [next(told) for _ in found[m]] for m in rows}
    nan = float("nan")
    totals = {m: [Estimate(float(v), nan, nan, n) for v in found[m]] for m in names if m not in means}
    both = {**means, **totals}
    return tuple({m: both[m][i] for m in names} for i in range(len(both[names[0]])))


def _differences(found: Mapping[str, Float64], rows: Sequence[str], seed: int) -> tuple[Mapping[str, Difference], ...]:
    """To the first setting; none for itself."""
    out: list[dict[str, Difference]] = [{} for _ in found[rows[0]]]
    for m in rows:
        values = found[m]
        others = np.repeat(values[:1], len(values) - 1, axis=0)
        for i, difference in enumerate(corrected(differences(values[1:].T, others.T, seed)) if len(values) > 1 else (), 1):
            out[i][m] = difference
    return tuple(out)


def _numbers(what: Estimate | Difference) -> dict[str, float | None]:
    return {name: float(value) if np.isfinite(value) else None for name, value in asdict(what).items()}
