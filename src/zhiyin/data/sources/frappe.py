"""Frappe: which app was used in which context (daytime, weather, country ...); no instants, no order."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest, Repeat
from zhiyin.data.sources.source import Source
from zhiyin.data.tables import Tables

CONTEXTS = ("daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city")


def read(root: Path) -> Tables:
    """One event per (user, app, context) with ``cnt`` uses as value; ``split`` = train, valid, test (7:2:1).

    ``extra["ctr_valid_test"]``: the published rows with labels and negatives, for click prediction.
    The log says "unknown" where it does not know; here those are empty.
    """
    folder = root / "frappe"
    manifest = Manifest(
        name="frappe",
        order="none",
        language="en",
        events=EventsTable(user="user", item="item", value="cnt", context=CONTEXTS, split="split"),
        items=ItemsTable(
            id="item",
            title="name",
            columns={
                "name": "text", "description": "text", "short_desc": "text", "category": "category", "developer": "category",
                "language": "language", "downloads": "category", "price": "price", "rating": "number",
            },
        ),
        repeat=Repeat(policy="allow"),
    )  # fmt: skip
    events = _known(pl.read_parquet(folder / "interactions.parquet"))
    ctr = _known(pl.read_parquet(folder / "ctr_valid_test.parquet"))
    return Tables(manifest, events, _apps(folder), extra={"ctr_valid_test": ctr})


def _known(table: pl.DataFrame) -> pl.DataFrame:
    """ "unknown" and city 0 become nothing."""
    city = [pl.when(pl.col("city") == 0).then(None).otherwise(pl.col("city")).alias("city")] if "city" in table.columns else []
    words = pl.col(pl.String)
    return table.with_columns(pl.when(words == "unknown").then(None).otherwise(words).name.keep(), *city)


def _apps(folder: Path) -> pl.DataFrame:
    """Prices in numbers: "Free" is 0."""
    table = _known(pl.read_parquet(folder / "items.parquet"))
    price = pl.col("price").str.replace("Free", "0", literal=True).str.extract(r"([\d.]+)").cast(pl.Float64)
    return table.with_columns(price, pl.col("rating").cast(pl.Float64))


FRAPPE = Source(
    "frappe",
    "app use in eight contexts with app descriptions; split by column",
    "Frappe terms: research use with citation; no redistribution, no de-anonymising, no commercial use without permission.",
    {"events": 96_203, "users": 957, "items": 4_082, "ctr_valid": 57_722, "ctr_test": 28_860},
    tuple(f"frappe/{table}.parquet" for table in ("interactions", "items", "ctr_valid_test")),
    read,
)
