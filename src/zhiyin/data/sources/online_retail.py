"""UCI Online Retail: a year of invoices of a British gift shop, 2010-12 to 2011-12, shop local time."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest, Repeat
from zhiyin.data.sources.source import Source
from zhiyin.data.tables import Tables


def read(root: Path) -> Tables:
    """Purchases (weight 1) and cancellations (quantity below 0, weight 0) of named customers.

    135,080 rows name no customer; an invoice is no person, and one invoice has no past to predict
    from, so they are left out of the events and kept under ``extra["anonymous"]``. An item's title is
    its most frequent description. Rows without goods (POST, DOT, M ...: postage, fees,
    corrections) stay in, as in the published table.
    """
    rows = pl.read_parquet(root / "online_retail" / "transactions.parquet")
    kind = pl.when(pl.col("Quantity") < 0).then(pl.lit("cancellation")).otherwise(pl.lit("purchase"))
    rows = rows.with_columns(kind.alias("kind"))
    named = pl.col("CustomerID").is_not_null()
    manifest = Manifest(
        name="online_retail",
        time_zone="Europe/London",
        language="en",
        events=EventsTable(
            user="CustomerID",
            item="StockCode",
            kind="kind",
            value="Quantity",
            time="InvoiceDate",
            session="InvoiceNo",
            context=("Country",),  # the price on the invoice is not known when a list is asked for
        ),
        items=ItemsTable(id="StockCode", title="Description", columns={"Description": "text", "price": "price"}),
        weights={"purchase": 1, "cancellation": 0},
        repeat=Repeat(policy="allow"),
    )
    return Tables(manifest, rows.filter(named).drop("Description"), stock(rows), extra={"anonymous": rows.filter(~named)})


def stock(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per code: the description most often beside it (of equals the first by letter), the median price."""
    words = rows.select("StockCode", pl.col("Description").str.strip_chars()).drop_nulls()
    best = words.group_by("StockCode", "Description").len().sort("StockCode", "len", "Description", descending=[False, True, False])
    titles = best.unique("StockCode", keep="first")
    price = rows.filter(pl.col("UnitPrice") > 0).group_by("StockCode").agg(pl.col("UnitPrice").median().alias("price"))
    codes = rows.select(pl.col("StockCode").unique().sort())
    return codes.join(titles.drop("len"), on="StockCode", how="left").join(price, on="StockCode", how="left").sort("StockCode")


ONLINE_RETAIL = Source(
    "online_retail",
    "a year of invoices of a gift shop: purchases and cancellations with quantity, price, country",
    "CC BY 4.0 (UCI Machine Learning Repository).",
    {"rows": 541_909, "users": 4_372, "items": 4_070, "anonymous": 135_080, "cancellations": 8_905, "events": 406_829},
    ("online_retail/transactions.parquet",),
    read,
)
