"""Amazon 2014 (Beauty, Toys, Sports), 5-core sequences with a few words per item, in S3Rec's order.

The files of P5 and IDGenRec for Toys and Sports are sorted alphabetically within a user, so figures
published on those are not comparable with figures on these.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest
from zhiyin.data.sources.source import AMAZON_TERMS, Source
from zhiyin.data.tables import Tables


def read(name: str, root: Path) -> Tables:
    """Items are known by ASIN, users by Amazon's id; the key phrase stands for the title."""
    folder = root / name
    items, users = pl.read_parquet(folder / "items.parquet"), pl.read_parquet(folder / "users.parquet")
    events = pl.read_parquet(folder / "sequences.parquet").join(users, on="user_idx", maintain_order="left")
    events = events.join(items.select("item_idx", "asin"), on="item_idx", maintain_order="left")
    manifest = Manifest(
        name=name,
        order="position",
        language="en",
        events=EventsTable(item="asin", position="pos"),
        items=ItemsTable(id="asin", title="keyphrase", columns={"keyphrase": "text", "attribute_ids": "list"}),
    )
    return Tables(manifest, events.select("user_id", "asin", "pos"), items.select("asin", "keyphrase", "attribute_ids"))


def _source(name: str, what: str, users: int, items: int, events: int) -> Source:
    files = tuple(f"{name}/{table}.parquet" for table in ("sequences", "items", "users"))
    counts = {"events": events, "users": users, "items": items}
    return Source(
        name, f"Amazon 2014 {what}: 5-core sequences with a key phrase per item", AMAZON_TERMS, counts, files, partial(read, name)
    )


BEAUTY = _source("amazon_beauty", "Beauty", 22_363, 12_101, 198_502)
TOYS = _source("amazon_toys", "Toys and Games", 19_412, 11_924, 167_597)
SPORTS = _source("amazon_sports", "Sports and Outdoors", 35_598, 18_357, 296_337)
