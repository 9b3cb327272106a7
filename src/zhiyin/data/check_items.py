"""Rules about the catalogue: texts, references, descriptions, numbers, and what the encoder can read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from zhiyin.data.check_events import far_out
from zhiyin.data.columns import blank_to_null
from zhiyin.data.derive import variants
from zhiyin.data.findings import Finding, many
from zhiyin.data.look import Look

TEXT_SAMPLE = 2_000
UNREADABLE = 0.1


def texts(look: Look) -> Iterator[Finding]:
    """Items that say nothing in words."""
    d = look.data
    columns = [c for c, t in look.item_types.items() if t in ("text", "category", "list") and c in d.catalog.table.columns]
    if not columns:
        yield Finding(
            "warn",
            "no text",
            "No column says what an item is in words: new items cannot be recommended from text.",
            "Add titles under [items].",
        )
        return
    silent = d.catalog.table.select(pl.all_horizontal(_blank(d.catalog.table[c]) for c in columns)).to_series()
    if silent.any():
        share = int(silent.sum()) / d.n_items
        first = d.catalog.items[int(silent.arg_max() or 0)]
        yield Finding(
            "warn" if share > 0.05 else "info",
            "no text",
            f"{int(silent.sum()):,} of {many(d.n_items, 'item')} ({share:.1%}) have no text, '{first}' for one.",
            f"Fill {', '.join(columns[:3])}.",
        )
    title = d.manifest.items.title if d.manifest.items else None
    if title is None:
        yield Finding("info", "no title", "No column is the title: lists show ids.", "Name it: items.title.")
        return
    named = blank_to_null(d.catalog.table[title]).drop_nulls()
    again = len(named) - named.n_unique()
    if again > 0.02 * max(len(named), 1):
        yield Finding(
            "info",
            "same titles",
            f"{many(again, 'item')} carried the title of another.",
            "Variants of one thing? items.parent and collapse_variants.",
        )


def _blank(column: pl.Series) -> pl.Series:
    return column.is_null() | (column.list.len() == 0).fill_null(True) if column.dtype == pl.List else blank_to_null(column).is_null()


def references(look: Look) -> Iterator[Finding]:
    """Ids that one table uses and the other does not know."""
    d = look.data
    used = d.item_counts > 0
    if d.manifest.items is not None:
        unknown = look.strangers("items") & used
        if unknown.any():
            n, acts = int(unknown.sum()), int(d.item_counts[unknown].sum())
            first = d.catalog.items[int(np.flatnonzero(unknown)[0])]
            yield Finding(
                "bad" if acts > 0.5 * len(d.events) else "warn" if acts > 0.01 * len(d.events) else "info",
                "unknown items",
                f"{many(n, 'item')} of the events ({many(acts, 'event')}) had no row in the items table, '{first}' for one.",
                "Add them, or check that both tables write ids the same way.",
            )
        idle = int((~used).sum())
        if idle:
            yield Finding(
                "info", "idle items", f"{idle:,} of {many(d.n_items, 'item')} have no event: they are recommended from their text."
            )
    if d.manifest.users is not None and d.users_table.width:
        n = int(look.strangers("users").sum())
        if n:
            yield Finding("info", "unknown users", f"{many(n, 'user')} of the events had no row in the users table.")


def descriptions(look: Look) -> Iterator[Finding]:
    """One code, several things: the catalogue can keep one description only."""
    m = look.data.manifest
    if look.tables is None or m.items is None or m.items.file != m.events.file:
        return
    for column, type_ in look.item_types.items():
        if type_ not in ("text", "category") or column not in look.tables.events.columns:
            continue
        several = variants(look.tables.events, m.events.item, column)
        if not several.height:
            continue
        code, n_ways = several["id"][0], len(several["values"][0])
        ways = ", ".join(f"'{v}'" for v in several["values"][0].to_list()[:3])
        yield Finding(
            "warn" if several.height > 0.05 * look.data.n_items else "info",
            "several descriptions",
            f"{many(several.height, 'item')} had several values in column '{column}'; '{code}' has {n_ways}: {ways}.",
            "The commonest is kept. Where these are different things give them different codes.",
        )


def numbers(look: Look) -> Iterator[Finding]:
    """Prices of nothing or less, places at zero-zero, values far out."""
    table = look.data.catalog.table
    for name, type_ in look.item_types.items():
        if name not in table.columns or type_ not in ("number", "price") or not table[name].dtype.is_numeric():
            continue
        seen = np.asarray(table[name].drop_nulls().to_numpy(), dtype=np.float64)
        if type_ == "price" and bool((seen <= 0).any()):
            n = int((seen <= 0).sum())
            yield Finding(
                "info" if n < 0.01 * len(seen) else "warn",
                "prices",
                f"{many(n, 'item')} had a price of 0 or less in column '{name}'.",
                "Leave it empty where it is not known.",
            )
        positive = seen[seen > 0] if type_ == "price" else seen
        if len(positive) >= 20 and len(np.unique(positive)) > 2:
            yield from far_out("items", name, positive)
    lat, lon = (next((c for c, t in look.item_types.items() if t == kind), None) for kind in ("latitude", "longitude"))
    if lat is not None and lon is not None:
        nowhere = int(((table[lat] == 0) & (table[lon] == 0)).sum())
        if nowhere:
            yield Finding(
                "warn",
                "places",
                f"{many(nowhere, 'item')} lay at latitude 0, longitude 0, in the sea.",
                "Leave both empty where the place is not known.",
            )


def encoder(look: Look) -> Iterator[Finding]:
    """How much of the text the encoder does not know."""
    columns = [c for c, t in look.item_types.items() if t in ("text", "category")]
    if look.unknown_share is None or not columns:
        return
    table = look.data.catalog.table.select(columns)
    step = max(1, table.height // TEXT_SAMPLE)
    joined = table.gather_every(step).select(pl.concat_str(pl.all().cast(pl.String), separator=" ", ignore_nulls=True)).to_series()
    sample = [t for t in joined.to_list() if t and t.strip()]
    if not sample:
        return
    share = look.unknown_share(sample)
    sentence = f"The text encoder does not know {share:.1%} of what the item texts say."
    if share > UNREADABLE:
        yield Finding(
            "warn", "unreadable text", sentence, "An encoder trained on this catalogue takes over, or name a model of that language."
        )
    else:
        yield Finding("info", "unreadable text", sentence)
