"""Factors: a short vector per item, and one per history that is solved for at request time.

``als``: minimise sum over all (u, i) of c_ui (p_ui - x_u . y_i)^2 + l2 (|x|^2 + |y|^2), p = 1 and
c = 1 + alpha where u had i, else p = 0 and c = 1. Hu, Koren, Volinsky, "Collaborative Filtering for
Implicit Feedback Datasets", ICDM 2008. Given Y, a history's vector has the closed form
x = (Y'Y + l2 I + alpha Y_h'W Y_h)^-1 (1 + alpha) Y_h'W 1, W the decayed weights of its items.

``bpr``: items had rank above items not had. Rendle et al., UAI 2009, arXiv:1205.2618. It has no closed
form, so a ridge map from (sum of the history's item vectors) / sqrt(length) to the fitted user
vectors is learned at the end; it ranked better than the fitted vectors themselves (``docs/experiments.md``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field
from scipy.linalg.blas import ssyrk
from scipy.linalg.lapack import sposv

from zhiyin.base.arrays import AnyArray, Float32
from zhiyin.base.errors import FitError
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.index.exact import NEVER
from zhiyin.models.retrieve.dense import DenseRetriever, widened
from zhiyin.models.retrieve.profile import profile_matrix
from zhiyin.models.roles import ModelSpec, State


class FactorsSpec(ModelSpec):
    """Choose for many items, where the square matrix of ``ease`` does not fit: memory is n_items x dim.

    ``alpha`` is the extra confidence of an event (als only), ``learning_rate`` is bpr's. ``epochs`` and
    ``l2`` left out take what suits the method: 15 and 1 for als, 100 and .003 for bpr. ``history_decay``
    as in ``ease``: 1 is the published model.
    """

    kind: ClassVar[str] = "factors"

    method: Literal["als", "bpr"] = "als"
    dim: Annotated[int, Field(ge=1)] = 128
    epochs: Annotated[int, Field(ge=1)] | None = None
    l2: Annotated[float, Field(ge=0)] | None = None
    alpha: Annotated[float, Field(ge=0)] = 5.0
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    history_decay: Annotated[float, Field(gt=0, le=1)] = 0.8

    def fit(self, data: Dataset, run: Run) -> Factors:
        x = data.positive.matrix()
        x.data[:] = 1.0
        if not x.nnz:
            raise FitError("there is no positive event to learn factors from", "Check the weights of event kinds.")
        fitted = self._fitted(x, run)
        items = np.array(fitted.item_factors, np.float32)
        items[np.asarray(x.sum(axis=0)).ravel() == 0] = 0.0  # bpr moves items nobody touched, too
        if self.method == "als":
            fresh = Factors(self, data.catalog, items, np.zeros(0, np.uint64), np.zeros((0, self.dim), np.float32))
            met = profile_matrix(data.history(np.flatnonzero(np.diff(x.indptr))), data.n_items, self.history_decay)
            marks, first = np.unique(fingerprints(met), return_index=True)
            return replace(fresh, marks=marks, solved=fresh.solve(met[first]))
        people = np.asarray(fitted.user_factors)
        return Factors(self, data.catalog, items, np.zeros(0, np.uint64), _ridge_map(_mean_items(x, items), people))

    def _fitted(self, x: sp.csr_matrix, run: Run) -> Any:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, "blas"):  # implicit threads over rows; BLAS threads below that are 10x slower
            if self.method == "als":
                from implicit.cpu.als import AlternatingLeastSquares

                learner = AlternatingLeastSquares(
                    self.dim, self.effective_l2, 1 + self.alpha, iterations=self.epochs or 15, num_threads=run.threads or 0,
                    random_state=run.seed,
                )  # fmt: skip
            else:
                from implicit.cpu.bpr import BayesianPersonalizedRanking

                # One thread: with several, updates race and the same seed gives different factors.
                learner = BayesianPersonalizedRanking(
                    self.dim, self.learning_rate, self.effective_l2, iterations=self.epochs or 100, num_threads=1, random_state=run.seed
                )
            learner.fit(x, show_progress=False)
        return learner

    @property
    def effective_l2(self) -> float:
        return self.l2 if self.l2 is not None else {"als": 1.0, "bpr": 0.003}[self.method]

    def restore(self, state: State, catalog: Catalog) -> Factors:
        a = state.arrays
        return Factors(self, catalog, a["items"], a["marks"], a["solved"])


@dataclass(frozen=True)
class Factors(DenseRetriever):
    """``marks`` are fingerprints of the histories met in fitting, ascending, and ``solved`` their
    vectors: what was solved once is looked up, by content and not by person. With bpr ``marks`` is
    empty and ``solved`` is the map (dim + 1, dim + 1)."""

    spec: FactorsSpec
    catalog: Catalog
    items: Float32  # (n_items at fit, dim); bpr has a last column, the item's bias
    marks: AnyArray  # (n_solved,) uint64
    solved: Float32  # (n_solved, dim)

    def scores(self, requests: Requests) -> Float32:
        known = len(self.items)
        profile = profile_matrix(requests.history, len(self.catalog), self.spec.history_decay)[:, :known]
        found = self.vectors(profile) @ self.items.T
        found[:, self._untouched] = NEVER
        found[np.diff(profile.indptr) == 0] = NEVER
        return widened(found, len(self.catalog))

    def vectors(self, profile: sp.csr_matrix) -> Float32:
        """What each history (n, n_items) means: (n, dim)."""
        if self.spec.method == "bpr":
            found: Float32 = _mean_items(profile, self.items) @ self.solved
            found[:, -1] = 1.0  # the column of item biases
            return found
        if not len(self.marks):
            return self.solve(profile)
        marks = fingerprints(profile)
        at = np.minimum(np.searchsorted(self.marks, marks), len(self.marks) - 1)
        found = self.solved[at]
        new = np.flatnonzero(self.marks[at] != marks)
        if len(new):
            found[new] = self.solve(profile[new])
        return found

    def solve(self, profile: sp.csr_matrix) -> Float32:
        """The closed form, one dim x dim system per row: (n, dim). About 70 microseconds at dim 128."""
        out: Float32 = (1 + self.spec.alpha) * (profile @ self.items)
        alpha, base, offsets = self.spec.alpha, self._base, profile.indptr
        decayed, roots = self.spec.history_decay < 1, np.sqrt(profile.data)
        for row in range(profile.shape[0]):
            had = self.items.take(profile.indices[offsets[row] : offsets[row + 1]], axis=0)
            if decayed:
                had *= roots[offsets[row] : offsets[row + 1], None]
            system = ssyrk(alpha, had.T, beta=1.0, c=base, lower=1) if len(had) else base
            out[row] = sposv(system, out[row], lower=1)[1]
        return out.astype(np.float32, copy=False)

    @cached_property
    def _base(self) -> Float32:
        """Y'Y + l2 I in the memory order LAPACK wants; a floor keeps it positive definite at l2 = 0."""
        wide = self.items.astype(np.float64)
        base = wide.T @ wide
        base[np.diag_indices_from(base)] += max(self.spec.effective_l2, 1e-6 * float(np.trace(base)) / len(base), 1e-12)
        return np.asfortranarray(base, dtype=np.float32)

    @cached_property
    def _untouched(self) -> AnyArray:
        return np.flatnonzero(~self.items.any(axis=1))

    def state(self) -> State:
        return State({"items": self.items, "marks": self.marks, "solved": self.solved})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)


