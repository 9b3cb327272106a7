"""Look a data set over before a model learns from it: ``zhiyin check``.

Every rule is a function of a ``Look`` that yields findings; add one to ``RULES`` and it is run. Rules
judge by shares with stated thresholds: they say where to look, they prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl

from zhiyin.data import check_events, check_items, check_leaks
from zhiyin.data.check_plots import plots_of
from zhiyin.data.clean import LoadReport
from zhiyin.data.dataset import Dataset
from zhiyin.data.findings import Finding, Findings, Severity, many
from zhiyin.data.look import Look, UnknownShare
from zhiyin.data.tables import Tables
from zhiyin.data.times import days, iso

ORDER: dict[Severity, int] = {"bad": 0, "warn": 1, "info": 2}
RULES: tuple[Callable[[Look], Iterator[Finding]], ...] = (
    check_events.amounts,
    check_events.times,
    check_events.duplicates,
    check_events.machines,
    check_events.repeats,
    check_events.numbers,
    check_items.texts,
    check_items.references,
    check_items.descriptions,
    check_items.numbers,
    check_items.encoder,
    check_leaks.life_times,
    check_leaks.telling_columns,
    check_leaks.counted_columns,
    check_leaks.splits,
)


def check(
    data: Dataset, report: LoadReport | None = None, *, tables: Tables | None = None, unknown_share: UnknownShare | None = None
) -> Findings:
    """Run every rule. ``report`` (of loading) adds what was dropped and changed.

    ``tables`` (of ``read_folder``) lets several descriptions of one code be found; ``unknown_share``
    (texts -> share of tokens the encoder does not know) belongs to the text room above.
    """
    look = Look(data, report, tables, unknown_share)
    if not len(data.events):
        nothing = Finding("bad", "amounts", "There are no events.", "Look at the files and at [clean] in zhiyin.toml.")
        return Findings(data.manifest.name, facts(look), (nothing,), look.columns)
    found = [*_loaded(look), *_missing(look)]
    for rule in RULES:
        found += rule(look)
    ordered = tuple(sorted(found, key=lambda f: ORDER[f.severity]))
    return Findings(data.manifest.name, facts(look), ordered, look.columns, plots_of(look))


def facts(look: Look) -> dict[str, Any]:
    """The numbers one asks for first."""
    d, e = look.data, look.data.events
    out: dict[str, Any] = {"events": len(e), "users": d.n_users, "items": d.n_items}
    pairs = look.n_pairs
    out["filled share of the user-item matrix"] = pairs / max(d.n_users * d.n_items, 1)
    out["events per user (median)"] = float(np.median(look.per_user)) if len(look.per_user) else 0.0
    out["events per item (median)"] = float(np.median(look.per_item)) if len(look.per_item) else 0.0
    out["share of repeats"] = 1 - pairs / max(len(e), 1)
    if len(d.kinds) > 1:
        counts = np.bincount(e.kind_ix, minlength=len(d.kinds))
        out["kinds"] = ", ".join(f"{k} {n:,}" for k, n in zip(d.kinds, counts, strict=True))
    if look.timed:
        out["from"], out["to"] = iso(int(e.time_us[0])), iso(int(e.time_us[-1]))
        out["days"] = round(days(e.time_us), 1)
    out["order"] = d.manifest.order
    out["repeat"] = str(d.manifest.repeat)
    return out


def _loaded(look: Look) -> Iterator[Finding]:
    """What reading dropped and changed."""
    if look.report is None:
        return
    for change in look.report.changes:
        if change.reason == "items that the items table does not know":
            continue  # check_items.references says how many items that are
        share = change.rows / max(look.report.read.get(change.table, 0), 1)
        where = f"{change.table} column '{change.column}'" if change.column else change.table
        severity: Severity = "warn" if change.action == "dropped" and share > 0.05 else "info"
        remedy = "The rows are in quarantine/ with file, row and reason." if change.action == "dropped" and severity == "warn" else ""
        yield Finding(
            severity,
            f"rows {change.action}",
            f"{where}: {many(change.rows, 'row')} ({share:.1%}) {change.action}: {change.reason}.",
            remedy,
        )


def _missing(look: Look) -> Iterator[Finding]:
    """Columns that are mostly or wholly empty."""
    mostly = look.columns.filter(pl.col("missing_share") > 0.5)
    for row in mostly.to_dicts():
        share, place = row["missing_share"], f"{row['table']} column '{row['column']}'"
        if share == 1.0:
            yield Finding("warn", "missing", f"{place} is empty.", "Take it out of the manifest.")
        else:
            yield Finding("info", "missing", f"{place} is empty in {share:.0%} of the rows.", "Models read it as unknown there.")
