"""What a single column looks like: what can be said without knowing its table."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from zhiyin.base.errors import ZhiyinError
from zhiyin.data.columns import Parsed, blank_to_null, read_numbers
from zhiyin.data.guess_words import COLUMN_TYPES, is_id_name, likeness
from zhiyin.data.schema import ColumnType, TimeUnit
from zhiyin.data.times import FIRST, LAST, UNITS, time_reader

SAMPLE = 20_000
SPLITS = frozenset({"train", "training", "valid", "validation", "val", "dev", "test", "testing", "holdout", "unused"})
_SHORT: dict[str, TimeUnit] = {"seconds": "s", "milliseconds": "ms", "microseconds": "us"}


@dataclass(frozen=True)
class Typed:
    """A type for a column, how sure (0..1), and why."""

    type: ColumnType | None  # None = better left out
    sure: float
    reason: str


@dataclass(frozen=True)
class Profile:
    """A column of a table with the questions one asks it; costly answers are kept."""

    name: str
    values: pl.Series = field(repr=False)

    @cached_property
    def given(self) -> pl.Series:
        """What is not null or blank."""
        return (self.values if self.values.dtype.is_nested() else blank_to_null(self.values)).drop_nulls()

    @cached_property
    def sample(self) -> pl.Series:
        """Evenly spaced given values, at most ``SAMPLE``."""
        step = max(1, len(self.given) // SAMPLE)
        return self.given.gather_every(step)

    @property
    def missing_share(self) -> float:
        return 1 - len(self.given) / len(self.values) if len(self.values) else 1.0

    @cached_property
    def n_distinct(self) -> int:
        return len(self.given) if self.values.dtype.is_nested() else int(self.given.n_unique())

    @property
    def distinct_share(self) -> float:
        return self.n_distinct / max(len(self.given), 1)

    @property
    def is_key(self) -> bool:
        """One row per value, none empty."""
        return bool(len(self.values)) and self.n_distinct == len(self.values)

    @property
    def is_text(self) -> bool:
        return self.values.dtype == pl.String

    @cached_property
    def numbers(self) -> pl.Series | None:
        """Float64 sample where (nearly) all of it are numbers, else None."""
        if self.values.dtype.is_nested() or self.values.dtype.is_temporal() or self.values.dtype == pl.Boolean or not len(self.sample):
            return None
        parsed = _read(read_numbers, self.sample)
        return parsed.values.drop_nulls() if parsed is not None and len(parsed.values.drop_nulls()) >= 0.98 * len(self.sample) else None

    @cached_property
    def is_whole(self) -> bool:
        return self.numbers is not None and bool((self.numbers == self.numbers.round(0)).all())

    @cached_property
    def time_unit(self) -> TimeUnit | None:
        """The unit in which the column reads as times throughout, None where it is no time."""
        if self.values.dtype in (pl.Datetime, pl.Date):
            return "auto"
        if not len(self.sample) or self.values.dtype.is_nested() or self.values.dtype in (pl.Boolean, pl.Time, pl.Duration):
            return None
        if self.numbers is not None:
            sizes = self.numbers.abs()
            for name, us in UNITS.items():
                inside = (sizes * us / 1e6).is_between(FIRST, LAST)
                # Plain numbers of that size are common too: an instant in the years 1990 to 2099 is asked for.
                median = float(np.median(sizes.to_numpy())) * us / 1e6
                if inside.mean() == 1.0 and 631_152_000 <= median < 4_102_444_800:
                    return _SHORT[name]
            return "auto" if self._all_times() and self.is_whole else None
        return "iso" if self._all_times() else None

    def _all_times(self) -> bool:
        head = self.sample.head(2000)
        if self.is_text and float((head.str.len_chars() >= 6).mean() or 0) < 1:  # type: ignore[arg-type]
            return False
        parsed = _read(time_reader("auto"), head)
        return parsed is not None and parsed.values.null_count() <= 0.02 * len(head)

    @cached_property
    def mean_length(self) -> float:
        return float(self.sample.str.len_chars().mean() or 0) if self.is_text and len(self.sample) else 0.0  # type: ignore[arg-type]

    @cached_property
    def cjk_share(self) -> float:
        """Share of texts with a Chinese character."""
        if not self.is_text or not len(self.sample):
            return 0.0
        return float(self.sample.str.contains(r"[\u3400-\u9fff]").mean() or 0)  # type: ignore[arg-type]

    @cached_property
    def worded_share(self) -> float:
        """Share of texts of several words (or four Chinese characters)."""
        if not self.is_text or not len(self.sample):
            return 0.0
        return float(self.sample.str.contains(r"\S\s+\S|[\u3400-\u9fff]{4}").mean() or 0)  # type: ignore[arg-type]

    def share_of(self, pattern: str) -> float:
        return float(self.sample.str.contains(pattern).mean() or 0) if self.is_text and len(self.sample) else 0.0  # type: ignore[arg-type]

    @cached_property
    def is_split(self) -> bool:
        return self.is_text and 1 < self.n_distinct <= 6 and {str(v).lower() for v in self.given.unique()} <= SPLITS


def _read(reader: object, sample: pl.Series) -> Parsed | None:
    try:
        return reader(sample, "")  # type: ignore[operator, no-any-return]
    except ZhiyinError:
        return None


def column_type(p: Profile) -> Typed:
    """The manifest's type for a describing column (of items or users)."""
    if p.values.dtype.is_nested():
        listed = isinstance(p.values.dtype, pl.List | pl.Array)
        return Typed("list", 0.95, "holds lists") if listed else Typed(None, 0.8, "holds structures")
    if not len(p.given):
        return Typed(None, 0.99, "is empty")
    if p.n_distinct == 1 and len(p.values) > 1 and not p.missing_share:
        return Typed(None, 0.9, "holds one value only")
    named = {t: likeness(p.name, words) for t, words in COLUMN_TYPES.items()}
    return _by_numbers(p, named) or _by_text(p, named)


