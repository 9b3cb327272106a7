"""goodbooks-10k: a catalogue of ten thousand books; the ratings themselves are not at hand."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import ItemsTable, Manifest
from zhiyin.data.sources.source import NO_EVENTS, Source
from zhiyin.data.tables import Tables

FOLDER = "goodbooks-10k"


def read(root: Path) -> Tables:
    """Books with title, authors, year, language and how they are rated on the whole; no events.

    ``extra["tags"]``: 34,252 names of tags (which book has which is not known); ``extra["stars"]``: how often
    each book got 1 to 5 stars.
    """
    folder = root / FOLDER
    books = pl.read_parquet(folder / "books.parquet")
    items = books.select(
        pl.col("book_id").cast(pl.String).alias("item_id"),
        "title",
        "original_title",
        pl.col("authors").str.split(", "),
        pl.col("original_publication_year").cast(pl.Int32).alias("year"),
        pl.col("language_code").alias("language"),
        "average_rating",
        "ratings_count",
        "image_url",
    )
    table = ItemsTable(
        title="title",
        columns={
            "title": "text", "original_title": "text", "authors": "list", "year": "number", "language": "language",
            "average_rating": "number", "ratings_count": "number", "image_url": "image",
        },
    )  # fmt: skip
    stars = books.select(pl.col("book_id").cast(pl.String).alias("item_id"), *(f"ratings_{n}" for n in range(1, 6)))
    extra = {"tags": pl.read_parquet(folder / "tags.parquet"), "stars": stars}
    return Tables(Manifest(name=FOLDER, order="none", language="en", items=table), NO_EVENTS, items, extra=extra)


GOODBOOKS = Source(
    FOLDER,
    "a catalogue of books with authors, year and star counts (no behaviour)",
    "CC BY-SA 4.0.",
    {"items": 10_000, "tags": 34_252},
    (f"{FOLDER}/books.parquet", f"{FOLDER}/tags.parquet"),
    read,
    behaviour=False,
)
