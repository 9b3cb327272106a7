"""The roles a recommender is made of: one protocol, one verb each.

A model is *what was learned*, frozen: "not fitted" cannot be expressed. ``Spec.fit(data, run)``
gives a Model; ``Model.state()`` and ``Spec.restore(state, catalog)`` are its two ways to disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, flat_positions, found_under, named_under
from zhiyin.base.spec import Spec
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates


@dataclass(frozen=True, slots=True)
class State:
    """What a model needs to come back: arrays for safetensors, the rest for JSON. No code, no pickle."""

    arrays: Mapping[str, AnyArray] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    def holding(self, parts: Mapping[str, State]) -> State:
        """With other states, each below its prefix: ``under`` finds it again."""
        arrays = dict(self.arrays)
        for prefix, part in parts.items():
            arrays |= named_under(prefix, part.arrays)
        return State(arrays, {**self.meta, **{prefix: dict(part.meta) for prefix, part in parts.items()}})

    def under(self, prefix: str) -> State:
        """The part stored below a prefix."""
        return State(found_under(prefix, self.arrays), self.meta.get(prefix, {}))


@runtime_checkable
class Retriever(Protocol):
    """Finds candidates. ``retrieve`` gives at most k items per request, best first, excluded ones never."""

    @property
    def catalog(self) -> Catalog: ...

    def retrieve(self, requests: Requests, k: int) -> Slates: ...


@runtime_checkable
class Model(Retriever, Protocol):
    """A fitted retriever that can be saved and that grows with the catalogue."""

    @property
    def spec(self) -> ModelSpec: ...

    def state(self) -> State: ...

    def with_catalog(self, catalog: Catalog) -> Self:
        """The same knowledge over a catalogue that has the old rows first and new ones after them."""
        ...


class ModelSpec(Spec):
    """Base of every model's configuration."""

    kind: ClassVar[str] = ""
    """The registered name: ``kind = "ease"`` in a TOML table selects the class."""
    validates: ClassVar[bool] = False
    """True where ``fit`` stops early or weighs by ``run.holdout``: such a fit needs events held out."""

    def described(self) -> dict[str, Any]:
        """JSON-able values with the kind, as stored in a model's manifest."""
        return {"kind": self.kind, **self.model_dump(mode="json")}

    def fit(self, data: Dataset, run: Run) -> Model:
        raise TypeError(f"{type(self).__name__} does not say how to fit")

    def restore(self, state: State, catalog: Catalog) -> Model:
        raise TypeError(f"{type(self).__name__} does not say how to restore")


class FeatureSource(Protocol):
    """Columns for the ranker, the same code in training and serving, as of ``requests.now_us``."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def features(self, requests: Requests, slates: Slates) -> Float32:
        """(n_rows, n_features), row i belongs to flat slate row i; NaN where there is nothing to say."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RankingExamples:
    """What a ranker learns from: slates with labels, made strictly out of sample by the pipeline.

    The slates carry every feature as a named column. ``labels`` are 0 or 1 (or grades); ``groups`` of
    rows that are compared with each other are the lists of the slates. ``catalog`` serves rankers that
    read the vectors of items; without it they know items by number alone.
    """

    requests: Requests
    slates: Slates
    labels: Float32  # (n_rows,)
    weights: Float32  # (n_rows,)
    catalog: Catalog | None = None

    def take(self, rows: AnyArray) -> RankingExamples:
        """The examples of some requests (row numbers of requests, not of flat rows)."""
        at, _ = flat_positions(self.slates.offsets, rows)
        return RankingExamples(self.requests.take(rows), self.slates.take(rows), self.labels[at], self.weights[at], self.catalog)


class Ranker(Protocol):
    """Scores given candidates; adds none."""

    def score(self, requests: Requests, slates: Slates) -> Float32:
        """(n_rows,), higher is better."""
        ...


@runtime_checkable
class RankerModel(Ranker, Protocol):
    """A fitted ranker that can be saved. ``columns`` are the slate columns it reads, in its order."""

    @property
    def spec(self) -> RankerSpec: ...

    @property
    def columns(self) -> tuple[str, ...]: ...

    def state(self) -> State: ...


class RankerSpec(Spec):
    """Base of every ranker's configuration; ``validation`` of ``fit`` serves early stopping and calibration."""

    kind: ClassVar[str] = ""

    @property
    def reads(self) -> tuple[str, ...]:
        """The slate columns its settings name, to be looked for before anything costly is done."""
        return ()

    def described(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.model_dump(mode="json")}

    def fit(self, examples: RankingExamples, run: Run, validation: RankingExamples | None = None) -> RankerModel:
        raise TypeError(f"{type(self).__name__} does not say how to fit")

    def restore(self, state: State, catalog: Catalog) -> RankerModel:
        raise TypeError(f"{type(self).__name__} does not say how to restore")


class Reranker(Protocol):
    """May drop or reorder, never invents."""

    def rerank(self, requests: Requests, slates: Slates) -> Slates: ...


def chunk_rows(n_items: int, budget_mb: int = 16) -> int:
    """How many dense score rows fit the budget; more than the processor's cache holds is slower, not faster."""
    return int(np.clip(budget_mb * 2**20 // (4 * max(n_items, 1)), 1, 4096))
