"""MIND-small, a piece of its training part: which news were shown to whom and which were clicked, November 2019.

A sample cut off after 5,000 visits and 2,000 news: 97% of the news shown have no text here. For readers
and text encoders; figures published on MIND are not comparable with figures on this.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest
from zhiyin.data.sources.source import Source
from zhiyin.data.tables import Tables

FOLDER = "mind_sample"


def read(root: Path) -> Tables:
    """An event per news shown: ``click`` (weight 1) or ``shown`` (weight 0), the visit's number as trace.

    ``extra["histories"]``: what each user had clicked before, in order but without times, so it can be input
    and is no event. The times name no zone and are taken as UTC. Entities are the names found in title and abstract.
    """
    folder = root / FOLDER
    visits = pl.read_parquet(folder / "behaviors.parquet")
    manifest = Manifest(
        name=FOLDER,
        language="en",
        events=EventsTable(item="news_id", kind="kind", time="time", trace="impression_id"),
        items=ItemsTable(
            id="news_id",
            title="title",
            columns={"title": "text", "abstract": "text", "category": "category", "subcategory": "category", "entities": "list"},
        ),
        weights={"click": 1, "shown": 0},
    )
    histories = visits.select("user_id", split_words("history")).unique("user_id", keep="first", maintain_order=True)
    return Tables(manifest, shown(visits), news(folder), extra={"histories": histories})


def shown(visits: pl.DataFrame) -> pl.DataFrame:
    """One row per candidate of ``"N43266-0 N6975-1"``: the news, and whether it was clicked."""
    rows = visits.select("impression_id", "user_id", "time", split_words("impressions")).explode("impressions")
    said = pl.col("impressions")
    kind = pl.when(said.str.ends_with("-1")).then(pl.lit("click")).otherwise(pl.lit("shown"))
    return rows.select("impression_id", "user_id", "time", said.str.head(-2).alias("news_id"), kind.alias("kind"))


def split_words(column: str) -> pl.Expr:
    """The words of a column; nothing becomes an empty list."""
    return pl.col(column).str.split(" ").list.eval(pl.element().filter(pl.element() != "")).alias(column)


def news(folder: Path) -> pl.DataFrame:
    """Titles, abstracts and the labels of their Wikidata entities, each once."""
    labels = [
        pl.col(c).str.extract_all(r'"Label": "[^"]*"').list.eval(pl.element().str.extract(r'"Label": "(.*)"'))
        for c in ("title_entities", "abstract_entities")
    ]
    entities = labels[0].list.concat(labels[1]).list.unique(maintain_order=True)
    table = pl.read_parquet(folder / "news.parquet")
    return table.select("news_id", "title", "abstract", "category", "subcategory", entities.alias("entities"))


MIND = Source(
    FOLDER,
    "news shown and clicked with titles and abstracts (a cut sample of MIND-small)",
    "Microsoft Research License: research use only, no redistribution.",
    {"visits": 5_000, "events": 189_359, "clicks": 7_542, "users": 4_637, "news": 2_000, "shown_with_text": 5_310, "clicks_with_text": 175},
    (f"{FOLDER}/behaviors.parquet", f"{FOLDER}/news.parquet"),
    read,
)
