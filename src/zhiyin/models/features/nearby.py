"""How far away a candidate is: from here, from where the asker was last, from where he usually is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Self

import numpy as np
import polars as pl
from pydantic import Field

from zhiyin.base.arrays import Float32, Float64
from zhiyin.base.errors import ConfigError
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.features.source import FeatureSpec
from zhiyin.models.roles import State

EARTH_KM = 6371.0088
NAMES = ("km.last", "km.previous", "km.nearest", "km.usual", "km.neighbourhood")


class NearbySpec(FeatureSpec):
    """Choose where items have coordinates (columns typed latitude and longitude)."""

    kind: ClassVar[str] = "nearby"
    family: ClassVar[str] = "context"

    last: Annotated[int, Field(ge=1)] = 50
    reach_km: Annotated[float, Field(gt=0)] = 0.5

    def fit(self, data: Dataset) -> Nearby:
        if not has_coordinates(data):
            raise ConfigError(
                "feature source 'nearby' needs the coordinates of items", "Give two of their columns the types latitude and longitude."
            )
        return Nearby(self, data.catalog, _columns(data))

    def restore(self, state: State, data: Dataset) -> Nearby:
        return Nearby(self, data.catalog, _columns(data))


def _columns(data: Dataset) -> tuple[str, str]:
    declared = data.manifest.items.columns if data.manifest.items else {}
    found = {kind: name for name, kind in declared.items()}
    return found.get("latitude", ""), found.get("longitude", "")


def has_coordinates(data: Dataset) -> bool:
    return all(name in data.catalog.table.columns for name in _columns(data))


@dataclass(frozen=True)
class Nearby:
    """log(1 + km), and the share of the asker's past, where it has a place, within ``reach_km`` of the candidate."""

    spec: NearbySpec
    catalog: Catalog
    columns: tuple[str, str]
    _cache: dict[str, Float64] = field(default_factory=dict, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES

    @property
    def points(self) -> Float64:
        """Unit vectors of the items' coordinates, NaN rows without: (n_items, 3)."""
        if "points" not in self._cache:
            latitude, longitude = (
                np.deg2rad(self.catalog.table[name].cast(pl.Float64).fill_null(np.nan).to_numpy()) for name in self.columns
            )
            xyz = (np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude))
            self._cache["points"] = np.stack(xyz, axis=1)
        return self._cache["points"]

    def features(self, requests: Requests, slates: Slates) -> Float32:
        out = np.full((len(slates.item_ix), len(NAMES)), np.nan, np.float32)
        past = requests.history.last(self.spec.last)
        for request in np.flatnonzero((past.lengths > 0) & (slates.lengths > 0)):
            mine = slice(int(slates.offsets[request]), int(slates.offsets[request + 1]))
            before = self.points[past.item_ix[past.offsets[request] : past.offsets[request + 1]]]
            apart = _km(self.points[slates.item_ix[mine]], before)  # (n_candidates, n_past)
            out[mine, 0] = np.log1p(apart[:, -1])
            if apart.shape[1] > 1:
                out[mine, 1] = np.log1p(apart[:, -2])
            somewhere = apart[:, ~np.isnan(before[:, 0])]  # what was done nowhere is neither near nor far
            if somewhere.shape[1]:
                out[mine, 2] = np.log1p(somewhere.min(axis=1))
                out[mine, 3] = np.log1p(np.median(somewhere, axis=1))
                out[mine, 4] = np.where(np.isnan(somewhere[:, 0]), np.nan, (somewhere <= self.spec.reach_km).mean(axis=1))
        return out

    def state(self) -> State:
        return State()

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog, _cache={})


def _km(one: Float64, other: Float64) -> Float64:
    """Great-circle distances between unit vectors: (n, m)."""
    chord = np.sqrt(np.maximum(2 - 2 * (one @ other.T), 0.0))
    return np.asarray(2 * EARTH_KM * np.arcsin(np.minimum(chord / 2, 1.0)))
