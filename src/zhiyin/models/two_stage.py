"""Two stages as one model: a retriever finds a hundred candidates, a ranker orders them by features.

The ranker learns from validation requests, none of whose answers the counts or the fit of the retriever
have seen, so its features mean in training what they mean when serving. (A retriever that stops early or
weighs its parts looks at the same requests for that alone.) How far it is trusted beside the retriever's own
order is decided on requests it was not fitted on: where it does not help it is not used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from zhiyin.base.arrays import Float32
from zhiyin.base.errors import ConfigError, FitError, nearest
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run, silent
from zhiyin.data.schema import Manifest
from zhiyin.data.slates import Slates
from zhiyin.data.split import default_split
from zhiyin.data.truth import Holdout, Truth, ndcg_at
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.features.registry import default_sources, source_of
from zhiyin.models.features.source import FeatureSpec, FittedSource
from zhiyin.models.rank.registry import ranker_of
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.blend import Blend, BlendSpec
from zhiyin.models.retrieve.profile import liked
from zhiyin.models.roles import Model, ModelSpec, RankerModel, RankingExamples, State

BASE = "score.first"
"""The column of the first stage's own score."""

PLACE = "rank.first"
"""The column of log(1 + place) in the first stage's own order."""

TRUST = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the ranker in the final order that are tried."""


class TwoStageSpec(ModelSpec):
    """Choose where the blend is good and time, place, prices or habits say more; costs the blend and a minute.

    ``first`` is the table of the retriever, ``sources`` those of the features (default: what fits the
    data), ``ranker`` that of the second stage. ``n_examples`` validation requests are learned from, in
    ``folds`` turns to see what it is worth out of sample.
    """

    kind: ClassVar[str] = "two-stage"
    validates: ClassVar[bool] = True

    first: dict[str, Any] = Field(default_factory=lambda: {"kind": "zhiyin"})
    sources: tuple[dict[str, Any], ...] = ()
    ranker: dict[str, Any] = Field(
        default_factory=lambda: {"kind": "trees", "base": BASE, "leaves": 15, "n_trees": 300, "learning_rate": 0.05, "min_leaf": 50}
    )
    n_candidates: Annotated[int, Field(ge=10)] = 100
    n_examples: Annotated[int, Field(ge=50)] = 8_000
    folds: Annotated[int, Field(ge=2, le=10)] = 3

    @model_validator(mode="after")
    def _tables_hold(self) -> TwoStageSpec:
        """Mistakes in any table are said when it is read, not after an hour of training."""
        if isinstance(spec_of(self.first, "two-stage.first"), TwoStageSpec):
            raise ConfigError("two stages cannot be the first of two stages", "Name a retriever, such as 'zhiyin' or 'transitions'.")
        kinds = [spec.kind for spec in self._source_specs()]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise ConfigError(f"two-stage.sources names '{kind}' {kinds.count(kind)} times", "Put all its settings in one table.")
        for name in ranker_of(self.ranker, "two-stage.ranker").reads:
            if name.startswith(("score.", "rank.")) and not self._of_first(name):
                raise _no_column(name, (BASE, PLACE))
        return self

    def _of_first(self, column: str) -> bool:
        """Whether the first stage may give the column: its score and place, and what each part of a blend says."""
        of_part = re.match(r"score\.\d+\.", column) is not None
        return column in (BASE, PLACE) or (of_part and isinstance(spec_of(self.first), BlendSpec))

    def _source_specs(self) -> list[FeatureSpec]:
        return [source_of(table, f"two-stage.sources[{i}]") for i, table in enumerate(self.sources)]

    def fit(self, data: Dataset, run: Run) -> TwoStage:
        cut = default_split(data) if run.holdout is None else None
        past, holdout = (data, run.holdout) if cut is None else (cut.before_test, cut.test)
        self._check_columns(past)
        folder = run.folder / "first" if run.folder else None
        first = spec_of(self.first, "two-stage.first").fit(past, replace(run, holdout=holdout, folder=folder))
        return self.of_first(past, first, replace(run, holdout=holdout))

    def _check_columns(self, data: Dataset) -> None:
        """Before the first stage is fitted: raises ConfigError where this data lack what a source or the ranker reads."""
        known = [name for spec in self._source_specs() or default_sources(data) for name in spec.names_on(data)]
        for name in ranker_of(self.ranker, "two-stage.ranker").reads:
            if not self._of_first(name) and name not in known:
                raise _no_column(name, known)

    def of_first(self, data: Dataset, first: Model, run: Run) -> TwoStage:
        """The second stage over a retriever that is fitted on ``data`` already."""
        if run.holdout is None:
            raise FitError("two stages need validation requests to learn the second from", "Give run.holdout.")
        sources = tuple(spec.fit(data) for spec in self._source_specs() or default_sources(data))
        spec = self.model_copy(update={"first": first.spec.described(), "sources": tuple(s.spec.described() for s in sources)})
        stage = Candidates(first, sources)
        run.report({"stage": self.kind, "note": "features of the examples", "step": 1, "of": 3})
        examples, truth = self._examples(stage, run.holdout, run.seed)
        run.report({"stage": self.kind, "note": "fitting the ranker", "step": 2, "of": 3})
        quiet = replace(run, report=silent, holdout=None, folder=None)
        trust, figures = self._trusted(examples, truth, quiet)
        ranker = _fitted(self.ranker, examples, quiet)
        note = f"ndcg@10 out of sample: first stage {figures[0]:.4f}, with the ranker at trust {trust:g} {max(figures):.4f}"
        run.report({"stage": self.kind, "note": note, "step": 3, "of": 3})
        return TwoStage(spec, data.catalog, stage, ranker, trust, figures, data.manifest)

    def _examples(self, stage: Candidates, holdout: Holdout, seed: int) -> tuple[RankingExamples, Truth]:
        """Candidates of validation requests with labels; requests none of whose answers were found teach nothing."""
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(holdout))[: self.n_examples]
        kept = holdout.take(np.sort(order))
        examples = labelled(kept.requests, stage.of(kept.requests, self.n_candidates), kept.truth, stage.first.catalog)
        rows = np.unique(examples.slates.items.rows[examples.labels > 0])
        if len(rows) < 2 * self.folds:
            raise FitError(
                f"the first stage finds the answers of {len(rows)} validation requests only", "Give more events, or use 'zhiyin'."
            )
        return examples.take(rows), kept.truth.take(rows)

    def _trusted(self, examples: RankingExamples, truth: Truth, run: Run) -> tuple[float, tuple[float, ...]]:
        """The best share of the ranker, and NDCG@10 of every share tried, all on requests it was not fitted on."""
        n = len(examples.requests)
        fold = np.random.default_rng(run.seed).permutation(n) % self.folds
        scores = np.zeros(len(examples.labels), np.float32)
        request = examples.slates.items.rows
        for i in range(self.folds):
            fitted = _fitted(self.ranker, examples.take(np.flatnonzero(fold != i)), run)
            held = np.flatnonzero(fold == i)
            scores[np.isin(request, held)] = fitted.score(examples.requests.take(held), examples.slates.take(held))
        figures = tuple(
            float(np.nanmean(ndcg_at(examples.slates.reordered(mixed(examples.slates, scores, share)), truth, 10))) for share in TRUST
        )
        return TRUST[int(np.argmax(figures))], figures

    def restore(self, state: State, catalog: Catalog) -> TwoStage:
        manifest = Manifest.parse(state.meta["manifest"], "the saved model's manifest")
        nothing = np.zeros(0, np.int32)
        data = Dataset(manifest, Vocabulary([]), catalog, Events.of(nothing, nothing, nothing.astype(np.int64)))
        first = spec_of(self.first, "the saved model").restore(state.under("first"), catalog)
        sources = tuple(
            source_of(table, "the saved model").restore(state.under(f"source{i}"), data) for i, table in enumerate(self.sources)
        )
        ranker = ranker_of(self.ranker, "the saved model").restore(state.under("ranker"), catalog)
        return TwoStage(self, catalog, Candidates(first, sources), ranker, state.meta["trust"], tuple(state.meta["figures"]), manifest)


@dataclass(frozen=True)
class Candidates:
    """The first stage and the features: slates with every column the ranker may read."""

    first: Model
    sources: tuple[FittedSource, ...]

    def of(self, requests: Requests, k: int) -> Slates:
        return Slates.concatenated(self._featured(chunk, k) for chunk in requests.chunks(512))

    def _featured(self, requests: Requests, k: int) -> Slates:
        found = self.first.candidates(requests, k) if isinstance(self.first, Blend) else self.first.retrieve(requests, k)
        place = np.arange(len(found.item_ix)) - np.repeat(found.offsets[:-1], found.lengths)
        found = found.with_column(BASE, found.score).with_column(PLACE, np.log1p(place))
        return featured(requests, found, self.sources)

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, first=self.first.with_catalog(catalog), sources=tuple(s.with_catalog(catalog) for s in self.sources))


def _no_column(name: str, known: Sequence[str]) -> ConfigError:
    return ConfigError(f"two-stage.ranker reads column '{name}', which neither the first stage nor a source gives", nearest(name, known))


def featured(requests: Requests, slates: Slates, sources: Sequence[FittedSource]) -> Slates:
    """The same slates with the columns of every source: the one path of training, measuring and serving.

    Splits keep what is a sign of liking; whoever is served has also seen, sent back and disliked. Only the former is read.
    """
    requests = replace(requests, history=liked(requests.history))
    for source in sources:
        slates = slates.with_columns(source.names, source.features(requests, slates))
    return slates


def labelled(requests: Requests, slates: Slates, truth: Truth, catalog: Catalog | None = None) -> RankingExamples:
    """Examples whose label says whether the candidate is an answer."""
    width = int(max(truth.items.values.max(initial=0), slates.item_ix.max(initial=0))) + 1
    answers = truth.items.rows * width + truth.items.values
    labels = np.isin(slates.items.rows * width + slates.item_ix, answers).astype(np.float32)
    return RankingExamples(requests, slates, labels, np.ones(len(labels), np.float32), catalog)


def mixed(slates: Slates, ranked: Float32, trust: float) -> Float32:
    """The first stage's order and the ranker's, each in standard deviations of its list, ``trust`` the ranker's share."""
    if trust == 1.0:
        return ranked
    own = slates.standardised(slates.columns[BASE]).astype(np.float32)
    return own if trust == 0.0 else np.asarray((1 - trust) * own + trust * slates.standardised(ranked).astype(np.float32), np.float32)


