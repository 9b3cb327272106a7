"""Planted leaks are named, each by its sign, and nothing else is: true stories told again in a small town."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from zhiyin.base.arrays import AnyArray, Float32, Ragged
from zhiyin.base.errors import DataError, UnknownNameError
from zhiyin.data.build import build
from zhiyin.data.catalog import Catalog
from zhiyin.data.cut import Split
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.schema import Repeat
from zhiyin.data.slates import Slates
from zhiyin.data.split import default_split
from zhiyin.data.truth import Holdout, Truth
from zhiyin.models.features.as_of import AsOfCounts
from zhiyin.models.features.dims import together
from zhiyin.models.features.leaks import Leak, alone, find_leaks, psi
from zhiyin.models.features.registry import default_sources
from zhiyin.models.features.source import FeatureSpec, FittedSource
from zhiyin.models.registry import spec_of
from zhiyin.models.roles import Model, RankingExamples, State
from zhiyin.models.two_stage import Candidates, labelled
from zhiyin.testing.small import small_world
from zhiyin.testing.town import town

PARTS = [{"kind": "transitions"}, {"kind": "popular"}, {"kind": "ease"}]


class InvoiceSpec(FeatureSpec):
    """How far the price of an item is from the unit price on the invoice of the very event that is to be foretold."""

    kind: ClassVar[str] = "invoice"

    def fit(self, data: Dataset) -> FittedSource:
        return Invoice(self, data.catalog)


@dataclass(frozen=True)
class Invoice:
    spec: FeatureSpec
    catalog: Catalog

    @property
    def names(self) -> tuple[str, ...]:
        return ("invoice.unit_price",)

    def features(self, requests: Requests, slates: Slates) -> Float32:
        price = np.log(self.prices(self.catalog))
        paid = np.log(np.asarray(requests.context.get("unit_price", np.full(len(requests), np.nan)), np.float64))
        return np.abs(price[slates.item_ix] - paid[slates.items.rows]).astype(np.float32)[:, None]

    @staticmethod
    def prices(catalog: Catalog) -> AnyArray:
        return 1 + np.random.default_rng(0).permutation(len(catalog)).astype(np.float64)

    def state(self) -> State:
        return State()

    def with_catalog(self, catalog: Catalog) -> Invoice:
        return replace(self, catalog=catalog)


class UpToNowSpec(FeatureSpec):
    """How often the asker chose the item up to and including now: the event that is asked about counts itself."""

    kind: ClassVar[str] = "up-to-now"

    def fit(self, data: Dataset) -> FittedSource:
        e = data.events
        return UpToNow(self, AsOfCounts.of(together([e.user_ix.astype(np.int64), e.item_ix.astype(np.int64)]), e.time_us))


@dataclass(frozen=True)
class UpToNow:
    spec: FeatureSpec
    counts: AsOfCounts

    @property
    def names(self) -> tuple[str, ...]:
        return ("n.up_to_now",)

    def features(self, requests: Requests, slates: Slates) -> Float32:
        rows = slates.items.rows
        keys = together([requests.user_ix[rows].astype(np.int64), slates.item_ix.astype(np.int64)])
        return self.counts.counts(keys, requests.now_us[rows] + 1).astype(np.float32)[:, None]

    def state(self) -> State:
        return State()

    def with_catalog(self, catalog: Catalog) -> UpToNow:
        return self


@dataclass(frozen=True)
class World:
    """A split, a first stage, and the default features beside whatever is planted."""

    data: Dataset
    split: Split
    first: Model

    def examples(self, holdout: Holdout, past: Dataset, planted: tuple[FittedSource, ...] = ()) -> RankingExamples:
        sources = tuple(spec.fit(past) for spec in default_sources(past)) + planted
        return labelled(holdout.requests, Candidates(self.first, sources).of(holdout.requests, 40), holdout.truth)

    def training(self, *planted: FittedSource) -> RankingExamples:
        return self.examples(self.split.validation, self.split.train, planted)

    def serving(self, *planted: FittedSource) -> RankingExamples:
        return self.examples(self.split.test, self.split.before_test, planted)


def world(data: Dataset, policy: str = "allow") -> World:
    data = replace(data, manifest=data.manifest.model_copy(update={"repeat": Repeat(policy=policy)}))
    split = default_split(data)
    run = Run(holdout=split.validation, threads=1)
    return World(data, split, spec_of({"kind": "zhiyin", "parts": PARTS}).fit(split.train, run))


@pytest.fixture(scope="module")
def place() -> World:
    return world(build(town(150, 6000, seed=3).tables()))


def names(found: list[Leak]) -> set[str]:
    return {leak.column for leak in found}


def with_invoices(requests: Requests, answers: AnyArray, catalog: Catalog) -> Requests:
    return replace(requests, context={**requests.context, "unit_price": Invoice.prices(catalog)[answers]})


def test_the_unit_price_of_the_invoice_is_named(place: World) -> None:
    source = InvoiceSpec().fit(place.split.train)
    holdout = place.split.validation
    first = holdout.truth.items.values[holdout.truth.items.offsets[:-1]]
    knowing = Holdout(with_invoices(holdout.requests, first, place.data.catalog), holdout.truth)
    training = place.examples(knowing, place.split.train, (source,))
    later = place.serving(source)
    found = find_leaks(training, later)
    assert names(found) == {"invoice.unit_price"} and "shift" in {leak.sign for leak in found}
    shift = next(leak for leak in found if leak.sign == "shift")
    assert "is missing in 0% of the training rows and in 100% when serving" in shift.sentence and shift.value > 5
    # Serving rows without labels, or without the column at all, are enough.
    assert names(find_leaks(training, later.slates)) == {"invoice.unit_price"}
    assert names(find_leaks(training, place.serving().slates)) == {"invoice.unit_price"}


def next_only(holdout: Holdout) -> Holdout:
    """Only the event at the very time of the request is asked for."""
    items = holdout.truth.items
    return Holdout(holdout.requests, Truth(Ragged(np.arange(len(items) + 1, dtype=np.int64), items.values[items.offsets[:-1]])))


def test_the_event_that_counts_itself_is_named(place: World) -> None:
    """Fitted on everything there is, as a careless join would: in training it knows, when serving it does not."""
    known, unknown = UpToNowSpec().fit(place.data), UpToNowSpec().fit(place.split.before_test)
    training = place.examples(next_only(place.split.validation), place.split.train, (known,))
    later = place.examples(next_only(place.split.test), place.split.before_test, (unknown,))
    found = find_leaks(training, later)
    assert names(found) == {"n.up_to_now"} and "fades" in {leak.sign for leak in found}
    assert "saw the training answers" in next(leak for leak in found if leak.sign == "fades").sentence
    honest = place.training(UpToNowSpec().fit(place.split.train))
    assert find_leaks(honest, place.serving(UpToNowSpec().fit(place.split.before_test))) == []


def test_positives_left_out_of_their_own_counts_are_named(place: World) -> None:
    """The asker's count, one less for what he chose: a difference of one tells the label."""
    training, later = place.training(), place.serving()
    n = np.log1p(np.expm1(training.slates.columns["own.events"]) - training.labels)
    careless = replace(training, slates=training.slates.with_column("n.user", n))
    for serving in (later, later.slates):  # the same mistake in validation: only its being too good gives it away
        told = find_leaks(careless, serving)
        assert names(told) == {"n.user"}
    m = np.log1p(np.expm1(later.slates.columns["own.events"]) - later.labels)
    (leak,) = find_leaks(careless, replace(later, slates=later.slates.with_column("n.user", m)))
    assert leak.sign == "alone" and leak.value == 1.0
    assert "'n.user' alone orders the lists of training with an AUC of 1.000, the best of the others reaches 0." in leak.sentence


