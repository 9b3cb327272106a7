"""Slate columns as the numbers a ranker computes with: which ones, in which order, on which scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Float32
from zhiyin.base.errors import ConfigError, FitError, nearest
from zhiyin.data.slates import Slates
from zhiyin.models.roles import RankingExamples, State

WIDEST = 8.0
"""Standard deviations beyond which a standardised value says no more: one outlier must not own a sum."""


def check_examples(examples: RankingExamples, kind: str) -> None:
    """Raises FitError where nothing can be learned: no examples, or all of one kind."""
    if not len(examples.labels):
        raise FitError(f"ranker '{kind}' got no examples", "Give it lists with labels.")
    if not bool((examples.labels > 0).any()) or bool((examples.labels > 0).all()):
        raise FitError(f"ranker '{kind}' got examples of one kind only", "It needs both chosen (label > 0) and passed over items.")


def columns_read(asked: Sequence[str], examples: RankingExamples, kind: str) -> tuple[str, ...]:
    """The columns asked for, or all that the examples have; raises where nothing can be learned."""
    check_examples(examples, kind)
    names = tuple(asked) or tuple(examples.slates.columns)
    if not names:
        raise FitError(f"ranker '{kind}' got examples without columns", "Give their slates features, as models.two_stage.featured does.")
    check_columns(examples.slates, names, kind)
    return names


def check_columns(slates: Slates, names: Sequence[str], kind: str) -> None:
    """Raises ConfigError for the first column the slates do not have."""
    for name in names:
        if name not in slates.columns:
            raise ConfigError(f"ranker '{kind}' reads column '{name}', which the slates do not have", nearest(name, slates.columns))


def matrix_of(slates: Slates, names: Sequence[str], kind: str) -> Float32:
    """(n_rows, n_columns) in the order of the names; what is not finite is NaN."""
    check_columns(slates, names, kind)
    values = slates.matrix(names)
    infinite = np.isinf(values)
    return np.where(infinite, np.float32(np.nan), values) if infinite.any() else values


@dataclass(frozen=True, slots=True, eq=False)
class Scaler:
    """Standardised columns, 0 where missing, and a flag for every column that had gaps while learning."""

    mean: Float32  # (n_columns,)
    scale: Float32  # (n_columns,) 1 / standard deviation; 0 for a column that never varies
    flagged: Bool  # (n_columns,)

    @classmethod
    def of(cls, values: Float32) -> Self:
        """From a matrix (n_rows, n_columns) with NaN where something is missing."""
        there = np.isfinite(values)
        n = np.maximum(there.sum(axis=0), 1)
        filled = np.where(there, values, 0).astype(np.float64)
        mean = filled.sum(axis=0) / n
        spread = np.sqrt((np.where(there, values - mean, 0.0) ** 2).sum(axis=0) / n)
        varies = spread > 1e-6 * np.maximum(np.abs(mean), 1e-6)
        scale = np.where(varies, 1 / np.where(varies, spread, 1), 0)
        return cls(mean.astype(np.float32), scale.astype(np.float32), np.asarray(~there.all(axis=0)))

    def __call__(self, values: Float32) -> Float32:
        """(n_rows, n_columns) -> (n_rows, n_columns + flags)."""
        missing = ~np.isfinite(values)
        scaled = np.clip((np.where(missing, self.mean, values) - self.mean) * self.scale, -WIDEST, WIDEST)
        return np.concatenate([scaled, missing[:, self.flagged]], axis=1).astype(np.float32)

    def names(self, columns: Sequence[str]) -> tuple[str, ...]:
        """What each result column is called."""
        return (*columns, *(f"{name} missing" for name, flagged in zip(columns, self.flagged, strict=True) if flagged))

    def state(self) -> State:
        return State({"mean": self.mean, "scale": self.scale, "flagged": self.flagged.astype(np.uint8)})

    @classmethod
    def restored(cls, state: State) -> Self:
        arrays = state.arrays
        return cls(arrays["mean"], arrays["scale"], np.asarray(arrays["flagged"]).astype(np.bool_))


def binary(labels: Float32) -> Float32:
    """Grades as a wish for 0 or 1: what was chosen at all is 1."""
    return (labels > 0).astype(np.float32)


def sigmoid(x: AnyArray) -> AnyArray:
    """1 / (1 + e^-x) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))