@dataclass(frozen=True)
class TwoStage:
    """``figures`` are NDCG@10 out of sample at every share in TRUST, ``trust`` is the share taken.

    They are of the requests that have an answer among the candidates: in the others no order helps.
    """

    spec: TwoStageSpec
    catalog: Catalog
    stage: Candidates
    ranker: RankerModel
    trust: float
    figures: tuple[float, ...]
    manifest: Manifest

    def retrieve(self, requests: Requests, k: int) -> Slates:
        if not self.trust:  # the first order stands, and features would cost most of the time for nothing
            return self.stage.first.retrieve(requests, k)
        parts = []
        for chunk in requests.chunks(512):
            found = self.stage.of(chunk, max(k, self.spec.n_candidates))
            parts.append(found.reordered(mixed(found, self.ranker.score(chunk, found), self.trust)).top(k))
        return Slates.concatenated(parts)

    def state(self) -> State:
        parts: dict[str, State] = {"first": self.stage.first.state(), "ranker": self.ranker.state()}
        parts |= {f"source{i}": source.state() for i, source in enumerate(self.stage.sources)}
        meta: Mapping[str, Any] = {
            "trust": self.trust,
            "figures": list(self.figures),
            "manifest": self.manifest.model_dump(mode="json", exclude_none=True),
        }
        return State(meta=meta).holding(parts)

    def with_catalog(self, catalog: Catalog) -> Self:
        # A ranker that reads the words of items reads those of the new ones too.
        ranker = self.ranker.spec.restore(self.ranker.state(), catalog)
        return replace(self, catalog=catalog, stage=self.stage.with_catalog(catalog), ranker=ranker)


def _fitted(table: Mapping[str, Any], examples: RankingExamples, run: Run) -> RankerModel:
    """A ranker from nine tenths of the requests, stopped early by the rest."""
    n = len(examples.requests)
    order = np.random.default_rng(run.seed).permutation(n)
    some = max(n // 10, 1)
    return ranker_of(table, "two-stage.ranker").fit(examples.take(np.sort(order[some:])), run, examples.take(np.sort(order[:some])))
