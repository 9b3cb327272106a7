"""Amazon 2018 (Office, Industrial) with full item text, as MiniOneRec cut it; its train file is not at hand.

What may be trained on is a matter of care here: 57% of the test targets occur in the history of
another test row of the same user. So ``events`` are the validation rows alone (history and target);
test histories are input only. Order and times are not complete: ``order = "none"``.
"""

from __future__ import annotations

import html
import re
from functools import partial
from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest
from zhiyin.data.sources.source import AMAZON_TERMS, Source
from zhiyin.data.tables import Tables

TAG = re.compile(r"</?[a-zA-Z][^<>]*>")  # "<100mA" is no tag
BETWEEN = re.compile(r"""['"], ['"]""")
ESCAPE = re.compile(r"\\(.)")
SPACED = {"n": " ", "t": " ", "r": " "}


def read(name: str, root: Path) -> Tables:
    """Items with clean text; distinct (user, item) pairs of the validation rows as events.

    ``extra["valid_test"]``: the published rows (split, user_id, history, target) for their protocol.
    ``extra["user_items"]``: distinct pairs of *both* parts, for the cold-item protocol only, which
    holds out items by seed and therefore does not look at the published split.
    """
    folder = root / name
    rows = pl.read_parquet(folder / "valid_test.parquet")
    manifest = Manifest(
        name=name,
        order="none",
        language="en",
        events=EventsTable(),
        items=ItemsTable(title="title", columns={"title": "text", "description": "text", "brand": "category"}),
    )
    events = pairs(rows.filter(pl.col("split") == "valid"))
    return Tables(manifest, events, clean_items(folder), extra={"valid_test": rows, "user_items": pairs(rows)})


def pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """Each user with each item of his histories and targets, once, in order of first appearance."""
    whole = pl.col("history").list.concat(pl.col("target")).alias("item_id")
    return rows.select("user_id", whole).explode("item_id").unique(maintain_order=True)


def clean_items(folder: Path) -> pl.DataFrame:
    """Title, description and brand as plain text; ``categories`` is blank in every row and left out."""
    words = [pl.col(c).map_elements(plain_text, return_dtype=pl.String) for c in ("title", "description", "brand")]
    return pl.read_parquet(folder / "items.parquet").select("item_id", *words)


def plain_text(raw: str) -> str:
    """Words without HTML tags and entities; a printed Python list of strings becomes its strings.

    >>> plain_text("['Ink &amp; paper,<br />black', 'It\\'s new']")
    "Ink & paper, black It's new"
    """
    listed = raw.startswith(("['", '["')) and raw.endswith(("']", '"]'))
    # Not parsed as Python: some of these lists hold bare quotes, because entities were resolved after printing.
    text = ESCAPE.sub(lambda m: SPACED.get(m[1], m[1]), BETWEEN.sub(" ", raw[2:-2])) if listed else raw
    return " ".join(TAG.sub(" ", html.unescape(text)).split())


def _source(name: str, what: str, users: int, items: int, rows: int, valid: int) -> Source:
    files = (f"{name}/items.parquet", f"{name}/valid_test.parquet")
    about = f"Amazon 2018 {what} with full item text; events = validation rows only, test rows under extra"
    return Source(name, about, AMAZON_TERMS, {"rows": rows, "valid": valid, "users": users, "items": items}, files, partial(read, name))


OFFICE = _source("amazon18_office", "Office Products", 3_231, 3_459, 9_732, 4_866)
INDUSTRIAL = _source("amazon18_industrial", "Industrial and Scientific", 3_285, 3_686, 9_065, 4_532)
