"""CiteULike-a: which paper lies in whose library, with tags and citations; the classic set for cold items."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest, RelationsTable
from zhiyin.data.sources.source import Source, links
from zhiyin.data.tables import Tables

FOLDER = "citeulike-a"


def read(root: Path) -> Tables:
    """Pairs of user and paper without order or time; a paper's only text are its tags (3,461 have none).

    Titles and abstracts are not at hand, and no paper's own cold split is: hold out items by seed. The relation
    ``citation`` stands in both directions, so who cites whom is not known; 96 papers are joined to themselves.
    The publication counts 46,391 tags; 46,390 of them are on a paper.
    """
    folder = root / FOLDER
    manifest = Manifest(
        name=FOLDER,
        order="none",
        language="en",
        events=EventsTable(),
        items=ItemsTable(columns={"tags": "list"}),
        relations=RelationsTable(),
    )
    items = pl.read_parquet(folder / "item_tags.parquet").select("item_id", "tags")
    citations = links(pl.read_parquet(folder / "citations.parquet"), "src", "citation", "dst")
    return Tables(manifest, pl.read_parquet(folder / "interactions.parquet"), items, relations=citations)


CITEULIKE = Source(
    FOLDER,
    "papers in people's libraries with tags and citations; no order",
    "None stated; cite Wang, Chen and Li, IJCAI 2013.",
    {"events": 204_986, "users": 5_551, "items": 16_980, "citations": 89_418, "tags": 46_390, "untagged": 3_461},
    tuple(f"{FOLDER}/{table}.parquet" for table in ("interactions", "item_tags", "citations")),
    read,
)
