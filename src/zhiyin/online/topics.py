"""Topics as things to recommend and to find: values of the columns that say what items are about.

A topic's worth is its share of somebody's fading interest, and of what everybody takes (counts that halve in 90 days).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Bool, Float64, Int32
from zhiyin.data.requests import Histories
from zhiyin.online.names import Names
from zhiyin.online.portrait import faded, topic_columns
from zhiyin.online.snapshot import Snapshot

WORLD = 0.2
"""How much of a topic's worth is what everybody takes, for somebody who has interests of his own."""


@dataclass(frozen=True, eq=False)
class Topics:
    """Every topic of one catalogue: ``names`` are (column, value); pair i says that ``items[i]`` has ``topic[i]``, and how much of it."""

    names: tuple[tuple[str, str], ...]
    items: Int32  # (n_pairs,)
    topic: Int32  # (n_pairs,)
    share: Float64  # (n_pairs,)

    @classmethod
    def of(cls, snapshot: Snapshot) -> Topics:
        parts = [_pairs(snapshot.catalog.table[column], column) for column in topic_columns(snapshot)]
        pairs = (
            pl.concat(parts) if parts else pl.DataFrame(schema={"item": pl.Int64, "column": pl.String, "value": pl.String, "n": pl.Int64})
        )
        names = pairs.select("column", "value").unique(maintain_order=True).with_row_index("topic")
        known = pairs.join(names, on=["column", "value"], maintain_order="left")
        item, topic = (known[name].to_numpy().astype(np.int32) for name in ("item", "topic"))
        return cls(tuple(names.select("column", "value").rows()), item, topic, 1 / known["n"].to_numpy())

    @cached_property
    def index(self) -> Names:
        """Finds topics by name."""
        index = Names()
        for number, (_, name) in enumerate(self.names):
            index.put(number, name)
        return index

    def __len__(self) -> int:
        return len(self.names)

    def counts(self, allowed: Bool | None) -> AnyArray:
        """Items that have each topic and may be shown: (n_topics,)."""
        kept = self.topic if allowed is None else self.topic[allowed[self.items]]
        return np.bincount(kept, minlength=len(self))

    def of_everybody(self, popular: Float64) -> Float64:
        """Each topic's share of what everybody takes, 1 for the first: (n_topics,); ``popular`` (n_items,)."""
        return _relative(np.bincount(self.topic, popular[self.items] * self.share, minlength=len(self)))

    def of_person(self, snapshot: Snapshot, history: Histories, now_us: int, tags: Mapping[str, bool], hidden: Collection[str]) -> Float64:
        """Each topic's share of somebody's interest, 1 for the first: (n_topics,). ``history`` is a batch of one; what he tagged
        himself with counts like his first interest, what he took away and what he does not like is -1."""
        by_item = np.bincount(history.item_ix, faded(snapshot, history, now_us), minlength=len(snapshot.catalog))
        interest = _relative(np.bincount(self.topic, by_item[self.items] * self.share, minlength=len(self)))
        for number, (_, name) in enumerate(self.names):
            if name in hidden or tags.get(name) is False:
                interest[number] = -1.0
            elif tags.get(name):
                interest[number] = 1.0
        return interest


def worth_of(of_person: Float64, of_everybody: Float64) -> Float64:
    """What a topic is worth to somebody: (n_topics,); below 0 what he does not want."""
    if (of_person > 0).any():
        return np.where(of_person < 0, -1.0, (1 - WORLD) * of_person + WORLD * of_everybody)
    return np.where(of_person < 0, -1.0, of_everybody)


def _pairs(values: pl.Series, column: str) -> pl.DataFrame:
    """Each item with each of its values in a column: item, column, value, and how many values it has."""
    frame = pl.DataFrame({"item": np.arange(len(values)), "value": values})
    frame = (frame.explode("value") if isinstance(values.dtype, pl.List) else frame).with_columns(pl.col("value").cast(pl.String))
    frame = frame.filter(pl.col("value").str.strip_chars() != "").unique(maintain_order=True)
    return frame.select("item", pl.lit(column).alias("column"), "value", pl.len().over("item").cast(pl.Int64).alias("n"))


def _relative(amounts: AnyArray) -> Float64:
    out: Float64 = amounts / max(float(amounts.max(initial=0.0)), 1e-12)
    return out
