"""zhiyin (知音): recommendations from plain tables, by pretrained language models.

The public names load on first use: ``import zhiyin`` takes no time and imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from zhiyin.api import compare, fit, load
    from zhiyin.base.errors import ZhiyinError
    from zhiyin.data.catalog import Catalog
    from zhiyin.data.dataset import Dataset
    from zhiyin.data.requests import Histories, Requests
    from zhiyin.data.run import Run
    from zhiyin.data.schema import Manifest, Repeat
    from zhiyin.data.slates import Slates
    from zhiyin.data.tables import Tables
    from zhiyin.data.truth import Truth
    from zhiyin.pipeline.recommender import Recommender

_WHERE = {
    "Catalog": "zhiyin.data.catalog",
    "Dataset": "zhiyin.data.dataset",
    "Histories": "zhiyin.data.requests",
    "Manifest": "zhiyin.data.schema",
    "Recommender": "zhiyin.pipeline.recommender",
    "Repeat": "zhiyin.data.schema",
    "Requests": "zhiyin.data.requests",
    "Run": "zhiyin.data.run",
    "Slates": "zhiyin.data.slates",
    "Tables": "zhiyin.data.tables",
    "Truth": "zhiyin.data.truth",
    "ZhiyinError": "zhiyin.base.errors",
    "compare": "zhiyin.api",
    "fit": "zhiyin.api",
    "load": "zhiyin.api",
}

__all__ = [
    "Catalog",
    "Dataset",
    "Histories",
    "Manifest",
    "Recommender",
    "Repeat",
    "Requests",
    "Run",
    "Slates",
    "Tables",
    "Truth",
    "ZhiyinError",
    "__version__",
    "compare",
    "fit",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'zhiyin' has no attribute '{name}'")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
