"""FilmTrust: film ratings of people who say whose taste they trust; no texts, no times."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, Manifest, RelationsTable
from zhiyin.data.sources.source import Source, links
from zhiyin.data.tables import Tables


def read(root: Path) -> Tables:
    """Ratings from 0.5 to 4 (3 and more are likings) without order; the relation ``trusts`` leads from user to user.

    134 of the 874 people in the trust network rated nothing.
    """
    folder = root / "filmtrust"
    manifest = Manifest(name="filmtrust", order="none", events=EventsTable(value="rating"), relations=RelationsTable(), positive_from=3)
    trust = links(pl.read_parquet(folder / "trust.parquet"), "src", "trusts", "dst", of_users=True)
    return Tables(manifest, pl.read_parquet(folder / "ratings.parquet"), relations=trust)


FILMTRUST = Source(
    "filmtrust",
    "film ratings with directed trust between users; no texts, no order",
    "None stated by LibRec, which released it (Guo et al. 2013); research use with citation.",
    {"events": 35_497, "users": 1_508, "items": 2_071, "trust": 1_853},
    ("filmtrust/ratings.parquet", "filmtrust/trust.parquet"),
    read,
)
