"""Samples of public sets for click prediction, 20 to 1,000 rows each: for readers and shapes, not for measuring."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, Manifest, UsersTable
from zhiyin.data.sources.source import Source
from zhiyin.data.tables import Tables

FOLDER = "ctr_samples"
LABELLED = {
    "ali_ccp_train": 100, "ali_ccp_test": 50, "aliexpress_train": 100, "aliexpress_test": 20, "avazu_train": 70,
    "census_income_train": 80, "census_income_val": 20, "census_income_test": 20, "criteo": 115,
}  # fmt: skip
PERSON = ("age0", "age1", "age2", "age3", "female", "male")


def read(root: Path) -> Tables:
    """Events are Yidian's: news shown to two people, ``click`` (weight 1) or ``shown`` (weight 0).

    The other samples are rows of features with labels that name neither user nor item; they are under ``extra`` by
    file name: Ali-CCP and AliExpress (click and conversion, for models of several tasks), Avazu, Criteo, census income.
    """
    folder = root / FOLDER
    rows = pl.read_parquet(folder / "yidian_news.parquet")
    kind = pl.when(pl.col("click") == 1).then(pl.lit("click")).otherwise(pl.lit("shown")).alias("kind")
    context = ("network", "refresh", "showPos", "deviceName", "OS", "province", "city")
    manifest = Manifest(
        name=FOLDER,
        time_zone="Asia/Shanghai",
        language="zh",
        events=EventsTable(user="userId", item="itemId", kind="kind", time="showTime", time_unit="ms", context=context),
        users=UsersTable.parse({"id": "userId", "columns": dict.fromkeys(PERSON, "number"), "sensitive": PERSON}),
        weights={"click": 1, "shown": 0},
    )
    people = rows.select("userId", *PERSON).unique("userId", keep="first", maintain_order=True)
    extra = {name: pl.read_parquet(folder / f"{name}.parquet") for name in LABELLED}
    return Tables(manifest, rows.select("userId", "itemId", "showTime", kind, *context), users=people, extra=extra)


CTR_SAMPLES = Source(
    FOLDER,
    "tiny samples for click prediction: Yidian news as events; Ali-CCP, AliExpress, Avazu, Criteo, census under extra",
    "MIT (torch-rechub); each original set has its own terms.",
    {"events": 1_000, "users": 2, "items": 979, "clicks": 110, **LABELLED},
    tuple(f"{FOLDER}/{table}.parquet" for table in ("yidian_news", *LABELLED)),
    read,
)
