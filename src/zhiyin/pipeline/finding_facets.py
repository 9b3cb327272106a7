"""Counts of the items found by category, list value and price band."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Float64, Int32, Ragged, offsets_of
from zhiyin.base.errors import UnknownNameError, nearest
from zhiyin.data.catalog import Catalog
from zhiyin.data.schema import Manifest
from zhiyin.pipeline.finding_found import FacetCount
from zhiyin.text.templates import listed

CATEGORY_TYPES = ("category", "list")
FACET_TYPES = (*CATEGORY_TYPES, "domain", "language")
N_BANDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Facet:
    """The values of one column by number; an item may have several."""

    values: tuple[str, ...]
    codes: Ragged  # numbers into values, one list per item
    limits: Float64 | None = None  # between the bands of a number; bands stand in their order

    def counts(self, items: AnyArray, most: int) -> tuple[FacetCount, ...]:
        """How many of the items (n,) have each value: the most frequent ones, or all bands."""
        n = np.bincount(self.codes.take(items).values, minlength=len(self.values))
        order = np.lexsort((np.arange(len(n)), -n))[:most] if self.limits is None else np.arange(len(n))
        return tuple(FacetCount(self.values[i], int(n[i])) for i in order if n[i])

    def first(self, items: AnyArray | None = None) -> Int32:
        """Number of the first value of items, of all by default, -1 where they have none: (n,)."""
        codes = self.codes if items is None else self.codes.take(items)
        out = np.full(len(codes), -1, np.int32)
        there = codes.lengths > 0
        out[there] = codes.values[codes.offsets[:-1][there]]
        return out

    def with_rows(self, column: pl.Series, rows: AnyArray, n: int) -> Facet:
        """With the values of the numbered rows read again; ``n`` rows there are now."""
        values, lists = _lists(column, self.values) if self.limits is None else (self.values, _bands(column, self.limits))
        old = len(self.codes)
        both = Ragged(
            np.concatenate([self.codes.offsets, self.codes.offsets[-1] + lists.offsets[1:]]),
            np.concatenate([self.codes.values, lists.values]),
        )
        if len(rows) and rows[0] < old:  # some were there before
            place = np.arange(n)
            place[rows] = old + np.arange(len(rows))
            both = both.take(place)
        return Facet(values, both, self.limits)


@dataclass(frozen=True, slots=True, eq=False)
class Facets:
    """Every column of a catalogue that answers may be counted by; ``categories`` are those that say what a thing is."""

    by_name: Mapping[str, Facet]
    categories: tuple[str, ...]

    @classmethod
    def of(cls, catalog: Catalog, manifest: Manifest) -> Self:
        """Category, list, domain and language columns by value; prices in bands with round limits."""
        typed = manifest.items.columns if manifest.items else {}
        there = {c: kind for c, kind in typed.items() if c in catalog.table.columns}
        facets = {c: Facet(*_lists(catalog.table[c])) for c, kind in there.items() if kind in FACET_TYPES}
        facets |= {c: _by_band(catalog.table[c]) for c, kind in there.items() if kind == "price"}
        return cls(facets, tuple(c for c, kind in there.items() if kind in CATEGORY_TYPES))

    def with_rows(self, catalog: Catalog, rows: AnyArray) -> Self:
        """With the numbered rows read again."""
        part = catalog.table[np.asarray(rows, np.int64)]
        return replace(self, by_name={c: facet.with_rows(part[c], rows, len(catalog)) for c, facet in self.by_name.items()})

    def counts(self, names: Sequence[str], items: AnyArray, most: int = 20) -> dict[str, tuple[FacetCount, ...]]:
        """For each named facet the counts over the items (n,). Raises ``UnknownNameError`` for one that is none."""
        for name in names:
            if name not in self.by_name:
                raise UnknownNameError(f"'{name}' is not a facet of these items", nearest(name, self.by_name) or "There are none.")
        return {name: self.by_name[name].counts(items, most) for name in names}


def _lists(column: pl.Series, known: Sequence[str] = ()) -> tuple[tuple[str, ...], Ragged]:
    """Values by number, those known first, and the numbers of each row."""
    place = {value: i for i, value in enumerate(known)}
    codes: list[int] = []
    lengths = np.zeros(len(column), np.int64)
    seen: dict[str, list[int]] = {}  # most items say what another said
    for i, value in enumerate(column.to_list()):
        numbers = seen.get(value) if isinstance(value, str) else None
        if numbers is None:
            numbers = [place.setdefault(part, len(place)) for part in listed(value)]
            if isinstance(value, str):
                seen[value] = numbers
        lengths[i] = len(numbers)
        codes.extend(numbers)
    return tuple(place), Ragged(offsets_of(lengths), np.array(codes, np.int32))


def _by_band(column: pl.Series) -> Facet:
    limits = round_limits(_numbers(column))
    said = [f"{limit:g}" for limit in limits]
    between = [f"{low} to {high}" for low, high in pairwise(said)]
    values = (f"under {said[0]}", *between, f"{said[-1]} and more") if said else ("any",)
    return Facet(values, _bands(column, limits), limits)


def _bands(column: pl.Series, limits: Float64) -> Ragged:
    price = _numbers(column)
    there = np.isfinite(price)
    return Ragged(offsets_of(there), np.searchsorted(limits, price[there], "right").astype(np.int32))


def _numbers(column: pl.Series) -> Float64:
    return column.cast(pl.Float64, strict=False).fill_null(math.nan).to_numpy()


def round_limits(price: AnyArray, n_bands: int = N_BANDS) -> Float64:
    """Limits between bands of about as many items each, rounded to 1, 2 or 5 times a power of ten."""
    positive = price[np.isfinite(price) & (price > 0)]
    if not len(positive):
        return np.zeros(0)
    wanted = np.quantile(positive, np.arange(1, n_bands) / n_bands)
    magnitude = 10.0 ** np.floor(np.log10(wanted))
    steps = np.array([1.0, 2.0, 5.0, 10.0])
    nearest_step = steps[np.abs(np.log(wanted / magnitude)[:, None] - np.log(steps)).argmin(axis=1)]
    return np.asarray(np.unique(np.round(nearest_step * magnitude, 6)), np.float64)
