"""Yelp 2019 as S3Rec cut it: sequences of visits with the name and categories of each business."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest
from zhiyin.data.sources.source import Source
from zhiyin.data.tables import Tables


def read(root: Path) -> Tables:
    folder = root / "yelp_s3rec"
    items = pl.read_parquet(folder / "items.parquet").with_columns(pl.col("categories").str.split(", "))
    manifest = Manifest(
        name="yelp_s3rec",
        order="position",
        language="en",
        events=EventsTable(user="user_idx", item="item_idx", position="pos"),
        items=ItemsTable(id="item_idx", title="title", columns={"title": "text", "categories": "list"}),
    )
    return Tables(manifest, pl.read_parquet(folder / "sequences.parquet"), items)


YELP = Source(
    "yelp_s3rec",
    "Yelp 2019: sequences of visits with business names and categories",
    "Yelp Open Dataset terms: academic use, no redistribution.",
    {"events": 316_354, "users": 30_431, "items": 20_033},
    ("yelp_s3rec/sequences.parquet", "yelp_s3rec/items.parquet"),
    read,
)
