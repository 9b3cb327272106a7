"""Assess a data set: gains over simple rules with intervals, what adds how much, what it costs, and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from zhiyin.base.arrays import AnyArray
from zhiyin.base.clock import cpu_s, now_us
from zhiyin.base.errors import ConfigError, DataError
from zhiyin.data.cut import Split
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.data.split import default_split
from zhiyin.data.truth import Holdout
from zhiyin.evaluate.assess.cost import Cost, cost_of
from zhiyin.evaluate.assess.quick import Quick, only_new, quick_models
from zhiyin.evaluate.assess.without import EVERYBODY, LEAST, PLAIN, Addition, additions
from zhiyin.evaluate.bootstrap import Difference, Estimate, difference, estimate
from zhiyin.evaluate.protocol import Scores, evaluate
from zhiyin.evaluate.slices import slice_by
from zhiyin.models.roles import Retriever

if TYPE_CHECKING:
    from zhiyin.page.page import Page

METRIC, SEEN = "ndcg@10", "hr@10"
OURS = "zhiyin (quick)"
NEW = "new things"
WORTH = 0.05
"""A gain below this share of the rule's own quality is not worth running a recommender for."""


@dataclass(frozen=True, slots=True)
class Gain:
    """NDCG@10 of the quick recommender and of a simple rule on the same ``n`` requests."""

    rule: str
    slice: str
    label: str
    n: int
    of_rule: Estimate
    ours: Estimate
    difference: Difference

    @property
    def relative(self) -> float:
        """The gain as a share of what the rule reaches; infinite over nothing."""
        return _share(self.difference.value, self.of_rule.value)

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the gain as shares."""
        return _share(self.difference.low, self.of_rule.value), _share(self.difference.high, self.of_rule.value)


Answer = Literal["worth it", "worth it for new things", "not worth it here"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Worth it only if the gain over every simple rule is above 0 for sure and above the threshold."""

    answer: Answer
    sentence: str
    reasons: tuple[str, ...]  # against, one per rule that is not clearly beaten


