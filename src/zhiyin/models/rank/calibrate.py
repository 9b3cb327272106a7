"""Scores as probabilities, and how far they can be believed.

Platt scaling ("Probabilistic Outputs for Support Vector Machines", 1999) bends one line; isotonic regression
(Zadrozny & Elkan, KDD 2002) learns any rising curve and needs some thousand rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Protocol

import numpy as np
from pydantic import model_validator

from zhiyin.base.arrays import AnyArray, Float32, Float64, Int64
from zhiyin.base.errors import FitError
from zhiyin.data.catalog import Catalog
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.models.rank.columns import binary, sigmoid
from zhiyin.models.rank.linear import fit_logistic
from zhiyin.models.rank.registry import ranker_of
from zhiyin.models.roles import RankerModel, RankerSpec, RankingExamples, State
from zhiyin.page.plots import Plot, lines

NUDGE = 1e-4
"""What the curve gives up so that rows on one of its steps still differ in the order of their scores."""


class Curve(Protocol):
    """Score -> probability, strictly rising, so that the order of a list stays."""

    def __call__(self, score: AnyArray) -> Float32: ...

    def state(self) -> State: ...


@dataclass(frozen=True)
class Platt:
    """p = sigmoid(slope * score + shift)."""

    slope: float
    shift: float

    @classmethod
    def of(cls, score: AnyArray, labels: AnyArray, weights: AnyArray) -> Platt:
        """Raises FitError where higher scores do not mean more chosen."""
        score = np.asarray(score, np.float64)
        middle, spread = float(score.mean()), max(float(score.std()), 1e-12)
        w, shift = fit_logistic((score - middle)[:, None] / spread, labels, weights, 1e-3)
        slope = float(w[0]) / spread
        if slope <= 0:
            raise FitError("higher scores do not mean more chosen on validation", "A calibration cannot mend this ranker.")
        return cls(slope, shift - slope * middle)

    def __call__(self, score: AnyArray) -> Float32:
        return sigmoid(np.asarray(score, np.float64) * self.slope + self.shift).astype(np.float32)

    def state(self) -> State:
        return State({"line": np.array([self.slope, self.shift], np.float64)})


@dataclass(frozen=True)
class Isotonic:
    """The rising steps, joined by lines between their middles (centred isotonic regression, Oron & Flournoy 2017)."""

    score: Float64  # (n_steps,) ascending
    probability: Float64  # (n_steps,) ascending
    spread: float

    @classmethod
    def of(cls, score: AnyArray, labels: AnyArray, weights: AnyArray) -> Isotonic:
        from sklearn.isotonic import IsotonicRegression

        score = np.asarray(score, np.float64)
        # Scores that differ by nothing but the last digits of nearly zero are one score: between them no line can be drawn.
        grain = max(float(score.std()), 1e-12) * 1e-9
        score = np.round(score / grain) * grain
        level = IsotonicRegression(y_min=0, y_max=1).fit_transform(score, labels, sample_weight=weights)
        _, step = np.unique(level, return_inverse=True)
        worth = np.maximum(np.bincount(step, weights), 1e-12)
        middle, height = np.bincount(step, weights * score) / worth, np.bincount(step, weights * level) / worth
        return cls(middle, height, max(float(score.std()), 1e-12))

    def __call__(self, score: AnyArray) -> Float32:
        score = np.asarray(score, np.float64)
        z = (score - self.score[len(self.score) // 2]) / self.spread
        nudge = NUDGE * (1 + z / (1 + np.abs(z))) / 2
        return np.asarray((1 - NUDGE) * np.interp(score, self.score, self.probability) + nudge, np.float32)

    def state(self) -> State:
        return State({"score": self.score, "probability": self.probability, "spread": np.array([self.spread], np.float64)})


class CalibratedSpec(RankerSpec):
    """Choose when probabilities matter (prices, thresholds, mixing lists); it never changes the order of a list.

    ``ranker`` is the table of another ranker, e.g. ``{kind = "trees"}``; ``calibrate`` is "platt" (few
    validation rows), "isotonic" (thousands) or "none". One half of the validation lists stops the ranker
    early, the other half calibrates it, so the curve is learned on rows the ranker never saw.
    """

    kind: ClassVar[str] = "calibrated"

    ranker: dict[str, object]
    calibrate: Literal["none", "platt", "isotonic"] = "platt"

    @model_validator(mode="after")
    def _the_ranker_is_one(self) -> CalibratedSpec:
        ranker_of(self.ranker, "ranker 'calibrated'")
        return self

    @property
    def inner(self) -> RankerSpec:
        return ranker_of(self.ranker, "ranker 'calibrated'")

    @property
    def reads(self) -> tuple[str, ...]:
        return self.inner.reads

    def fit(self, examples: RankingExamples, run: Run, validation: RankingExamples | None = None) -> Calibrated:
        """Raises FitError without validation examples of both kinds."""
        if self.calibrate == "none":
            return Calibrated(self, self.inner.fit(examples, run, validation), None)
        n = 0 if validation is None else len(validation.slates)
        if validation is None or n < 2:
            raise FitError("a ranker is calibrated on validation examples, and there are none", "Give some, or set calibrate = 'none'.")
        order = np.random.default_rng(run.seed).permutation(n)
        stop, rest = (validation.take(np.sort(rows)) for rows in (order[: n // 2], order[n // 2 :]))
        ranker = self.inner.fit(examples, run, stop)
        labels = binary(rest.labels)
        if labels.min(initial=1) == labels.max(initial=0):
            raise FitError("validation examples are of one kind only", "Calibration needs both chosen and passed over items.")
        kind = Platt if self.calibrate == "platt" else Isotonic
        return Calibrated(self, ranker, kind.of(ranker.score(rest.requests, rest.slates), labels, rest.weights))

    def restore(self, state: State, catalog: Catalog) -> Calibrated:
        curve: Curve | None = None
        arrays = state.under("curve").arrays
        if self.calibrate == "platt":
            curve = Platt(*(float(v) for v in arrays["line"]))
        if self.calibrate == "isotonic":
            curve = Isotonic(arrays["score"], arrays["probability"], float(arrays["spread"][0]))
        return Calibrated(self, self.inner.restore(state.under("ranker"), catalog), curve)


@dataclass(frozen=True)
class Calibrated:
    spec: CalibratedSpec
    ranker: RankerModel
    curve: Curve | None

    @property
    def columns(self) -> tuple[str, ...]:
        return self.ranker.columns

    def score(self, requests: Requests, slates: Slates) -> Float32:
        """Probability of being chosen (n_rows,); the ranker's own score with ``calibrate`` = "none"."""
        score = self.ranker.score(requests, slates)
        return score if self.curve is None else self.curve(score)

    def state(self) -> State:
        curve = {} if self.curve is None else {"curve": self.curve.state()}
        return State().holding({"ranker": self.ranker.state(), **curve})


