"""Every ranker by name. Listing costs nothing; a ranker's module is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zhiyin.base.registry import Registry
from zhiyin.models.roles import RankerSpec

RANKERS = Registry(
    "ranker",
    "zhiyin.rankers",
    {
        "linear": "zhiyin.models.rank.linear:LinearSpec",
        "tree": "zhiyin.models.rank.tree:TreeSpec",
        "trees": "zhiyin.models.rank.trees:TreesSpec",
        "cross": "zhiyin.models.rank.cross:CrossSpec",
        "bilinear": "zhiyin.models.rank.bilinear:BilinearSpec",
        "attention": "zhiyin.models.rank.attention:AttentionSpec",
        "convolution": "zhiyin.models.rank.convolution:ConvolutionSpec",
        "calibrated": "zhiyin.models.rank.calibrate:CalibratedSpec",
    },
)


def ranker_of(values: Mapping[str, Any] | str, where: str = "") -> RankerSpec:
    """``"trees"`` or ``{"kind": "trees", "leaves": 15}`` -> the spec; unknown names get the nearest."""
    spec: RankerSpec = RANKERS.spec(values, where)
    return spec
