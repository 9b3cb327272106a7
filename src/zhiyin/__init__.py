"""zhiyin (知音): recommendations from plain tables, by pretrained language models.

The public names load on first use: ``import zhiyin`` takes no time and imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "Catalog": "zhiyin.data.catalog",
    "Dataset": "zhiyin.data.dataset",
    "Histories": "zhiyin.data.requests",
    "Manifest": "zhiyin.data.schema",
    "Requests": "zhiyin.data.requests",
    "Run": "zhiyin.data.run",
    "Slates": "zhiyin.data.slates",
    "Truth": "zhiyin.data.truth",
    "ZhiyinError": "zhiyin.base.errors",
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'zhiyin' has no attribute '{name}'")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
