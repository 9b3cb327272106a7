"""Every feature source by name, and what is worth asking on data of some kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zhiyin.base.registry import Registry
from zhiyin.data.dataset import Dataset
from zhiyin.models.features.nearby import has_coordinates
from zhiyin.models.features.social import friends_of
from zhiyin.models.features.source import FeatureSpec

SOURCES = Registry(
    "feature source",
    "zhiyin.features",
    {
        "counts": "zhiyin.models.features.counts:CountsSpec",
        "history": "zhiyin.models.features.history:HistorySpec",
        "companions": "zhiyin.models.features.companions:CompanionsSpec",
        "interest": "zhiyin.models.features.interest:InterestSpec",
        "nearby": "zhiyin.models.features.nearby:NearbySpec",
        "attributes": "zhiyin.models.features.attributes:AttributesSpec",
        "social": "zhiyin.models.features.social:SocialSpec",
    },
)


def source_of(values: Mapping[str, Any] | str, where: str = "") -> FeatureSpec:
    """``"counts"`` or ``{"kind": "history", "hour_widths": [2.0]}`` -> the spec; unknown names get the nearest."""
    spec: FeatureSpec = SOURCES.spec(values, where)
    return spec


def default_sources(data: Dataset) -> list[FeatureSpec]:
    """Counts, own history and attributes always; words, distances and friends where there are some."""
    names = ["counts", "attributes"]
    # Without order a history would hold the very event that is asked about: only what leaves it out is safe.
    names.append("companions" if data.manifest.order == "none" else "history")
    if "text" in data.catalog.vectors:
        names.append("interest")
    if has_coordinates(data):
        names.append("nearby")
    if len(friends_of(data)[0]):
        names.append("social")
    return [source_of(name) for name in names]