@pytest.mark.parametrize("order", ["time", "position", "none"])
@pytest.mark.parametrize("policy", ["allow", "never"])
def test_honest_sources_are_left_alone(order: Any, policy: str) -> None:
    honest = world(small_world(order, n_users=120, n_events=3000), policy)
    assert find_leaks(honest.training(), honest.serving()) == []


def test_in_the_town_too(place: World) -> None:
    assert len(place.training().slates.columns) > 80
    assert find_leaks(place.training(), place.serving()) == []


def test_the_index_of_two_known_shares() -> None:
    """Half and half against three quarters and one: 0.25 ln 1.5 + 0.25 ln 2 (Siddiqi 2006's formula)."""
    one, other = np.repeat([0.0, 1.0], [5000, 5000]), np.repeat([0.0, 1.0], [2500, 7500])
    assert psi(one, other) == pytest.approx(0.25 * np.log(0.5 / 0.25) + 0.25 * np.log(0.75 / 0.5), rel=1e-3)
    gaps = np.where(np.arange(10_000) < 5000, np.nan, 1.0)
    assert psi(np.ones(10_000), gaps) > 1
    draw = np.random.default_rng(0).normal(size=(2, 20_000))
    assert psi(draw[0], draw[1]) < 0.01 < 0.25 < psi(draw[0], draw[1] + 1)


def test_gaps_that_tell_are_seen_alone(place: World) -> None:
    training = place.training()
    told = np.where(training.labels > 0, np.nan, np.float32(1))
    assert alone(replace(training, slates=training.slates.with_column("gap", told)), "gap").auc == 1.0
    assert alone(replace(training, slates=training.slates.with_column("same", np.ones(len(told)))), "same").auc == 0.5


def test_what_cannot_be_looked_at(place: World) -> None:
    training = place.training()
    with pytest.raises(UnknownNameError, match=r"the examples have no column 'own.event'.*'own.events'"):
        find_leaks(training, training, columns=["own.event"])
    with pytest.raises(DataError, match="one of them is empty"):
        find_leaks(training, training.slates.take(np.zeros(0, np.int64)))
