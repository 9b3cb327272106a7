"""Metrics by name: ``metric("ndcg@10")``. A new one is a function and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from zhiyin.base.arrays import Bool, Float64, Int64
from zhiyin.base.errors import ConfigError, UnknownNameError, nearest
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.data.truth import Truth
from zhiyin.evaluate.facts import ItemFacts
from zhiyin.evaluate.metrics import accuracy, beyond, totals
from zhiyin.evaluate.metrics.lists import Judged

PerRequest = Callable[[Judged, int], Float64]
Total = Callable[[Int64, Bool | None], float]

ACCURACY: dict[str, PerRequest] = {
    "hr": accuracy.hr,
    "recall": accuracy.recall,
    "recall-capped": partial(accuracy.recall, capped=True),
    "precision": accuracy.precision,
    "f1": accuracy.f1,
    "ndcg": accuracy.ndcg,
    "mrr": accuracy.mrr,
    "map": accuracy.average_precision,
    "map-capped": partial(accuracy.average_precision, capped=True),
}
"""Need only lists and answers."""

BEYOND: dict[str, PerRequest] = {
    "auc": accuracy.auc,
    "novelty": beyond.novelty,
    "diversity": beyond.diversity,
    "serendipity": beyond.serendipity,
    "tail-share": beyond.tail_share,
    "calibration-kl": beyond.calibration_kl,
    "calibration-js": beyond.calibration_js,
}
"""Need facts about the items, some also the requests."""

TOTALS: dict[str, Total] = {"coverage": totals.coverage, "gini": totals.gini}
"""One number for all lists together."""

LESS_IS_BETTER = frozenset({"gini", "calibration-kl", "calibration-js"})


@dataclass(frozen=True, slots=True)
class Metric:
    """A named measure of the first k. Call it on lists and answers for (n_requests,) values."""

    name: str  # "ndcg"
    k: int

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"

    @property
    def per_request(self) -> bool:
        """False for a number that only all lists together have (coverage, gini)."""
        return self.name not in TOTALS

    @property
    def less_is_better(self) -> bool:
        return self.name in LESS_IS_BETTER

    def possible(self, facts: ItemFacts | None) -> bool:
        """Whether what is known of the items suffices."""
        if self.name in ACCURACY or self.name in TOTALS:
            return True
        if facts is None:
            return False
        if self.name == "diversity":
            return facts.vectors is not None
        return facts.categories is not None if self.name.startswith("calibration") else True

    def of(self, judged: Judged) -> Float64:
        """(n_requests,), NaN where undefined; raises for coverage and gini, which have one value."""
        if not self.per_request:
            raise ConfigError(f"{self} is one number for all lists together", "Use evaluate(...).mean(name).")
        return (ACCURACY.get(self.name) or BEYOND[self.name])(judged, self.k)

    def __call__(self, slates: Slates, truth: Truth, requests: Requests | None = None, facts: ItemFacts | None = None) -> Float64:
        return self.of(Judged(slates, truth, requests, facts))


def metric(name: str | Metric, k: int = 10) -> Metric:
    """``"ndcg@10"`` -> the metric; without "@" the given ``k`` holds. Unknown names get the nearest."""
    if isinstance(name, Metric):
        return name
    kind, at, depth = name.strip().lower().partition("@")
    known = [*ACCURACY, *BEYOND, *TOTALS]
    if kind not in known:
        raise UnknownNameError(f"no metric is named '{name}'", nearest(kind, known))
    if at and not (depth.isdecimal() and int(depth) > 0):
        raise ConfigError(f"metric '{name}' must end in @ and a whole number above 0", f"Write '{kind}@10'.")
    if k < 1:
        raise ConfigError(f"k = {k} is not a list length", "Give k = 1 or more.")
    return Metric(kind, int(depth) if at else k)


def metrics_of(names: Iterable[str | Metric], k: int = 10) -> tuple[Metric, ...]:
    """Each name once, in the order given; at least one."""
    found = tuple(dict.fromkeys(metric(name, k) for name in names))
    if not found:
        raise ConfigError("no metric was asked for", "Give at least one, such as 'ndcg@10'.")
    return found


def measure(slates: Slates, truth: Truth, names: Iterable[str | Metric], k: int = 10) -> dict[str, Float64]:
    """Several metrics of the same lists; lists and answers are matched once."""
    judged = Judged(slates, truth)
    return {str(m): m.of(judged) for m in metrics_of(names, k)}
