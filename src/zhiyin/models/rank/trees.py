"""Gradient-boosted trees over slate columns, by LightGBM.

LambdaRank (Burges, "From RankNet to LambdaRank to LambdaMART", MSR-TR-2010-82) for the order of a list,
log-loss for probabilities; the trees of Ke et al., "LightGBM", NeurIPS 2017. Saved as text, never pickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import Float32
from zhiyin.base.errors import FitError
from zhiyin.data.catalog import Catalog
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.models.rank.columns import binary, check_columns, columns_read, matrix_of
from zhiyin.models.rank.linear import fit_logistic
from zhiyin.models.roles import RankerSpec, RankingExamples, State

LONGEST_LIST = 10_000
"""LightGBM compares every pair of a list and refuses longer ones."""
SMALL_BATCH = 20_000
"""Up to so many rows one thread answers before others have started."""


class TreesSpec(RankerSpec):
    """Choose first: columns of any scale, gaps included, and what they say together; needs some thousand examples.

    ``objective``: "lambdarank" learns the order within a list (labels may be grades), "binary" the
    probability of being chosen, for which list the row stands in does not matter. ``base`` names a column
    the trees start from and only correct: its multiple (by logistic regression, never negative) is part of
    every score, so little data cannot make the ranker much worse than that column. ``columns`` are those to
    read (none named = all); at most ``n_trees``, fewer when ``validation`` has not improved for
    ``patience`` trees; ``min_leaf`` is in examples; ``feature_share`` of the columns is open to a tree.
    See ``linear`` or ``tree`` to read the rules, ``attention`` for what histories say beyond columns.
    """

    kind: ClassVar[str] = "trees"

    objective: Literal["lambdarank", "binary"] = "lambdarank"
    base: str | None = None
    columns: tuple[str, ...] = ()
    n_trees: Annotated[int, Field(ge=1)] = 400
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    leaves: Annotated[int, Field(ge=2)] = 31
    min_leaf: Annotated[int, Field(ge=1)] = 20
    l2: Annotated[float, Field(ge=0)] = 1.0
    feature_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    patience: Annotated[int, Field(ge=1)] = 30

    @property
    def reads(self) -> tuple[str, ...]:
        return self.columns if self.base is None else (*self.columns, self.base)

    def fit(self, examples: RankingExamples, run: Run, validation: RankingExamples | None = None) -> Trees:
        """Raises FitError for lists longer than LightGBM can order."""
        import lightgbm

        columns = columns_read(self.columns, examples, self.kind)
        base = None if self.base is None else Base.of(self.base, examples)
        train = self._dataset(examples, columns, base)
        stops: dict[str, Any] = {}
        if validation is not None and bool((validation.labels > 0).any()):
            stops = {
                "valid_sets": [self._dataset(validation, columns, base, train)],
                "callbacks": [lightgbm.early_stopping(self.patience, first_metric_only=True, verbose=False)],
            }
        booster = lightgbm.train(self._settings(run), train, self.n_trees, **stops)
        kept = booster.best_iteration if stops else booster.num_trees()
        run.report({"stage": self.kind, "trees": kept, "of": self.n_trees})
        return Trees(self, columns, base, booster.model_to_string(num_iteration=kept))

    def _settings(self, run: Run) -> dict[str, Any]:
        ordering = {"metric": "ndcg", "eval_at": [10]} if self.objective == "lambdarank" else {"metric": "binary_logloss"}
        return {
            "objective": self.objective,
            **ordering,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_leaf,
            "lambda_l2": self.l2,
            "feature_fraction": self.feature_share,
            "seed": run.seed,
            "num_threads": run.threads or 0,
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }

    def _dataset(self, examples: RankingExamples, columns: tuple[str, ...], base: Base | None, like: Any = None) -> Any:
        """A lightgbm.Dataset; ``like`` is the one whose bins it must share."""
        import lightgbm

        lengths = examples.slates.lengths
        ordered = self.objective == "lambdarank"
        if ordered and lengths.max() > LONGEST_LIST:
            raise FitError(
                f"a list of {lengths.max():,} items is too long for LambdaRank",
                f"Shorten it to {LONGEST_LIST:,}, or set objective = 'binary'.",
            )
        return lightgbm.Dataset(
            matrix_of(examples.slates, columns, self.kind),
            label=np.rint(examples.labels) if ordered else binary(examples.labels),
            weight=examples.weights,
            group=lengths[lengths > 0] if ordered else None,
            init_score=None if base is None else base(examples.slates).astype(np.float64),
            reference=like,
        )

    def restore(self, state: State, catalog: Catalog) -> Trees:
        base = None if self.base is None else Base(self.base, *(float(v) for v in state.meta["base"]))
        return Trees(self, tuple(state.meta["columns"]), base, str(state.meta["model"]))


@dataclass(frozen=True, slots=True)
class Base:
    """What the trees start from: slope * column + shift, in log-odds."""

    column: str
    slope: float
    shift: float
    lowest: float
    """Stands for a missing value: what has no score was not found by it."""

    @classmethod
    def of(cls, column: str, examples: RankingExamples) -> Base:
        check_columns(examples.slates, (column,), "trees")
        values = examples.slates.columns[column]
        there = values[np.isfinite(values)]
        lowest = float(there.min()) if len(there) else 0.0
        filled = np.where(np.isfinite(values), values, lowest).astype(np.float64)
        centre, spread = filled.mean(), max(filled.std(), 1e-12)
        weights, intercept = fit_logistic((filled - centre)[:, None] / spread, binary(examples.labels), examples.weights, 1.0)
        slope = max(float(weights[0]), 0.0) / spread
        return cls(column, slope, intercept - slope * centre, lowest)

    def __call__(self, slates: Slates) -> Float32:
        check_columns(slates, (self.column,), "trees")
        values = slates.columns[self.column]
        filled = np.where(np.isfinite(values), values, np.float32(self.lowest))
        return (filled.astype(np.float64) * self.slope + self.shift).astype(np.float32)


@dataclass(frozen=True)
class Trees:
    """``model`` is LightGBM's own text."""

    spec: TreesSpec
    columns: tuple[str, ...]
    base: Base | None
    model: str

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=self.model)

    def score(self, requests: Requests, slates: Slates) -> Float32:
        """(n_rows,): log-odds for "binary", an order within each list for "lambdarank"."""
        values = matrix_of(slates, self.columns, self.spec.kind)
        if not len(values):
            return np.zeros(0, np.float32)
        threads = {"num_threads": 1} if len(values) <= SMALL_BATCH else {}
        score = np.asarray(self._booster.predict(values, raw_score=True, **threads), np.float32)
        return score if self.base is None else score + self.base(slates)

    @cached_property
    def gains(self) -> dict[str, float]:
        """Column -> its share of the loss that all splits saved, largest first."""
        gain = np.asarray(self._booster.feature_importance("gain"), np.float64)
        share = gain / max(float(gain.sum()), 1e-12)
        return {self.columns[i]: float(share[i]) for i in np.argsort(-share, kind="stable")}

    def told(self) -> str:
        """One line per column: its share of what the trees learned."""
        wide = max(len(name) for name in self.columns)
        start = [] if self.base is None else [f"starts from {self.base.slope:.4g} x {self.base.column}"]
        return "\n".join([*start, *(f"{name:<{wide}}  {share:.1%}" for name, share in self.gains.items())])

    def state(self) -> State:
        base = None if self.base is None else [self.base.slope, self.base.shift, self.base.lowest]
        return State({}, {"columns": list(self.columns), "base": base, "model": self.model})
