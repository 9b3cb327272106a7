"""The pictures of a check: over time, per user, per item, through the week, and what is missing."""

from __future__ import annotations

import numpy as np
import polars as pl

from zhiyin.base.units import US_PER_DAY
from zhiyin.data.look import Look
from zhiyin.page.plots import Plot, bars, heatmap, histogram, lines
from zhiyin.spacetime.calendar import HOURS_PER_WEEK, hour_of_week, local_us

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MAX_BARS = 24


def plots_of(look: Look) -> tuple[tuple[Plot, str], ...]:
    """Each plot with its caption; those that need time are left out where there is none."""
    out: list[tuple[Plot, str]] = []
    if look.timed:
        out.append(_over_time(look))
    out.append(
        (
            histogram(look.per_user, log_x=True, title="Activity", x_label="events per user", y_label="users"),
            f"The median user has {np.median(look.per_user):g} events, the busiest {look.per_user.max():,}.",
        )
    )
    out.append(_long_tail(look))
    if look.timed:
        zone = look.data.manifest.time_zone
        week = np.bincount(hour_of_week(look.data.events.time_us, zone), minlength=HOURS_PER_WEEK).reshape(7, 24)
        plot = heatmap(week, WEEKDAYS, [str(h) for h in range(24)], title="Through the week", x_label=f"hour ({zone})")
        out.append((plot, "If people seem to be busiest at night the time zone is wrong."))
    value = look.numeric.get(look.data.manifest.events.value or "")
    if value is not None:
        out.append((histogram(value, title=f"Values of '{look.data.manifest.events.value}'", y_label="events", log_y=True), ""))
    gaps = look.columns.filter(pl.col("missing_share") > 0).sort("missing_share", descending=True).head(MAX_BARS)
    if gaps.height:
        labels = [f"{t}.{c}" for t, c in zip(gaps["table"], gaps["column"], strict=True)]
        out.append((bars(labels, 100 * gaps["missing_share"].to_numpy(), title="Missing", x_label="% of the rows"), ""))
    return tuple(out)


def _over_time(look: Look) -> tuple[Plot, str]:
    """Events per day, week or month, whichever gives a readable line."""
    t = local_us(look.data.events.time_us, look.data.manifest.time_zone)
    span = (t[-1] - t[0]) / US_PER_DAY
    step, word = ("D", "day") if span <= 120 else ("W", "week") if span <= 1_100 else ("M", "month")
    at = t.astype("datetime64[us]").astype(f"datetime64[{step}]").astype(np.int64)
    counts = np.bincount(at - at.min())
    x = (np.arange(len(counts)) + at.min()).astype(f"datetime64[{step}]").astype("datetime64[D]")
    plot = lines(x, {"events": counts}, title=f"Events per {word}", y_label="events")
    return plot, "The first and the last may be cut short."


def _long_tail(look: Look) -> tuple[Plot, str]:
    counts = np.sort(look.per_item)[::-1]
    share = np.cumsum(counts) / counts.sum()
    at = np.unique(np.geomspace(1, len(counts), 200).astype(np.int64)) - 1
    half = int(np.searchsorted(share, 0.5)) + 1
    plot = lines(at + 1, {"events": counts[at]}, log_x=True, log_y=True, title="Popularity", x_label="rank of the item", y_label="events")
    return plot, f"Half of all events fall on {half:,} items, {half / len(counts):.1%} of those that met anyone."
