"""What each feature is worth: coverage, drift, permutation importance, stability, and whether it leaks.

Measured on a two-stage recommender that was fitted on the past of a split: importance on the test requests,
which neither stage has seen; drift on the validation requests, which the ranker learned from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import rankdata

from zhiyin.base.arrays import AnyArray, Float64
from zhiyin.base.errors import DataError
from zhiyin.data.cut import Split
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.data.truth import Holdout, Truth, ndcg_at
from zhiyin.evaluate.assess.quick import quick_parts
from zhiyin.evaluate.bootstrap import Difference, Estimate, difference, estimate
from zhiyin.models.features.leaks import Leak, find_leaks, psi
from zhiyin.models.features.source import FAMILIES
from zhiyin.models.roles import RankingExamples
from zhiyin.models.two_stage import BASE, Candidates, TwoStage, TwoStageSpec, labelled, mixed

if TYPE_CHECKING:
    from zhiyin.page.page import Page

FEWEST = 10
"""Fewer requests than this say nothing about any feature."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What the final NDCG@10 loses when a column, or a family, is shuffled; and the same in the older and the newer half."""

    drop: Difference
    older: float
    newer: float


@dataclass(frozen=True, slots=True)
class Column:
    """``coverage``: share of rows with a value. ``drift``: PSI between the older and the newer half, NaN without time.

    ``worth`` is None where neither the ranker nor the first stage reads the column.
    """

    name: str
    family: str
    coverage: float
    drift: float
    worth: Worth | None


