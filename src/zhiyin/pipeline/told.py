"""Row numbers and scores in words: ids, titles, a line of other columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from zhiyin.base.arrays import Int32
from zhiyin.data.dataset import Dataset
from zhiyin.data.schema import ColumnType
from zhiyin.data.slates import Slates
from zhiyin.pipeline.answer import Recommended
from zhiyin.pipeline.placement import Language

_TOLD: tuple[ColumnType, ...] = ("category", "list", "text", "price")


def told(slates: Slates, data: Dataset) -> tuple[Recommended, ...]:
    """The items of all lists, one after another."""
    catalog = data.catalog
    ids, titles = catalog.items.names(slates.item_ix), catalog.titles(slates.item_ix)
    lines = _lines(slates.item_ix, data)
    return tuple(Recommended(i, t, float(s), x) for i, t, s, x in zip(ids, titles, slates.score, lines, strict=True))


def language_of(data: Dataset) -> Language:
    """What the manifest says; "auto" is Chinese where half of the first hundred titles hold Chinese."""
    if data.manifest.language != "auto":
        return data.manifest.language
    titles = data.catalog.titles(np.arange(min(100, len(data.catalog))))
    chinese = sum(any("\u4e00" <= letter <= "\u9fff" for letter in title) for title in titles)
    return "zh" if chinese * 2 > len(titles) else "en"


def _lines(ix: Int32, data: Dataset) -> list[str]:
    """A line of the other readable columns for each item."""
    catalog, declared = data.catalog, data.manifest.items.columns if data.manifest.items else {}
    names = [c for kind in _TOLD for c, t in declared.items() if t == kind and c != catalog.title_column and c in catalog.table.columns]
    rows = catalog.table.select(names)[np.asarray(ix, np.int64)] if names else pl.DataFrame()
    said = [" · ".join(filter(None, map(_said, row))) for row in rows.rows()] if names else [""] * len(ix)
    return [line if len(line) <= 160 else line[:157] + "..." for line in said]


def _said(value: Any) -> str:
    """In words; "" for nothing and for an empty list."""
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
