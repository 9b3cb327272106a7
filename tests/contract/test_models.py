"""Every registered model keeps every promise, on data with time and on data that knows only positions."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from zhiyin.models.registry import RETRIEVERS, spec_of
from zhiyin.testing.contracts import CHECKS, Case, small_world

SMALL: dict[str, dict[str, Any]] = {
    "factors": {"dim": 8, "epochs": 3},
    "two-stage": {
        "first": {"kind": "zhiyin", "parts": [{"kind": "transitions"}, {"kind": "ease"}, {"kind": "popular"}]},
        "folds": 2,
        "ranker": {"kind": "trees", "base": "score.first", "n_trees": 10, "min_leaf": 5},
    },
    "sequence": {"dim": 16, "layers": 1, "max_len": 20, "epochs": 2, "dropout": 0.1},
}
MORE = {
    "factors bpr": {"kind": "factors", "method": "bpr", "dim": 8, "epochs": 3},
    "popular segment": {"kind": "popular", "segment": "town", "half_life_days": 30},
    "transitions reach": {"kind": "transitions", "reach": 3, "backward": 0.3, "column_power": 0.3},
    "user-neighbours bm25": {"kind": "user-neighbours", "weighting": "bm25", "k": 5},
}
NAMES = [*RETRIEVERS.names(), *MORE]


@cache
def case(name: str, order: Any) -> Case:
    try:
        spec = spec_of(MORE[name]) if name in MORE else spec_of({"kind": name, **SMALL.get(name, {})})
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is not there yet")
    return Case(spec, small_world(order), Path(mkdtemp()))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("order", ["time", "position"])
@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str, order: str, check: str) -> None:
    CHECKS[check](case(name, order))
