"""Collections of texts that nobody acted on: for text handling, sentiment and search, not for recommending.

Their ``events`` are empty, and said to be: ``open_source`` refuses them, ``read_source`` gives the texts.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest
from zhiyin.data.sources.source import NO_EVENTS, Source
from zhiyin.data.tables import Tables


def read_reviews(root: Path) -> Tables:
    """Chinese reviews as items: text, collection, category (外卖 food delivery, 酒店 hotels, goods), label 1 good, 0 bad."""
    folder = root / "chinese_reviews"
    category = {"waimai_10k": "外卖", "hotel_7k": "酒店", "online_shopping_10_cats": None}
    parts = []
    for name, word in category.items():
        part = pl.read_parquet(folder / f"{name}.parquet").with_columns(collection=pl.lit(name))
        parts.append(part if word is None else part.with_columns(cat=pl.lit(word)))
    rows = pl.concat(parts, how="diagonal").with_row_index("item_id")
    # Some reviews begin with the byte order mark of the file they came from.
    text = pl.col("review").str.strip_chars("\ufeff \t\r\n").alias("text")
    items = rows.select(pl.col("item_id").cast(pl.String), text, pl.col("cat").alias("category"), "collection", "label")
    table = ItemsTable(title="text", columns={"text": "text", "category": "category", "collection": "category", "label": "number"})
    return Tables(Manifest(name="chinese_reviews", order="none", language="zh", items=table), NO_EVENTS, items)


def read_cranfield(root: Path) -> Tables:
    """1,400 abstracts as items; ``extra["queries"]`` and ``extra["qrels"]`` (code 1 = best .. 4)."""
    folder = root / "cranfield"
    docs = pl.read_parquet(folder / "docs.parquet").rename({"doc_id": "item_id"}).with_columns(pl.col("item_id").cast(pl.String))
    table = ItemsTable(title="title", columns={"title": "text", "text": "text", "author": "text"})
    manifest = Manifest(name="cranfield", order="none", language="en", events=EventsTable(), items=table)
    extra = {name: pl.read_parquet(folder / f"{name}.parquet") for name in ("queries", "qrels")}
    return Tables(manifest, NO_EVENTS, docs, extra=extra)


CHINESE_REVIEWS = Source(
    "chinese_reviews",
    "Chinese reviews of food delivery, hotels and goods with good/bad labels (texts only)",
    "None stated by the repository they were collected in; research use.",
    {"items": 82_527, "waimai_10k": 11_987, "hotel_7k": 7_766, "online_shopping_10_cats": 62_774},
    tuple(f"chinese_reviews/{table}.parquet" for table in ("waimai_10k", "hotel_7k", "online_shopping_10_cats")),
    read_reviews,
    behaviour=False,
)
CRANFIELD = Source(
    "cranfield",
    "aerodynamics abstracts with queries and graded relevance (texts only)",
    "None stated; a classic public test collection.",
    {"items": 1_400, "queries": 225, "qrels": 1_837},
    tuple(f"cranfield/{table}.parquet" for table in ("docs", "queries", "qrels")),
    read_cranfield,
    behaviour=False,
)
