"""Full-ranking evaluation: ask the model, judge the lists, keep one value per request and metric."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Float64
from zhiyin.base.clock import cpu_s
from zhiyin.base.errors import ConfigError, DataError, UnknownNameError, nearest
from zhiyin.data.truth import Holdout
from zhiyin.evaluate.bootstrap import Estimate, estimates
from zhiyin.evaluate.facts import ItemFacts
from zhiyin.evaluate.metrics.lists import Judged
from zhiyin.evaluate.metrics.registry import TOTALS, Metric, metrics_of
from zhiyin.evaluate.validate import refuse_broken
from zhiyin.models.roles import Retriever

ACCURACY_METRICS = ("ndcg", "hr", "recall", "precision", "f1", "mrr", "map")
METRICS = (*ACCURACY_METRICS, "coverage", "novelty", "diversity", "serendipity", "gini", "tail-share", "calibration-js")

CELLS = 200_000
"""List rows judged at once: a few tens of MB with every metric."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What one model reached: (n_requests,) values per metric name, and one number per total metric."""

    names: tuple[str, ...]  # in the order asked for
    values: Mapping[str, Float64]  # "ndcg@10" -> (n_requests,)
    totals: Mapping[str, float]  # "coverage@10" -> number
    n: int
    retrieve_cpu_s: float  # processor seconds spent in the model
    seed: int = 0

    def __getitem__(self, name: str) -> Float64:
        """Values per request: (n_requests,)."""
        if name not in self.values:
            raise UnknownNameError(f"'{name}' was not measured per request", nearest(name, self.values))
        return self.values[name]

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """Mean and bootstrap interval of every metric; totals have no interval."""
        columns = np.stack(list(self.values.values()), axis=1) if self.values else np.zeros((self.n, 0))
        found = dict(zip(self.values, estimates(columns, self.seed), strict=True))
        return {**found, **{name: Estimate(v, float("nan"), float("nan"), self.n) for name, v in self.totals.items()}}

    def mean(self, name: str) -> float:
        """The value alone, without the cost of an interval."""
        if name in self.totals:
            return self.totals[name]
        values = self[name]
        return float(np.nanmean(values)) if not bool(np.isnan(values).all()) else float("nan")

    def take(self, rows: AnyArray) -> Scores:
        """Only some requests; totals belong to all of them and are dropped."""
        chosen = np.asarray(rows)
        n = int(chosen.sum()) if chosen.dtype == np.bool_ else len(chosen)
        return Scores(tuple(self.values), {name: v[chosen] for name, v in self.values.items()}, {}, n, float("nan"), self.seed)


def evaluate(
    model: Retriever,
    holdout: Holdout,
    metrics: Iterable[str | Metric] | None = None,
    k: int = 10,
    *,
    facts: ItemFacts | None = None,
    seed: int = 0,
    name: str = "the model",
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Rank the whole catalogue for every request and measure the first k of each list.

    Metrics without "@k" take ``k``. None = all of ``METRICS`` that what is known of the items
    allows (``facts = ItemFacts.of(train)``); one asked for by name that is not possible is refused.
    Works in batches: memory is that of the model plus one float64 per request and metric.
    ``progress`` is called with (requests done, requests in all).
    """
    if not len(holdout):
        raise DataError("there is nothing to evaluate: the hold-out has no requests", "Choose another split or cut time.")
    wanted = _possible(metrics, k, facts)
    depth = max(m.k for m in wanted)
    n_items = len(model.catalog)
    if facts is not None and facts.n_items != n_items:
        raise ConfigError(f"facts are about {facts.n_items:,} items, {name} knows {n_items:,}", "Give ItemFacts.of(train, model.catalog).")
    rows = [m for m in wanted if m.per_request]
    values = {str(m): np.empty(len(holdout)) for m in rows}
    exposure = {m.k: np.zeros(n_items, np.int64) for m in wanted if not m.per_request}
    spent, step = 0.0, int(np.clip(CELLS // depth, 1, 8192))
    for start in range(0, len(holdout), step):
        part = holdout.take(np.arange(start, min(start + step, len(holdout))))
        before = cpu_s()
        slates = model.retrieve(part.requests, depth)
        spent += cpu_s() - before
        refuse_broken(slates, part.requests, n_items, name)
        judged = Judged(slates, part.truth, part.requests, facts)
        for m in rows:
            values[str(m)][start : start + len(part)] = m.of(judged)
        for at, counts in exposure.items():
            counts += np.bincount(judged.top(at).item_ix, minlength=n_items)
        if progress is not None:
            progress(start + len(part), len(holdout))
    totals = {str(m): TOTALS[m.name](exposure[m.k], _shown(model, holdout)) for m in wanted if not m.per_request}
    return Scores(tuple(map(str, wanted)), values, totals, len(holdout), spent, seed)


def _possible(metrics: Iterable[str | Metric] | None, k: int, facts: ItemFacts | None) -> tuple[Metric, ...]:
    if metrics is None:
        return tuple(m for m in metrics_of(METRICS, k) if m.possible(facts))
    wanted = metrics_of(metrics, k)
    for m in wanted:
        if not m.possible(facts):
            need = "facts=ItemFacts.of(train)" if facts is None else "items with text vectors or a category column"
            raise ConfigError(f"metric '{m}' needs what is not known of the items", f"Give {need}, or leave it out.")
    return wanted


def _shown(model: Retriever, holdout: Holdout) -> Bool | None:
    """(n_items,) what could have been shown at all; None = everything."""
    masks = [mask for mask in (model.catalog.available, holdout.requests.allowed) if mask is not None]
    return np.logical_and.reduce(masks) if masks else None