def fingerprints(profile: sp.csr_matrix) -> AnyArray:
    """A 64-bit number per row that depends on its columns and values: (n,). Sums of splitmix64."""
    with np.errstate(over="ignore"):
        z = (profile.data.view(np.uint32).astype(np.uint64) << np.uint64(32)) | profile.indices.astype(np.uint64)
        z = z * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(z ^ (z >> np.uint64(31)), dtype=np.uint64)])
        return np.asarray(total[profile.indptr[1:]] - total[profile.indptr[:-1]])


def _mean_items(profile: sp.csr_matrix, items: Float32) -> Float32:
    """(weighted sum of item vectors) / sqrt(sum of weights): (n, dim)."""
    weights = np.asarray(profile.sum(axis=1)).ravel()
    return np.asarray((profile @ items) / np.sqrt(np.maximum(weights, 1e-12))[:, None], np.float32)


def _ridge_map(source: Float32, target: Float32) -> Float32:
    """M that makes source @ M nearest to target: (dim, dim)."""
    wide = source.astype(np.float64)
    gram = wide.T @ wide
    gram[np.diag_indices_from(gram)] += 1e-6 * np.trace(gram) / len(gram) + 1e-12
    return np.asarray(np.linalg.solve(gram, wide.T @ target), np.float32)
