"""Text neighbours: like what you had, by what its words say.

Score of item j = sum over items i of the history of max(0, cos(text_i, text_j)) ^ power. The power
sharpens: with 1 this is the cosine to the mean of the history (see ``content``), with 8 near twins
count and vague likeness does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Float32
from zhiyin.base.errors import ConfigError
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.index.exact import NEVER
from zhiyin.models.retrieve.dense import DenseRetriever
from zhiyin.models.retrieve.profile import profile_matrix
from zhiyin.models.roles import ModelSpec, State, chunk_rows

MOST_PAIRS = 4_000**2
"""64 MB of likenesses."""


class TextNeighboursSpec(ModelSpec):
    """Choose for new items and for catalogues whose texts are precise (models, editions, parts).

    It learns nothing from behaviour, so it is the same for cold and warm items; see ``text-ease``
    for what behaviour adds. ``history_decay`` weighs older events down, as in ``ease``.
    """

    kind: ClassVar[str] = "text-neighbours"

    power: Annotated[float, Field(ge=1, le=64)] = 8.0
    history_decay: Annotated[float, Field(gt=0, le=1)] = 1.0

    def fit(self, data: Dataset, run: Run) -> TextNeighbours:
        text_vectors(data.catalog, self.kind)
        return TextNeighbours(self, data.catalog)

    def restore(self, state: State, catalog: Catalog) -> TextNeighbours:
        return TextNeighbours(self, catalog)


def text_vectors(catalog: Catalog, kind: str) -> Vectors:
    """The catalogue's text vectors; raises ``ConfigError`` when nobody made them."""
    vectors = catalog.vectors.get("text")
    if vectors is None:
        raise ConfigError(f"model '{kind}' needs text vectors and the catalogue has none", "Call with_text_vectors(data) before fit.")
    return vectors


def likeness(left: AnyArray, right: AnyArray, power: float) -> Float32:
    """Cosines of unit rows (n, dim) and (m, dim), negative ones 0, to a power: (n, m)."""
    cosine: Float32 = np.clip(left @ right.T, 0.0, 1.0).astype(np.float32, copy=False)
    return cosine if power == 1.0 else np.power(cosine, np.float32(power))


@dataclass
class _Pairs:
    """How alike the first items of a catalogue are, each with each, once somebody asked: (n, n), zero with themselves."""

    of: Float32 | None = None  # (n, dim), the vectors it was made of
    near: Float32 | None = None

    def ready(self, matrix: Float32, power: float) -> Float32:
        """Of all rows of the first matrix that is asked about; none where they are too many to be kept."""
        if self.near is None:
            n = len(matrix) if len(matrix) ** 2 <= MOST_PAIRS else 0
            near = np.empty((n, n), np.float32)
            for items in _parts(np.arange(n), chunk_rows(max(n, 1))):
                near[items] = likeness(matrix[items], matrix[:n], power)
            np.fill_diagonal(near, 0.0)
            self.of, self.near = matrix[:n], near
        return self.near

    def after(self, matrix: Float32, power: float) -> _Pairs:
        """The same for a later matrix, some of whose rows may be others."""
        if self.of is None or self.near is None:
            return _Pairs()
        others = (matrix[: len(self.of)] != self.of).any(axis=1).nonzero()[0]
        if not len(others):
            return self
        own, near = matrix[: len(self.of)], self.near.copy()
        near[others] = likeness(own[others], own, power)
        near[:, others] = near[others].T
        near[others, others] = 0.0
        return _Pairs(own, near)


@dataclass(frozen=True)
class TextNeighbours(DenseRetriever):
    """Nothing is stored: the vectors are the catalogue's, so items appended later are found at once.

    Of catalogues of up to 4,000 items all pairs are kept in memory, which makes an answer five times as cheap.
    """

    spec: TextNeighboursSpec
    catalog: Catalog
    pairs: _Pairs = field(default_factory=_Pairs, repr=False, compare=False)

    def scores(self, requests: Requests) -> Float32:
        matrix = text_vectors(self.catalog, self.spec.kind).matrix
        profile = profile_matrix(requests.history, len(self.catalog), self.spec.history_decay)
        kept = self.pairs.ready(matrix, self.spec.power)
        n = len(kept)
        out = np.zeros((len(requests), len(self.catalog)), np.float32)
        items = np.unique(profile.indices)
        if n:
            out[:, :n] = profile[:, :n] @ kept
            old = items[items < n]
            if n < len(self.catalog) and len(old):
                out[:, n:] = profile[:, old] @ likeness(matrix[old], matrix[n:], self.spec.power)
        for part in _parts(items[items >= n], chunk_rows(len(self.catalog))):
            near = likeness(matrix[part], matrix, self.spec.power)
            near[np.arange(len(part)), part] = 0.0  # an item says nothing of itself
            out += profile[:, part] @ near
        return np.where(out > 0, out, NEVER)

    def state(self) -> State:
        return State()

    def with_catalog(self, catalog: Catalog) -> Self:
        pairs = self.pairs.after(text_vectors(catalog, self.spec.kind).matrix, self.spec.power)
        return replace(self, catalog=catalog, pairs=pairs)


def _parts(items: AnyArray, size: int) -> Iterator[AnyArray]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