def _by_numbers(p: Profile, named: dict[str, float]) -> Typed | None:
    """Types of what are numbers, times or true/false; None for text."""
    if p.values.dtype == pl.Boolean:
        return Typed("category", 0.9, "true or false")
    if p.time_unit is not None:
        return Typed("time", 0.95 if p.values.dtype.is_temporal() or p.is_text else 0.8, "reads as times throughout")
    if p.numbers is None:
        return None
    limit = float(p.numbers.abs().max() or 0)  # type: ignore[arg-type]
    for type_, degrees in (("latitude", 90.0), ("longitude", 180.0)):
        if named[type_] > 0.5 and limit <= degrees and not p.is_whole:
            return Typed(type_, 0.97, f"named so, within {degrees:g} degrees")  # type: ignore[arg-type]
    if named["price"] > 0.5 and float((p.numbers >= 0).mean() or 0) > 0.99:  # type: ignore[arg-type]
        return Typed("price", 0.9, "named so, numbers from 0 up")
    if p.is_whole and is_id_name(p.name) and p.distinct_share > 0.5:
        return Typed(None, 0.8, "looks like another id")
    if p.is_whole and (named["category"] > 0.5 or is_id_name(p.name)):
        return Typed("category", 0.75, f"{p.n_distinct:,} codes")
    if p.is_whole and p.distinct_share > 0.98 and p.n_distinct > 100:
        return Typed(None, 0.6, "whole numbers that hardly repeat, as ids do")
    return Typed("number", 0.85, "numbers")


def _by_text(p: Profile, named: dict[str, float]) -> Typed:
    if p.share_of(r"(?i)^(https?://|/|[\w./-]+)\S*\.(jpe?g|png|gif|webp|bmp|svg)(\?\S*)?$") > 0.8:
        return Typed("image", 0.97 if named["image"] > 0.5 else 0.85, "names of pictures")
    if p.share_of(r"(?i)^https?://\S+$") > 0.8:
        return Typed(None, 0.85, "web addresses")
    if named["language"] > 0.5 and p.n_distinct <= 300 and p.mean_length <= 12:
        return Typed("language", 0.9, f"named so, {p.n_distinct:,} short codes")
    for mark, least in (("|", 0.2), (";", 0.2), (",", 0.5)):
        parts = p.sample.head(2000).str.split(mark).list.eval(pl.element().str.strip_chars()).explode(empty_as_null=True, keep_nulls=True)
        short = float(parts.drop_nulls().str.len_chars().mean() or 0) < 30  # type: ignore[arg-type]
        reused = parts.n_unique() < 0.6 * len(parts)
        # A comma between digits divides thousands, not words.
        if (
            p.share_of(rf"[^\s\d]\s*[{mark}]\s*\S" if mark == "," else rf"\S\s*[{mark}]\s*\S") > least
            and short
            and (reused or named["list"] > 0.7)
        ):
            return Typed("list", 0.9 if named["list"] > 0.5 else 0.7, f"words divided by '{mark}'")
    if p.distinct_share > 0.9 and p.worded_share < 0.1 and p.cjk_share < 0.5 and len(p.given) > 20 and named["text"] < 0.7:
        return Typed(None, 0.8, "looks like another id")
    if named["text"] > 0.7:
        return Typed("text", 0.95, f"named so, {p.mean_length:.0f} characters on average")
    if named["place"] > 0.5:
        return Typed("place", 0.8, f"named so, {p.n_distinct:,} places")
    if p.mean_length > 60 or (p.worded_share > 0.5 and p.distinct_share > 0.5):
        return Typed("text", 0.85, f"{p.mean_length:.0f} characters on average, hardly repeated")
    return Typed("category", 0.9 if p.distinct_share < 0.2 or named["category"] > 0.5 else 0.65, f"{p.n_distinct:,} different words")


def looks_like_id(p: Profile) -> bool:
    """May the column hold ids: whole numbers or short text without blanks, or named so."""
    if p.values.dtype.is_nested() or p.values.dtype.is_temporal() or p.values.dtype == pl.Boolean or not len(p.given):
        return False
    if p.numbers is not None:
        return p.is_whole and (p.time_unit is None or is_id_name(p.name))
    return p.is_text and p.mean_length <= 64 and (p.worded_share < 0.3 or is_id_name(p.name)) and p.time_unit is None