@dataclass(frozen=True)
class Reliability:
    """Said against seen, in bins of equally many rows."""

    said: Float64  # (n_bins,) mean probability
    seen: Float64  # (n_bins,) share that was chosen
    n: Int64  # (n_bins,) rows

    @classmethod
    def of(cls, probability: AnyArray, labels: AnyArray, bins: int = 10) -> Reliability:
        """Raises FitError for values outside 0..1: scores are not probabilities."""
        p, y = np.asarray(probability, np.float64), np.asarray(binary(labels), np.float64)
        if not len(p) or p.min() < 0 or p.max() > 1:
            raise FitError("reliability needs probabilities between 0 and 1", "Wrap the ranker in 'calibrated'.")
        parts = [part for part in np.array_split(np.argsort(p, kind="stable"), bins) if len(part)]
        return cls(
            np.array([p[part].mean() for part in parts]),
            np.array([y[part].mean() for part in parts]),
            np.array([len(part) for part in parts], np.int64),
        )

    @cached_property
    def ece(self) -> float:
        """Expected calibration error: the mean distance of said and seen, each bin by its rows."""
        return float((np.abs(self.said - self.seen) * self.n).sum() / self.n.sum())

    def told(self) -> str:
        """The table as text."""
        rows = [f"{said:8.2%}  {seen:8.2%}  {n:9,}" for said, seen, n in zip(self.said, self.seen, self.n, strict=True)]
        return "\n".join([f"{'said':>8}  {'seen':>8}  {'rows':>9}", *rows, f"expected calibration error {self.ece:.4f}"])

    def plot(self, title: str = "Reliability") -> Plot:
        """What was seen over what was said; on the line "as said" a probability can be believed."""
        return lines(
            self.said,
            {"seen": self.seen, "as said": self.said},
            title=title,
            x_label="probability said",
            y_label="share chosen",
            markers=True,
        )


def log_loss(probability: AnyArray, labels: AnyArray) -> float:
    """Mean -log of the probability given to what happened, none below 1e-7."""
    p = np.clip(np.asarray(probability, np.float64), 1e-7, 1 - 1e-7)
    return float(-np.where(labels > 0, np.log(p), np.log1p(-p)).mean())
