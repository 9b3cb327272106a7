"""Logistic regression on standardised columns: the ranker whose every weight can be read.

p(chosen) = sigmoid(w' z + b), z = columns in standard deviations from their mean and flags of what is
missing; w minimises the weighted log-loss + l2 |w|^2 / 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from scipy.optimize import minimize

from zhiyin.base.arrays import AnyArray, Float32, Float64
from zhiyin.data.catalog import Catalog
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.models.rank.columns import Scaler, binary, columns_read, matrix_of, sigmoid
from zhiyin.models.roles import RankerSpec, RankingExamples, State


class LinearSpec(RankerSpec):
    """Choose when the ranker must be read and explained, or examples are few; see ``trees`` for what columns say together.

    ``columns`` are the slate columns to read (none named = all); ``l2`` is in examples.
    """

    kind: ClassVar[str] = "linear"

    columns: tuple[str, ...] = ()
    l2: Annotated[float, Field(ge=0)] = 1.0

    @property
    def reads(self) -> tuple[str, ...]:
        return self.columns

    def fit(self, examples: RankingExamples, run: Run, validation: RankingExamples | None = None) -> Linear:
        columns = columns_read(self.columns, examples, self.kind)
        values = matrix_of(examples.slates, columns, self.kind)
        scaler = Scaler.of(values)
        weights, intercept = fit_logistic(scaler(values), binary(examples.labels), examples.weights, self.l2)
        return Linear(self, columns, scaler, weights.astype(np.float32), intercept)

    def restore(self, state: State, catalog: Catalog) -> Linear:
        columns = tuple(state.meta["columns"])
        return Linear(self, columns, Scaler.restored(state), state.arrays["weights"], float(state.meta["intercept"]))


@dataclass(frozen=True)
class Linear:
    """``weights`` (n_columns + flags,) are in log-odds per standard deviation."""

    spec: LinearSpec
    columns: tuple[str, ...]
    scaler: Scaler
    weights: Float32
    intercept: float

    def score(self, requests: Requests, slates: Slates) -> Float32:
        """Log-odds of being chosen (n_rows,)."""
        z = self.scaler(matrix_of(slates, self.columns, self.spec.kind))
        # a sum over an axis, unlike a product with BLAS, is the same for one row as for many
        return np.asarray((z * self.weights).sum(axis=1) + np.float32(self.intercept), np.float32)

    @cached_property
    def ordered(self) -> tuple[tuple[str, float], ...]:
        """Names and weights, strongest first."""
        names = self.scaler.names(self.columns)
        order = np.argsort(-np.abs(self.weights), kind="stable")
        return tuple((names[i], float(self.weights[i])) for i in order)

    def told(self) -> str:
        """One line per column, strongest first: log-odds for one standard deviation more."""
        wide = max((len(name) for name, _ in self.ordered), default=0)
        lines = [f"{name:<{wide}}  {weight:+.3f}" for name, weight in self.ordered]
        return "\n".join([*lines, f"{'otherwise':<{wide}}  {self.intercept:+.3f}"])

    def state(self) -> State:
        return State({"weights": self.weights, **self.scaler.state().arrays}, {"columns": list(self.columns), "intercept": self.intercept})


def fit_logistic(x: AnyArray, y: AnyArray, weight: AnyArray, l2: float) -> tuple[Float64, float]:
    """Weights (n_columns,) and intercept of p = sigmoid(x w + b); ``y`` in 0..1, the intercept is not shrunk."""
    x, y, weight = (np.asarray(a, np.float64) for a in (x, y, weight))
    total = max(float(weight.sum()), 1e-12)

    def loss(w: Float64) -> tuple[float, Float64]:
        z = x @ w[:-1] + w[-1]
        value = (weight * (np.logaddexp(0, z) - y * z)).sum() + 0.5 * l2 * (w[:-1] ** 2).sum()
        pull = weight * (sigmoid(z) - y)
        gradient = np.concatenate([x.T @ pull + l2 * w[:-1], [pull.sum()]])
        return float(value) / total, gradient / total

    start = np.zeros(x.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-8}).x
    return found[:-1], float(found[-1])
