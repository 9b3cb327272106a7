"""Amazon 2018 Gift Cards, 5-core: tiny but whole, with ratings, times, review texts and item texts."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest
from zhiyin.data.sources.amazon18 import plain_text
from zhiyin.data.sources.source import AMAZON_TERMS, Source
from zhiyin.data.tables import Tables

FOLDER = "amazon18_giftcards"


def read(root: Path) -> Tables:
    """A review is an event (4 stars and more are likings, which most are); 148 of the 1,547 cards were reviewed.

    Times are whole days, so what one person reviewed on a day has no order of its own. ``extra["reviews"]``:
    all rows with summary, text, votes and rating, for models of ratings and sentiment.
    """
    folder = root / FOLDER
    manifest = Manifest(
        name=FOLDER,
        language="en",
        events=EventsTable(item="asin", value="rating", time="timestamp", time_unit="s", context=("verified",)),
        items=ItemsTable(
            id="asin",
            title="title",
            columns={
                "title": "text", "description": "text", "feature": "text", "brand": "category", "main_cat": "category",
                "category": "list", "price": "price",
            },
        ),
        positive_from=4,
    )  # fmt: skip
    reviews = pl.read_parquet(folder / "reviews.parquet")
    events = reviews.select("user_id", "asin", "rating", "timestamp", "verified")
    return Tables(manifest, events, cards(folder), extra={"reviews": reviews})


def cards(folder: Path) -> pl.DataFrame:
    """Texts without HTML, prices in dollars, the first two levels of the category; blanks are nothing."""
    words = [pl.col(c).str.replace_all(" | ", " ", literal=True) for c in ("title", "description", "feature")]
    table = pl.read_parquet(folder / "items.parquet").with_columns(w.map_elements(plain_text, return_dtype=pl.String) for w in words)
    text = pl.col(pl.String)
    table = table.with_columns(pl.when(text != "").then(text).name.keep())
    # Below the second level the column holds the seller's bullet points.
    levels = pl.col("category").str.split(" | ").list.head(2).list.unique(maintain_order=True)
    price = pl.col("price").str.extract(r"^\$([\d,]+\.\d\d)$").str.replace_all(",", "").cast(pl.Float64)
    return table.select("asin", "title", "description", "feature", "brand", "main_cat", levels, price)


GIFTCARDS = Source(
    FOLDER,
    "reviews of gift cards with rating, day, review text and item text",
    AMAZON_TERMS,
    {"events": 2_972, "users": 458, "items": 1_547, "reviewed": 148},
    (f"{FOLDER}/reviews.parquet", f"{FOLDER}/items.parquet"),
    read,
)
