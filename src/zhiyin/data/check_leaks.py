"""Rules about what a model could know too early: answers that hide in columns, splits and times."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from zhiyin.data.findings import Finding, many
from zhiyin.data.look import Look

TELLING = 0.95
COUNTED = 0.7
SAMPLE_ROWS = 200_000
TRAIN = ("train", "training")
TEST = ("test", "testing", "valid", "validation", "val", "dev", "holdout")


def life_times(look: Look) -> Iterator[Finding]:
    """Acts on items that were not there yet, or not any more."""
    spec = look.data.manifest.items
    if spec is None or not look.timed:
        return
    e = look.data.events
    for role, column in (("published", spec.publish), ("expired", spec.expire)):
        if column is None:
            continue
        limit = look.data.catalog.table[column].cast(pl.Int64).to_numpy()[e.item_ix]
        wrong = e.time_us < limit if role == "published" else e.time_us > limit
        n = int(np.nan_to_num(wrong).sum())
        if n:
            when = "before the item was published" if role == "published" else "after the item expired"
            yield Finding(
                "warn" if n > 0.01 * len(e) else "info",
                "life times",
                f"{many(n, 'event')} ({n / len(e):.1%}) happened {when} (column '{column}').",
                "Check the time zone of both tables, or which of the two times is wrong.",
            )


def telling_columns(look: Look) -> Iterator[Finding]:
    """Context that names the item: known only once the act is done."""
    e = look.data.events
    usual = look.data.item_counts.max() / max(len(e), 1)
    for name in e.context.columns:
        if name in ("session", "trace", "split") or e.context[name].dtype.is_float():
            continue
        told, n_values = _told(e.context[name].head(SAMPLE_ROWS), e.item_ix[:SAMPLE_ROWS])
        if told > max(TELLING, usual + 0.5 * (1 - usual)) and n_values > 1:
            yield Finding(
                "bad",
                "telling column",
                f"context column '{name}' gives the item away in {told:.0%} of the events.",
                "It is not known before the act: take it out of events.context, or move it to [items].",
            )


def _told(column: pl.Series, item_ix: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> tuple[float, int]:
    """Share of rows whose item is the commonest of their value (values met twice or more), and how many values."""
    frame = pl.DataFrame({"value": column, "item": item_ix}).drop_nulls()
    counted = frame.group_by("value", "item").len().group_by("value").agg(pl.col("len").sum().alias("n"), pl.col("len").max().alias("most"))
    again = counted.filter(pl.col("n") > 1)
    return (float(again["most"].sum()) / float(again["n"].sum()), again.height) if again.height else (0.0, 0)


def counted_columns(look: Look) -> Iterator[Finding]:
    """Numbers of items that were counted out of the very events to be foretold (rank correlation with the counts)."""
    table, counts = look.data.catalog.table, look.data.item_counts
    for name, type_ in look.item_types.items():
        if type_ != "number" or name not in table.columns or not table[name].dtype.is_numeric():
            continue
        x = np.asarray(table[name].cast(pl.Float64).fill_null(np.nan).to_numpy(), dtype=np.float64)
        both = ~np.isnan(x) & (counts > 0)
        if both.sum() < 50 or len(np.unique(x[both])) < 10:
            continue
        r = float(np.corrcoef(_ranks(x[both]), _ranks(counts[both].astype(np.float64)))[0, 1])
        if r > COUNTED:
            yield Finding(
                "warn",
                "counted column",
                f"items column '{name}' follows how often items are met (rank correlation {r:.2f}).",
                "If it was counted over the whole time it tells the future of every split: leave it out.",
            )


def _ranks(x: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    from scipy.stats import rankdata

    return np.asarray(rankdata(x), dtype=np.float64)


def splits(look: Look) -> Iterator[Finding]:
    """A published split that lets the test set into training."""
    e = look.data.events
    if look.data.manifest.events.split is None or "split" not in e.context.columns:
        return
    words = e.context["split"].cast(pl.String).str.to_lowercase()
    train, test = words.is_in(TRAIN).to_numpy(), words.is_in(TEST).to_numpy()
    if not train.any() or not test.any():
        yield Finding("info", "split", f"column 'split' has no {'test' if train.any() else 'training'} part.", "")
        return
    key = e.user_ix.astype(np.int64) * look.data.n_items + e.item_ix
    both = float(np.isin(key[test], key[train]).mean())
    if both > 0.01 and look.data.manifest.repeat.policy == "never":
        yield Finding(
            "bad", "split", f"{both:.0%} of the test events are in the training part too (same user and item).", "Make the split again."
        )
    if look.timed:
        first = np.full(look.data.n_users, np.iinfo(np.int64).max)
        np.minimum.at(first, e.user_ix[test], e.time_us[test])
        late = float((e.time_us[train] > first[e.user_ix[train]]).mean())
        if late > 0.01:
            yield Finding(
                "warn",
                "split",
                f"{late:.0%} of the training events happened after the same user's first test event: the split is not by time.",
                "Figures on it are kinder than the future; prefer a time split.",
            )
