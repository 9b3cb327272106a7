"""Foursquare New York check-ins with the trajectories and split of GETNext / LLM4POI.

Validation and test rows are the published ones; the training part was rebuilt by the published
rules and is 1 to 1.5% larger. ``split`` = train, val, test, or unused (dropped by those rules).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest, Repeat
from zhiyin.data.sources.source import Source
from zhiyin.data.tables import Tables

FOLDER = "foursquare_nyc"


def read(root: Path) -> Tables:
    """Check-ins: the place is the item (people return: repeat allowed). Places have coordinates, 63% a category.

    ``extra["getnext"]``: the published validation and test rows with all their columns.
    """
    folder = root / FOLDER
    checkins = pl.read_parquet(folder / "checkins.parquet").with_columns(pl.col("utc_time").dt.replace_time_zone("UTC").alias("time"))
    manifest = Manifest(
        name=FOLDER,
        time_zone="America/New_York",
        language="en",
        events=EventsTable(item="poi_idx", time="time", session="trajectory_id", split="split"),
        items=ItemsTable(id="poi_idx", title="category", columns={"category": "text", "lat": "latitude", "lon": "longitude"}),
        repeat=Repeat(policy="allow"),
    )
    events = checkins.select("user_id", "poi_idx", "time", "trajectory_id", "split")
    places = pl.read_parquet(folder / "pois.parquet").select("poi_idx", "category", "lat", "lon")
    return Tables(manifest, events, places, extra={"getnext": pl.read_parquet(folder / "getnext_val_test_exact.parquet")})


FOURSQUARE = Source(
    FOLDER,
    "New York check-ins with times, coordinates and categories; GETNext split by column",
    "Foursquare / D. Yang et al., TSMC2014: research use with citation.",
    {"events": 147_938, "users": 1_083, "items": 5_135, "train": 84_512, "val": 10_339, "test": 10_374},
    tuple(f"{FOLDER}/{table}.parquet" for table in ("checkins", "pois", "getnext_val_test_exact")),
    read,
)
