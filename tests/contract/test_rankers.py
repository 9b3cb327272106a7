"""Every registered ranker keeps every promise."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from zhiyin.models.rank.registry import RANKERS, ranker_of
from zhiyin.testing.ranker_contracts import RANKER_CHECKS, RankerCase

NEURAL = {"dim": 4, "hidden": [16], "epochs": 6, "batch_size": 256}
SMALL: dict[str, dict[str, Any]] = {
    "trees": {"n_trees": 40, "leaves": 7},
    "cross": NEURAL,
    "bilinear": NEURAL,
    "attention": NEURAL,
    "convolution": NEURAL,
    "calibrated": {"ranker": {"kind": "linear"}},
}
MORE: dict[str, dict[str, Any]] = {
    "trees base": {"kind": "trees", "base": "liking", **SMALL["trees"]},
    "trees binary": {"kind": "trees", "objective": "binary", "base": "liking", **SMALL["trees"]},
    "isotonic": {"kind": "calibrated", "calibrate": "isotonic", "ranker": {"kind": "trees", "n_trees": 20}},
    "calibrated none": {"kind": "calibrated", "calibrate": "none", "ranker": {"kind": "tree"}},
    "two streams": {"kind": "cross", "form": "two_stream", "embed": ["item", "user"], **NEURAL},
    "bilinear codes": {"kind": "bilinear", "embed": ["item"], **NEURAL},
    "attention list": {"kind": "attention", "objective": "list", "text": "off", "negatives_per_positive": None, **NEURAL},
}
NAMES = [*RANKERS.names(), *MORE]


@cache
def case(name: str) -> RankerCase:
    values = MORE[name] if name in MORE else {"kind": name, **SMALL.get(name, {})}
    return RankerCase(ranker_of(values), Path(mkdtemp()))


@pytest.mark.parametrize("check", RANKER_CHECKS)
@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str, check: str) -> None:
    RANKER_CHECKS[check](case(name))
