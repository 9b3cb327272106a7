"""Catalogue rows as documents of three fields: the title, what kind of thing it is, and the rest that can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray
from zhiyin.data.catalog import Catalog
from zhiyin.data.schema import Manifest
from zhiyin.index.lexical import Field, LexicalIndex
from zhiyin.text.templates import listed, plain
from zhiyin.text.words_terms import said

FIELDS = (Field("title", 2.0, 0.5), Field("kind", 1.0, 0.3), Field("body", 1.0, 0.75))
"""Weights chosen with the tuning half of Cranfield and validation items of the Chinese reviews (bench/search.py)."""

_LONGEST = 4_000
"""Characters read of one column: what a text is about stands at its beginning."""


@dataclass(frozen=True)
class Documents:
    """Terms of each row by field, and in how many rows each word of people stands."""

    rows: list[tuple[list[str], list[str], list[str]]]
    words: Counter[str] = field(default_factory=Counter)

    def said(self) -> LexicalIndex:
        """The same without what kind of thing they are: from this alone can be learned which words tell the kind."""
        return LexicalIndex.of([(title, (), body) for title, _, body in self.rows], FIELDS)


@dataclass(frozen=True)
class Columns:
    """Which columns stand in which field."""

    title: str | None
    kinds: tuple[str, ...]
    bodies: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Manifest, catalog: Catalog) -> Self:
        """The manifest's text, category and list columns that the catalogue really has."""
        typed = manifest.items.columns if manifest.items else {}
        there = [(c, kind) for c, kind in typed.items() if c in catalog.table.columns and c != catalog.title_column]
        kinds = tuple(c for c, kind in there if kind in ("category", "list"))
        return cls(catalog.title_column, kinds, tuple(c for c, kind in there if kind == "text"))

    def documents(self, catalog: Catalog, rows: AnyArray | None = None) -> Documents:
        """Of all rows, or of the numbered ones; about .1 ms of CPU for a product, more for long texts."""
        table = catalog.table if rows is None else catalog.table[np.asarray(rows, np.int64)]
        titles = _texts(table, (self.title,) if self.title else ())
        kinds, bodies = _texts(table, self.kinds), _texts(table, self.bodies)
        out = Documents([])
        for title, kind, body in zip(titles, kinds, bodies, strict=True):
            read = said(title, in_title=True), said(kind, in_title=True), said(body)
            out.rows.append((read[0].terms, read[1].terms, read[2].terms))
            out.words.update({word for part in read for word in part.words})
        return out

    def kind_values(self, catalog: Catalog, rows: AnyArray) -> list[tuple[int, str, str]]:
        """(row, value, column) for every category and list value of the numbered rows."""
        table = catalog.table[np.asarray(rows, np.int64)]
        return [
            (int(row), part, c) for c in self.kinds for row, value in zip(rows, table[c].to_list(), strict=True) for part in listed(value)
        ]


def _texts(table: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """The columns of each row as one text, values apart from each other."""
    if not columns:
        return [""] * table.height
    values = [table[c].to_list() for c in columns]
    return [" | ".join(_text(value) for value in row if value is not None) for row in zip(*values, strict=True)]


def _text(value: object) -> str:
    return plain(value)[:_LONGEST] if isinstance(value, str) else ", ".join(listed(value))