@dataclass(frozen=True, slots=True)
class FeatureReport:
    """``trust`` is the ranker's share in the order that was measured; ``stability`` the rank correlation of importance over two halves."""

    data: str
    note: str
    n: int
    n_candidates: int
    ranker: str
    trust: float
    trusted: bool
    ndcg: Estimate
    first: Estimate
    columns: tuple[Column, ...]
    families: Mapping[str, Worth]
    stability: float
    leaks: tuple[Leak, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_text(self) -> str:
        from zhiyin.evaluate.features_report import as_text

        return as_text(self)

    def to_page(self) -> Page:
        from zhiyin.evaluate.features_report import as_page

        return as_page(self)


def quick_two_stage(split: Split, run: Run) -> TwoStage:
    """Two stages in a minute: the default parts but the sequence model, the default features and ranker."""
    first = {"kind": "zhiyin", "parts": quick_parts(split.train)}
    return TwoStageSpec(first=first).fit(split.train, replace(run, holdout=split.validation, folder=None))


def kept_up(stage: Candidates, data: Dataset) -> Candidates:
    """The same stage with features that look back on newer data."""
    return replace(stage, sources=tuple(source.spec.fit(data) for source in stage.sources))


def feature_report(model: TwoStage, split: Split, run: Run, n_requests: int = 400, *, serving: Candidates | None = None) -> FeatureReport:
    """Judge every feature of a model that was fitted on the past of ``split``; ``n_requests`` of each part are drawn.

    Leaks are looked for between validation rows and those of ``serving`` (default: the model as it stands;
    a stage that is not kept up with the log may well differ from the training by that alone).
    Raises ``DataError`` where a part has too few requests to say anything.
    """
    for part, holdout in (("validation", split.validation), ("test", split.test)):
        if len(holdout) < FEWEST:
            raise DataError(f"{len(holdout)} {part} requests say nothing about features", f"Give more events: {FEWEST} requests at least.")
    validation, test = (holdout.sample(n_requests, run.seed) for holdout in (split.validation, split.test))
    run.report({"stage": "features", "note": "of validation and test requests", "step": 0, "of": 2})
    learned, asked = (_examples(model.stage, part, model.spec.n_candidates) for part in (validation, test))
    belongs = families_of(model.stage, learned.slates.columns)
    shuffled = Shuffled(model, asked, test.truth, run.seed)
    columns = []
    for at, (name, family) in enumerate(belongs.items()):
        run.report({"stage": "importance", "step": at, "of": len(belongs)})
        worth = shuffled.worth((name,)) if name in shuffled.read else None
        values = learned.slates.columns[name]
        columns.append(Column(name, family, float(np.mean(~np.isnan(values))), _drift(model, learned, values), worth))
    whole = {family: [name for name in shuffled.read if belongs[name] == family] for family in FAMILIES}
    return FeatureReport(
        data=model.manifest.name,
        note=split.note,
        n=len(test),
        n_candidates=model.spec.n_candidates,
        ranker=model.ranker.spec.kind,
        trust=shuffled.trust,
        trusted=model.trust > 0,
        ndcg=estimate(shuffled.whole, run.seed),
        first=estimate(ndcg_at(asked.slates, test.truth, 10), run.seed),
        columns=tuple(sorted(columns, key=lambda column: -column.worth.drop.value if column.worth else 1.0)),
        families={family: shuffled.worth(names) for family, names in whole.items() if names},
        stability=_agreement([c.worth for c in columns if c.worth]),
        leaks=tuple(find_leaks(learned, asked if serving is None else _examples(serving, test, model.spec.n_candidates))),
    )


def families_of(stage: Candidates, columns: Iterable[str]) -> dict[str, str]:
    """Column -> family; what the first stage says is behaviour."""
    told = {name: source.spec.family_of(name) for source in stage.sources for name in source.names}
    return {name: told.get(name, "behaviour") for name in columns}


class Shuffled:
    """The order of a model on test requests, and what is left of it without what a column says.

    A column's values are dealt anew over all rows of all requests: their distribution stays, their meaning goes.
    """

    def __init__(self, model: TwoStage, examples: RankingExamples, truth: Truth, seed: int) -> None:
        self.model, self.examples, self.truth, self.seed = model, examples, truth, seed
        # A ranker that is not trusted still can be asked what it reads.
        self.trust = model.trust or 1.0
        self.read = tuple(dict.fromkeys((*model.ranker.columns, BASE)))
        order = np.argsort(examples.requests.now_us, kind="stable")
        self.halves: tuple[AnyArray, AnyArray] = (order[: len(order) // 2], order[len(order) // 2 :])
        self.whole = self._ndcg(examples.slates)

    def worth(self, names: Sequence[str]) -> Worth:
        """Columns shuffled together keep what they say of each other."""
        slates = self.examples.slates
        order = np.random.default_rng(self.seed).permutation(len(slates.item_ix))
        dealt = {name: slates.columns[name][order] for name in names}
        without = self._ndcg(replace(slates, columns={**slates.columns, **dealt}))
        older, newer = (float(np.nanmean((self.whole - without)[half])) for half in self.halves)
        return Worth(difference(self.whole, without, self.seed), older, newer)

    def _ndcg(self, slates: Slates) -> Float64:
        score = mixed(slates, self.model.ranker.score(self.examples.requests, slates), self.trust)
        return ndcg_at(slates.reordered(score), self.truth, 10)


def _examples(stage: Candidates, holdout: Holdout, n: int) -> RankingExamples:
    return labelled(holdout.requests, stage.of(holdout.requests, n), holdout.truth)


def _drift(model: TwoStage, examples: RankingExamples, values: AnyArray) -> float:
    if model.manifest.order != "time":
        return float("nan")
    now = examples.requests.now_us
    newer = (np.argsort(np.argsort(now, kind="stable")) >= len(now) // 2)[examples.slates.items.rows]
    return psi(values[~newer], values[newer])


def _agreement(worth: Sequence[Worth]) -> float:
    """Spearman's correlation of what the older and the newer half of the requests say; NaN where one says nothing."""
    older, newer = rankdata([w.older for w in worth]), rankdata([w.newer for w in worth])
    if len(worth) < 3 or np.ptp(older) == 0 or np.ptp(newer) == 0:
        return float("nan")
    return float(np.corrcoef(older, newer)[0, 1])