@dataclass(frozen=True)
class Assessment:
    """All that the page says. ``hits``: share of requests with a find among ten items, by model."""

    data: str
    note: str
    n: int
    facts: Mapping[str, int]
    worth: float
    gains: tuple[Gain, ...]  # the whole first, then things not had before, then by slice
    hits: Mapping[str, Estimate]
    additions: tuple[Addition, ...]
    cost: Cost
    verdict: Verdict
    cpu_s: float
    minutes: float

    def to_text(self) -> str:
        """One page for a terminal."""
        from zhiyin.evaluate.assess.report import as_text

        return as_text(self)

    def to_page(self) -> Page:
        """One self-contained HTML page; ``.save(path)`` writes it."""
        from zhiyin.evaluate.assess.report import as_page

        return as_page(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        gains = [{**asdict(g), "relative": g.relative, "relative_interval": list(g.interval)} for g in self.gains]
        return {
            "data": self.data, "note": self.note, "n": self.n, "facts": dict(self.facts), "metric": METRIC, "worth_from": self.worth,
            "verdict": asdict(self.verdict), "gains": gains, "hits": {name: asdict(e) for name, e in self.hits.items()},
            "additions": [asdict(a) for a in self.additions], "cost": asdict(self.cost), "cpu_s": self.cpu_s,
        }  # fmt: skip


def assess(data: Dataset, *, split: Callable[[Dataset], Split] = default_split, worth: float = WORTH, run: Run | None = None) -> Assessment:
    """Fit quick models on the past of a split and say what a recommender would gain on its test requests.

    ``data`` has its text vectors already where its items have text; ``worth`` is the least gain, as a
    share of what the best simple rule reaches. Costs about a minute for 400,000 events of 4,000 items.
    Raises ``DataError`` without events or without anybody who came back, ``ConfigError`` for a bad threshold.
    """
    if not 0 <= worth < 10:
        raise ConfigError(f"{worth:g} is no threshold for a gain", "Give a share such as 0.05 for 5%.")
    if not len(data.events):
        raise DataError(f"data set '{data.manifest.name}' has no events to learn from", "Check events.file in zhiyin.toml.")
    circumstances = run or Run()
    before, began = cpu_s(), now_us()
    cut = split(data)
    if not len(cut.validation) or not len(cut.test):
        when = "test" if len(cut.validation) else "validation"
        raise DataError(
            f"nobody in the {when} period of '{data.manifest.name}' chose anything new", "Say --repeat allow, or give a longer history."
        )
    quick = quick_models(cut, circumstances)
    gains, hits = _gains(quick, circumstances.seed)
    added = additions(quick, circumstances)
    cost = cost_of(quick, circumstances)
    facts = {"people": data.n_users, "items": data.n_items, "events": len(data.events), "test requests": len(quick.split.test)}
    return Assessment(
        data.manifest.name, cut.note, len(quick.split.test), facts, worth, tuple(gains), hits, tuple(added), cost,
        verdict_of(gains, worth, hits), cpu_s() - before, (now_us() - began) / 6e7,
    )  # fmt: skip


def _gains(quick: Quick, seed: int) -> tuple[list[Gain], dict[str, Estimate]]:
    """On all requests, for new things alone, by slice; and how often a find is among ten items."""
    test, train = quick.split.test, quick.split.train
    scores = _scores({OURS: quick.blend, **quick.rules}, test, seed)
    gains = _compared(scores, quick.rules, "", EVERYBODY, np.arange(len(test)), seed)
    if train.manifest.repeat.policy != "never":
        fresh, judge = only_new(test, train.n_items), only_new(quick.split.validation, train.n_items)
        if len(fresh) >= LEAST and len(judge) >= LEAST:
            rule = next(iter(quick.rules))
            models = {OURS: quick.weighed(quick.parts, judge), rule: quick.rules[rule]}
            gains += _compared(_scores(models, fresh, seed), [rule], NEW, "things not had before", np.arange(len(fresh)), seed)
    for name in ("items", "activity"):
        slice_ = slice_by(name, test, train)
        rows = [(label, found) for i, label in enumerate(slice_.labels) if LEAST <= len(found := slice_.rows(i)) < len(test)]
        for label, found in rows:
            gains += _compared(scores, quick.rules, name, PLAIN.get(label, f"people with {label}"), found, seed)
    return gains, {name: estimate(s[SEEN], seed) for name, s in scores.items()}


def _scores(models: Mapping[str, Retriever], test: Holdout, seed: int) -> dict[str, Scores]:
    return {name: evaluate(model, test, (METRIC, SEEN), seed=seed, name=name) for name, model in models.items()}


def _compared(scores: Mapping[str, Scores], rules: Iterable[str], slice_: str, label: str, rows: AnyArray, seed: int) -> list[Gain]:
    ours = scores[OURS][METRIC][rows]
    of_rules = {rule: scores[rule][METRIC][rows] for rule in rules}
    return [
        Gain(rule, slice_, label, len(rows), estimate(values, seed), estimate(ours, seed), difference(ours, values, seed))
        for rule, values in of_rules.items()
    ]


def verdict_of(gains: Sequence[Gain], worth: float, hits: Mapping[str, Estimate]) -> Verdict:
    """From the gains on all requests, one per rule, and on things not had before."""
    whole = [g for g in gains if not g.slice]
    against = tuple(said for g in whole if (said := _against(g, worth)))
    hardest = min(whole, key=lambda g: g.difference.value)
    if not against:
        sentence = (
            f"Worth it: of 100 people {100 * hits[OURS].value:.0f} find what they really chose among ten items, and "
            f"{100 * hits[hardest.rule].value:.0f} with '{hardest.rule}', the best simple rule; the gain is {_percent(hardest)}."
        )
        return Verdict("worth it", sentence, ())
    new = [g for g in gains if g.slice == NEW]
    if new and not any(_against(g, worth) for g in new):
        sentence = (
            f"Worth it for things people have not had before, and only for those: there the ranking gains {_percent(new[0])} over "
            f"'{new[0].rule}'. For everything together {against[0]}: show what people had before by that rule."
        )
        return Verdict("worth it for new things", sentence, against)
    best = max(whole, key=lambda g: g.of_rule.value).rule
    return Verdict("not worth it here", f"Not worth it here: {against[0]}. The simple rule '{best}' will do.", against)


def _against(g: Gain, worth: float) -> str:
    """What speaks against a recommender in a gain; nothing where it is clear and large enough."""
    said = f"the gain over '{g.rule}' ({_percent(g)})"
    if not g.difference.high > 0:
        return f"{said} is not above zero"
    if not g.difference.low > 0:
        return f"{said} cannot be told from zero on {g.n:,} requests"
    if g.relative < worth:
        return f"{said} is real but below the {worth:.0%} that make it worth the trouble"
    return ""


def _percent(g: Gain) -> str:
    low, high = g.interval
    return f"{g.relative:+.1%} [{low:+.1%}, {high:+.1%}] {METRIC}" if np.isfinite(g.relative) else f"{g.difference.value:+.4f} {METRIC}"


def _share(part: float, whole: float) -> float:
    if whole > 0:
        return part / whole
    return 0.0 if part == 0 else float(np.copysign(np.inf, part))
