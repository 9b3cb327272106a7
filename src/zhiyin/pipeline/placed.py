"""Placements with the models that only they need: what is fitted and saved beside the recommender's own model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.models.registry import spec_of
from zhiyin.models.roles import Model
from zhiyin.pipeline.placement import Named, Placement

OWN = "model"


def key_of(named: Named) -> str:
    """A name of the recommender's own model or part as it is; the digest of the spec of any other model."""
    if isinstance(named, str) and (named == OWN or named.startswith(OWN + ".")):
        return named
    return spec_of(named, "a placement").digest()


@dataclass(frozen=True)
class Placed:
    """What is saved: placements, the models that only they need (by digest), how many items were known."""

    placements: tuple[Placement, ...] = ()
    models: Mapping[str, Model] = field(default_factory=dict)
    n_known: int = 0

    @classmethod
    def fit(cls, placements: Iterable[Placement], data: Dataset, run: Run) -> Self:
        """Learn every model named, once each, from all the data."""
        given = tuple(placements)
        specs = {key_of(n): n for p in given for n in p.models if not key_of(n).startswith(OWN)}
        models: dict[str, Model] = {}
        for step, (key, named) in enumerate(specs.items(), 1):
            spec = spec_of(named, "a placement")
            models[key] = spec.fit(data, replace(run, folder=None))
            run.report({"stage": "placements", "step": step, "of": len(specs)})
        return cls(given, models, len(data.catalog))

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, models={key: model.with_catalog(catalog) for key, model in self.models.items()})
