"""Open Bandit: fashion items that two logging policies showed in a shop, with click and propensity; one week of 2019."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest, Repeat
from zhiyin.data.sources.source import Source
from zhiyin.data.tables import Tables

FOLDER = "open_bandit"
LOGS = ("random_men", "random_women", "bts_men", "bts_women")
FEATURES = tuple(f"user_feature_{i}" for i in range(4))


def read(root: Path) -> Tables:
    """An event per item shown: ``click`` (weight 1, 207 of 40,000) or ``shown`` (weight 0), known by context alone.

    Nobody is named: each row is a visit of its own, and the four hashed features of the visitor are its context,
    beside campaign (men, women) and position (1 to 3). So there is no history to learn from; use it for click
    prediction and for off-policy estimates. ``policy`` (random, bts) and ``propensity_score`` are columns of the
    table, but not context: they are the logger's, and a model must not read them. Item ids repeat between the
    campaigns, so they are ``men:0``, ``women:0``. ``extra``: the four logs as published, with user-item affinities.
    """
    folder = root / FOLDER
    manifest = Manifest(
        name=FOLDER,
        events=EventsTable(
            item="item_id",
            kind="kind",
            time="timestamp",
            session="impression",
            context=("campaign", "position", *FEATURES),
        ),
        items=ItemsTable(
            columns={
                "campaign": "category",
                "item_feature_0": "number",
                "item_feature_1": "category",
                "item_feature_2": "category",
                "item_feature_3": "category",
            }
        ),
        weights={"click": 1, "shown": 0},
        repeat=Repeat(policy="allow"),
    )
    logs = {name: pl.read_parquet(folder / f"{name}.parquet") for name in LOGS}
    events = pl.concat([impressions(log, *name.split("_")) for name, log in logs.items()]).sort("timestamp", maintain_order=True)
    items = pl.concat([_named(pl.read_parquet(folder / f"items_{c}.parquet"), c) for c in ("men", "women")])
    return Tables(manifest, events.with_row_index("impression"), items, extra=logs)


def impressions(log: pl.DataFrame, policy: str, campaign: str) -> pl.DataFrame:
    """The columns that both campaigns share, with click or shown as the kind."""
    kind = pl.when(pl.col("click") == 1).then(pl.lit("click")).otherwise(pl.lit("shown")).alias("kind")
    rows = log.select("timestamp", "item_id", "position", kind, "propensity_score", *FEATURES)
    return _named(rows.with_columns(policy=pl.lit(policy)), campaign)


def _named(rows: pl.DataFrame, campaign: str) -> pl.DataFrame:
    return rows.with_columns(item_id=pl.lit(f"{campaign}:") + pl.col("item_id").cast(pl.String), campaign=pl.lit(campaign))


OPEN_BANDIT = Source(
    FOLDER,
    "logged fashion recommendations with clicks, positions and propensities; visitors are not named",
    "CC BY 4.0 (ZOZO, Inc.).",
    {"events": 40_000, "users": 40_000, "items": 80, "men": 34, "women": 46, **dict.fromkeys(LOGS, 10_000)},
    tuple(f"{FOLDER}/{table}.parquet" for table in (*LOGS, "items_men", "items_women")),
    read,
)
