"""One small decision tree: the ranker that fits on a page as rules. Fitted by scikit-learn (CART), served by a walk over arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Float32, Float64, Int64
from zhiyin.data.catalog import Catalog
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.models.rank.columns import binary, columns_read, matrix_of
from zhiyin.models.roles import RankerSpec, RankingExamples, State

LEAF = -1


class TreeSpec(RankerSpec):
    """Choose when the rules must fit on a page; many candidates share a leaf, so it orders coarsely: see ``trees``.

    ``columns`` are the slate columns to read (none named = all); ``leaves`` the most rules; ``min_leaf`` is
    in examples. Equal scores keep the order of the items' numbers; a missing value goes where it fits best.
    """

    kind: ClassVar[str] = "tree"

    columns: tuple[str, ...] = ()
    leaves: Annotated[int, Field(ge=2)] = 12
    min_leaf: Annotated[int, Field(ge=1)] = 30

    @property
    def reads(self) -> tuple[str, ...]:
        return self.columns

    def fit(self, examples: RankingExamples, run: Run, validation: RankingExamples | None = None) -> Tree:
        from sklearn.tree import DecisionTreeClassifier

        columns = columns_read(self.columns, examples, self.kind)
        values = matrix_of(examples.slates, columns, self.kind)
        found = DecisionTreeClassifier(
            criterion="log_loss", max_leaf_nodes=self.leaves, min_samples_leaf=self.min_leaf, random_state=run.seed
        )
        grown = found.fit(values, binary(examples.labels), sample_weight=examples.weights).tree_
        n = np.asarray(grown.n_node_samples, np.int64)
        left, right = (np.asarray(side, np.int64) for side in (grown.children_left, grown.children_right))
        # a column without gaps taught nothing about them: they follow the many
        column = np.maximum(grown.feature, 0).astype(np.int64)  # a leaf asks no column: -2
        gaps_left = np.where(np.asarray(np.isnan(values).any(axis=0))[column], grown.missing_go_to_left, n[left] >= n[right])
        # one example of each kind is added, so that no leaf claims to be certain
        chosen = (np.asarray(grown.value[:, 0, 1], np.float64) * n + 1) / (n + 2)
        return Tree(self, columns, column, grown.threshold, left, right, gaps_left.astype(np.uint8), chosen, n)

    def restore(self, state: State, catalog: Catalog) -> Tree:
        arrays = (state.arrays[name] for name in ("column", "threshold", "left", "right", "gaps_left", "chosen", "n"))
        return Tree(self, tuple(state.meta["columns"]), *arrays)


@dataclass(frozen=True)
class Tree:
    """All arrays have one entry per node, the root first; ``left`` is -1 at a leaf."""

    spec: TreeSpec
    columns: tuple[str, ...]
    column: Int64
    threshold: Float64
    left: Int64
    right: Int64
    gaps_left: AnyArray
    chosen: Float64
    """Share of the examples of a node that were chosen."""
    n: Int64

    def score(self, requests: Requests, slates: Slates) -> Float32:
        """Log-odds of being chosen (n_rows,)."""
        p = self.chosen[self.leaf_of(matrix_of(slates, self.columns, self.spec.kind))]
        return np.asarray(np.log(p / (1 - p)), np.float32)

    def leaf_of(self, values: Float32) -> Int64:
        """The leaf each row falls into (n_rows,)."""
        node = np.zeros(len(values), np.int64)
        rows = np.arange(len(values))
        while len(rows := rows[self.left[node[rows]] != LEAF]):
            at = node[rows]
            value = values[rows, self.column[at]]
            goes_left = np.where(np.isnan(value), self.gaps_left[at] > 0, value <= self.threshold[at])
            node[rows] = np.where(goes_left, self.left[at], self.right[at])
        return node

    def told(self) -> str:
        """The rules, indented; each leaf says which share of how many examples was chosen."""
        return "\n".join(self._rules(0, 0))

    def _rules(self, node: int, depth: int) -> Iterator[str]:
        if self.left[node] == LEAF:
            yield f"{'  ' * depth}{self.chosen[node]:.1%} of {self.n[node]:,}"
            return
        name, bound = self.columns[self.column[node]], f"{self.threshold[node]:.4g}"
        for sign, child, gaps in (("<=", self.left[node], self.gaps_left[node]), (">", self.right[node], not self.gaps_left[node])):
            yield f"{'  ' * depth}{name} {sign} {bound}{' or missing' if gaps else ''}:"
            yield from self._rules(int(child), depth + 1)

    def state(self) -> State:
        arrays = {name: getattr(self, name) for name in ("column", "threshold", "left", "right", "gaps_left", "chosen", "n")}
        return State(arrays, {"columns": list(self.columns)})
