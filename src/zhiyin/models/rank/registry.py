"""Every ranker by name. Listing costs nothing; a ranker's module is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zhiyin.base.errors import ConfigError
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
    given: dict[str, Any] = {"kind": values} if isinstance(values, str) else dict(values)
    kind = given.pop("kind", None)
    if not isinstance(kind, str):
        raise ConfigError(f"a ranker needs a 'kind'{f' in {where}' if where else ''}", f"Known: {', '.join(RANKERS.names())}.")
    spec_class: type[RankerSpec] = RANKERS.get(kind)
    return spec_class.parse(given, where or f"ranker '{kind}'")
