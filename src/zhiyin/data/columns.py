"""One column of a table as what the manifest says it is, with the rows that are not.

Every reader gives a ``Parsed``: values with null where there is nothing, and the rows that hold
something else together with the words for it. What happens to those rows is decided in ``clean``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from zhiyin.base.arrays import Bool, Int32
from zhiyin.base.errors import DataError, MissingDataError, nearest

TRUE_WORDS = ("true", "yes", "y", "t", "1", "1.0")
FALSE_WORDS = ("false", "no", "n", "f", "0", "0.0")


@dataclass(frozen=True)
class Source:
    """A table whose columns are fetched one by one, so that only one is in memory as text."""

    name: str  # events, items, users, relations
    file: str  # what messages call it
    names: tuple[str, ...]
    height: int
    get: Callable[[str], pl.Series]

    @classmethod
    def of(cls, name: str, file: str, frame: pl.DataFrame) -> Source:
        return cls(name, file, tuple(frame.columns), frame.height, frame.get_column)

    def column(self, name: str, key: str) -> pl.Series:
        """A column by name; ``key`` is the manifest key that asked for it."""
        if name not in self.names:
            raise MissingDataError(f"{self.file} has no column '{name}', which {key} in the manifest names", self._remedy(name))
        return self.get(name)

    def _remedy(self, name: str) -> str:
        names = [" ".join(n.split()) for n in self.names]  # workbooks put line breaks into their headers
        if len(names) == 1:
            return f"It has one column, '{names[0][:60]}': is it divided by something else than comma, tab, semicolon or |?"
        if names and all(n.replace(".", "", 1).isdecimal() for n in names):
            return f"Its first row looks like data ({', '.join(names[:3])}): put a header row above it."
        return nearest(name, names)


@dataclass(frozen=True)
class Problem:
    """Rows that hold something unreadable, and what is wrong with them."""

    rows: Bool  # (n,)
    why: str  # completes "'banana' ..."
    hint: str = ""


@dataclass(frozen=True)
class Parsed:
    """Values of n rows, null where absent or unreadable."""

    values: pl.Series
    problems: list[Problem] = field(default_factory=list)

    def without(self, rows: pl.Series, values: pl.Series, why: str) -> Parsed:
        """The same with other values and one more problem, where there are such rows."""
        if not rows.any():
            return Parsed(values, self.problems)
        return Parsed(values.set(rows, None), [*self.problems, Problem(mask(rows), why)])


def mask(series: pl.Series) -> Bool:
    """A boolean series without nulls as numpy."""
    return np.asarray(series.to_numpy(), dtype=np.bool_)


def _unread(raw: pl.Series, values: pl.Series, why: str, hint: str = "") -> list[Problem]:
    rows = raw.is_not_null() & values.is_null()
    return [Problem(mask(rows), why, hint)] if rows.any() else []


def blank_to_null(raw: pl.Series) -> pl.Series:
    """Empty or blank text means that nothing was given; so do NaN numbers."""
    if raw.dtype == pl.String:
        blank = raw.str.strip_chars().str.len_bytes() == 0
        return raw.set(blank.fill_null(False), None) if blank.any() else raw
    return raw.fill_nan(None) if raw.dtype.is_float() else raw


def plain(raw: pl.Series, place: str, wanted: str) -> pl.Series:
    """Categories as text; refuses nested columns with one sentence."""
    if isinstance(raw.dtype, pl.Categorical | pl.Enum):
        return raw.cast(pl.String)
    if raw.dtype.is_nested() or raw.dtype in (pl.Binary, pl.Object):
        raise DataError(f"{place} holds values of type {raw.dtype}, not {wanted}", "Write one plain value per row.")
    return raw


def read_ids(raw: pl.Series, place: str) -> Parsed:
    """Ids as whole numbers or text: 7 and "7" are the same id, 7.0 is 7, 7.5 is none."""
    raw = blank_to_null(plain(raw, place, "ids"))
    if raw.dtype.is_float():
        whole = raw.cast(pl.Int64, strict=False)
        whole = whole.set((whole != raw).fill_null(False), None)
        return Parsed(whole, _unread(raw, whole, "is no id: ids are text or whole numbers"))
    if raw.dtype == pl.Null:
        return Parsed(raw.cast(pl.String))
    if raw.dtype.is_integer() or raw.dtype == pl.String:
        return Parsed(raw)
    raise DataError(f"{place} holds values of type {raw.dtype}, not ids", "Ids are text or whole numbers.")


def read_text(raw: pl.Series, place: str) -> Parsed:
    """Text; numbers are written out, blank is nothing."""
    return Parsed(blank_to_null(plain(raw, place, "text").cast(pl.String)))


def read_numbers(raw: pl.Series, place: str) -> Parsed:
    """Finite numbers as Float64. Infinity is refused; NaN is nothing."""
    raw = blank_to_null(plain(raw, place, "numbers"))
    if raw.dtype.is_temporal():
        raise DataError(f"{place} holds times, not numbers", "Give the column another type in the manifest.")
    values = raw.str.strip_chars().cast(pl.Float64, strict=False) if raw.dtype == pl.String else raw.cast(pl.Float64)
    values = values.fill_nan(None)
    nan = raw.str.strip_chars().str.to_lowercase().is_in(["nan", "null", "none", "na", "n/a"]) if raw.dtype == pl.String else None
    if nan is not None and nan.any():
        raw = raw.set(nan.fill_null(False), None)
    problems = _unread(raw, values, "is not a number")
    return Parsed(values, problems).without(values.is_infinite().fill_null(False), values, "is not a finite number")


def read_flags(raw: pl.Series, place: str) -> Parsed:
    """True or false, also written yes/no, 1/0."""
    raw = blank_to_null(plain(raw, place, "true or false"))
    if raw.dtype == pl.Boolean:
        return Parsed(raw)
    words = raw.cast(pl.String).str.strip_chars().str.to_lowercase()
    values = pl.select(
        pl.when(words.is_in(TRUE_WORDS)).then(pl.lit(True)).when(words.is_in(FALSE_WORDS)).then(pl.lit(False)).otherwise(None)
    ).to_series()
    return Parsed(values, _unread(raw, values, "is neither true nor false"))


def read_lists(raw: pl.Series, place: str) -> Parsed:
    """Lists of text: a list column, or text divided by "|" (by ";" or "," where no "|" occurs)."""
    if isinstance(raw.dtype, pl.List | pl.Array):
        inner = raw.cast(pl.List(pl.String), strict=False)
        return Parsed(inner)
    text = read_text(raw, place).values
    mark = next((m for m in "|;" if text.str.contains(m, literal=True).any()), ",")
    parts = pl.DataFrame({"t": text}).select(
        pl.col("t").str.split(mark).list.eval(pl.element().str.strip_chars()).list.eval(pl.element().filter(pl.element() != ""))
    )
    return Parsed(parts.to_series())


def encode(ids: pl.Series) -> tuple[Int32, pl.Series]:
    """Row codes (n,), -1 where null, and the distinct ids as text in order of first appearance."""
    coded = pc.dictionary_encode(ids.to_arrow())
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    names = pl.Series(values=coded.dictionary, dtype=ids.dtype).cast(pl.String)
    return np.asarray(codes, dtype=np.int32), names
