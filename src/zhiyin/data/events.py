"""Behaviour as columns: one word, event, from file to API."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Float32, Int32, Int64
from zhiyin.base.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """n events, ascending in ``time_us``; equal times keep the order of the file.

    With ``order = "position"`` in the manifest ``time_us`` holds the position within the user, and
    with ``order = "none"`` zeros: it sorts, but it is not a time.
    """

    user_ix: Int32  # (n,)
    item_ix: Int32  # (n,)
    time_us: Int64  # (n,)
    kind_ix: Int32  # (n,) into Dataset.kinds
    value: Float32  # (n,) rating, quantity, seconds; NaN where absent
    weight: Float32  # (n,) what the event says about liking; 0 = seen, but not a sign of liking
    place_ix: Int32  # (n,) into Dataset.places, -1 where unknown
    context: pl.DataFrame  # n rows, the manifest's context columns; zero columns when there are none

    def __post_init__(self) -> None:
        n = len(self.user_ix)
        for f in fields(self):
            column = getattr(self, f.name)
            if f.name != "context" and len(column) != n:
                raise DataError(f"events column '{f.name}' has {len(column)} rows, user_ix has {n}")
        if self.context.width and self.context.height != n:
            raise DataError(f"events context has {self.context.height} rows, user_ix has {n}")
        if n > 1 and bool((np.diff(self.time_us) < 0).any()):
            at = int(np.flatnonzero(np.diff(self.time_us) < 0)[0]) + 1
            raise DataError(f"column 'time' is not ascending at row {at:,}", "Sort by time first.")

    def __len__(self) -> int:
        return len(self.user_ix)

    @classmethod
    def of(
        cls,
        user_ix: AnyArray,
        item_ix: AnyArray,
        time_us: AnyArray,
        *,
        kind_ix: AnyArray | None = None,
        value: AnyArray | None = None,
        weight: AnyArray | None = None,
        place_ix: AnyArray | None = None,
        context: pl.DataFrame | None = None,
    ) -> Events:
        """Sort by time (stable) and fill the absent columns."""
        n = len(user_ix)
        time = np.asarray(time_us, dtype=np.int64)
        order = np.argsort(time, kind="stable") if n > 1 and bool((np.diff(time) < 0).any()) else slice(None)

        def column(given: AnyArray | None, fill: float, dtype: type) -> AnyArray:
            return np.full(n, fill, dtype) if given is None else np.asarray(given, dtype=dtype)[order]

        ctx = pl.DataFrame() if context is None else context
        if not isinstance(order, slice) and ctx.width:
            ctx = ctx[order]
        return cls(
            column(user_ix, 0, np.int32), column(item_ix, 0, np.int32), time[order],
            column(kind_ix, 0, np.int32), column(value, np.nan, np.float32), column(weight, 1.0, np.float32),
            column(place_ix, -1, np.int32), ctx,
        )  # fmt: skip

    @classmethod
    def trusted(cls, **columns: AnyArray | pl.DataFrame) -> Events:
        """From every column as it was saved, without looking at them again: they may lie in a mapped file."""
        made = object.__new__(cls)
        for f in fields(cls):
            object.__setattr__(made, f.name, columns[f.name])
        return made

    def take(self, rows: AnyArray | slice) -> Events:
        """Events at ascending row numbers, a boolean mask, or a slice (a slice copies nothing)."""
        if not self.context.width:
            context = self.context
        elif isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            context = self.context.slice(start, max(stop - start, 0))
        else:
            context = self.context[np.flatnonzero(rows) if np.asarray(rows).dtype == np.bool_ else rows]
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "context"}
        return Events(**columns, context=context)
